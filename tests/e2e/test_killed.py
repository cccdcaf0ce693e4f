"""kill -9 under load: the store opens, nothing counts twice, and what is missing passed within the last second.

Targets keep a ledger of their own (`traffic.py`), and how it stood at each moment. After each death the server starts
again on the same store, and says what that has: no byte more than the targets counted, and no less than they had
counted a second before (`WINDOW`). Users, limits and what was used of quotas are as before.

Where one of several workers is killed, what the dead one had swept is on the board, whether it was written or not: the
store is kept locked around each death, for longer than the window, and yet no more is missing than without.
"""

from __future__ import annotations

import contextlib
import json
import random
import signal
import socket
import sqlite3
import threading
import time
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.exceptions import InvalidTag

from shadesocks.cli.running import find
from shadesocks.config.user import parse_user
from shadesocks.service.store.roll import write_user
from shadesocks.service.store.sqlite import SqliteStore
from tests.interop.streams import HOST
from tests.peers import PASSWORDS, PEERS, Program, start

from .crowd import eventually
from .herd import kill, lasting_port, serving, workers_of
from .traffic import SURE_SIZES, Client, Member, Sums, Targets, key_of

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="asks /proc which processes there are")

METHOD: Final = "2022-blake3-aes-128-gcm"
USERS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"quota": "1T", "note": "third floor"},
    {"quota": {"size": 1 << 40, "window": "month", "day": 3}, "connections": 100},
    {"quota": {"size": 1 << 40, "window": "days"}, "expires": "2099-01-31", "sessions": 50},
    {"up_speed": "1G", "down_speed": "1G"},
    {},
)
"""The limits of each: none that hinders."""
OF_FILE: Final = 2
"""So many of them stand in the file, the others in the store."""
WINDOW: Final = 1.2
"""A sweep each second, and what it takes to write it down."""
EVERY: Final = 0.02
"""Seconds between two entries of how the ledger stood."""


class Site:
    """A server with users that are kept, and the load on it."""

    def __init__(self, folder: Path, targets: Targets, workers: int) -> None:
        self.folder, self.targets, self.workers = folder, targets, workers
        self.path, self.control, self.file = folder / "users.db", folder / "run", folder / "c.json"
        self.control.mkdir()
        self.port = lasting_port()
        server, names = PASSWORDS[METHOD], [f"u{number}" for number in range(len(USERS))]
        self.members = [
            Member(number, name, METHOD, self.port, key_of(name, METHOD), server) for number, name in enumerate(names)
        ]
        entries = [
            {"name": member.name, "password": member.password, **USERS[member.number]} for member in self.members
        ]
        self.file.write_text(
            json.dumps(
                {
                    "servers": [
                        {
                            "server": HOST,
                            "server_port": self.port,
                            "method": METHOD,
                            "password": server,
                            "mode": "tcp_and_udp",
                            "users": entries[:OF_FILE],
                        }
                    ],
                    "allow_private": True,
                    "store": str(self.path),
                    "workers": workers,
                    "control": f"{self.control}/",
                    "handshake_timeout": 2,
                }
            )
        )
        store = SqliteStore(self.path)
        store.open()
        for entry in entries[OF_FILE:]:
            write_user(store, parse_user(entry["name"], {**entry, "port": self.port}))
        self.definitions = {user.name: user.definition for user in store.users()}
        store.close()

    @contextlib.contextmanager
    def serve(self) -> Iterator[Program]:
        command = (*PEERS["ours"].server, "-c", str(self.file))
        with start(command, self.port, self.folder, udp=True) as program:
            eventually(lambda: len(self.ask()) == self.workers, "its control sockets are there")
            yield program

    def ask(self) -> list[dict[str, dict[str, Any]]]:
        """Return what each process tells of the users, by name."""
        services = find(str(self.control)).services
        try:
            return [{row["name"]: row for row in service.ask("users")["users"]} for service in services]
        finally:
            for service in services:
                service.close()

    def stored(self) -> dict[str, tuple[int, int]]:
        """Return what a server says that the store has, while nothing passes; see that nothing else was lost."""
        rows = self.ask()[0]
        assert list(rows) == [member.name for member in self.members]
        for member in self.members:
            row, limits = rows[member.name], USERS[member.number]
            assert row["refused"] is None
            assert row["note"] == limits.get("note", "")
            if "quota" in limits:
                assert row["quota"] == 1 << 40
                assert row["used"] == row["up"] + row["down"]
        return {name: (row["up"], row["down"]) for name, row in rows.items()}

    def look(self) -> dict[str, tuple[int, int]]:
        """Return what the store has, from its file."""
        store = SqliteStore(self.path)
        store.open()
        users = store.users()
        store.close()
        assert not store.notes
        assert {user.name: user.definition for user in users if user.definition} == {
            name: text for name, text in self.definitions.items() if text
        }
        assert [path.name for path in self.folder.glob("users.db.corrupt*")] == []
        return {user.name: (user.counts.up, user.counts.down) for user in users}


Stand = dict[str, tuple[int, int]]


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
        return {member.name: self._site.targets.sums.of(member.number) for member in self._site.members}

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


class Load:
    """A client for each user, who goes on whatever becomes of the server."""

    def __init__(self, site: Site, seed: int) -> None:
        self._over = threading.Event()
        self._clients = [
            Client(member, site.targets, random.Random(f"{seed} {member.number}"), Sums(), SURE_SIZES, 0.5)  # noqa: S311
            for member in site.members
        ]
        self._threads = [threading.Thread(target=self._live, args=(client,)) for client in self._clients]
        self.trips = 0

    def _live(self, client: Client) -> None:
        while not self._over.is_set():
            try:
                client.live(1, is_clean=False)
                self.trips += 1
            except (OSError, EOFError, InvalidTag):
                self._over.wait(0.01)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


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
                before, missing = missing, minus(counted, site.stored())
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
            stored = site.stored()
        judge(minus(minus(counted, stored), missing), minus(counted, window))
        assert site.look() == stored
        assert trips > 100
        assert sum(map(sum, stored.values())) > 0


@pytest.mark.timeout(3600)
@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="this system serves no port by several processes")
def test_a_worker_that_is_killed_loses_only_what_it_had_not_swept(tmp_path: Path, whole: bool) -> None:
    source = random.Random(10)  # noqa: S311
    with Targets() as targets:
        site = Site(tmp_path, targets, 2)
        most = {member.name: (0, 0) for member in site.members}
        with site.serve() as program:
            with Ledger(site) as ledger, Load(site, 0) as load:
                for number in range(300 if whole else 6):
                    time.sleep(source.uniform(0.1, 1.5))
                    with locked(site.path, 2 * WINDOW if number % 3 == 2 else 0.0):
                        killed_at = time.monotonic()
                        counted = ledger.now()
                        killed = source.choice(workers_of(program))
                        kill(killed)
                        most = plus(most, minus(counted, ledger.window_at(killed_at)))
                    eventually(lambda so_far=number: serving(program) >= so_far + 3, "another one serves")  # type: ignore[misc]
            targets.settle()
            assert load.trips > 10
            program.signal(signal.SIGTERM)
            assert program.wait() == 0
            assert "Traceback" not in program.log()
        judge(minus(ledger.now(), site.look()), most)


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
