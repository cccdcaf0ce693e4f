"""The doors of this package: what is called under which name.

    shadesocks                     the group of `programs`, with click
    a link of an old program       that program, without click, which would take a fifth of its start
    ssserver sslocal               Python's or shadowsocks-rust's: `family/choose.py` says whose

`shadesocks as NAME` is the same as a link of that name.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, NoReturn

from ..core.later import put_off

if TYPE_CHECKING:
    from ..config.setting import Role
    from .source import Source

_SHARED: Final[dict[str, Role]] = {"ssserver": "server", "sslocal": "local"}
"""Names that two programs have."""
_OURS: Final = {"ssurl": "url"}
"""Names of shadowsocks-rust's that are commands here."""


def main() -> NoReturn:
    """The program `shadesocks`, `python -m shadesocks`, and links of old programs' names to it."""
    _leave_tls()
    name, words = _called(sys.argv[0]), sys.argv[1:]
    if is_old(name):
        as_program(name, words)
    if words[:1] == ["as"] and is_old("".join(words[1:2])):
        as_program(words[1], words[2:])
    from .exits import leave
    from .programs import group

    leave(group, "shadesocks")


def ssserver() -> NoReturn:
    """The program `ssserver`."""
    _leave_tls()
    as_program("ssserver", sys.argv[1:])


def sslocal() -> NoReturn:
    """The program `sslocal`."""
    _leave_tls()
    as_program("sslocal", sys.argv[1:])


def ssmanager() -> NoReturn:
    """The program `ssmanager`."""
    _leave_tls()
    as_program("ssmanager", sys.argv[1:])


def ssurl() -> NoReturn:
    """The program `ssurl`: `shadesocks url`."""
    as_program("ssurl", sys.argv[1:])


def old_names() -> tuple[str, ...]:
    """Return the names of all old programs."""
    from .family import HOMES

    return (*HOMES, *_OURS)


def is_old(name: str) -> bool:
    """True for the name of an old program."""
    return name in old_names()


def as_program(name: str, words: Sequence[str]) -> NoReturn:
    """Do what an old program did with these words, and end the process."""
    if name in _OURS:
        from .exits import leave
        from .url import command_url

        leave(command_url, name, words)
    role, source = _SHARED.get(name), None
    if role is not None:
        words, source = _shared(role, name, words)
    from .family import find_program
    from .family.run import leave as leave_old

    leave_old(find_program(name), words, source)


def _shared(role: Role, name: str, words: Sequence[str]) -> tuple[Sequence[str], Source | None]:
    """Start shadowsocks-rust's program of a name, unless Python's is meant: return its words then, and its config."""
    from .family.choose import choose, without_dialect

    choice = choose(role, words)
    if choice.whose == "python":
        words = without_dialect(words)
        return ["-c", choice.file, *words] if choice.file else words, choice.source
    from .exits import leave
    from .serve import command_named

    # Both had UDP in reach: Python's always, the other's where a mode says so.
    fallbacks = {"mode": "tcp_and_udp"} if choice.whose == "common" else {}
    leave(command_named(role, fallbacks, choice.source), name, words)


def _leave_tls() -> None:
    """Let asyncio load TLS when somebody speaks it: it is 4.4 MiB with OpenSSL's library, for few of our processes."""
    if find_spec("_ssl") is not None:  # else asyncio is to see for itself that there is none
        put_off("ssl", "asyncio.sslproto")


def _called(path: str) -> str:
    """Return the name by which this process was called."""
    name = os.path.basename(path)
    return name[: -len(".exe")] if name.lower().endswith(".exe") else name
