"""What a supervisor is told: every message, on a socket of the test's own; then a whole program under it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from shadesocks.core.address import Address
from shadesocks.process.notify import Notifier, listening, notifier
from tests.peers import free_port

from ..cli.programs import running

LIMIT = 20.0
"""Seconds after which a supervisor that hears nothing has failed."""


class Supervisor:
    """A datagram socket, as systemd has one."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind("\0" + address[1:] if address.startswith("@") else address)
        self.sock.settimeout(LIMIT)

    def next(self) -> dict[str, str]:
        """Wait for the next message that is no ping."""
        while (said := self.hear()) == {"WATCHDOG": "1"}:
            pass
        return said

    def hear(self) -> dict[str, str]:
        """Wait for the next message."""
        return dict(line.split("=", 1) for line in self.sock.recv(4096).decode().splitlines())

    def is_quiet(self) -> bool:
        """True where no message waits."""
        self.sock.setblocking(False)
        try:
            self.sock.recv(1)
        except BlockingIOError:
            return True
        finally:
            self.sock.settimeout(LIMIT)
        return False


@contextmanager
def supervising(address: str) -> Iterator[Supervisor]:
    supervisor = Supervisor(address)
    with supervisor.sock:
        yield supervisor


@pytest.fixture(params=["path", "abstract"])
def supervisor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Supervisor]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@shadesocks-{os.getpid()}-{tmp_path.name}"
    with supervising(address) as one:
        yield one


def told(supervisor: Supervisor, **more: str) -> Notifier:
    return notifier({"NOTIFY_SOCKET": supervisor.address, **more})


def test_the_life_of_a_service(supervisor: Supervisor) -> None:
    says = told(supervisor)
    assert says
    says.serving("listening on a:1")
    assert supervisor.next() == {"READY": "1", "STATUS": "listening on a:1"}
    before = time.monotonic_ns() // 1000
    says.reloading()
    said = supervisor.next()
    assert before <= int(said.pop("MONOTONIC_USEC")) <= time.monotonic_ns() // 1000
    assert said == {"RELOADING": "1", "STATUS": "reading the config again"}
    says.stopping(10)
    assert supervisor.next() == {
        "STOPPING": "1",
        "EXTEND_TIMEOUT_USEC": "15000000",
        "STATUS": "stopping, within 10 s",
    }
    says.close()
    assert supervisor.is_quiet()


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "relative"}, {"NOTIFY_SOCKET": "@"}])
def test_without_a_supervisor_nothing_is_said(environ: Mapping[str, str]) -> None:
    says = notifier(dict(environ))
    assert not says
    says.serving("")
    says.reloading()
    says.stopping(1)
    says.close()


def test_a_supervisor_that_is_gone_or_does_not_read_is_no_error(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    says = notifier({"NOTIFY_SOCKET": path})
    says.serving("nobody is there")
    with supervising(path):
        for _ in range(1000):  # more than its queue holds
            says.serving("nobody reads")
    says.stopping(1)


def test_pings_come_at_half_of_the_time_from_the_first_word_to_the_end(supervisor: Supervisor) -> None:
    async def story() -> None:
        says = told(supervisor, WATCHDOG_USEC="20000", WATCHDOG_PID=str(os.getpid()))
        assert supervisor.is_quiet()
        loop = asyncio.get_running_loop()
        says.serving("x")
        began = loop.time()
        assert await asyncio.to_thread(supervisor.hear) == {"READY": "1", "STATUS": "x"}
        for _ in range(5):
            assert await asyncio.to_thread(supervisor.hear) == {"WATCHDOG": "1"}
        assert loop.time() - began >= 4 * 0.01
        says.serving("again")  # does not begin a second row of pings
        says.close()
        while not supervisor.is_quiet():
            pass
        await asyncio.sleep(0.03)
        assert supervisor.is_quiet()

    asyncio.run(story())


@pytest.mark.parametrize(
    "more",
    [{}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}],
)
def test_whoever_is_not_watched_does_not_ping(more: Mapping[str, str], supervisor: Supervisor) -> None:
    async def story() -> None:
        says = told(supervisor, **more)
        says.serving("x")
        supervisor.hear()
        await asyncio.sleep(0.01)
        assert supervisor.is_quiet()
        says.close()

    asyncio.run(story())


# -- a whole program ---------------------------------------------------------------------------------

CONFIG = '{{"server": "127.0.0.1", "server_port": {}, "method": "aes-256-gcm", "password": "{}"}}'


def test_a_server_under_a_supervisor(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(CONFIG.format(free_port(), "pass-pass-pass-1"))
    path = str(tmp_path / "notify")
    watch = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"}
    with supervising(path) as supervisor, running(tmp_path, "server", "-c", str(config), env=watch) as program:
        said = supervisor.hear()
        assert said.pop("READY") == "1"
        assert said["STATUS"].startswith("listening on 127.0.0.1:")
        port = int(said["STATUS"].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)):  # it listened before it said so
            pass
        assert [supervisor.hear() for _ in range(2)] == [{"WATCHDOG": "1"}] * 2

        config.write_text(CONFIG.format(port, "pass-pass-pass-2"))
        program.process.send_signal(signal.SIGHUP)
        assert supervisor.next()["RELOADING"] == "1"
        assert supervisor.next() == {"READY": "1", "STATUS": f"listening on 127.0.0.1:{port}"}
        config.write_text("{")
        program.process.send_signal(signal.SIGHUP)
        assert supervisor.next()["RELOADING"] == "1"
        assert supervisor.next() == {"READY": "1", "STATUS": "the config has mistakes: all goes on as before"}

        program.process.send_signal(signal.SIGTERM)
        said = supervisor.next()
        assert said["STOPPING"] == "1"
        assert int(said["EXTEND_TIMEOUT_USEC"]) > 5_000_000
        assert program.rest() == 0


def test_whoever_cannot_start_says_nothing(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    path = str(tmp_path / "notify")
    with socket.create_server(("127.0.0.1", 0)) as taken, supervising(path) as supervisor:
        config.write_text(CONFIG.format(taken.getsockname()[1], "pass-pass-pass-1"))
        with running(tmp_path, "server", "-c", str(config), env={"NOTIFY_SOCKET": path}) as program:
            assert program.rest() == 70
        assert supervisor.is_quiet()


def test_a_line_shows_three_addresses_at_most() -> None:
    places = [Address("127.0.0.1", port) for port in (1, 2, 3, 4, 5)]
    assert listening(places[:1]) == "listening on 127.0.0.1:1"
    assert listening(places[:3]) == "listening on 127.0.0.1:1, 127.0.0.1:2, 127.0.0.1:3"
    assert listening(places) == "listening on 127.0.0.1:1, 127.0.0.1:2, 127.0.0.1:3 and 2 more"
