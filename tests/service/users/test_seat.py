"""One process at the board, and who follows it: whatever it dies in, nothing is written twice, nothing is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shadesocks.proxy.users.counts import NOTHING, Counts
from shadesocks.service.store.flush import ROWS_MOST
from shadesocks.service.store.store import StoreError
from shadesocks.service.users.seat import _spread, _squeeze
from tests.service.users.processes import Killed, Process, Town

USERS = ("ann", "bob", "cem")
ONE = Counts(1, 2, 3, 4)


@pytest.fixture
def town() -> Iterator[Town]:
    town = Town()
    yield town
    town.close()


def test_what_a_dead_process_told_and_did_not_write_its_follower_writes(town: Town) -> None:
    first = town.start(0)
    first.move("ann", 100, 50)
    first.sweep()
    first.kill()
    assert town.store.rows == [], "its batch never came there"
    second = town.start(0)
    assert second.seat.number == first.seat.number
    second.sweep()
    second.work()
    assert town.store.sum("ann") == town.sum("ann") == Counts(100, 50, 150, 100)


def test_what_was_written_and_not_acknowledged_is_not_written_again(town: Town) -> None:
    first = town.start(0)
    first.move("ann", 100, 50)
    first.sweep()
    call, _ = first.desk.calls.pop()
    call(town.store)  # type: ignore[arg-type]
    first.kill()
    second = town.start(0)
    second.move("ann", 7, 0)
    second.sweep()
    second.work()
    assert town.store.sum("ann").payload == 157
    assert [row.up for row in town.store.rows] == [100, 7]


def test_a_batch_that_was_never_written_leaves_no_trace_in_those_that_follow(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The follower dies, too, when it has written of one user and not of the other."""
    first = town.start(0)
    first.move("ann", 100, 0)
    first.move("bob", 10, 0)
    first.sweep()
    first.kill()
    monkeypatch.setattr("shadesocks.service.store.flush.ROWS_MOST", 1)
    second = town.start(0)
    second.sweep()
    for _ in range(2):  # which batch was the last, and the next
        call, done = second.desk.calls.pop(0)
        done(call(town.store), None)  # type: ignore[arg-type]
    second.kill()
    assert town.store.sum("ann").payload == 100
    assert town.store.sum("bob") == NOTHING
    third = town.start(0)
    third.sweep()
    third.work()
    assert town.store.sum("ann") == town.sum("ann")
    assert town.store.sum("bob") == town.sum("bob")


def test_another_process_looks_after_a_seat_that_nobody_takes(town: Town) -> None:
    first, second = town.start(0), town.start(1)
    first.move("ann", 100, 50)
    first.sweep()
    first.kill()
    for _ in range(3):
        second.sweep()
        second.work()
    assert town.store.sum("ann").payload == 150
    assert not second.estates
    assert town.start(0).seat.number == 0, "it is free again"


def test_what_passed_before_there_was_a_store_is_never_written(town: Town) -> None:
    first = town.start(0, stores=False)
    first.move("ann", 100, 50)
    first.sweep()
    first.kill()
    second = town.start(0)
    second.move("ann", 5, 0)
    second.sweep()
    second.work()
    second.kill()
    third = town.start(0)
    third.sweep()
    third.work()
    assert town.store.sum("ann").payload == 5


def test_while_the_store_fails_an_estate_stays_and_is_handed_on(town: Town) -> None:
    first, second = town.start(0), town.start(1)
    first.move("ann", 100, 50)
    first.sweep()
    first.kill()
    town.store.failing = ["before"] * 20
    for _ in range(3):
        second.sweep()
        second.work()
    assert len(second.estates) == 1
    second.leave()
    town.store.failing = []
    third = town.start(1)
    for _ in range(3):
        third.sweep()
        third.work()
    assert town.store.sum("ann").payload == 150


def test_a_follower_serves_while_the_store_does_not_say_what_was_written(town: Town) -> None:
    first = town.start(0)
    first.move("ann", 100, 50)
    first.sweep()
    first.kill()
    town.store.failing = ["before"] * 3
    second = town.start(0)
    for _ in range(3):
        second.move("ann", 5, 2)
        second.move("bob", 1, 0)
        second.sweep()
        second.work()
    assert town.store.rows == []
    before = second.flush.is_clean, second.flush.trouble
    second.sweep()
    second.work()
    assert [before, (second.flush.is_clean, second.flush.trouble)] == [(False, "no answer"), (True, "")]
    for user in ("ann", "bob"):
        assert town.store.sum(user) == town.sum(user)
    assert town.sum("ann").payload == 171


def test_all_is_well_again_though_nothing_was_left_to_be_written(town: Town) -> None:
    first = town.start(0)
    first.move("ann", 100, 50)
    first.sweep()
    call, _ = first.desk.calls.pop()
    call(town.store)  # type: ignore[arg-type]
    first.kill()
    town.store.failing = ["before"]
    second = town.start(0)
    found = []
    for _ in range(2):
        second.sweep()
        second.work()
        found.append((second.flush.is_clean, second.flush.trouble))
    assert found == [(False, "no answer"), (True, "")]
    assert town.store.sum("ann").payload == 150


def test_a_store_that_forgot_a_writer_is_believed_no_more_than_what_it_acknowledged(town: Town) -> None:
    first = town.start(0)
    first.move("ann", 100, 50)
    first.sweep()
    first.work()
    town.store.sequences.clear()
    first.kill()
    second = town.start(0)
    second.sweep()
    second.work()
    assert town.store.sum("ann").payload == 150


def test_more_users_than_a_batch_takes(town: Town) -> None:
    crowd = Town(2, ROWS_MOST + 100)
    first = crowd.start(0)
    for number in range(ROWS_MOST + 50):
        first.move(f"user{number}", 1, 0)
    first.sweep()
    call, done = first.desk.calls.pop(0)
    done(call(crowd.store), None)  # type: ignore[arg-type]
    assert len(crowd.store.rows) == ROWS_MOST
    first.sweep()
    first.kill()
    second = crowd.start(0)
    second.sweep()
    second.work()
    assert len(crowd.store.rows) == ROWS_MOST + 50
    assert len({row.user for row in crowd.store.rows}) == ROWS_MOST + 50
    crowd.close()


def test_what_is_there_of_the_dead_is_void_once_somebody_looked(town: Town) -> None:
    first, second = town.start(0, stores=False), town.start(1, stores=False)
    first.move("ann", 1, 1)
    first.sweep()
    row = second.seat.meet("ann")
    assert row is not None
    first.accounts.open("ann", first.accounts.find("ann").limits, 0, 0)  # type: ignore[union-attr]
    mine = first.seat.meet("ann")
    assert mine is not None
    mine.count(3, 2)
    mine.tell(NOTHING, 17)
    mine.ask((5000, 1), (0, 1 << 40))
    assert (row.connections(), row.sessions(), row.asked()) == (3, (2, 17), [((5120, 1024), (0, 1 << 40))])
    first.kill()
    second.sweep()
    assert (row.connections(), row.sessions(), row.asked()) == (0, (0, 0), [])
    assert row.payload() == 2, "what passed stays"


@given(st.integers(0, 2047 << 41))
def test_a_share_is_told_as_what_it_is_or_a_little_more(size: int) -> None:
    assert size <= _spread(_squeeze(size)) <= size * 1.001 + 1024
    assert _squeeze(size) < 1 << 16
    assert _spread(_squeeze(1 << 80)) == 2047 << 41


def test_every_death_within_a_sweep() -> None:
    """Word after word: at each of them the process dies, and the follower dies at each of its own."""
    for first_words in range(60):
        for second_words in (*range(0, 40, 3), 1000):
            town = Town(1, 4)
            first = town.start(0)
            first.move("ann", 5, 6)
            first.move("bob", 7, 8)
            first.sweep()
            first.work()
            first.move("ann", 1, 2)
            first.move("bob", 3, 4)
            first.kill_after(first_words)
            first.sweep()
            if not first.is_dead and first_words % 2:
                first.work()
            if not first.is_dead:
                first.kill()
            try:
                second = town.start(0)
                second.kill_after(second_words)
                second.move("bob", 9, 9)
                second.sweep()
                if not second.is_dead:
                    second.work()
                if not second.is_dead:
                    second.kill()
            except Killed:
                pytest.fail("the dead do nothing")
            third = town.start(0)
            for _ in range(3):
                third.sweep()
                third.work()
            for user in ("ann", "bob"):
                assert town.store.sum(user) == town.sum(user), (first_words, second_words)
            town.close()


class Lives(RuleBasedStateMachine):
    """Processes of three slots, who tell, write, fail, die and follow one another, against what passed."""

    def __init__(self) -> None:
        super().__init__()
        self.town = Town(3, 8)
        self.processes: dict[int, Process] = {}
        self.passed = dict.fromkeys(USERS, 0)
        """All of it."""
        self.told = dict.fromkeys(USERS, 0)
        """What was told by sweeps that came to their end."""
        self.untold: dict[tuple[int, str], int] = {}

    @initialize()
    def begin(self) -> None:
        for slot in range(3):
            self.processes[slot] = self.town.start(slot)

    def live(self, slot: int) -> Process | None:
        process = self.processes.get(slot)
        return None if process is None or process.is_dead else process

    @rule(slot=st.integers(0, 2), user=st.sampled_from(USERS), up=st.integers(0, 9), down=st.integers(0, 9))
    def move(self, slot: int, user: str, up: int, down: int) -> None:
        process = self.live(slot)
        if process is not None:
            process.move(user, up, down)
            self.passed[user] += up + down
            self.untold[slot, user] = self.untold.get((slot, user), 0) + up + down

    @rule(slot=st.integers(0, 2), words=st.none() | st.integers(0, 40))
    def sweep(self, slot: int, words: int | None) -> None:
        process = self.live(slot)
        if process is not None:
            self.town.now += 0.7
            if words is not None:
                process.kill_after(words)
            process.sweep()
            if not process.is_dead:
                process.kill_after(1 << 40)
                for user in USERS:
                    self.told[user] += self.untold.pop((slot, user), 0)
            else:
                self.bury(slot)

    @rule(slot=st.integers(0, 2), calls=st.integers(1, 4), words=st.none() | st.integers(0, 20))
    def work(self, slot: int, calls: int, words: int | None) -> None:
        process = self.live(slot)
        if process is not None:
            if words is not None:
                process.kill_after(words)
            process.work()
            if process.is_dead:
                self.bury(slot)
            else:
                process.kill_after(1 << 40)

    @rule(slot=st.integers(0, 2), count=st.integers(0, 3))
    def kill(self, slot: int, count: int) -> None:
        """Some of what was under way at the store is done, and nobody hears of it."""
        process = self.live(slot)
        if process is not None:
            for call, _ in process.desk.calls[:count]:
                with suppress(StoreError):
                    call(self.town.store)  # type: ignore[arg-type]
            process.kill()
            self.bury(slot)

    def bury(self, slot: int) -> None:
        for user in USERS:
            self.untold.pop((slot, user), 0)

    @rule(slot=st.integers(0, 2))
    def follow(self, slot: int) -> None:
        if self.live(slot) is None:
            self.processes[slot] = self.town.start(slot)

    @rule(slot=st.integers(0, 2))
    def leave(self, slot: int) -> None:
        process = self.live(slot)
        if process is not None and not self.town.store.failing:
            process.leave()
            for user in USERS:
                self.told[user] += self.untold.pop((slot, user), 0)

    @precondition(lambda self: not self.town.store.failing)
    @rule(how=st.lists(st.sampled_from(["before", ""]), max_size=3))
    def fail(self, how: list[str]) -> None:
        self.town.store.failing = how

    @invariant()
    def nothing_is_counted_twice(self) -> None:
        for user in USERS:
            assert self.told[user] <= self.town.sum(user).payload <= self.passed[user]
            written = self.town.store.sum(user)
            assert all(mine <= all_ for mine, all_ in zip(written, self.town.sum(user), strict=True))

    def teardown(self) -> None:
        self.town.store.failing = []
        last = self.town.start(0) if self.live(0) is None else self.processes[0]
        others = [process for process in self.processes.values() if not process.is_dead and process is not last]
        for _ in range(6):
            for process in (last, *others):
                process.sweep()
                process.work()
        for user in USERS:
            assert self.town.store.sum(user) == self.town.sum(user)
        self.town.close()


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
