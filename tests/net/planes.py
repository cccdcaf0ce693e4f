"""The real thing: a reactor on each back-end that the system has, and TCP connections over loopback.

epoll nested    an epoll of its own, which asyncio's selector watches
epoll shared    the epoll of a `PlaneLoop`: one poll for both
portable        asyncio's readers and writers
kqueue          on the systems that have it
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

from shadesocks.net.end import End
from shadesocks.net.loop import PlaneLoop
from shadesocks.net.pipe import Scratch
from shadesocks.net.poller import event_models
from shadesocks.net.reactor import Reactor
from shadesocks.net.relay import Relay

from .kernel import LINGER_RESET

LIMIT: Final = 60.0
"""Seconds after which a test that waits has failed."""
HOST: Final = "127.0.0.1"

PLANES: Final = [
    *(["epoll nested", "epoll shared"] if "epoll" in event_models() else []),
    *(["kqueue"] if "kqueue" in event_models() else []),
    "portable",
]


class Plane:
    """A reactor in a running loop, and what its relays reported."""

    def __init__(self, name: str) -> None:
        self.reactor = Reactor(name.partition(" ")[0])
        self.scratch = Scratch()
        self.ends: asyncio.Queue[str] = asyncio.Queue()
        self.relays: list[Relay] = []
        self._programs: list[socket.socket] = []

    async def link(self) -> tuple[socket.socket, socket.socket]:
        """Two connected TCP sockets: for the relay, and for the program at the other end."""
        loop = asyncio.get_running_loop()
        with socket.create_server((HOST, 0)) as listener:
            program = socket.socket()
            program.setblocking(False)
            await loop.sock_connect(program, listener.getsockname())
            ours, _ = listener.accept()
        ours.setblocking(False)
        self._programs.append(program)
        return ours, program

    def relay(self, left: End, right: End, **options: Any) -> Relay:
        """Join two ends; the outcome goes to `ends`."""
        relay = Relay(
            self.reactor, self.scratch, left, right, lambda _relay, word: self.ends.put_nowait(word), **options
        )
        self.relays.append(relay)
        relay.begin(self.reactor.lane(0.1))
        return relay

    async def plain(self) -> tuple[Relay, socket.socket, socket.socket]:
        """A plain relay, and the programs at its two ends."""
        left, client = await self.link()
        right, target = await self.link()
        return self.relay(End(left), End(right)), client, target

    def close(self) -> None:
        for relay in self.relays:
            relay.close("stopped")
        for program in self._programs:
            program.close()
        self.reactor.stop()


def on(name: str, story: Callable[[Plane], Coroutine[Any, Any, None]]) -> None:
    """Run a test on one back-end; afterwards the reactor has no handler, no story and no tail."""

    async def main() -> None:
        plane = Plane(name)
        try:
            async with asyncio.timeout(LIMIT):
                await story(plane)
            assert plane.reactor.errors == 0
        finally:
            plane.close()
        assert not plane.scratch.tails
        assert not [handler for handler in plane.reactor.handlers.values() if handler]

    with asyncio.Runner(loop_factory=PlaneLoop if name == "epoll shared" else None) as runner:
        runner.run(main())


async def hear(sock: socket.socket, size: int = -1) -> bytes:
    """Receive so many bytes, or all up to the end of file."""
    loop = asyncio.get_running_loop()
    got = bytearray()
    while size < 0 or len(got) < size:
        part = await loop.sock_recv(sock, 1 << 18 if size < 0 else size - len(got))
        if not part:
            break
        got += part
    return bytes(got)


async def say(sock: socket.socket, data: bytes, *, ends: bool = False) -> None:
    """Send, and end the direction if that is all."""
    await asyncio.get_running_loop().sock_sendall(sock, data)
    if ends:
        sock.shutdown(socket.SHUT_WR)


def reset(sock: socket.socket) -> None:
    """Close with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
    sock.close()


@asynccontextmanager
async def together(*stories: Coroutine[Any, Any, Any]) -> AsyncIterator[None]:
    """Let programs go on beside the test, and wait for all of them at the end."""
    async with asyncio.TaskGroup() as group:
        for story in stories:
            group.create_task(story)
        yield


async def fails_with_reset(sock: socket.socket) -> bytes:
    """Receive until the connection is reset; return what came before."""
    got = bytearray()
    loop = asyncio.get_running_loop()
    with contextlib.suppress(ConnectionResetError):
        while part := await loop.sock_recv(sock, 1 << 16):
            got += part
        raise AssertionError("an end of file came, and no reset")
    return bytes(got)
