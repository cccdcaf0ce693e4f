"""Users with what is known of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import cast

import pytest

from shadesocks.cli.exits import Failed
from shadesocks.cli.users.book import Book
from shadesocks.cli.users.people import days_of, somebody, stands_of, user_named
from shadesocks.config.user import UserConfig
from shadesocks.service.store.roll import roll_of
from shadesocks.service.store.store import DAY, HOURS_A_DAY, Row, Store, Stored

from .conftest import Site


def test_where_they_stand() -> None:
    book = Book("c.json", None, "/x/users.db", {"fay": UserConfig("fay")})
    book.by_number["80"] = UserConfig("80")
    for user, stored, stands in (
        (UserConfig("anna"), True, {"store": "/x/users.db"}),
        (UserConfig("80"), True, {"store": "/x/users.db"}),
        (UserConfig("80"), False, {"config": "c.json", "line": None}),
        (UserConfig("90"), False, {"manager": True}),
        (UserConfig("fay", where="/a:b/c.json:12"), False, {"config": "/a:b/c.json", "line": 12}),
        (UserConfig("fay"), True, {"config": "c.json", "line": None}),
    ):
        assert stands_of(book, user, stored=stored) == stands


def test_a_name_that_is_none() -> None:
    book = Book(None, None, "users.db")
    roll = roll_of([Stored("anna", "{}"), Stored("gone"), Stored("odd", "{")])
    assert user_named(book, roll, "anna") == UserConfig("anna")
    for name, words in (
        ("gone", "gone is no user any more"),
        ("odd", "odd: what the store has of this user is no JSON"),
        ("anne\x1b", "there is no user anne?; did you mean anna?"),
        ("xyz", "there is no user xyz; `shadesocks user list` shows all"),
    ):
        with pytest.raises(Failed) as caught:
            user_named(book, roll, name)
        assert words in str(caught.value)
        assert caught.value.code == 1


def test_hours_that_become_days_meanwhile_count_once(site: Site) -> None:
    class Rolled:
        """A store whose hours are rolled just after they were read."""

        def __init__(self, store: Store) -> None:
            self._store = store
            self.days = store.days

        def hours(self, first: int, end: int, name: str | None = None) -> Sequence[Row]:
            rows = self._store.hours(first, end, name)
            self._store.roll((int(time.time()) // DAY + 1) * HOURS_A_DAY)
            return rows

    site.passed(Row("anna", 24, 1, 0, 0, 0), Row("anna", 25, 2, 0, 0, 0), Row("ben", 48, 4, 0, 0, 0))
    before = site.on_store(lambda store: days_of(store, (), 0))
    assert [span.counts.up for span in before] == [3, 4]
    assert site.on_store(lambda store: days_of(cast("Store", Rolled(store)), (), 0)) == before
    assert site.on_store(lambda store: store.hours(0, 1 << 40)) == []


def test_days_of_some(site: Site) -> None:
    site.passed(Row("anna", 24, 1, 0, 0, 0), Row("anna", 25, 2, 0, 0, 0), Row("ben", 48, 4, 0, 0, 0))
    spans = site.on_store(lambda store: days_of(store, ("anna",), 0))
    assert [(span.user, span.begins_at, span.counts.up) for span in spans] == [("anna", 86_400, 3)]
    assert [span.user for span in site.on_store(lambda store: days_of(store, (), 0))] == ["anna", "ben"]
    assert site.on_store(lambda store: days_of(store, (), 0, 1)) == []


def test_without_a_store_there_are_no_days() -> None:
    book = Book("c.json", None, "", {"fay": UserConfig("fay")})
    person = somebody(book, "fay", {})
    assert (person.days, person.used, person.ports) == (None, None, ())
