"""One user at a port that several processes serve: limits are those of all of them together, and no byte is lost when
they are killed."""

from __future__ import annotations

import base64
import contextlib
import json
import select
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from shadesocks.service.store.sqlite import SqliteStore
from tests.interop.streams import pack_address
from tests.peers import HOST, PASSWORDS, PEERS, Program, start
from tests.probes.craft import IdentityCrafter

from .crowd import Echo, echo, eventually
from .herd import LIMIT, kill, lasting_port, serving, workers_of

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="asks /proc which processes there are")

METHOD: Final = "2022-blake3-aes-128-gcm"
KEY: Final = base64.b64encode(b"the key of anna.").decode()
WORKERS: Final = 3
SILENCE: Final = 1.0
"""Seconds after which nobody will be answered who was not."""
SWEEPS: Final = 2.5
"""Seconds in which each process has told what passed, on a busy machine."""
HELLO: Final = 2 * len(b"hello")
"""Payload of a connection that was answered: there and back."""


@pytest.fixture
def target() -> Iterator[Echo]:
    with echo() as echoing:
        yield echoing


@contextlib.contextmanager
def herd(folder: Path, **limits: Any) -> Iterator[Program]:
    port, config = lasting_port(), folder / "config.json"
    server: dict[str, Any] = {"server": HOST, "server_port": port, "method": METHOD, "password": PASSWORDS[METHOD]}
    server["users"] = [{"name": "anna", "password": KEY, **limits}]
    settings = {"servers": [server], "store": str(folder / "users.db"), "workers": WORKERS, "allow_private": True}
    config.write_text(json.dumps(settings))
    with start((*PEERS["ours"].server, "-c", str(config)), port, folder) as program:
        eventually(lambda: serving(program) >= WORKERS, "all workers serve")
        yield program


@contextlib.contextmanager
def visit(program: Program, target: Echo) -> Iterator[socket.socket]:
    """A connection of anna's, which says hello to a target that echoes."""
    with socket.create_connection((HOST, program.port), LIMIT) as sock:
        sock.sendall(IdentityCrafter(METHOD, PASSWORDS[METHOD], KEY).good(pack_address(HOST, target.port), b"hello"))
        yield sock


def answered(socks: list[socket.socket], limit: float = SILENCE) -> list[socket.socket]:
    """Return those that have an answer before it is over."""
    waiting, found = list(socks), []
    until = time.monotonic() + limit
    while waiting and (left := until - time.monotonic()) > 0:
        ready, _, _ = select.select(waiting, (), (), left)
        for sock in ready:
            waiting.remove(sock)
            with contextlib.suppress(ConnectionError):
                if sock.recv(4096):
                    found.append(sock)
    return found


def stored(folder: Path) -> int:
    """Return the payload bytes that the store has."""
    store = SqliteStore(folder / "users.db")
    store.open()
    found = {user.name: user.counts.payload for user in store.users()}
    store.close()
    return found.get("anna", 0)


def test_connections_are_limited_over_all_processes(tmp_path: Path, target: Echo) -> None:
    with herd(tmp_path, connections=5) as program, contextlib.ExitStack() as held:
        here = []
        for _ in range(5):  # one after the other: of two that come at once to the last place perhaps none is let in
            here += answered([held.enter_context(visit(program, target))], LIMIT)
        assert len(here) == 5
        assert not answered([held.enter_context(visit(program, target)) for _ in range(12)])
        for sock in here:
            sock.close()
        eventually(lambda: bool(answered([held.enter_context(visit(program, target))])), "there is room again")


def test_a_quota_is_one_for_all_processes(tmp_path: Path, target: Echo) -> None:
    with herd(tmp_path, quota=40 * HELLO) as program, contextlib.ExitStack() as held:
        count = 0
        for _ in range(5):
            streams = [held.enter_context(visit(program, target)) for _ in range(10)]
            count += len(answered(streams))
            time.sleep(SWEEPS)
        assert 40 <= count <= 50, "some ten more between two sweeps"
        assert not answered([held.enter_context(visit(program, target)) for _ in range(WORKERS * 3)])


def test_what_processes_told_and_could_not_write_before_they_were_killed_is_written(
    tmp_path: Path, target: Echo
) -> None:
    with herd(tmp_path) as program, contextlib.ExitStack() as held:
        time.sleep(SWEEPS)  # they are done with their start
        lock = sqlite3.connect(tmp_path / "users.db", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        streams = [held.enter_context(visit(program, target)) for _ in range(20)]
        assert len(answered(streams, LIMIT)) == len(streams)
        time.sleep(SWEEPS)
        for pid in workers_of(program):
            kill(pid)
        lock.execute("ROLLBACK")
        lock.close()
        eventually(lambda: serving(program) >= 2 * WORKERS, "others take their places")
        eventually(lambda: stored(tmp_path) == 20 * HELLO, "they write what those before them could not")
        time.sleep(SWEEPS)
        assert stored(tmp_path) == 20 * HELLO
        assert "counted and not written" in program.log()


def test_killed_at_any_moment_they_write_nothing_twice(tmp_path: Path, target: Echo) -> None:
    with herd(tmp_path) as program:
        count = 0
        for number in range(30):
            with contextlib.suppress(ConnectionError), visit(program, target) as stream:
                count += len(answered([stream], 5))
            if number % 5 == 4:
                time.sleep(SWEEPS / 2)
                kill(workers_of(program)[number % WORKERS])
                eventually(lambda so_far=number: serving(program) >= WORKERS + so_far // 5 + 1, "another one serves")  # type: ignore[misc]
        time.sleep(SWEEPS)
        assert stored(tmp_path) <= count * HELLO
        assert stored(tmp_path) >= (count - 6) * HELLO, "what passed in the second before a death, at most"
