"""What every store promises, whatever it keeps things in: a file by the standard library, a database by SQLAlchemy."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from shadesocks.config.urls import is_url
from shadesocks.proxy.users.counts import NOTHING, Counts
from shadesocks.service.store.choose import open_store
from shadesocks.service.store.store import WRITERS_KEPT, Batch, Day, Row, Store

from .sums import since_reset

WALL = 1_795_305_600.0
"""2026-11-22 00:00 UTC."""


def rows(*names: str, hour: int = 10) -> tuple[Row, ...]:
    return tuple(Row(name, hour, 1, 2, 3, 4) for name in names)


def by_hour(store: Store, name: str, reach: tuple[int, int]) -> list[tuple[int, int]]:
    return [*store.used_by_hour([name], reach)[name]]


def opened(text: str, wall: float = WALL) -> Store:
    store = open_store(text, lambda: wall)
    store.open()
    return store


Places = Callable[[], str]
"""What names a store that nobody had before."""


@pytest.fixture(params=["file", "sqlite", "postgresql"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Places:
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        return lambda: str(server.url(server.new_schema()))
    numbers = iter(range(10**9))
    scheme = "" if request.param == "file" else "sqlite:///"
    return lambda: f"{scheme}{tmp_path}/{next(numbers)}.db"


@pytest.fixture
def place(places: Places) -> str:
    return places()


@pytest.fixture
def store(place: str) -> Iterator[Store]:
    store = opened(place)
    yield store
    store.close()
    assert not store.notes


def test_what_is_written_is_there_after_a_new_start(place: str) -> None:
    store = opened(place)
    for hour in (1, 2):
        store.write(Batch("w", hour, rows("u0", "u1", "u2", hour=hour)))
    store.put("u0", '{"key": "secret"}')
    store.close()
    again = opened(place)
    assert not again.notes
    users = again.users()
    assert [user.name for user in users] == ["u0", "u1", "u2"]
    assert [user.definition for user in users] == ['{"key": "secret"}', None, None]
    assert {user.counts for user in users} == {Counts(2, 4, 6, 8)}
    assert again.hours(1, 2) == [*rows("u0", "u1", "u2", hour=1)]
    assert again.hours(1, 3, "u1") == [*rows("u1", hour=1), *rows("u1", hour=2)]
    assert not again.hours(3, 9)
    assert not again.days(0, 9)
    again.close()


def test_a_batch_counts_once(store: Store) -> None:
    batch = Batch("w", 1, rows("ann"))
    assert store.write(batch) is True
    assert store.write(batch) is False
    assert store.write(Batch("other", 1, rows("ann"))) is True
    assert store.write(Batch("w", 2, rows("ann", "ann"))) is True
    assert store.write(Batch("w", 1, rows("bob"))) is False
    (user,) = store.users()
    assert user.counts == Counts(4, 8, 12, 16)
    assert store.hours(10, 11) == [Row("ann", 10, 4, 8, 12, 16)]


def test_the_last_batch_of_a_writer_is_known(store: Store) -> None:
    assert store.last("w") == 0
    assert store.write(Batch("w", 1, rows("ann")))
    assert store.write(Batch("w", 7, rows("ann")))
    assert store.last("w") == store.last("w") == 7
    assert not store.write(Batch("w", 7, rows("ann")))
    assert store.last("other") == 0
    assert store.write(Batch("other", 1, ()))
    assert store.last("other") == 1
    assert [user.name for user in store.users()] == ["ann"]


def test_a_batch_of_many_rows(store: Store) -> None:
    names = [f"u{number:04}" for number in range(2_345)]
    assert store.write(Batch("w", 1, (*rows(*names, hour=1), *rows(*names[::2], hour=2))))
    assert store.write(Batch("w", 2, rows(*names[::-1], hour=2)))
    users = store.users()
    assert [user.name for user in users] == names
    assert {user.counts for user in users[::2]} == {Counts(3, 6, 9, 12)}
    assert {user.counts for user in users[1::2]} == {Counts(2, 4, 6, 8)}
    assert store.hours(1, 2) == [*rows(*names, hour=1)]
    assert sum(row.up for row in store.hours(2, 3)) == 2_345 + 1_173


def test_large_sums(store: Store) -> None:
    for sequence in (1, 2):
        assert store.write(Batch("w", sequence, (Row("ann", 10**9, 2**61, 1, 2**61, 0),)))
    assert store.users()[0].counts == Counts(2**62, 2, 2**62, 0)
    assert store.hours(0, 2**40) == [Row("ann", 10**9, 2**62, 2, 2**62, 0)]


def test_definitions_come_and_go_and_what_passed_stays(store: Store) -> None:
    store.put("ann", "{}")
    store.write(Batch("w", 1, rows("ann")))
    store.put("ann", '{"note": 1}')
    assert store.drop("ann")
    (user,) = store.users()
    assert (user.definition, user.counts) == (None, Counts(1, 2, 3, 4))
    store.put("ann", "{}")
    assert store.drop("ann", forget=True)
    assert store.users() == []
    assert store.hours(0, 99) == []
    assert not store.drop("ann")
    assert not store.drop("ann", forget=True)


def test_a_reset_is_remembered(store: Store) -> None:
    assert not store.reset("ann", 5)
    store.put("ann", "{}")
    assert store.reset("ann", 5)
    assert store.users()[0].reset_at == 5
    store.write(Batch("w", 1, (*rows("ann", hour=9), *rows("ann", hour=10))))
    assert store.reset("ann", 10 * 3600 + 1)
    store.write(Batch("w", 2, rows("ann", hour=10)))
    (user,) = store.users()
    assert (user.reset_at, user.reset_counts) == (36_001, Counts(2, 4, 6, 8))
    assert since_reset(user) == 3
    assert by_hour(store, "ann", (0, 99)) == [(10, 3)]


def test_hours_become_days(store: Store) -> None:
    for hour in (0, 23, 24, 47, 48):
        store.write(Batch("w", hour + 1, rows("ann", "bob", hour=hour)))
    assert store.roll(48) == 8
    assert store.roll(48) == 0
    assert store.hours(0, 99) == [*rows("ann", "bob", hour=48)]
    assert store.days(0, 1) == [Day("ann", 0, 2, 4, 6, 8), Day("bob", 0, 2, 4, 6, 8)]
    store.write(Batch("late", 1, rows("ann", hour=5)))
    assert store.roll(48) == 1
    assert store.days(0, 9, "ann") == [Day("ann", 0, 3, 6, 9, 12), Day("ann", 1, 2, 4, 6, 8)]
    with pytest.raises(ValueError, match="first hour of a day"):
        store.roll(47)


def test_what_was_used_in_a_reach_of_hours(store: Store) -> None:
    names = [f"u{number}" for number in range(1_203)]
    for hour in (5, 30, 31, 47, 48, 100):
        store.write(Batch("w", hour, rows(*names, hour=hour)))
    store.put("new", "{}")
    everybody = {*names, "new"}
    assert store.used({*everybody, "nobody"}) == {**dict.fromkeys(names, 18), "new": 0}
    assert store.used(everybody, (30, 48)) == {**dict.fromkeys(names, 9), "new": 0}
    assert store.used(["u7"], (31, 32)) == {"u7": 3}
    assert store.used([], (31, 32)) == {}
    assert store.used_by_hour([], (31, 32)) == {}
    hours = {name: [*some] for name, some in store.used_by_hour(everybody, (31, 101)).items()}
    assert hours.pop("new") == []
    assert set(hours) == set(names)
    assert all(some == [(31, 3), (47, 3), (48, 3), (100, 3)] for some in hours.values())
    assert store.newest() == 100
    assert store.oldest() == 5
    store.reset("u1", 10**9)
    store.write(Batch("w", 101, rows("u1", hour=48)))
    assert store.used(["u1", "u2"], (24, 99)) == {"u1": 3, "u2": 12}
    store.roll(48)
    assert store.used(["u1", "u2"], (24, 99)) == {"u1": 3, "u2": 12}, "days count"
    assert by_hour(store, "u2", (24, 99)) == [(47, 9), (48, 3)]
    assert by_hour(store, "u2", (24, 47)) == []
    assert store.oldest() == 0, "the first of the days"
    store.roll(240)
    assert (store.newest(), store.oldest()) == (None, 0)


def test_an_empty_store_has_no_hours(store: Store) -> None:
    assert store.newest() is None
    assert store.oldest() is None
    assert store.used(["ann"]) == {}


def test_writers_of_long_ago_are_forgotten(place: str, store: Store) -> None:
    store.write(Batch("w", 1, rows("ann")))
    later = opened(place, WALL + WRITERS_KEPT + 1)
    later.roll(0)
    assert later.write(Batch("w", 1, rows("ann")))
    later.close()


def test_names_are_only_names_and_differ_in_every_letter(store: Store) -> None:
    names = [
        "'; DROP TABLE users; --",
        "ä\nb",
        "",
        "Ann",
        "ann",
        "ann ",
        "a\u0308",
        "\u00e4",
        "%s %(x)s :x ?",
        "😀" * 255,
    ]
    for number, name in enumerate(names):
        store.put(name, f'"{number}"')
        store.write(Batch(name, number + 1, rows(name)))
        assert store.hours(0, 99, name) == [*rows(name)]
    assert [user.name for user in store.users()] == sorted(names)
    assert [row.user for row in store.hours(0, 99)] == sorted(names)


def test_what_is_not_open_is_opened(store: Store) -> None:
    store.open()
    store.close()
    store.close()
    assert store.users() == [], "a call opens what an accident closed"


def test_two_stores_of_one_place(place: str, store: Store) -> None:
    other = opened(place)
    for sequence in range(1, 50):
        assert store.write(Batch("one", sequence, rows("ann")))
        assert other.write(Batch("two", sequence, rows("ann")))
    assert store.users() == other.users()
    assert store.users()[0].counts == Counts(98, 196, 294, 392)
    other.close()


WRITES = """
import random, sys
from shadesocks.service.store.choose import open_store
from shadesocks.service.store.store import Batch, Row
store, chance = open_store(sys.argv[1]), random.Random(sys.argv[2])
store.open()
for sequence in range(1, int(sys.argv[3]) + 1):
    names = [f"user {number}" for number in range(sequence)]
    chance.shuffle(names)
    found = tuple(Row(name, sequence // 20, 1, 2, 3, 4) for name in names)
    assert store.write(Batch(sys.argv[2], sequence, found))
    if sequence % 10 == 0:
        store.roll(0 if sequence < 30 else 24)
store.close()
assert not store.notes, store.notes
"""


def test_processes_that_begin_at_once_where_nothing_is(place: str) -> None:
    """They make the tables at once, and the same users, in an order of their own each."""
    children = [
        subprocess.Popen([sys.executable, "-c", WRITES, place, f"w{number}", "40"], stderr=subprocess.PIPE)
        for number in range(4)
    ]
    errors = [child.communicate(timeout=100)[1].decode() for child in children]
    assert errors == [""] * 4
    store = opened(place)
    users = {user.name: user.counts for user in store.users()}
    assert users == {
        f"user {number}": Counts(*(4 * (40 - number) * one for one in (1, 2, 3, 4))) for number in range(40)
    }
    assert sum(day.up for day in store.days(0, 1)) + sum(row.up for row in store.hours(0, 24)) == 4 * 40 * 41 // 2
    store.close()


# -- all of it against a plain model ---------------------------------------------------------------

NAMES = st.sampled_from(["ann", "bob", "cy"])


class StoreMachine(RuleBasedStateMachine):
    """Batches, some sent again; users; resets; new starts, with a clean end or without one."""

    places: Places

    @initialize()
    def begin(self) -> None:
        self.place = self.places()
        self.store = opened(self.place)
        self.sequence = 0
        self.last = Batch("w", 0, ())
        self.totals: dict[str, Counts] = {}
        self.hours: dict[tuple[int, str], Counts] = {}
        self.definitions: dict[str, str | None] = {}
        self.resets: dict[str, tuple[Counts, int]] = {}

    @rule(found=st.lists(st.builds(Row, NAMES, st.integers(0, 60), *[st.integers(0, 2**40)] * 4), max_size=6))
    def write(self, found: list[Row]) -> None:
        self.sequence += 1
        self.last = Batch("w", self.sequence, tuple(found))
        assert self.store.write(self.last)
        for row in found:
            self.definitions.setdefault(row.user, None)
            self.totals[row.user] = self.totals.get(row.user, NOTHING).plus(row.counts)
            key = row.hour, row.user
            self.hours[key] = self.hours.get(key, NOTHING).plus(row.counts)

    @rule()
    def write_again(self) -> None:
        if self.sequence:
            assert not self.store.write(self.last)

    @rule(name=NAMES, number=st.integers())
    def put(self, name: str, number: int) -> None:
        self.definitions[name] = f'{{"n": {number}}}'
        self.store.put(name, self.definitions[name] or "")

    @rule(name=NAMES, forget=st.booleans())
    def drop(self, name: str, forget: bool) -> None:
        assert self.store.drop(name, forget=forget) == (name in self.definitions)
        if forget:
            self.definitions.pop(name, None)
            self.totals.pop(name, None)
            self.resets.pop(name, None)
            self.hours = {key: counts for key, counts in self.hours.items() if key[1] != name}
        elif name in self.definitions:
            self.definitions[name] = None

    @rule(name=NAMES, hour=st.integers(0, 60))
    def reset(self, name: str, hour: int) -> None:
        if self.store.reset(name, hour * 3600):
            self.resets[name] = self.totals.get(name, NOTHING), hour * 3600
        else:
            assert name not in self.definitions

    @rule(day=st.integers(0, 3))
    def roll(self, day: int) -> None:
        self.store.roll(day * 24)

    @rule(kill=st.booleans())
    def start_again(self, kill: bool) -> None:
        before = self.store
        if kill:  # the next one finds what one left that never closed
            self.store = opened(self.place)
            before.close()
        else:
            before.close()
            before.open()

    @rule()
    def look(self) -> None:
        users = {user.name: user for user in self.store.users()}
        assert {name: user.definition for name, user in users.items()} == self.definitions
        for name, user in users.items():
            assert user.counts == self.totals.get(name, NOTHING)
            assert (user.reset_counts, user.reset_at) == self.resets.get(name, (NOTHING, 0))
        sums: dict[tuple[int, str], Counts] = {}
        for (hour, name), counts in self.hours.items():
            sums[hour // 24, name] = sums.get((hour // 24, name), NOTHING).plus(counts)
        for row in self.store.days(0, 99):
            sums[row.day, row.user] = sums[row.day, row.user].minus(row.counts)
        for each in self.store.hours(0, 9999):
            sums[each.hour // 24, each.user] = sums[each.hour // 24, each.user].minus(each.counts)
        assert set(sums.values()) <= {NOTHING}

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.look()
            self.store.close()
            assert not self.store.notes


def test_a_store_does_what_a_plain_model_does(places: Places) -> None:
    machine = type("Machine", (StoreMachine,), {"places": staticmethod(places)})
    is_file = not is_url(places())
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25 if is_file else 8, stateful_step_count=25, deadline=None, suppress_health_check=checks
        ),
    )


def test_resets_within_an_hour_know_what_passed_in_it(store: Store) -> None:
    """Several users, random hours and resets: what counts since a reset is what passed since then."""
    chance, since = random.Random(5), {"ann": 0, "bob": 0}  # noqa: S311 - the same again where it fails
    for sequence in range(1, 60):
        name, hour = chance.choice(["ann", "bob"]), sequence // 8
        if chance.random() < 0.2 and store.reset(name, hour * 3600 + 7):
            since[name] = 0
        assert store.write(Batch("w", sequence, (Row(name, hour, sequence, 1, 0, 0),)))
        since[name] += sequence + 1
        for user in store.users():
            assert since_reset(user) == since[user.name]
        known = {user: sizes for user, sizes in since.items() if user in {each.name for each in store.users()}}
        assert store.used(["ann", "bob"]) == store.used(["ann", "bob"], (0, 99)) == known
        hours = store.used_by_hour(["ann", "bob"], (0, 99))
        assert {user: some.total for user, some in hours.items()} == known
        if sequence == 30:
            store.roll(24)
