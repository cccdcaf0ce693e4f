"""What a process that died counted and did not write: real processes, real files, killed at random instants."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, Final

import pytest

from shadesocks.core.limits import FREE, Limits, Quota
from shadesocks.proxy.users.accounts import Accounts
from shadesocks.proxy.users.counts import Counts
from shadesocks.service.store.books import Books
from shadesocks.service.store.sqlite import SqliteStore
from shadesocks.service.users.board import Board
from shadesocks.service.users.seat import Seat
from tests.proxy.users.test_account import begin
from tests.service.users.processes import see

NOW: Final = 1_779_235_200


class Worker:
    """A process with books, within this one."""

    def __init__(self, board: Board, held: dict[int, Any], path: Path) -> None:
        self.board = see(board, held)
        seat = self.board.sit(0)
        assert seat is not None
        self.seat: Seat = seat
        self.accounts = Accounts(seat.meet)
        self.books = Books(self.accounts, SqliteStore(path), lambda: 0.0, lambda: NOW, seat)

    async def open(self, **wanted: Limits) -> Worker:
        await self.books.open()
        await self.books.serve(wanted)
        return self

    async def die(self) -> None:
        """As if killed: what is with the store's thread is done, and nobody hears of it."""
        self.books.flush._done = lambda *_: None  # type: ignore[method-assign]
        await self.books.clerk.close()
        self.board._locks.die()  # type: ignore[attr-defined]


async def until(worker: Worker, path: Path, size: int) -> None:
    """Sweep until a user has so much in the store."""
    for _ in range(400):
        worker.books.sweep()
        is_written = any(user.counts.payload >= size for user in await worker.books.users())
        if is_written and not worker.books._estates:
            return
        await asyncio.sleep(0.005)
    pytest.fail("it was never written")


def test_books_write_what_those_before_them_did_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        held: dict[int, Any] = {}
        board, path = Board(2, 16), tmp_path / "users.db"
        limits = Limits(quota=Quota(10_000))
        first = await Worker(board, held, path).open(ann=limits)
        account = first.accounts.find("ann")
        assert account is not None
        carrier = begin(account)
        carrier.move(100, 0)
        first.books.sweep()
        carrier.move(20, 3)
        first.accounts.sweep(0, NOW)  # told to the board, and to nobody else
        second = await Worker(board, held, path).open(ann=limits)
        assert second.accounts.find("ann").used(NOW) == 123  # type: ignore[union-attr]
        await first.die()
        with caplog.at_level(logging.INFO):
            await until(second, path, 123)
        assert "counted and not written" in caplog.text
        third = await Worker(board, held, path).open(ann=limits)
        assert third.seat.number == 0
        assert third.accounts.find("ann").used(NOW) == 123  # type: ignore[union-attr]
        assert [user.counts.payload for user in await third.books.users()] == [123]
        for worker in (second, third):
            is_clean = await worker.books.close()
            worker.seat.leave(is_clean=is_clean)
            assert is_clean
        board.close()

    asyncio.run(asyncio.wait_for(story(), 30))


def test_a_reset_by_another_process_holds_for_what_is_restored(tmp_path: Path) -> None:
    async def story() -> None:
        held: dict[int, Any] = {}
        board, path = Board(2, 16), tmp_path / "users.db"
        limits = Limits(quota=Quota(100, "month"))
        first, second = [await Worker(board, held, path).open(ann=limits) for _ in range(2)]
        accounts = [worker.accounts.find("ann") for worker in (first, second)]
        assert accounts[0] is not None
        assert accounts[1] is not None
        begin(accounts[0]).move(100, 0)
        first.books.sweep()
        assert accounts[1].refuse(NOW) == "quota"
        assert await second.books.reset("ann")
        assert (accounts[0].used(NOW), accounts[1].used(NOW)) == (0, 0)
        for worker in (first, second):
            worker.seat.leave(is_clean=await worker.books.close())
        board.close()

    asyncio.run(asyncio.wait_for(story(), 30))


@pytest.mark.parametrize("window", ["lifetime", "month", "days"])
def test_what_all_processes_count_while_one_asks_the_store_counts_once(tmp_path: Path, window: str) -> None:
    async def story() -> None:
        held: dict[int, Any] = {}
        board, path = Board(2, 16), tmp_path / "users.db"
        limits = Limits(quota=Quota(10_000, window))
        first, second = [await Worker(board, held, path).open(ann=FREE) for _ in range(2)]
        accounts = [worker.accounts.open("ann", FREE, 0, NOW) for worker in (first, second)]
        carriers = [begin(account) for account in accounts]
        for carrier, worker in zip(carriers, (first, second), strict=True):
            carrier.move(100, 0)
            await until(worker, path, 100)
        asked, may_answer = Event(), Event()

        def late(ask: Callable[..., Any], *given: Any) -> Any:
            answer = ask(*given)
            asked.set()
            assert may_answer.wait(20)
            return answer

        store = second.books.clerk._store
        for name in ("used", "used_by_hour"):
            setattr(store, name, partial(late, getattr(store, name)))
        admitted = asyncio.ensure_future(second.books.admit({"ann": limits}))
        await asyncio.to_thread(asked.wait, 20)
        for carrier in carriers:
            carrier.move(1000, 30)
        first.accounts.sweep(0, NOW)  # told to the board, and written later
        second.books.sweep()
        may_answer.set()
        await admitted
        assert accounts[1].used(NOW) == 200 + 2060
        for worker in (first, second):
            worker.seat.leave(is_clean=await worker.books.close())
        board.close()

    asyncio.run(asyncio.wait_for(story(), 30))


KILLED: Final = """
import asyncio, json, os, random, signal, sys, time
from shadesocks.core.limits import FREE
from shadesocks.proxy.users.accounts import Accounts
from shadesocks.proxy.users.counts import NOTHING, Counts
from shadesocks.service.store.books import Books
from shadesocks.service.store.sqlite import SqliteStore
from shadesocks.service.users.board import Board
from shadesocks.service.users.seat import CELL

path, seed = sys.argv[1], int(sys.argv[2])
chance = random.Random(seed)
board = Board(2, 64)
NAMES = ["ann", "bob", "cem", "dan"]

class Carrier:
    def __init__(self):
        self.sums = [0, 0, 0, 0]
    def carried(self):
        return Counts(*self.sums)

async def work(slot):
    seat = board.sit(slot)
    accounts = Accounts(seat.meet)
    books = Books(accounts, SqliteStore(path), time.monotonic, lambda: int(time.time()), seat)
    await books.open()
    await books.serve(dict.fromkeys(NAMES, FREE))
    carriers = []
    for name in NAMES:
        carriers.append(Carrier())
        accounts.find(name).began(carriers[-1], b"", lambda word: None)
    mine, leaves = random.Random(os.getpid()), []
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: leaves.append(1))
    while not leaves:
        for carrier in carriers:
            for place in range(4):
                carrier.sums[place] += mine.randrange(1000)
        books.sweep()
        await asyncio.sleep(0.001)
    for _ in range(500):
        books.sweep()
        await asyncio.sleep(0.002)
        if not books._estates and not any(board.is_owned_by_the_dead()):
            break
    seat.leave(is_clean=await books.close())

def dead(self):
    return [n for n in self.used_seats if n not in self._mine and self.words[self.seat_at(n) + 1]]
Board.is_owned_by_the_dead = dead

def start(slot):
    pid = os.fork()
    if not pid:
        try:
            asyncio.run(work(slot))
        finally:
            os._exit(0)
    return pid

pids = [start(0), start(1)]
for _ in range(12):
    time.sleep(chance.uniform(0.02, 0.25))
    slot = chance.randrange(2)
    os.kill(pids[slot], signal.SIGKILL)
    os.waitpid(pids[slot], 0)
    time.sleep(chance.choice((0, 0, 0.05)))
    pids[slot] = start(slot)
time.sleep(0.5)
for pid in pids:
    os.kill(pid, signal.SIGTERM)
for pid in pids:
    os.waitpid(pid, 0)

store = SqliteStore(path)
store.open()
written = {user.name: list(user.counts) for user in store.users()}
store.close()
told = {}
for row in board.used_rows:
    total = NOTHING
    for number in range(board.seats):
        at = board.cells_at(number) + row * CELL
        total = total.plus(Counts(*board.words[at : at + 4].tolist()))
    told[board.name(row)] = list(total)
print(json.dumps([written, told]))
"""


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_of_what_was_told_nothing_is_missing_and_nothing_twice(tmp_path: Path, seed: int) -> None:
    """Two workers write a thousand times a second; twelve times one of them is killed and followed."""
    words = [sys.executable, "-c", KILLED, str(tmp_path / "users.db"), str(seed)]
    told = subprocess.run(words, capture_output=True, text=True, timeout=100, check=False)
    assert not told.stderr
    written, board = json.loads(told.stdout)
    assert written == board
    assert all(min(Counts(*sums)) > 0 for sums in written.values())
    assert len(written) == 4
