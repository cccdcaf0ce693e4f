"""Deltas on their way into the store: nothing is lost, nothing counted twice, whatever fails, and whoever is killed."""

from __future__ import annotations

import logging
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from shadesocks.proxy.users.counts import NOTHING, Counts
from shadesocks.service.store.flush import REMIND, ROWS_MOST, Flush
from shadesocks.service.store.sqlite import SqliteStore
from shadesocks.service.store.store import Batch, Row, Store, StoreError

from .sums import count_all

ONE = Counts(1, 2, 3, 4)


class Memory:
    """A store that remembers batches, as far as `write` goes; each may fail before or after it took effect."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.sequences: dict[str, int] = {}
        self.failing: list[str] = []
        """What the next calls do: "before", "after", or "" for nothing."""

    def write(self, batch: Batch) -> bool:
        fails = self.failing.pop(0) if self.failing else ""
        if fails == "before":
            raise StoreError("no room")
        is_new = self.sequences.get(batch.writer, 0) < batch.sequence
        if is_new:
            self.sequences[batch.writer] = batch.sequence
            self.rows += batch.rows
        if fails == "after":
            raise StoreError("who knows")
        return is_new


class Desk:
    """A clerk without a thread: calls are made when the test says so."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.calls: list[tuple[Callable[[Store], Any], Callable[[Any, StoreError | None], None]]] = []

    def tell(self, call: Callable[[Store], Any], done: Callable[[Any, StoreError | None], None]) -> None:
        self.calls.append((call, done))

    def work(self) -> None:
        while self.calls:
            call, done = self.calls.pop(0)
            try:
                result = call(self.store)
            except StoreError as error:
                done(None, error)
            else:
                done(result, None)


def test_a_sweep_is_a_batch() -> None:
    memory = Memory()
    desk = Desk(memory)
    flush = Flush(desk, "w")
    flush.tick(0)
    assert not desk.calls, "nothing passed, nothing is written"
    flush.add([("ann", ONE), ("bob", ONE), ("ann", ONE)], 7 * 3600)
    flush.add([("ann", ONE)], 8 * 3600 - 1)
    flush.add([("ann", ONE)], 8 * 3600)
    assert flush.unwritten == Counts(5, 10, 15, 20)
    flush.tick(1)
    desk.work()
    assert sorted(memory.rows) == [
        Row("ann", 7, 3, 6, 9, 12), Row("ann", 8, 1, 2, 3, 4), Row("bob", 7, 1, 2, 3, 4),
    ]  # fmt: skip
    assert flush.is_clean
    assert flush.unwritten == NOTHING


def test_one_batch_at_a_time() -> None:
    memory = Memory()
    desk = Desk(memory)
    flush = Flush(desk, "w")
    for now in range(3):
        flush.add([("ann", ONE)], 0)
        flush.tick(now)
    assert len(desk.calls) == 1
    desk.work()
    assert not flush.is_clean
    flush.tick(3)
    desk.work()
    assert memory.rows == [Row("ann", 0, 1, 2, 3, 4), Row("ann", 0, 2, 4, 6, 8)]


def test_many_users_are_several_batches_one_after_the_other() -> None:
    memory = Memory()
    desk = Desk(memory)
    flush = Flush(desk, "w")
    flush.add([(f"u{number}", ONE) for number in range(2 * ROWS_MOST + 1)], 0)
    flush.tick(0)
    desk.work()
    assert len(memory.rows) == 2 * ROWS_MOST
    flush.tick(1)
    desk.work()
    assert len({row.user for row in memory.rows}) == len(memory.rows) == 2 * ROWS_MOST + 1


def test_trouble_is_told_once_and_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    memory = Memory()
    desk = Desk(memory)
    flush = Flush(desk, "w")
    memory.failing = ["before"] * 3
    with caplog.at_level(logging.WARNING):
        for now in range(5):
            flush.add([("ann", ONE)], 0)
            flush.tick(now)
            desk.work()
            if now == 1:
                assert flush.trouble == "no room"
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert "not lost" in caplog.records[1].message
    assert count_all(memory.rows) == Counts(5, 10, 15, 20)
    assert flush.trouble == ""


def test_the_log_is_reminded_of_what_lasts(caplog: pytest.LogCaptureFixture) -> None:
    memory = Memory()
    desk = Desk(memory)
    flush = Flush(desk, "w")
    flush.add([("ann", ONE)], 0)
    memory.failing = ["before"] * 100
    for now in (0.0, 1.0, REMIND - 1, REMIND, REMIND + 1):
        flush.tick(now)
        desk.work()
    assert len(caplog.records) == 2
    memory.failing = ["after", "after"]
    flush.tick(REMIND + 2)
    desk.work()
    assert "who knows" in caplog.records[2].message, "another trouble is told at once"


class FlushMachine(RuleBasedStateMachine):
    """Deltas, ticks, and calls that fail before or after they took effect."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = Memory()
        self.desk = Desk(self.memory)
        self.flush = Flush(self.desk, "w")
        self.added: dict[tuple[str, int], Counts] = {}
        self.now = 0

    @rule(
        user=st.sampled_from(["ann", "bob"]),
        hour=st.integers(0, 2),
        counts=st.builds(Counts, *[st.integers(0, 99)] * 4),
    )
    def add(self, user: str, hour: int, counts: Counts) -> None:
        self.flush.add([(user, counts)], hour * 3600)
        self.added[user, hour] = self.added.get((user, hour), NOTHING).plus(counts)

    @rule()
    def tick(self) -> None:
        self.now += 1
        self.flush.tick(self.now)

    @precondition(lambda self: self.desk.calls)
    @rule(fails=st.lists(st.sampled_from(["", "before", "after"]), max_size=2))
    def work(self, fails: list[str]) -> None:
        self.memory.failing = fails
        self.desk.work()

    @rule()
    def look(self) -> None:
        """What is written is at most what was added; written and unwritten together are, but for an unknown outcome."""
        written = count_all(self.memory.rows)
        added = NOTHING
        for counts in self.added.values():
            added = added.plus(counts)
        assert min(added.minus(written)) >= 0
        assert min(written.plus(self.flush.unwritten).minus(added)) >= 0

    def teardown(self) -> None:
        self.memory.failing = []
        while not self.flush.is_clean:
            self.tick()
            self.desk.work()
        sums: dict[tuple[str, int], Counts] = {}
        for row in self.memory.rows:
            sums[row.user, row.hour] = sums.get((row.user, row.hour), NOTHING).plus(row.counts)
        assert sums == self.added


TestFlushMachine = FlushMachine.TestCase
FlushMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


# -- the whole of it, killed -----------------------------------------------------------------------

COUNTS_ALOUD = """
import asyncio, random, sys, os
from shadesocks.proxy.users.accounts import Accounts
from shadesocks.core.limits import FREE
from shadesocks.service.store.clerk import Clerk
from shadesocks.service.store.flush import Flush
from shadesocks.service.store.sqlite import SqliteStore

class Carrier:
    sums = (0, 0, 0, 0)
    def carried(self):
        return self.sums

async def main():
    clerk = Clerk(SqliteStore(sys.argv[1]))
    await clerk.open()
    flush = Flush(clerk, sys.argv[2])
    accounts, carriers, total = Accounts(), [], 0
    for number in range(5):
        carriers.append(Carrier())
        accounts.open(f"user {number}", FREE, 0, 0).began(carriers[-1], b"", print)
    wall = 0
    while True:
        for carrier in carriers:
            size = random.randrange(1, 1000)
            total += size
            os.write(1, b"counted %d\\n" % total)
            carrier.sums = (carrier.sums[0] + size, 0, 0, 0)
        wall += 60
        flush.add(accounts.sweep(0, wall), wall)
        flush.tick(0)
        while not flush.is_clean:
            await asyncio.sleep(0)
        os.write(1, b"written %d\\n" % total)

asyncio.run(main())
"""


@pytest.mark.timeout(600)
def test_a_process_that_is_killed_loses_one_sweep_at_most(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Ten times, 300 under --whole, on one file: each time it opens, has all that was written, and no byte more.

    What was counted after the last sweep is in nobody's hands; what a sweep has found is written before the next.
    """
    path, before = tmp_path / "users.db", 0
    instants = random.Random(9)  # noqa: S311 - the same again where one fails
    for life in range(300 if request.config.getoption("--whole", default=False) else 10):
        with subprocess.Popen(
            [sys.executable, "-c", COUNTS_ALOUD, str(path), f"life {life}"], stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            said = [child.stdout.readline()]
            time.sleep(instants.uniform(0, 0.1))
            child.send_signal(signal.SIGKILL)
            said += child.stdout.read().splitlines()
        store = SqliteStore(path)
        store.open()
        stored = sum(user.counts.up for user in store.users()) - before
        assert not store.notes
        assert sum(row.up for row in store.hours(0, 10**6)) == stored + before
        store.close()
        values = {
            word: [int(line.split()[1]) for line in said if line.startswith(word)] for word in (b"counted", b"written")
        }
        assert max(values[b"written"], default=0) <= stored <= max(values[b"counted"]), f"life {life}"
        before += stored
    assert before > 0
