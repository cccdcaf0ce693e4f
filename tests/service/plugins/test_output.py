"""What a program says, as lines for a log: whole, short, few, without secrets."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.service.plugins.output import AGAIN, BURST, LINE_MOST, RATE, Output


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=6))
def test_lines_are_the_same_however_they_come(data: bytes, cuts: list[int]) -> None:
    whole, pieces = Output(), Output()
    lines = whole.feed(data, 0.0) + whole.rest()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    got = [line for start, end in pairwise(edges) for line in pieces.feed(data[start:end], 0.0)]
    assert got + pieces.rest() == lines


def test_empty_lines_say_nothing() -> None:
    output = Output()
    assert output.feed(b"\n\r\n  \none\r\n", 0.0) == ["one"]
    assert output.last == "one"


@pytest.mark.parametrize("step", [1, 7, 4096, 1 << 20])
def test_a_long_line_is_cut_and_costs_no_memory(step: int) -> None:
    output = Output()
    data = b"x" * (1 << 14) + b"\nshort\n"
    lines = [line for at in range(0, len(data), step) for line in output.feed(data[at : at + step], 0.0)]
    assert lines == ["x" * LINE_MOST + " …", "short"]
    assert len(output._part) <= LINE_MOST + 1


def test_a_line_is_not_a_terminals_master() -> None:
    output = Output()
    assert output.feed(b"a\x1b[2Jb\rc\xff\n", 0.0) == ["a\\x1b[2Jb\\x0dc\ufffd"]


def test_secrets_are_not_shown() -> None:
    output = Output(("key=hunter22", "hunter22", ""))
    assert output.feed(b"started with key=hunter22 and hunter22\n", 0.0) == ["started with … and …"]
    assert "hunter22" not in output.last


@pytest.mark.parametrize("seen", range(1, 9))
def test_the_beginning_of_a_secret_is_not_shown_where_a_line_is_cut(seen: int) -> None:
    output = Output(("hunter22",))
    (line,) = output.feed(b"x" * (LINE_MOST - seen) + b"hunter22 and more\n", 0.0)
    assert line == "x" * (LINE_MOST - seen) + ("hu"[:seen] if seen < 3 else "" if seen < 8 else "…") + " …"


def test_a_flood_is_counted_and_not_shown() -> None:
    output = Output()
    shown = []
    for turn in range(1000):  # ten seconds of 10,000 lines each
        shown += output.feed(b"flood\n" * 100, turn / 100)
    assert output.floods
    assert len(shown) <= BURST + 10 * RATE + 10 * RATE / AGAIN
    shown += output.rest()
    assert sum(line == "flood" for line in shown) + _left_out(shown) == 100_000
    assert output.last == "flood"


def _left_out(lines: list[str]) -> int:
    return sum(int(line[1:].partition(" ")[0].replace(",", "")) for line in lines if line.startswith("("))


def test_it_is_heard_again_after_a_flood() -> None:
    output = Output()
    output.feed(b"flood\n" * 1000, 0.0)
    lines = output.feed(b"one\n", 3600.0)
    assert lines == [f"({1000 - BURST:,} lines were left out: it writes too many)", "one"]
    assert not output.floods
