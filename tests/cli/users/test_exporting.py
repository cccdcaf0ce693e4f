"""`shadesocks user export`: days and hours, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import sys

import pytest

from shadesocks.cli.exits import CONFIG, OK, USAGE
from shadesocks.cli.users import exporting
from shadesocks.service.store.sqlite import SqliteStore
from shadesocks.service.store.store import Row

from .conftest import Site

MAY_20 = 1_779_235_200
"""2026-05-20 00:00 UTC."""
HOUR = MAY_20 // 3600


@pytest.fixture
def past(site: Site) -> Site:
    rows = [Row("anna", HOUR, 1, 2, 3, 4), Row("anna", HOUR + 5, 10, 0, 0, 0), Row("=ben", HOUR + 24, 5, 0, 0, 0)]
    site.passed(*rows, Row("anna", HOUR - 24 * 40, 100, 0, 0, 0))
    site.on_store(lambda store: store.roll(HOUR - 24 * 30))
    return site


def rows(site: Site, *words: str) -> list[dict[str, str]]:
    assert site.call("export", *words) == OK
    return list(csv.DictReader(io.StringIO(site.out, newline="")))


def test_days_as_csv(past: Site) -> None:
    found = rows(past)
    assert past.out.endswith("\r\n")
    assert [(row["user"], row["from"], row["seconds"], row["up"]) for row in found] == [
        ("anna", "2026-04-10T00:00Z", "86400", "100"),
        ("anna", "2026-05-20T00:00Z", "86400", "11"),
        ("'=ben", "2026-05-21T00:00Z", "86400", "5"),
    ]
    assert list(found[0]) == ["user", "from", "seconds", "up", "down", "wire_up", "wire_down"]


def test_hours_of_one_user_in_some_time(past: Site) -> None:
    words = ("anna", "--hours", "--from", "2026-05-20", "--until", "2026-05-20T05:30", "--json")
    assert past.call("export", *words) == OK
    assert json.loads(past.out) == [
        {
            "user": "anna",
            "from": "2026-05-20T00:00Z",
            "seconds": 3600,
            "up": 1,
            "down": 2,
            "wire_up": 3,
            "wire_down": 4,
        },
        {
            "user": "anna",
            "from": "2026-05-20T05:00Z",
            "seconds": 3600,
            "up": 10,
            "down": 0,
            "wire_up": 0,
            "wire_down": 0,
        },
    ]
    assert past.call("export", *words[:-2], "2026-05-20T05:00", "--json") == OK
    assert len(json.loads(past.out)) == 1


def test_some_users_and_some_days(past: Site) -> None:
    assert len(rows(past, "=ben", "anna", "--from", "2026-05-01")) == 2
    assert [row["user"] for row in rows(past, "anna", "anna", "--until", "2026-05-01")] == ["anna"]
    assert rows(past, "--from", "1d", "--csv", "--days") == []


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("ben",), 1, "the store knows nobody called ben"),
        (("--from", "then"), USAGE, "--from is a day or an instant"),
        (("--from", "gone"), USAGE, "; or 30d, so long ago"),
        (("--from", "never"), USAGE, "--from is a day or an instant"),
        (("--days", "--hours"), USAGE, "choose one"),
        (("--csv", "--json"), USAGE, "choose one"),
    ],
)
def test_what_cannot_be_printed(words: tuple[str, ...], code: int, sentence: str, past: Site) -> None:
    assert past.call("export", *words) == code
    assert sentence in past.err
    assert past.out == ""


def test_without_a_store_there_is_no_history(site: Site) -> None:
    assert site.call("export") == CONFIG
    assert "there is no store" in site.err


@pytest.mark.parametrize("words", [(), ("--hours",), ("--json",), ("anna",), ("--from", "2026-05-20")])
def test_it_is_the_same_however_much_is_read_at_a_time(
    words: tuple[str, ...], past: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert past.call("export", *words) == OK
    whole, asked = past.out, list[tuple[int, int]]()
    read = SqliteStore.hours

    def hours(store: SqliteStore, first: int, end: int, name: str | None = None) -> list[Row]:
        asked.append((first, end))
        return read(store, first, end, name)

    monkeypatch.setattr(SqliteStore, "hours", hours)
    monkeypatch.setattr(exporting, "ROWS", 1)
    assert past.call("export", *words) == OK
    assert past.out == whole
    assert max(end - first for first, end in asked) <= 24
    assert len(asked) > 30


def test_whoever_reads_no_more_is_no_error(past: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Gone())
    assert past.call("export") == OK
