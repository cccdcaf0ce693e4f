"""Many rows at once: both ways make the same sums, and who adds in any order waits in no circle."""

from __future__ import annotations

import random
import threading

import pytest

from shadesocks.proxy.users.counts import Counts
from shadesocks.service.store import sql_sums
from shadesocks.service.store.sql import SqlStore
from shadesocks.service.store.sql_schema import DAYS
from shadesocks.service.store.sql_sums import AT_ONCE, add_to_history, add_to_users, numbers_of, portions
from shadesocks.service.store.store import Batch, Row
from tests.postgres import Postgres


@pytest.fixture(params=["arrays", "rows"])
def url(request: pytest.FixtureRequest, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give an empty place in PostgreSQL, which takes both: its own way, and that of every other database."""
    if request.param == "rows":
        monkeypatch.setattr(sql_sums, "_has_arrays", lambda _db: False)
    return postgres.url(postgres.new_schema())


def test_portions() -> None:
    assert list(portions([])) == []
    assert [len(some) for some in portions(range(2 * AT_ONCE + 1))] == [AT_ONCE, AT_ONCE, 1]


def test_rows_that_are_there_and_rows_that_are_not(url: str) -> None:
    store = SqlStore(url)
    store.open()
    names = ['"', "'", "\\", "a,b", "{}", "ä", "😀"]
    with store._engine.begin() as db:
        first = numbers_of(db, names[::2])
        both = numbers_of(db, names)
        assert numbers_of(db, []) == {}
        assert {name: both[name] for name in first} == first
        assert len(set(both.values())) == len(names)
        add_to_users(db, {})
        add_to_users(db, {both["'"]: Counts(1, 2, 3, 4), both["ä"]: Counts(2**62, 0, 0, 1)})
        add_to_users(db, {both["'"]: Counts(1, 2, 3, 4)})
        add_to_history(db, DAYS, "day", {})
        add_to_history(db, DAYS, "day", {(5, both["'"]): Counts(1, 2, 3, 4)})
        add_to_history(
            db, DAYS, "day", {(6, both["'"]): Counts(1), (5, both["'"]): Counts(1), (5, both["ä"]): Counts(1)}
        )
    assert {user.name: user.counts for user in store.users() if any(user.counts)} == {
        "'": Counts(2, 4, 6, 8),
        "ä": Counts(2**62, 0, 0, 1),
    }
    assert [tuple(day) for day in store.days(0, 9)] == [
        ("'", 5, 2, 2, 3, 4), ("ä", 5, 1, 0, 0, 0), ("'", 6, 1, 0, 0, 0),
    ]  # fmt: skip
    store.close()


def test_who_adds_in_any_order_waits_in_no_circle(url: str) -> None:
    errors: list[BaseException] = []

    def add(number: int) -> None:
        chance = random.Random(number)  # noqa: S311 - the same again where it fails
        store = SqlStore(url)
        try:
            for sequence in range(1, 31):
                rows = [Row(f"user {user}", user % 3, 1, 0, 0, 0) for user in range(4 * sequence)]
                chance.shuffle(rows)
                assert store.write(Batch(f"w{number}", sequence, tuple(rows)))
        except BaseException as error:
            errors.append(error)
        store.close()

    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert errors == []
    store = SqlStore(url)
    assert sum(user.counts.up for user in store.users()) == 4 * sum(4 * sequence for sequence in range(1, 31))
    store.close()
