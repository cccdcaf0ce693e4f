"""Reloads under load: connections live on, and nobody who connects meanwhile is refused or cut off.

Each reload adds a port or takes one away, changes a password, a time-out of one server, or one of all of them (whose
ports are then made anew, on the same sockets); every fifth finds a file with a mistake. They are asked for by signal
and by the control socket in turn.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from shadesocks.cli.running import Running, find
from tests.interop.streams import HOST
from tests.peers import PASSWORDS, PEERS, Program, start

from .crowd import Echo, echo, eventually
from .herd import METHOD, Stream, lasting_port, trip

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no control sockets")


@pytest.fixture
def target() -> Iterator[Echo]:
    with echo() as echoing:
        yield echoing


class Site:
    """A server whose config changes."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.file = folder / "c.json"
        self.control = folder / "run"
        self.control.mkdir()
        self.workers = workers
        self.steady, self.changing, self.rotating, self.passing = (lasting_port() for _ in range(4))
        self.reloads = 0
        self.write()

    def server(self, port: int, **more: Any) -> dict[str, Any]:
        return {"server": HOST, "server_port": port, "method": METHOD, "password": PASSWORDS[METHOD], **more}

    def write(self) -> None:
        """Write what is to be read next."""
        number = self.reloads
        if number % 5 == 4:
            self.file.write_text('{"servers": [')
            return
        servers = [
            self.server(self.steady),
            self.server(self.changing, dial_timeout=5 + number % 3),
            self.server(self.rotating, password=PASSWORDS[METHOD] if number % 2 == 0 else "another password"),
            *([self.server(self.passing)] if number % 2 else []),
        ]
        config = {
            "servers": servers,
            "allow_private": True,
            "workers": self.workers,
            "control": f"{self.control}/",
            "udp_timeout": 300 + number // 4,
        }
        self.file.write_text(json.dumps(config))

    def services(self) -> list[Running]:
        return find(str(self.control)).services

    def ready(self) -> bool:
        services = self.services()
        for service in services:
            service.close()
        return len(services) == self.workers

    def reload(self, program: Program) -> None:
        """Change the file, have it read, and see that it was."""
        self.reloads += 1
        self.write()
        bad = self.reloads % 5 == 4
        if self.reloads % 3:
            told = program.log().count("the config was read again" if not bad else "the config has mistakes")
            program.signal((signal.SIGHUP, signal.SIGUSR1)[self.reloads % 3 - 1])
            words = "the config was read again" if not bad else "the config has mistakes"
            eventually(lambda: program.log().count(words) > told, f"reload {self.reloads}")
            return
        services = self.services()
        try:
            services[0].sock.settimeout(60)
            answer = services[0].ask("reload")
        finally:
            for service in services:
                service.close()
        assert answer["applied"] is not bad, answer
        assert bool(answer["problems"]) is bad, answer


class Visits:
    """So many visits a second, each from a thread of a pool, and what became of them."""

    def __init__(self, visits: Sequence[Callable[[], None]], rate: float) -> None:
        """Begin; what is visited in turn raises what goes wrong."""
        self._visits, self._rate = visits, rate
        self._over = threading.Event()
        self.count = 0
        self.failures: list[str] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with ThreadPoolExecutor(8) as pool:
            while not self._over.wait(1 / self._rate):
                self.count += 1
                pool.submit(self._visit, self._visits[self.count % len(self._visits)])
            pool.shutdown(cancel_futures=True)  # on a busy machine some wait for a thread

    def _visit(self, visit: Callable[[], None]) -> None:
        try:
            visit()
        except (OSError, EOFError) as error:
            self.failures.append(repr(error))

    def stop(self) -> None:
        self._over.set()
        self._thread.join()


def visit(port: int, bare: int, target: int) -> None:
    """Have an answer through one port, and connect to another."""
    if not trip(port, target):
        raise EOFError(f"{port}: ended without an answer")
    with socket.create_connection((HOST, bare), 20):
        pass


@pytest.mark.parametrize("workers", [1, 2])
def test_no_connection_is_dropped_and_none_refused(workers: int, tmp_path: Path, target: Echo, whole: bool) -> None:
    if workers > 1 and not hasattr(socket, "SO_REUSEPORT"):
        pytest.skip("this system serves no port by several processes")
    live, rate, reloads = (1000, 200.0, 100) if whole else (100, 20.0, 10)
    allow_descriptors(4 * live)
    site = Site(tmp_path, workers)
    command = (*PEERS["ours"].server, "-c", str(site.file))
    with start(command, site.steady, tmp_path) as program, contextlib.ExitStack() as held:
        eventually(site.ready, "its control sockets are there")
        ports = site.steady, site.changing, site.rotating
        streams = [held.enter_context(Stream(ports[count % 3], target.port)) for count in range(live)]
        assert all(stream.answered() for stream in streams)
        ways = [partial(visit, port, site.rotating, target.port) for port in (site.steady, site.changing)]
        visits = Visits(ways, rate)
        try:
            for _ in range(reloads):
                site.reload(program)
                seen, until = visits.count, time.monotonic() + 20
                while visits.count < seen + 3 and time.monotonic() < until:
                    time.sleep(0.01)
        finally:
            visits.stop()
        assert visits.failures == []
        assert visits.count >= 3 * reloads
        assert all(stream.lives() for stream in streams)
        services = site.services()
        try:
            assert sum(service.ask("status")["stages"]["relaying"] for service in services) == live
        finally:
            for service in services:
                service.close()
        assert program.alive


def allow_descriptors(count: int) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))
