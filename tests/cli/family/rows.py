"""What a table of flags promises, for the tests of each program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shadesocks.cli.family import find_program
from shadesocks.cli.family.program import Act

if TYPE_CHECKING:
    from .conftest import Start

SAYS = "says"
"""In the place of a path: the value is a piece of what the log says, and the program starts."""
REFUSES = "refuses"
"""In the place of a path: the value is a piece of what is told, and the program does not start."""

Row = tuple[str, str, Any]
"""Words, where in the config to look, and what is there."""


def check(start: Start, name: str, base: str, row: Row) -> None:
    """Start a program with its least words and those of the row, and compare."""
    words, path, value = row
    started = start(name, f"{base} {words}")
    if path == REFUSES:
        assert started.config is None
        assert started.code == find_program(name).refused_code
        assert value in started.err + started.log
    elif path == SAYS:
        assert started.config is not None, started.err + started.log
        assert value in started.log
    else:
        assert started.value(path) == value


def untold(name: str, rows: list[Row]) -> set[str]:
    """Return the flags of a program that no row has; those that show something are tested elsewhere."""
    told = {word.partition("=")[0] for words, _, _ in rows for word in words.split()}
    shown = (Act.HELP, Act.VERSION, Act.CONFIG)
    return {flag.names[0] for flag in find_program(name).flags if flag.act not in shown and told.isdisjoint(flag.names)}
