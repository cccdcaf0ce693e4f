"""Packets of a session that comes to several processes: none is taken twice, and a client may move."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from shadesocks.crypto import window_shared
from shadesocks.crypto.window import Window
from shadesocks.crypto.window_shared import SESSIONS, SharedWindows

SESSION = bytes(range(8))


class Process:
    """One of several that share a table: it has windows of its own, and a number."""

    def __init__(self, windows: SharedWindows, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self._windows = windows
        self._number = number
        self._patch = monkeypatch
        self._own: dict[bytes, Window] = {}

    def takes(self, packet_id: int, session: bytes = SESSION, now: int = 1) -> bool:
        self._patch.setattr("os.getpid", lambda: self._number)
        window = self._own.setdefault(session, Window())
        if not window.fresh(packet_id) or not self._windows.claim(session, window, packet_id, now):
            return False
        window.accept(packet_id)
        return True


@pytest.fixture
def windows() -> Iterator[SharedWindows]:
    table = SharedWindows()
    yield table
    table.close()


@pytest.fixture
def two(windows: SharedWindows, monkeypatch: pytest.MonkeyPatch) -> tuple[Process, Process]:
    return Process(windows, 1, monkeypatch), Process(windows, 2, monkeypatch)


def test_where_a_session_stays_its_packets_may_come_in_any_order(two: tuple[Process, Process]) -> None:
    one, _ = two
    assert [one.takes(number) for number in (5, 3, 9, 3, 4, 9)] == [True, True, True, False, True, False]


def test_a_replay_that_comes_to_another_process_is_refused(two: tuple[Process, Process]) -> None:
    one, other = two
    assert all(one.takes(number) for number in range(10))
    assert not any(other.takes(number) for number in range(10))
    assert one.takes(10), "its session goes on"


def test_a_client_that_moves_goes_on_where_it_came_and_its_old_packets_do_not(two: tuple[Process, Process]) -> None:
    one, other = two
    assert all(one.takes(number) for number in (0, 1, 3))
    assert other.takes(4)
    assert not other.takes(2), "it may have been taken there"
    assert other.takes(6)
    assert not one.takes(5), "the same on the way back"
    assert one.takes(7)
    assert not other.takes(7)


def test_what_was_left_out_above_the_other_s_highest_may_still_come() -> None:
    window = Window()
    for number in (0, 10):
        window.accept(number)
    window.close_until(4)
    assert [number for number in range(11) if window.fresh(number)] == [5, 6, 7, 8, 9]
    window.close_until(12)
    assert not any(window.fresh(number) for number in range(13))
    assert window.fresh(13)
    assert window.highest == 12


def test_sessions_do_not_meet(two: tuple[Process, Process]) -> None:
    one, other = two
    assert one.takes(1)
    assert other.takes(1, bytes(7) + b"\1")


def test_a_full_bucket_forgets_the_session_that_was_heard_longest_ago(
    windows: SharedWindows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window_shared, "BUCKETS", 1)
    one, other = Process(windows, 1, monkeypatch), Process(windows, 2, monkeypatch)
    sessions = [bytes(7) + bytes([number]) for number in range(1, SESSIONS + 2)]
    for now, session in enumerate(sessions):
        assert one.takes(0, session, now)
    assert other.takes(0, sessions[0], 99), "forgotten: the ninth took its place"
    assert [other.takes(0, session, 99) for session in sessions[2:]] == [False] * (SESSIONS - 1)


FORKED = """
import os
from shadesocks.crypto.window import Window
from shadesocks.crypto.window_shared import SharedWindows

windows, session = SharedWindows(), b"a client"
pid = os.fork()
if not pid:
    os._exit(0 if windows.claim(session, Window(), 3, 1) else 1)
print(os.waitpid(pid, 0)[1], windows.claim(session, Window(), 3, 1), windows.claim(session, Window(), 4, 1))
"""


def test_the_memory_is_that_of_forked_processes() -> None:
    """The child takes packet 3 and ends; then the parent refuses it."""
    told = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout == "0 False True\n"
