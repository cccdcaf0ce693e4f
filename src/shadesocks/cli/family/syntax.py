"""How old programs read their command lines: three ways, each from words to flags.

    getopt   combined letters, attached values, long flags by their beginnings: Python, libev, procurator
    gnu      the same, and flags may stand behind other words
    go_flags one dash or two, `=` or the next word; the first other word ends the flags
    one_word each flag a word of its own, its value the next one: lite and node

Nothing is judged here but the form; words that are no flags are passed over, as the old programs did.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from .program import Flag, Met


class WrongFlagError(Exception):
    """The command line has not the form that the program takes; a sentence."""


def getopt(flags: Sequence[Flag], words: Sequence[str], *, permute: bool = False) -> Iterator[Met]:
    """Read words as getopt does: the first one that is no flag ends the flags, unless they may be permuted."""
    known = _by_name(flags)
    rest = iter(words)
    for word in rest:
        if word == "--":
            return
        if word.startswith("--"):
            yield _long(known, word, rest)
        elif word.startswith("-") and word != "-":
            yield from _letters(known, word, rest)
        elif not permute:
            return


def gnu(flags: Sequence[Flag], words: Sequence[str]) -> Iterator[Met]:
    """Read words as getopt_long of the GNU C library does."""
    return getopt(flags, words, permute=True)


def _long(known: dict[str, Flag], word: str, rest: Iterator[str]) -> Met:
    begun, equals, text = word.partition("=")
    name = _whole(known, begun)
    flag = known[name]
    if not flag.takes:
        if equals:
            raise WrongFlagError(f"{name}: this flag takes no value")
        return Met(flag, name)
    return Met(flag, name, text if equals else _next(name, rest))


def _whole(known: dict[str, Flag], begun: str) -> str:
    """Return the one flag that begins so."""
    if begun in known:
        return begun
    names = [name for name in known if name.startswith(begun)]
    if len({id(known[name]) for name in names}) > 1:
        raise WrongFlagError(f"{begun}: this may be {' or '.join(names)}; write it in full")
    if not names:
        raise WrongFlagError(f"{begun}: there is no such flag")
    return names[0]


def _letters(known: dict[str, Flag], word: str, rest: Iterator[str]) -> Iterator[Met]:
    """Read letters behind one dash; what follows the first that takes a value is its value."""
    for index, letter in enumerate(word[1:], 1):
        name = f"-{letter}"
        if name not in known:
            raise WrongFlagError(f"{name}: there is no such flag")
        if known[name].takes:
            yield Met(known[name], name, word[index + 1 :] or _next(name, rest))
            return
        yield Met(known[name], name)


_TRUE: Final = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE: Final = frozenset(("0", "f", "F", "false", "FALSE", "False"))
"""strconv.ParseBool of Go."""


def go_flags(flags: Sequence[Flag], words: Sequence[str]) -> Iterator[Met]:
    """Read words as Go's package flag does; the rows' names have one dash."""
    known = _by_name(flags)
    rest = iter(words)
    for word in rest:
        if not word.startswith("-") or word in ("-", "--"):
            return
        name, equals, text = word.partition("=")
        name = f"-{name.removeprefix('-').removeprefix('-')}"
        flag = known.get(name)
        if flag is None:
            raise WrongFlagError(f"{name}: there is no such flag")
        if flag.takes:
            yield Met(flag, name, text if equals else _next(name, rest))
        elif not equals or text in _TRUE:
            yield Met(flag, name)
        elif text not in _FALSE:
            raise WrongFlagError(f"{name}: this is true or false")


def one_word(flags: Sequence[Flag], words: Sequence[str]) -> Iterator[Met]:
    """Read words one by one: a known flag takes the next one whatever it is, an unknown one with a dash is an error."""
    known = _by_name(flags)
    rest = iter(words)
    for word in rest:
        flag = known.get(word)
        if flag is not None:
            yield Met(flag, word, _next(word, rest) if flag.takes else "")
        elif word.startswith("-"):
            raise WrongFlagError(f"{word}: there is no such flag")


def _by_name(flags: Sequence[Flag]) -> dict[str, Flag]:
    return {name: flag for flag in flags for name in flag.names}


def _next(name: str, rest: Iterator[str]) -> str:
    word = next(rest, None)
    if word is None:
        raise WrongFlagError(f"{name}: a value is missing after it")
    return word
