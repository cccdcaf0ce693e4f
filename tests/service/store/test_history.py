"""History: hours that become days lose nothing; CSV and JSON say the same."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.proxy.users.counts import NOTHING, Counts
from shadesocks.proxy.users.quota import HOUR
from shadesocks.service.store.history import COLUMNS, Span, by_day, by_hour, roll_before, to_csv, to_json
from shadesocks.service.store.store import DAYS_AS_HOURS_MIN, Day, Row

SUMS = [st.integers(0, 2**50)] * 4
ROWS = st.lists(st.builds(Row, st.sampled_from(["ann", "bob"]), st.integers(0, 200), *SUMS), max_size=30)
DAYS = st.lists(st.builds(Day, st.sampled_from(["ann", "bob"]), st.integers(0, 9), *SUMS), max_size=10)


def test_hours_are_kept_for_as_long_as_quotas_look_back() -> None:
    now = (1000 * 24 + 13) * HOUR + 59
    assert roll_before(now, 40) == 960 * 24
    assert roll_before(now, 0) == (1000 - DAYS_AS_HOURS_MIN) * 24


@given(ROWS, DAYS)
def test_days_are_the_sums_of_hours(hours: list[Row], days: list[Day]) -> None:
    spans = by_day(hours, days)
    assert [(span.begins_at, span.user) for span in spans] == sorted({(span.begins_at, span.user) for span in spans})
    for user in ("ann", "bob"):
        total = NOTHING
        for name, counts in [(row.user, row.counts) for row in hours] + [(row.user, row.counts) for row in days]:
            if name == user:
                total = total.plus(counts)
        for span in spans:
            if span.user == user:
                total = total.minus(span.counts)
        assert total == NOTHING


@given(ROWS)
def test_both_forms_say_the_same(rows: list[Row]) -> None:
    spans = by_hour(rows)
    members = json.loads("".join(to_json(spans)))
    lines = list(csv.reader(StringIO("".join(to_csv(spans)), newline="")))
    assert lines[0] == list(COLUMNS)
    assert lines[1:] == [[str(value) for value in member.values()] for member in members]
    assert [member["up"] for member in members] == [row.up for row in rows]


@pytest.mark.parametrize("user", ["a,b", 'a"b', "ä\nb", "=1+1", "@x", "-", "+"])
def test_names_are_quoted(user: str) -> None:
    spans = [Span(user, 1_795_305_600, 3600, Counts(1, 2, 3, 4))]
    line = list(csv.reader(StringIO("".join(to_csv(spans)), newline="")))[1]
    assert line == [user if user[0] not in "=@-+" else f"'{user}", "2026-11-22T00:00Z", "3600", "1", "2", "3", "4"]
    assert json.loads("".join(to_json(spans))) == [
        {"user": user, "from": "2026-11-22T00:00Z", "seconds": 3600, "up": 1, "down": 2, "wire_up": 3, "wire_down": 4}
    ]


def test_nothing_is_a_table_too() -> None:
    assert json.loads("".join(to_json([]))) == []
    assert [*to_csv([])] == [",".join(COLUMNS) + "\r\n"]


@pytest.mark.parametrize("form", [to_csv, to_json])
def test_a_table_is_written_row_by_row(form: Callable[[Iterable[Span]], Iterator[str]]) -> None:
    read: list[int] = []

    def spans() -> Iterator[Span]:
        for number in range(3):
            read.append(number)
            yield Span(f"u{number}", 0, 3600, NOTHING)

    pieces = form(spans())
    next(pieces)
    assert read == [0]
    next(pieces)
    assert read == [0, 1]
