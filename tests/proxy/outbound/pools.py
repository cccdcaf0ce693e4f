"""A pool, a server that it connects to over loopback, and a clock that moves when a test says so."""

from __future__ import annotations

import asyncio
import heapq
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socket import AF_INET, SO_LINGER, SOL_SOCKET, create_server, socket
from struct import pack
from typing import Any, Final, cast

from shadesocks.core.address import Address
from shadesocks.net.connect import Anywhere, Connector
from shadesocks.net.end import End
from shadesocks.net.lookup import Found
from shadesocks.net.pipe import Scratch
from shadesocks.net.reactor import Reactor
from shadesocks.proxy.outbound.pool import WarmPool
from shadesocks.proxy.outbound.shadowsocks import Connect
from shadesocks.proxy.seams import First
from tests.proxy.rig import NOW
from tests.service.rig import until

HOST: Final = "127.0.0.1"
AGE: Final = 20.0
_RESET: Final = pack("ii", 1, 0)


class Timers:
    """The test's loop, but for its time: timers go off in `advance`, which moves the wall clock too."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.now = 1000.0
        self.wall_now = NOW
        self._timers: list[asyncio.TimerHandle] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def time(self) -> float:
        return self.now

    def wall(self) -> int:
        return int(self.wall_now)

    def call_at(self, when: float, callback: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self._loop)
        heapq.heappush(self._timers, timer)
        return timer

    def advance(self, seconds: float) -> None:
        until_then = self.now + seconds
        while self._timers and self._timers[0].when() <= until_then:
            timer = heapq.heappop(self._timers)
            if not timer.cancelled():
                self._move_to(max(self.now, timer.when()))
                timer._run()
        self._move_to(until_then)

    def _move_to(self, now: float) -> None:
        self.wall_now += now - self.now  # type: ignore[assignment]  # a fraction between two calls
        self.now = now


class Literals:
    """Addresses need no names."""

    def cached(self, host: str) -> tuple[Found, ...]:
        return ((AF_INET, host),)

    def lookup(self, host: str) -> asyncio.Future[tuple[Found, ...]]:
        raise AssertionError(host)


class Server:
    """Somebody who listens; what he accepts is the test's to serve."""

    def __init__(self) -> None:
        self.port = 0
        self.accepted: list[socket] = []
        """All that ever came, in their order."""
        self._listener: socket | None = None

    def listen(self) -> None:
        self._listener = create_server((HOST, self.port))
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]

    def refuse(self) -> None:
        """Nobody listens there any more."""
        assert self._listener is not None
        self.take()
        self._listener.close()
        self._listener = None

    def take(self) -> int:
        """Accept whoever waits; return how many came so far."""
        if self._listener is not None:
            try:
                while True:
                    sock, _ = self._listener.accept()
                    sock.setblocking(False)
                    self.accepted.append(sock)
            except BlockingIOError:
                pass
        return len(self.accepted)

    def heard(self) -> list[bytes]:
        """What each of them says now; one that has ended says b"", one that is silent b"-"."""
        self.take()
        return [hear(sock) for sock in self.accepted]

    def close(self) -> None:
        if self._listener is not None:
            self.refuse()
        for sock in self.accepted:
            sock.close()


def hear(sock: socket) -> bytes:
    try:
        return sock.recv(65536)
    except BlockingIOError:
        return b"-"
    except ConnectionResetError:
        return b"reset"


def end(sock: socket) -> None:
    """FIN."""
    sock.close()


def reset(sock: socket) -> None:
    """RST."""
    sock.setsockopt(SOL_SOCKET, SO_LINGER, _RESET)
    sock.close()


def speak(sock: socket) -> None:
    """Bytes that nobody asked for."""
    sock.send(b"hello")


class Rig:
    """A pool to a server, and what it is made of."""

    def __init__(self, size: int, connect: Connect | None = None, age: float = AGE) -> None:
        self.timers = Timers()
        self.reactor = Reactor(loop=cast("asyncio.AbstractEventLoop", self.timers))
        self.scratch = Scratch()
        self.server = Server()
        self.server.listen()
        self.dials = 0
        """Connects that the pool began for itself."""
        self.results: list[str] = []
        """How those ended."""
        self.drawn = 0
        self._connector = Connector(self.reactor, Literals(), Anywhere(), self.reactor.lane(10.0))
        self._way = connect or self.straight
        self.pool = WarmPool(
            self.reactor,
            self.scratch,
            self._way,
            self._prepare,
            size,
            age,
            self.timers.wall,
            self._draw,
        )
        self.pool.listen(lambda word, _seconds: self.results.append(word))

    async def straight(self, first: First) -> End:
        return await self._connector.connect(Address(HOST, self.server.port), first)

    async def _prepare(self, first: First) -> End:
        self.dials += 1
        return await self._way(first)

    def _draw(self, below: int) -> int:
        """Each number in its turn."""
        self.drawn += 1
        return self.drawn % below

    async def full(self) -> None:
        """Wait until all stand ready."""
        await until(lambda: len(self.pool) == self.pool.size)
        self.server.take()

    async def take(self, first: bytes = b"") -> End:
        """Ask for a connection, as a request does."""
        taken: End = await self.reactor.spawn(self.pool.connect(first))
        return taken

    def drop(self, *ends: End) -> None:
        for each in ends:
            self.reactor.close(each.sock)
        self.reactor.settle()

    def close(self) -> None:
        self.pool.close()
        self.reactor.stop()
        self.server.close()
        assert not len(self.pool)
        assert not self.pool.under_way


@contextmanager
def rig(size: int, connect: Connect | None = None, age: float = AGE, errors: int = 0) -> Iterator[Rig]:
    """A rig, of which nothing is left."""
    made = Rig(size, connect, age)
    try:
        yield made
    finally:
        made.close()
    assert made.reactor.errors == errors


def descriptors() -> int:
    """How many this process has."""
    return len(os.listdir("/proc/self/fd"))
