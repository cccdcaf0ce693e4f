"""Dials on the simulated kernel: their names, their judges, and what came of them."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterator
from socket import AF_INET, AF_INET6
from typing import Any, Final

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import DialError
from shadesocks.net import options as options_file
from shadesocks.net.connect import PLAIN, Anywhere, Connector
from shadesocks.net.end import End
from shadesocks.net.lookup import Found
from shadesocks.net.options import TcpOptions
from shadesocks.net.story import Story

from .kernel import FakeSocket
from .world import MODELS, World

FAR: Final = "192.0.2.7"
OTHER: Final = "2001:db8::7"
LOCAL: Final = "127.0.0.1"
PORT: Final = 443
WHERE: Final = Address("far.example", PORT)
FIRST: Final = b"first payload"
DELAY: Final = 10.0


class Names:
    """Addresses that are known at once, or when `answer` is called."""

    def __init__(self, world: World, *found: str) -> None:
        self.found: tuple[Found, ...] = tuple((AF_INET6 if ":" in ip else AF_INET, ip) for ip in found)
        self.known = True
        self.future: asyncio.Future[Any] = world.clock.create_future()

    def cached(self, _host: str) -> tuple[Found, ...] | None:
        return self.found if self.known else None

    def lookup(self, _host: str) -> asyncio.Future[tuple[Found, ...]]:
        return self.future


class Only:
    """A judge who allows these addresses."""

    def __init__(self, *allowed: str) -> None:
        self.allowed = allowed
        self.asked: list[tuple[str, int]] = []

    def refuse_name(self, _host: str) -> str | None:
        return None

    def refuse(self, ip: str, port: int, _host: str = "") -> str | None:
        self.asked.append((ip, port))
        return None if ip in self.allowed else "reserved"


class Dial:
    """One story that connects, and what came of it."""

    def __init__(
        self, world: World, names: Names, first: bytes = b"", judge: Any = None, options: TcpOptions = PLAIN
    ) -> None:
        self.world = world
        self.end: End | None = None
        self.error: BaseException | None = None
        connector = Connector(world.reactor, names, judge or Anywhere(), world.reactor.lane(DELAY), options)
        self.story: Story = world.reactor.tell(connector.connect(WHERE, first), self._done)

    def _done(self, end: End | None, error: BaseException | None) -> None:
        self.end, self.error = end, error

    @property
    def goes_on(self) -> bool:
        """True until it is decided."""
        return self.end is None and self.error is None

    @property
    def code(self) -> str:
        assert isinstance(self.error, DialError)
        return self.error.code

    def close(self, errors: int = 0) -> None:
        if self.end is not None:
            self.world.reactor.close(self.end.sock)
        self.world.reactor.settle()
        for sock in list(self.world.kernel.table.values()):
            if sock.outside:
                sock.close()
        self.world.assert_clean(errors)


@pytest.fixture(params=MODELS, name="world")
def dialling_world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world whose kernel gives connectors their sockets."""
    world = World(model=request.param)
    monkeypatch.setattr(options_file, "SocketType", world.kernel.socket)
    yield world
    world.reactor.stories.clear()


def host(world: World, ip: str, act: Callable[[FakeSocket], int]) -> list[FakeSocket]:
    """Let an address answer connects as `act` does; return the sockets that came, as they come."""
    came: list[FakeSocket] = []

    def connect(sock: FakeSocket) -> int:
        came.append(sock)
        return act(sock)

    world.kernel.hosts[ip, PORT] = connect
    return came


def later(_sock: FakeSocket) -> int:
    """Decide when the test says so."""
    return errno.EINPROGRESS


def at_once(sock: FakeSocket) -> int:
    """Connect at once."""
    sock.decide()
    return 0
