"""Tables for a terminal: titles, and columns that stand still while what is in them changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from unicodedata import east_asian_width


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    title: str
    least: int
    """Columns of the terminal that it has at least: so it stands still when it is looked at again."""
    right: bool = False
    optional: bool = False
    """Left out where no row has anything in it."""


def aligned(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the titles and the rows as lines."""
    kept = [at for at, column in enumerate(columns) if not column.optional or any(row[at] for row in rows)]
    titles = [column.title for column in columns]
    sizes = {at: max(columns[at].least, *(_width(row[at]) for row in (titles, *rows))) for at in kept}
    lines = []
    for row in (titles, *rows):
        cells = []
        for at in kept:
            space = " " * (sizes[at] - _width(row[at]))
            cells.append(space + row[at] if columns[at].right else row[at] + space)
        lines.append("  ".join(cells).rstrip())
    return lines


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)
