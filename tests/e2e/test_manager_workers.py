"""A manager of several processes: each command is done by all, and no death of any undoes what was answered."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from shadesocks.config.user import UserConfig
from shadesocks.core.limits import Limits, Quota
from shadesocks.proxy.users.counts import NOTHING, Counts
from shadesocks.service.store.roll import write_user
from shadesocks.service.store.sqlite import SqliteStore
from tests.peers import HOST, PASSWORDS, Program

from .crowd import Echo, echo, eventually
from .herd import METHOD, PacketEcho, Packets, Stream, kill, lasting_port, serve, serving, sockets_of, trip, workers_of

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="asks /proc which processes there are")

WORKERS: Final = 3
PASSWORD: Final = PASSWORDS[METHOD]


@pytest.fixture
def target() -> Iterator[Echo]:
    with echo() as echoing:
        yield echoing


class Tool:
    """Somebody's program that manages, over a Unix socket."""

    def __init__(self, folder: Path) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(str(folder / "tool"))
        self._sock.settimeout(30)
        self._to = str(folder / "m")

    def send(self, text: str) -> None:
        self._sock.sendto(text.encode(), self._to)

    def hear(self) -> bytes:
        return self._sock.recv(70_000)

    def ask(self, text: str) -> bytes:
        self.send(text)
        return self.hear()

    def passed(self) -> dict[str, int]:
        return dict(json.loads(self.ask("ping").removeprefix(b"stat: ")))

    def ports(self) -> list[int]:
        return sorted(int(row["server_port"]) for row in json.loads(self.ask("list")))


def add(port: int, password: str = PASSWORD) -> str:
    return "add: " + json.dumps({"server_port": port, "password": password, "method": METHOD})


def remove(port: int) -> str:
    return f'remove: {{"server_port": {port}}}'


@contextlib.contextmanager
def managed(folder: Path, dialect: str = "libev", workers: int = WORKERS, **settings: Any) -> Iterator[Program]:
    """Run a server of several processes with a manager, all of which serve."""
    more = {"manager_listen": str(folder / "m"), "manager_dialect": dialect, **settings}
    with serve(folder, lasting_port(), workers=workers, **more) as program:
        eventually(lambda: serving(program) >= workers, "all workers serve")
        yield program


@contextlib.contextmanager
def tool(folder: Path) -> Iterator[Tool]:
    made = Tool(folder)
    try:
        yield made
    finally:
        made._sock.close()
        (folder / "tool").unlink()


def refuses(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), 5).close()
    except ConnectionError:
        return True
    return False


def kill_one(program: Program, pid: int) -> None:
    """Kill a worker, and wait until another one serves in its place."""
    count = serving(program)
    kill(pid)
    eventually(lambda: serving(program) > count, "another one serves")


def test_a_port_is_added_replaced_and_removed_at_all_of_them(tmp_path: Path, target: Echo) -> None:
    port = lasting_port()
    with managed(tmp_path) as program, tool(tmp_path) as panel, contextlib.ExitStack() as held:
        assert panel.ask(add(port)) == b"ok"
        pids = workers_of(program)
        before = {pid: sockets_of(pid) for pid in pids}
        for _ in range(40):
            stream = held.enter_context(Stream(port, target.port))
            assert stream.answered()
        assert all(sockets_of(pid) > before[pid] for pid in pids), "each has some of forty"
        with PacketEcho() as packets:
            for number in range(20):
                client = held.enter_context(Packets(port, packets.port))
                assert client.trip(b"datagram %d" % number)
        assert panel.ports() == sorted((program.port, port))
        eventually(lambda: panel.passed()[str(port)] >= 40 * 10 + 20 * 2 * 10, "all of it is counted")
        assert panel.ask(add(port)) == b"ok", "the same again"
        assert stream.lives()
        assert panel.ask(add(port, "another password, as long as it is")) == b"ok"
        with contextlib.suppress(ConnectionError):
            assert not stream.answered(), "they end, behind libev"
        assert panel.ask(add(port)) == b"ok"
        assert all(trip(port, target.port) for _ in range(10))
        assert panel.ask(remove(port)) == b"ok"
        assert all(refuses(port) for _ in range(10)), "it is gone when that is answered"
        assert panel.ask(add(port)) == b"ok", "at once"
        assert all(trip(port, target.port) for _ in range(10))
        assert program.log().count("was added") == 2, "one of them says it"
        program.signal(signal.SIGTERM)
        assert program.wait() == 0
        assert not (tmp_path / "m").exists(), "the socket is gone"
        assert "error" not in program.log()


def test_each_of_them_may_die_and_nothing_is_undone(tmp_path: Path, target: Echo) -> None:
    port, gone = lasting_port(), lasting_port()
    with managed(tmp_path, "rust") as program, tool(tmp_path) as panel:
        assert panel.ask(add(port)) == panel.ask(add(gone)) == b"ok\n"
        assert panel.ask(remove(gone)) == panel.ask(remove(program.port)) == b"ok\n"
        passed = 0
        for pid in workers_of(program):
            for _ in range(12):
                assert trip(port, target.port)
            eventually(lambda: panel.passed()[str(port)] >= passed + 120, "what passed is counted")  # noqa: B023
            passed = panel.passed()[str(port)]
            kill_one(program, pid)
            assert panel.passed()[str(port)] >= passed
            assert panel.ports() == [port]
            assert all(trip(port, target.port) for _ in range(12))
            assert refuses(gone), "also where the config names it"
            assert refuses(program.port), "also where the config names it"
        program.signal(signal.SIGHUP)
        eventually(lambda: "the config was read again" in program.log(), "the config is read")
        eventually(lambda: panel.ports() == sorted((program.port, port)), "what it names is there")
        assert all(trip(program.port, target.port) and trip(port, target.port) for _ in range(6))


def test_two_hundred_ports_in_one_go(tmp_path: Path, target: Echo) -> None:
    ports = [lasting_port() for _ in range(200)]
    ports = sorted({*ports})
    with managed(tmp_path) as program, tool(tmp_path) as panel:
        began = time.monotonic()
        for port in ports:
            panel.send(add(port))
        assert [panel.hear() for _ in ports] == [b"ok"] * len(ports)
        took = time.monotonic() - began
        assert took < 20, "a few goes, not two hundred"
        assert panel.ports() == sorted((*ports, program.port))
        assert all(trip(port, target.port) for port in ports)
        kill_one(program, workers_of(program)[0])
        assert all(trip(port, target.port) for port in ports[::10] for _ in range(3))
        for port in ports:
            panel.send(remove(port))
        assert [panel.hear() for _ in ports] == [b"ok"] * len(ports)
        assert all(refuses(port) for port in ports)
        assert panel.ports() == [program.port]


@pytest.mark.parametrize(
    ("dialect", "answer"), [("libev", b"port is not available"), ("go", b"err"), ("rust", b"cannot listen on ")]
)
def test_a_port_that_cannot_be_had_is_refused_by_all(dialect: str, answer: bytes, tmp_path: Path, target: Echo) -> None:
    with managed(tmp_path, dialect, 2) as program, tool(tmp_path) as panel, socket.socket() as other:
        taken = lasting_port()
        other.bind((HOST, taken))
        other.listen()
        assert panel.ask(add(taken)).startswith(answer)
        assert panel.ports() == [program.port]
        other.close()
        assert panel.ask(add(taken)).strip() == b"ok"
        assert all(trip(taken, target.port) for _ in range(6))


def test_who_is_told_is_told_after_the_manager_died(tmp_path: Path, target: Echo) -> None:
    port = lasting_port()
    with managed(tmp_path, "go", 2) as program, tool(tmp_path) as panel:
        assert panel.ask(add(port)) == b"ok"
        assert panel.ask("ping") == b"pong"
        kill_one(program, workers_of(program)[0])
        assert trip(port, target.port)
        said = panel.hear()
        assert said.startswith(b"stat: "), "within ten seconds, unasked"
        assert json.loads(said[6:])[str(port)] >= 0


def test_what_was_answered_is_kept_though_the_manager_dies_at_once(tmp_path: Path, target: Echo) -> None:
    kept, ports = tmp_path / "ports.json", [lasting_port() for _ in range(3)]

    def written() -> list[int]:
        with contextlib.suppress(OSError):
            return [entry["server_port"] for entry in json.loads(kept.read_text())["ports"]]
        return []

    with managed(tmp_path, "rust", 2, manager_keep=str(kept)) as program, tool(tmp_path) as panel:
        first = workers_of(program)[0]
        assert [panel.ask(add(port)) for port in ports] == [b"ok\n"] * 3
        assert panel.ask(remove(ports[0])) == b"ok\n"
        kill_one(program, first)
        eventually(lambda: written() == ports[1:], "it is written by the next one")
    (tmp_path / "again").mkdir()
    with managed(tmp_path, "rust", 2, manager_keep=str(kept)) as program, tool(tmp_path) as panel:
        assert panel.ports() == sorted((program.port, *ports[1:]))
        assert all(trip(port, target.port) for port in ports[1:] for _ in range(5))
        assert "2 ports were kept, and added again" in program.log()


def test_one_that_hangs_is_waited_for_until_it_is_killed(tmp_path: Path, target: Echo) -> None:
    port = lasting_port()
    with managed(tmp_path, worker_hang_timeout=1) as program, tool(tmp_path) as panel:
        os.kill(workers_of(program)[1], signal.SIGSTOP)
        assert panel.ask(add(port)) == b"ok"
        assert "it is killed" in program.log()
        eventually(lambda: serving(program) > WORKERS, "another one serves")
        assert all(trip(port, target.port) for _ in range(12))


def test_one_that_ends_by_itself_is_not_waited_for(tmp_path: Path, target: Echo) -> None:
    """It listens no more, and its connections may go on for hours."""
    port, other = lasting_port(), lasting_port()
    with managed(tmp_path) as program, tool(tmp_path) as panel, contextlib.ExitStack() as held:
        assert panel.ask(add(port)) == b"ok"
        streams = [held.enter_context(Stream(port, target.port)) for _ in range(20)]
        assert all(stream.answered() for stream in streams)
        os.kill(workers_of(program)[1], signal.SIGQUIT)
        assert panel.ask(add(other)) == b"ok"
        assert panel.ask(remove(other)) == panel.ask(add(other)) == b"ok"
        assert all(stream.lives() for stream in streams), "though nobody was cut"
        held.close()
        eventually(lambda: serving(program) > WORKERS, "another one serves")
        assert all(trip(other, target.port) for _ in range(12))


def test_one_that_leaves_hands_the_manager_on(tmp_path: Path, target: Echo) -> None:
    port = lasting_port()
    with managed(tmp_path, "rust", 2, worker_memory_limit=1, worker_hang_timeout=3) as program, tool(tmp_path) as panel:
        eventually(lambda: serving(program) >= 4, "each has a follower")
        panel._sock.settimeout(2)
        for _ in range(10):
            with contextlib.suppress(TimeoutError):
                assert panel.ask(add(port)) == b"ok\n"
                break
        assert trip(port, target.port)
        assert "Traceback" not in program.log()


def counts(path: Path, port: int) -> Counts:
    """What a store has of whoever is called by the number of a port."""
    store = SqliteStore(str(path))
    store.open()
    try:
        return next((each.counts for each in store.users() if each.name == str(port)), NOTHING)
    finally:
        store.close()


def test_what_passed_is_in_the_store_whichever_of_them_dies(tmp_path: Path, target: Echo) -> None:
    port, path = lasting_port(), tmp_path / "users.db"
    with managed(tmp_path, "rust", store=str(path)) as program, tool(tmp_path) as panel:
        assert panel.ask(add(port)) == b"ok\n"
        assert all(trip(port, target.port) for _ in range(30))
        eventually(lambda: counts(path, port)[:2] == (150, 150), "all of it is written")
        for pid in workers_of(program):
            kill_one(program, pid)
        assert all(trip(port, target.port) for _ in range(10))
        assert panel.ask(remove(port)) == panel.ask(add(port)) == b"ok\n"
        assert panel.passed()[str(port)] == 0, "told since it was added"
        program.signal(signal.SIGTERM)
        assert program.wait() == 0
    assert counts(path, port)[:2] == (200, 200)


def test_a_user_of_the_store_limits_a_port_at_all_of_them(tmp_path: Path, target: Echo) -> None:
    port, path = lasting_port(), tmp_path / "users.db"

    def limit(size: int) -> None:
        store = SqliteStore(str(path))
        store.open()
        write_user(store, UserConfig(str(port), (), Limits(quota=Quota(size))))
        store.close()

    def serves() -> bool:
        with Stream(port, target.port) as stream:
            stream.sock.settimeout(0.3)
            with contextlib.suppress(TimeoutError, ConnectionError):
                return stream.answered()
        return False

    limit(1 << 30)
    with managed(tmp_path, "rust", store=str(path)) as program, tool(tmp_path) as panel:
        assert panel.ask(add(port)) == b"ok\n"
        assert all(serves() for _ in range(12))
        limit(100)
        program.signal(signal.SIGHUP)
        eventually(lambda: not any(serves() for _ in range(6)), "nobody is let in anywhere")
        kill_one(program, workers_of(program)[0])
        assert not any(serves() for _ in range(6)), "nor by the next one"
        limit(1 << 30)
        program.signal(signal.SIGHUP)
        eventually(lambda: all(serves() for _ in range(6)), "everybody is")


def test_t25_whatever_was_answered_holds_while_workers_die(tmp_path: Path, target: Echo, whole: bool) -> None:
    """Commands one after the other, and a kill now and then: what was answered is so, at every worker."""
    dice = random.Random(7)  # noqa: S311 - the same in every run
    ports = [lasting_port() for _ in range(6)]
    there: dict[int, bool | None] = dict.fromkeys(ports, False)
    last: dict[str, int] = {}
    with managed(tmp_path, "rust") as program, tool(tmp_path) as panel:
        panel._sock.settimeout(2)
        for step in range(400 if whole else 60):
            port = dice.choice(ports)
            wanted = dice.random() < 0.6
            if step % 10 == 5:
                with contextlib.suppress(IndexError):
                    kill(dice.choice(workers_of(program)))
            there[port] = None
            try:
                assert panel.ask(add(port) if wanted else remove(port)) == b"ok\n"
                there[port] = wanted
            except TimeoutError:
                continue  # it was lost with a worker
            if step % 10 == 0:
                with contextlib.suppress(TimeoutError):
                    passed = panel.passed()
                    assert all(
                        size >= last.get(number, 0) for number, size in passed.items() if number == str(program.port)
                    )
                    last = passed
            if there[port]:
                with contextlib.suppress(ConnectionResetError):  # of the one that was killed
                    assert trip(port, target.port)
        eventually(lambda: len(workers_of(program)) == WORKERS, "all are there")
        time.sleep(1)
        open_now = panel.ports()
        for port, is_there in there.items():
            if is_there is not None:
                assert (port in open_now) == is_there
                assert all(trip(port, target.port) for _ in range(10)) if is_there else refuses(port)
        assert "Traceback" not in program.log()
