"""Five servers behind one client, under load: killed, made slow, silenced and revived. No program notices."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final

import pytest

from shadesocks.proxy.balance.policies import POLICIES
from tests.peers import HOST, PASSWORDS, PEERS, Program, free_port, start

from .crowd import Echo, back_to, echo
from .herd import METHOD, serve
from .stream_of_visits import Visit, Visits, visits

SERVERS: Final = 5
RATE: Final = 200
"""Connections a second."""
DIAL_TIMEOUT: Final = 1.0
BUSY: Final = 0.3
"""Seconds that a visit takes on a machine that has too much to do for its times to tell anything."""
SLACK: Final = 5.0
"""Seconds that this machine may be busy with something else."""


class Five:
    """The servers, by number. What the client is to survive is done to them here."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.ports = [free_port() for _ in range(SERVERS)]
        self._stacks = [contextlib.ExitStack() for _ in range(SERVERS)]
        self._programs: dict[int, Program] = {}
        self._silences: dict[int, contextlib.ExitStack] = {}
        self.deaths: list[tuple[float, float]] = []
        """Between when and when a server died."""

    def __enter__(self) -> Five:
        threads = [threading.Thread(target=self.revive, args=(number,)) for number in range(SERVERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(self._programs) == SERVERS
        return self

    def __exit__(self, *_: object) -> None:
        for stack in (*self._silences.values(), *self._stacks):
            stack.close()

    def revive(self, number: int) -> None:
        """Let it serve again on its port."""
        if number in self._silences:
            self._silences.pop(number).close()
        self._programs[number] = self._stacks[number].enter_context(serve(self._folder, self.ports[number]))

    def kill(self, number: int) -> None:
        """End it at once; its port refuses from now on, and what it carried dies."""
        program = self._programs.pop(number)
        began_at = time.monotonic()
        program.signal(signal.SIGKILL)
        program.wait()
        self.deaths.append((began_at, time.monotonic()))
        self._stacks[number].close()

    def silence(self, number: int) -> float:
        """End it, and let nobody answer on its port, not even with a refusal; return since when."""
        self.kill(number)
        stack = self._silences[number] = contextlib.ExitStack()
        stack.enter_context(silent(self.ports[number]))
        return time.monotonic()

    def slow(self, number: int, seconds: float) -> None:
        """Let it work a tenth of the time for a while."""
        program, until = self._programs[number], time.monotonic() + seconds
        while time.monotonic() < until:
            program.signal(signal.SIGSTOP)
            time.sleep(0.18)
            program.signal(signal.SIGCONT)
            time.sleep(0.02)

    @contextlib.contextmanager
    def hung(self, *numbers: int) -> Iterator[None]:
        """Let some do nothing for a while: their kernel takes connections for them, and nobody serves those."""
        programs = [self._programs[number] for number in numbers]
        for program in programs:
            program.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for program in programs:
                program.signal(signal.SIGCONT)

    def cut(self, visit: Visit) -> bool:
        """True for a visit that was under way when a server died: nobody can save what a dead process carried."""
        return any(visit.began_at <= died and visit.ended_at >= began_at for began_at, died in self.deaths)


@contextlib.contextmanager
def silent(port: int) -> Iterator[None]:
    """A port whose queue is full: a connect waits there, and no more."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(0)
        for _ in range(4):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.connect((HOST, port))
        yield


@contextlib.contextmanager
def client(folder: Path, five: Five, page: int, last: float = 1.0, **balancer: object) -> Iterator[Program]:
    """A client of all of them; `last` is the weight of the last one."""
    port = free_port()
    servers: list[dict[str, object]] = [
        {"server": HOST, "server_port": number, "method": METHOD, "password": PASSWORDS[METHOD], "remarks": f"{index}"}
        for index, number in enumerate(five.ports)
    ]
    servers[-1]["tcp_weight"] = last
    probes = {"check_interval": 0.5, "max_server_rtt": 1, "probe_url": f"http://{HOST}:{page}/"}
    config = {
        "servers": servers,
        "local_address": HOST,
        "local_port": port,
        "dial_timeout": DIAL_TIMEOUT,
        "balancer": {**probes, **balancer},
    }
    path = folder / "client.json"
    path.write_text(json.dumps(config))
    with start((*PEERS["ours"].local, "-c", str(path)), port, folder, title="client") as program:
        yield program


class Page:
    """What probes ask for."""

    def __init__(self) -> None:
        self._listener = socket.create_server((HOST, 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name="page")
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with sock, contextlib.suppress(OSError):
                sock.settimeout(5)
                sock.recv(4096)
                sock.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@pytest.fixture
def page() -> Iterator[Page]:
    there = Page()
    yield there
    there.close()


@pytest.fixture
def target() -> Iterator[Echo]:
    with echo() as there:
        yield there


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every policy with --whole, else the default one: each takes half a minute of a busy machine."""
    if "policy" in metafunc.fixturenames:
        whole = metafunc.config.getoption("--whole")
        metafunc.parametrize("policy", POLICIES if whole else ("score",))


def judge(five: Five, stream: Visits, silences: list[tuple[float, float]]) -> None:
    """Nobody but who was cut off noticed anything, and a silent server was left within one dial time-out."""
    failed = [visit for visit in stream.all if visit.failure and not five.cut(visit)]
    cut = [visit for visit in stream.all if visit.failure and five.cut(visit)]
    assert not failed, [(round(visit.began_at - stream.all[0].began_at, 2), visit.failure) for visit in failed[:10]]
    assert len(cut) <= RATE * len(five.deaths), "of each death less than a second's connections"
    if median(visit.took for visit in stream.all) < BUSY:
        assert max(visit.took for visit in stream.all) < DIAL_TIMEOUT * 2 + SLACK
    for began_at, ended_at in silences:
        before = [visit.took for visit in stream.all if began_at - DIAL_TIMEOUT < visit.began_at < began_at - 0.2]
        later = [visit for visit in stream.all if began_at + DIAL_TIMEOUT + 0.2 < visit.began_at < ended_at]
        waited = [visit for visit in later if visit.took >= DIAL_TIMEOUT]
        if before and median(before) > BUSY:
            continue  # everybody waits for the processor
        assert len(waited) <= len(later) / 8, f"{len(waited)} of {len(later)} still waited for the silent one"


def test_no_program_notices_while_one_server_is_alive(
    tmp_path: Path, page: Page, target: Echo, policy: str, whole: bool
) -> None:
    pause = 2.0 if whole else 0.4
    silences = []
    with Five(tmp_path) as five, client(tmp_path, five, page.port, policy=policy) as near:
        descriptors = near.descriptors()
        with visits(near.address, target.port, RATE) as stream:
            time.sleep(pause)
            five.kill(0)
            time.sleep(pause)
            for number in (1, 2):
                silenced_at = five.silence(number)
                time.sleep(DIAL_TIMEOUT + 2 * pause)
                silences.append((silenced_at, time.monotonic()))
                five.revive(number)
            five.slow(3, 2 * pause)
            five.kill(4)
            five.revive(0)
            time.sleep(pause)
            for number in (1, 2, 3):
                five.kill(number)
            time.sleep(pause)
        assert near.alive
        back_to(near, descriptors + SERVERS)  # probes are under way now and then
        assert "internal error" not in near.log()
        assert f"http://{HOST}" not in near.log()
    assert len(stream.all) > RATE * pause
    judge(five, stream, silences)


FOUND_OUT: Final = 3.0
"""Seconds in which servers that hang are found out: a probe is due within 0.6 s, and may take 1 s; so for the next."""


def test_servers_that_hang_are_left_by_all_that_comes_later(tmp_path: Path, page: Page, target: Echo) -> None:
    """No dial fails there. What was asked of them waits for them: it is not asked again through another."""
    with (
        Five(tmp_path) as five,
        client(tmp_path, five, page.port, last=0.1, policy="score") as near,
        visits(near.address, target.port, 20) as stream,
    ):
        time.sleep(1.0)
        with five.hung(0, 1, 2, 3):
            hung_at = time.monotonic()
            time.sleep(FOUND_OUT + 2.0)
            over_at = time.monotonic()
    assert [visit.failure for visit in stream.all if visit.failure] == []
    before = [visit.took for visit in stream.all if visit.began_at < hung_at - 0.2]
    later = [visit for visit in stream.all if hung_at + FOUND_OUT < visit.began_at < over_at]
    assert any(visit.ended_at > over_at for visit in stream.all if visit.began_at < hung_at + FOUND_OUT), "some waited"
    if median(before) < BUSY:
        assert later
        assert sum(visit.took >= DIAL_TIMEOUT for visit in later) <= len(later) / 8
