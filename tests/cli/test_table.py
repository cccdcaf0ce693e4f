"""Tables: columns that stand still, wide characters, and columns that nothing stands in."""

from __future__ import annotations

from shadesocks.cli.table import Column, aligned

COLUMNS = (Column("NAME", 6), Column("NOTE", 4, optional=True), Column("SIZE", 6, right=True))


def test_columns_are_as_wide_as_what_is_in_them_and_never_narrower_than_they_say() -> None:
    assert aligned(COLUMNS, [["a", "", "1"], ["longer one", "", "1234567"]]) == [
        "NAME           SIZE",
        "a                 1",
        "longer one  1234567",
    ]
    assert aligned(COLUMNS, []) == ["NAME      SIZE"]


def test_a_column_is_there_once_something_is_in_it() -> None:
    assert aligned(COLUMNS, [["a", "x", "1"]])[0] == "NAME    NOTE    SIZE"


def test_wide_characters_take_two_columns() -> None:
    lines = aligned(COLUMNS, [["大阪", "", "1"], ["tokyo", "", "2"]])
    assert lines[1:] == ["大阪         1", "tokyo        2"]
