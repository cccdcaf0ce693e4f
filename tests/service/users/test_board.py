"""The board: rows by names, seats by locks that die with their process, memory that forked processes really share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from mmap import mmap
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.service.users.board import NAME_SIZE, ROWS, Board, make_board


@pytest.fixture
def board() -> Iterator[Board]:
    board = Board(2, rows=64)
    yield board
    board.close()


def test_a_name_has_one_row(board: Board) -> None:
    names = [f"user {number}" for number in range(64)]
    rows = [board.claim(name) for name in names]
    assert rows == list(range(64))
    assert [board.claim(name) for name in reversed(names)] == rows[::-1]
    assert [board.name(row) for row in board.used_rows] == names
    assert board.claim("one more") is None
    assert board.claim(names[5]) == 5


@given(st.lists(st.text(st.characters(codec=None), max_size=60), max_size=40))
def test_names_are_whatever_they_are(names: list[str]) -> None:
    board = Board(1, rows=64)
    rows = {name: board.claim(name) for name in names}
    for name, row in rows.items():
        if row is not None:
            assert board.name(row) == name
            assert board.claim(name) == row
    if sum(len(name.encode(errors="surrogatepass")) for name in rows) <= 64 * NAME_SIZE:
        assert None not in rows.values()
    board.close()


def test_long_names_use_up_the_room_for_names(board: Board) -> None:
    assert board.claim("x" * 70_000) is None
    assert board.claim("y" * 64 * NAME_SIZE) == 0
    assert board.claim("z") is None
    assert board.claim("") == 1


def test_names_of_one_hash_are_two(board: Board) -> None:
    for raw in (b"ann", b"bob", b"cem"):
        board._make(raw, 7, board._find(raw, 7)[1])
    assert [board._find(raw, 7)[0] for raw in (b"cem", b"ann", b"bob", b"dan")] == [2, 0, 1, None]


def test_no_two_boards_are_called_the_same(board: Board) -> None:
    other = Board(1, rows=1)
    assert other.key != board.key
    other.close()


def test_a_process_sits_where_its_slot_says_or_else_anywhere(board: Board) -> None:
    seats = [board.sit(1) for _ in range(board.seats)]
    assert [seat.number for seat in seats if seat is not None] == [1, 3, 5, 0, 2, 4]
    assert board.sit(0) is None
    assert seats[2] is not None
    seats[2].leave()
    again = board.sit(0)
    assert again is not None
    assert again.number == 5
    for seat in (*seats[:2], *seats[3:], again):
        assert seat is not None
        seat.leave()


@pytest.mark.parametrize(("fails", "rows"), [(0, ROWS), (1, ROWS // 16), (2, None)])
def test_where_memory_is_short_the_board_is_small_or_there_is_none(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fails: int, rows: int | None
) -> None:
    refusals = [OSError(12, "Cannot allocate memory")] * fails

    def lend(number: int, size: int) -> mmap:
        if refusals:
            raise refusals.pop()
        return mmap(number, size)

    monkeypatch.setattr("shadesocks.service.users.board.mmap", lend)
    board = make_board(2)
    assert (None if board is None else board.rows) == rows
    assert ("each counts limits alone" in caplog.text) == (rows is None)
    if board is not None:
        board.close()


SHARED: Final = """
import os, signal, sys
from shadesocks.proxy.users.counts import Counts
from shadesocks.service.users.board import Board

board = Board(3)
reading, writing = os.pipe()
children = []
for slot in range(3):
    pid = os.fork()
    if not pid:
        seat = board.sit(slot)
        for number in range(2000):
            row = seat.meet(f"user{(number * (slot + 1)) % 500}")
            row.tell(Counts(1, 2, 3, 4), 0)
        row = seat.meet("ann")
        row.count(slot + 1, 0)
        os.write(writing, b"%d" % seat.number)
        signal.pause()
    children.append(pid)
told = b""
while len(told) < 3:
    told += os.read(reading, 3)
seat = board.sit(0)
row = seat.meet("ann")
print(sorted(told), seat.number, len(board.used_rows), row.connections())
print(sum(seat.meet(f"user{number}").payload() for number in range(500)))
seat.tend()
print(row.connections(), len(list(board.adopt())))
os.kill(children[1], signal.SIGKILL)
os.waitpid(children[1], 0)
print(row.connections(), "until somebody looks")
seat.tend()
print(row.connections())
follower = os.fork()
if not follower:
    os._exit(board.sit(1).number)
print(os.waitstatus_to_exitcode(os.waitpid(follower, 0)[1]), sum(seat.meet(f"user{n}").payload() for n in range(500)))
for pid in (children[0], children[2]):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
board.close()
"""


def test_forked_processes_share_it() -> None:
    """Three claim 500 rows at once, and count; one is killed, and its follower has its seat."""
    told = subprocess.run([sys.executable, "-c", SHARED], capture_output=True, text=True, timeout=60, check=False)
    assert told.stdout.splitlines() == [
        "[48, 49, 50] 3 501 6",
        "18000",
        "6 0",
        "6 until somebody looks",
        "4",
        "1 18000",
    ], told.stderr


MEMORY: Final = """
import os
from shadesocks.proxy.users.counts import Counts
from shadesocks.service.users.board import Board

names = [f"user-{number:05}@example" for number in range(10_000)]
board = Board(4)
for slot in range(4):
    if not (pid := os.fork()):
        seat = board.sit(slot)
        for name in names:
            row = seat.meet(name)
            row.tell(Counts(1, 1, 1, 1), 0)
            row.count(1, 0)
        seat.record(1, [(name, Counts(1, 1, 1, 1)) for name in names])
        os._exit(0)
    os.waitpid(pid, 0)
size, empty = len(board.words) * 8, bytes(4096)
print(sum(4 for at in range(0, size, 4096) if board._map[at : at + 4096] != empty))
"""


def test_memory_of_10_000_users_and_four_processes() -> None:
    """In KiB: 1.25 MiB for each process, and 1.5 for names and rows, of 133 MiB of addresses."""
    told = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, timeout=100, check=True)
    assert int(told.stdout) < 7000


HELD: Final = """
import os, signal
from shadesocks.service.users.board import Board

board = Board(1, rows=4)
reading, writing = os.pipe()
pid = os.fork()
if not pid:
    board.sit(0).leave(is_clean=False)
    board.close()
    os.write(writing, b"1")
    signal.pause()
os.read(reading, 1)
print(board.sit(0).number, len(list(board.adopt())))
os.kill(pid, signal.SIGKILL)
os.waitpid(pid, 0)
print([seat.number for seat in board.adopt()])
"""


def test_a_seat_that_was_left_with_something_unwritten_is_held_until_the_process_ends() -> None:
    told = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, timeout=60, check=False)
    assert told.stdout.splitlines() == ["1 0", "[0]"], told.stderr


def test_a_seat_that_was_given_up_is_somebody_s_to_look_after(board: Board) -> None:
    seat = board.sit(0)
    assert seat is not None
    board.free(seat.number)
    found = list(board.adopt())
    assert [each.number for each in found] == [0]
    found[0].leave()
