"""kill -9 under load: the store opens, nothing counts twice, and what is missing passed within the last second.

Targets keep a ledger of their own (`traffic.py`), and how it stood at each moment. After each death the server starts
again on the same store, and says what that has: no byte more than the targets counted, and no less than they had
counted a second before (`WINDOW`). Users, limits and what was used of quotas are as before.

Where one of several workers is killed, what the dead one had swept is on the board, whether it was written or not: the
store is kept locked around each death, for longer than the window, and yet no more is missing than without.
"""

from __future__ import annotations

import contextlib
import random
import signal
import socket
import sqlite3
import threading
import time
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from .crowd import eventually
from .herd import kill, serving, workers_of
from .people import Load, Site, Stand
from .traffic import Targets

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="asks /proc which processes there are")

WINDOW: Final = 1.2
"""A sweep each second, and what it takes to write it down."""
DEATHS: Final = 6
"""Of workers of one master, who waits longer with each until he begins another one."""
EVERY: Final = 0.02
"""Seconds between two entries of how the ledger stood."""


class Ledger:
    """How the targets' sums stood, moment by moment, and how late this process was to look."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._instants: list[float] = []
        self._stands: list[Stand] = []
        self.late = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while True:
            due = time.monotonic() + EVERY
            self._instants.append(due - EVERY)
            self._stands.append(self.now())
            if self._over.wait(EVERY):
                return
            self.late = max(self.late, time.monotonic() - due)

    def now(self) -> Stand:
        return self._site.counted()

    def at(self, instant: float) -> Stand:
        """How it stood then, or when it began."""
        return self._stands[max(0, bisect_right(self._instants, instant) - 1)]

    def window_at(self, killed_at: float) -> Stand:
        """How it stood when what had passed was written for certain, on a machine as late as this one."""
        return self.at(killed_at - WINDOW - self.late)

    def __enter__(self) -> Ledger:
        """Begin, before anything passes."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def minus(one: Stand, other: Stand) -> Stand:
    return {name: (one[name][0] - other[name][0], one[name][1] - other[name][1]) for name in one}


def judge(missing: Stand, most: Stand) -> None:
    """See that nothing was counted twice, and no more is missing than passed in the window."""
    for name, (up, down) in missing.items():
        assert up >= 0 <= down, f"{name}: counted twice"
        assert up <= most[name][0], f"{name}: {up} bytes up are missing, {most[name][0]} passed in the last second"
        assert down <= most[name][1], f"{name}: {down} bytes down are missing, {most[name][1]} in the last second"


@pytest.mark.timeout(3600)
def test_a_server_that_is_killed_loses_a_second_at_most(tmp_path: Path, whole: bool) -> None:
    source = random.Random(9)  # noqa: S311 - instants, not secrets
    with Targets() as targets:
        site, trips = Site(tmp_path, targets, 1), 0
        counted = window = missing = {member.name: (0, 0) for member in site.members}
        for _ in range(300 if whole else 10):
            with site.serve() as program:
                before, missing = missing, minus(counted, site.told())
                judge(minus(missing, before), minus(counted, window))
                with Ledger(site) as ledger, Load(site, trips) as load:
                    time.sleep(source.uniform(0.1, 2.5))
                    killed_at = time.monotonic()
                    program.signal(signal.SIGKILL)
                    program.wait()
            assert "Traceback" not in program.log()
            targets.settle()
            counted, window = ledger.now(), ledger.window_at(killed_at)
            trips += load.trips
        with site.serve():
            stored = site.told()
        judge(minus(minus(counted, stored), missing), minus(counted, window))
        assert site.look() == stored
        assert trips > 100
        assert sum(map(sum, stored.values())) > 0


@pytest.mark.timeout(3600)
@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="this system serves no port by several processes")
def test_a_worker_that_is_killed_loses_only_what_it_had_not_swept(tmp_path: Path, whole: bool) -> None:
    source = random.Random(10)  # noqa: S311
    with Targets() as targets:
        site, trips = Site(tmp_path, targets, 2), 0
        most = {member.name: (0, 0) for member in site.members}
        for _ in range(50 if whole else 1):
            with site.serve() as program:
                begun = serving(program)
                with Ledger(site) as ledger, Load(site, trips) as load:
                    for number in range(DEATHS):
                        time.sleep(source.uniform(0.1, 1.5))
                        with locked(site.path, 2 * WINDOW if number % 3 == 2 else 0.0):
                            killed_at, counted = time.monotonic(), ledger.now()
                            kill(source.choice(workers_of(program)))
                            most = plus(most, minus(counted, ledger.window_at(killed_at)))
                        begun += 1
                        eventually(lambda wanted=begun: serving(program) >= wanted, "another one serves")  # type: ignore[misc]
                targets.settle()
                trips += load.trips
                program.signal(signal.SIGTERM)
                assert program.wait() == 0
                assert "Traceback" not in program.log()
            judge(minus(site.counted(), site.look()), most)
        assert trips > 10


def plus(one: Stand, other: Stand) -> Stand:
    return {name: (one[name][0] + other[name][0], one[name][1] + other[name][1]) for name in one}


@contextlib.contextmanager
def locked(path: Path, seconds: float) -> Iterator[None]:
    """Let nobody write for so long before the block, and in it."""
    if not seconds:
        yield
        return
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=5)) as lock:
        lock.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        yield
        lock.execute("ROLLBACK")
