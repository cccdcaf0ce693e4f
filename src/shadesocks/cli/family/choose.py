"""Whose `ssserver` and `sslocal` is meant: the Python original's, or shadowsocks-rust's, which took the names.

The words decide where they can, else the file does, else both would start the same: the part they have in common.
Nothing is judged here; what cannot be read says nothing, and is told by whoever is chosen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from ...config.dialects import find_dialect
from ...config.files import find_config
from ...config.hosts import split_port
from ...config.options import options
from ...core.errors import ConfigError
from ...crypto.methods import find_method
from ..source import STDIN, Source
from .python import PROGRAMS

if TYPE_CHECKING:
    from ...config.setting import Role

Whose = Literal["python", "rust", "common"]


@dataclass(frozen=True, slots=True)
class Choice:
    """Whose program is started."""

    whose: Whose
    why: str
    """What spoke for it: a clause."""
    file: str = ""
    """The file that was found, where none was named: the two programs do not look in the same places."""
    source: Source | None = field(default=None, compare=False)
    """What was looked at, for whoever is chosen."""


_DIALECT: Final = "--dialect"
"""Says outright in which form the file is; of the commands here that read one, and of neither program."""
WORKERS: Final = "workers"
"""A key of the original and of ours, but not of shadowsocks-rust: behind these names it means the original."""
_ACTIONS: Final = ("start", "stop", "restart")
_LEANING: Final = frozenset(("--forbidden-ip", "--manager-address", "--pid-file", "--log-file", "--workers"))
"""Flags of the original that the other one has here, or had for a report: they decide where nothing else does."""
_BOTH: Final = frozenset(("-h", "--help", "-v", "-c", "--config", "--version")) | _LEANING
"""Flags that say nothing, whichever table has them."""


def choose(role: Role, words: Sequence[str]) -> Choice:
    """Return whose program the words ask for, with the help of the file that they name, or that is found."""
    asked = next((value for name, value in _Tables(role).read(words) if name == _DIALECT), "")
    if asked:
        return Choice("python" if asked == "python" else "rust", f"{_DIALECT} {asked} says so")
    choice = choose_by_words(role, words)
    if choice is not None:
        return choice
    if "--version" in words:
        return Choice("python", "nothing else is asked for")
    if "-h" in words or "--help" in words:
        return Choice("rust", "its help is the longer one")
    return _choose_by_file(role, words)


def without_dialect(words: Sequence[str]) -> list[str]:
    """Return the words without --dialect, which the original has not: its file has one form only."""
    rest, left = iter(words), []
    for word in rest:
        if word == _DIALECT:
            next(rest, None)
        elif not word.startswith(f"{_DIALECT}="):
            left.append(word)
    return left


def choose_by_words(role: Role, words: Sequence[str]) -> Choice | None:
    """Return whose flags there are among the words, the original's first; None where all could be of both."""
    given = list(_Tables(role).read(words))
    found = list(_evidence(role, given))
    for whose in ("python", "rust"):
        for choice in found:
            if choice.whose == whose:
                return choice
    return next((_python(name) for name, _ in given if name in _LEANING), None)


def _evidence(role: Role, given: Sequence[tuple[str, str]]) -> Iterator[Choice]:
    tables = _Tables(role)
    for name, value in given:
        if name in ("-s", "-b") and value and name in tables.python:
            yield _of_host(name, value)
        elif name == "-m" and _is_legacy(value):
            yield Choice("python", "-m names an old cipher, as in Python shadowsocks")
        elif name == "-a":
            yield Choice("rust", "-a names a user, as in shadowsocks-rust") if value else _python(name)
        elif name == "-d":
            yield Choice("python", f"-d {value} is of Python shadowsocks") if value else _rust(name)
        elif name in _BOTH or (name in tables.python and name in tables.rust):
            continue
        elif name in tables.rust:
            yield _rust(name)
        elif any(known.startswith(name) for known in tables.python):  # a long one may be cut short
            yield _python(name)


def _python(name: str) -> Choice:
    return Choice("python", f"{name} is a flag of Python shadowsocks")


def _rust(name: str) -> Choice:
    return Choice("rust", f"{name} is a flag of shadowsocks-rust")


def _of_host(name: str, value: str) -> Choice:
    """shadowsocks-rust's hosts have their port with them, the original's have not."""
    if split_port(value)[1]:
        return Choice("rust", f"{name} has a host and its port, as in shadowsocks-rust")
    return Choice("python", f"{name} has a host without a port, as in Python shadowsocks")


def _is_legacy(name: str) -> bool:
    try:
        return find_method(name).legacy
    except KeyError:
        return False


class _Tables:
    """The flags of both programs, as far as they tell them apart."""

    def __init__(self, role: Role) -> None:
        flags = PROGRAMS["sslocal" if role == "local" else "ssserver"].flags
        self.python: Final = {name: bool(flag.takes) for flag in flags for name in flag.names}
        self.rust: Final = {flag: row.switch is None for row in options(role) for flag in row.flags}

    def read(self, words: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Yield the flags among the words, each with the value that it has."""
        rest = list(words)
        while rest:
            word = rest.pop(0)
            if word == "--":
                return
            if word.startswith("--"):
                name, equals, value = word.partition("=")
                takes = name in ("--config", _DIALECT) or self.rust.get(name, self.python.get(name, False))
                yield name, value if equals else self._next(rest) if takes else ""
            elif word.startswith("-"):
                yield from self._letters(word, rest)

    def _letters(self, word: str, rest: list[str]) -> Iterator[tuple[str, str]]:
        for index, letter in enumerate(word[1:], 1):
            name, attached = f"-{letter}", word[index + 1 :]
            if name == "-d" or (name == "-a" and not attached):
                ahead = attached or (rest[0] if rest else "")
                fits = ahead in _ACTIONS if name == "-d" else bool(ahead) and not ahead.startswith("-")
                if fits:
                    yield name, attached or rest.pop(0)
                    return
            elif name == "-c" or self.rust.get(name) or self.python.get(name):
                yield name, attached or self._next(rest)
                return
            yield name, ""

    def _next(self, rest: list[str]) -> str:
        return rest.pop(0) if rest else ""


def _file_of(role: Role, words: Sequence[str]) -> str | None:
    """Return the file that the words name."""
    named = [value for name, value in _Tables(role).read(words) if name in ("-c", "--config")]
    return named[-1] if named else None


def _choose_by_file(role: Role, words: Sequence[str]) -> Choice:
    file = _file_of(role, words)
    path = Path(file) if file else find_config(role, old_places=False)
    if path is None:
        return Choice("python", "there is nothing to start with, and it says so")
    if file == STDIN:
        return Choice("common", "standard input can be read but once")
    source = Source(str(path) if file is None else file)
    try:
        root = source.look().root
    except ConfigError:
        root = None
    if root is None:
        return Choice("common", "the file cannot be read", source=source)
    taken = find_dialect(None, root)
    if taken.common and isinstance(root.value, Mapping) and WORKERS in root.value:
        return Choice("python", f"it has {WORKERS}, as in Python shadowsocks", "" if file else str(path), source)
    whose: Whose = "common" if taken.common else "python" if taken.dialect.name == "python" else "rust"
    return Choice(whose, taken.why, "" if file else str(path), source)
