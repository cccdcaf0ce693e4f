"""One service from its start to its signal, inside this process."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from shadesocks.cli import run as running
from shadesocks.cli.exits import DIED, OK, Failed
from shadesocks.cli.screen import Screen
from shadesocks.config.model import Config, LocalConfig, ServerConfig
from shadesocks.core.address import Address
from shadesocks.core.errors import ConfigError, Problem
from shadesocks.core.secret import Secret
from shadesocks.crypto.methods import METHODS
from shadesocks.net.loop import PlaneLoop
from shadesocks.service.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable

CONFIG = Config(
    servers=(ServerConfig(Address("127.0.0.1", 0), METHODS["aes-128-gcm"], Secret("pass")),),
    locals=(LocalConfig(Address("127.0.0.1", 0)),),
)


class Story:
    """What happened, in order."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.stream = io.StringIO()
        self.screen = Screen(self.stream)
        self.services: list[Service] = []

    async def start(self) -> Service:
        """Start the client of the config."""
        service = await running.start_local(CONFIG)
        self.services.append(service)
        self.screen.line("started")
        return service

    async def tell(self, service: Service) -> None:
        """Take a note of where it listens, and ask for the end."""
        self.told.append(str(service.addresses[0]))
        os.kill(os.getpid(), signal.SIGTERM)


def test_it_tells_where_it_listens_and_ends_at_a_signal() -> None:
    story = Story()
    assert running.run_service(CONFIG, story.start, story.screen, story.tell) == OK
    assert story.told[0].startswith("127.0.0.1:")
    assert story.services[0].addresses == ()


def test_what_is_told_comes_before_the_log() -> None:
    story = Story()
    story.screen.hold()

    async def tell(service: Service) -> None:
        assert story.stream.getvalue() == ""
        await story.tell(service)

    running.run_service(CONFIG, story.start, story.screen, tell)
    assert story.stream.getvalue().startswith("started\n")


@pytest.mark.parametrize("error", [Failed("no"), OSError(5, "no"), ValueError("a bug")])
def test_an_error_while_telling_stops_what_had_started(error: Exception) -> None:
    story = Story()

    async def tell(_service: Service) -> None:
        raise error

    with pytest.raises(type(error)):
        running.run_service(CONFIG, story.start, story.screen, tell)
    assert story.services[0].addresses == ()


@pytest.mark.parametrize("start", [running.start_server, running.start_local])
def test_an_address_in_use_is_a_failure_with_a_sentence(start: Callable[[Config], object]) -> None:
    async def twice() -> None:
        service = await running.start_local(CONFIG)
        address = service.addresses[0]
        server = ServerConfig(address, METHODS["aes-128-gcm"], Secret("pass"))
        try:
            await start(Config(servers=(server,), locals=(LocalConfig(address),)))  # type: ignore[misc]  # a coroutine
        finally:
            await service.stop()

    with pytest.raises(Failed, match=r"cannot listen on 127\.0\.0\.1:\d+: Address already in use") as failed:
        asyncio.run(twice())
    assert failed.value.code == DIED


def test_the_status_line_reads_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(running, "_TICK", 0.0)
    story = Story()
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    screen = Screen(stream)

    def draw(text: str) -> None:
        story.told.append(text)
        if len(story.told) == 2:  # once: a second signal would end the tests
            os.kill(os.getpid(), signal.SIGTERM)

    async def tell(_service: Service) -> None:
        monkeypatch.setattr(screen, "status", draw)

    assert running.run_service(CONFIG, story.start, screen, tell) == OK
    assert story.told[0] == story.told[1] == "0 open, 0 in all | up 0 B/s, down 0 B/s | 0 B up, 0 B down"


def test_the_last_word_is_that_it_stopped(caplog: pytest.LogCaptureFixture) -> None:
    story = Story()
    with caplog.at_level(logging.INFO, "shadesocks"):
        running.run_service(CONFIG, story.start, story.screen, story.tell)
    assert caplog.messages[-1] == "stopped"


def test_services_run_on_the_loop_that_shares_its_poll() -> None:
    """A third of a short connection's price is which loop it is (docs/adr/0001)."""
    loops = []

    async def start() -> Service:
        loops.append(asyncio.get_running_loop())
        raise Failed("enough", DIED)

    with pytest.raises(Failed, match="enough"):
        running.run_service(Config(), start, Screen(io.StringIO()))
    assert isinstance(loops[0], PlaneLoop)


# -- SIGHUP -----------------------------------------------------------------------------------------


class Hangups(Story):
    """A server whose config is read again at SIGHUP: each item is what the next reading gives."""

    def __init__(self, *readings: Config | Exception) -> None:
        super().__init__()
        self.readings = list(readings)

    async def start(self) -> Service:
        service = await running.start_server(CONFIG)
        self.services.append(service)
        return service

    def reread(self) -> Config:
        reading = self.readings.pop(0)
        if isinstance(reading, Exception):
            raise reading
        return reading

    async def tell(self, service: Service) -> None:
        """Send a SIGHUP for each reading, and then the end."""
        self.watching = asyncio.create_task(self._watch(service))

    async def _watch(self, service: Service) -> None:
        while self.readings:
            count = len(self.readings)
            os.kill(os.getpid(), signal.SIGHUP)
            while len(self.readings) == count:  # noqa: ASYNC110 - the signal tells nobody but the service
                await asyncio.sleep(0)
            for _ in range(20):  # turns that a reload takes
                await asyncio.sleep(0)
            self.told.append(" ".join(server.method.name for server in service.servers))
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_hangup_reads_the_config_again(caplog: pytest.LogCaptureFixture) -> None:
    other = replace(CONFIG.servers[0], method=METHODS["aes-256-gcm"])
    mistakes = ConfigError([Problem("c.json", 3, "method", "no"), Problem("c.json", 4, "server", "nor this")])
    story = Hangups(
        replace(CONFIG, servers=(*CONFIG.servers, other)),
        mistakes,
        ZeroDivisionError("a bug"),
        replace(CONFIG, servers=(other,)),
    )
    with caplog.at_level(logging.INFO, "shadesocks"):
        assert running.run_service(CONFIG, story.start, story.screen, story.tell, story.reread) == OK
    both = "aes-128-gcm aes-256-gcm"
    assert story.told == [both, both, both, "aes-256-gcm"]
    assert "c.json:3: method: no" in caplog.text
    assert "c.json:4: server: nor this" in caplog.text
    assert "all goes on as before" in caplog.text
    assert "servers: 1" in caplog.text


def test_the_host_is_told_before_anything_is_accepted() -> None:
    story = Story()

    async def tell(service: Service) -> None:
        story.told.append("told")
        await story.tell(service)

    host = running.Host(listening=lambda: story.told.append("listening"))
    assert running.run_service(CONFIG, story.start, story.screen, tell, host=host) == OK
    assert story.told[:2] == ["listening", "told"]


def test_a_host_that_cannot_go_on_ends_the_start() -> None:
    story = Story()

    def fail() -> None:
        assert story.services[0].addresses
        raise Failed("no such user")

    with pytest.raises(Failed, match="no such user"):
        running.run_service(CONFIG, story.start, story.screen, story.tell, host=running.Host(listening=fail))
    assert story.services[0].addresses == ()
    assert story.told == []


def test_a_hangup_is_the_hosts_where_nothing_is_read_again() -> None:
    story = Story()

    async def tell(_service: Service) -> None:
        os.kill(os.getpid(), signal.SIGHUP)

    def hang_up() -> None:
        story.told.append("hangup")
        os.kill(os.getpid(), signal.SIGTERM)

    assert running.run_service(CONFIG, story.start, story.screen, tell, host=running.Host(hangup=hang_up)) == OK
    assert story.told == ["hangup"]


@pytest.mark.parametrize(("at_once", "limit"), [(True, 0), (False, 10)])
def test_how_long_open_connections_have_to_end(at_once: bool, limit: float, monkeypatch: pytest.MonkeyPatch) -> None:
    story = Story()
    limits: list[float] = []
    drain = Service.drain

    async def measured(service: Service, limit: float) -> None:
        limits.append(limit)
        await drain(service, limit)

    monkeypatch.setattr(Service, "drain", measured)
    host = running.Host(at_once=at_once)
    assert running.run_service(CONFIG, story.start, story.screen, story.tell, host=host) == OK
    assert limits == [limit]
