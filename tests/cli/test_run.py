"""One service from its start to its signal, inside this process."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import signal
from typing import TYPE_CHECKING

import pytest

from shadesocks.cli import run as running
from shadesocks.cli.exits import DIED, OK, Failed
from shadesocks.cli.screen import Screen
from shadesocks.config.model import Config, LocalConfig, ServerConfig
from shadesocks.core.address import Address
from shadesocks.core.secret import Secret
from shadesocks.crypto.methods import METHODS
from shadesocks.net.loop import PlaneLoop

if TYPE_CHECKING:
    from collections.abc import Callable

    from shadesocks.service.service import Service

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
