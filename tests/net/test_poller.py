"""The back-ends, on real sockets: the same events from each that this system has."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from shadesocks.net.loop import PlaneLoop
from shadesocks.net.loop import run as run_plane
from shadesocks.net.poller import ENDED, READ, WRITE, Poller, event_models, make_poller

from .kernel import LINGER_RESET
from .planes import PLANES

LOOPS = {"plane": run_plane, "asyncio": asyncio.run}


class Seen:
    """Notes the events, and lets a test wait for the next."""

    def __init__(self) -> None:
        self.events: list[tuple[int, int]] = []
        self.more = asyncio.Event()

    def serve(self, events: list[tuple[int, int]]) -> list[tuple[int, int]]:
        self.events += events
        self.more.set()
        return []

    async def next(self, poller: Poller, fd: int) -> int:
        """Wait for an event of the descriptor and stop watching it."""
        async with asyncio.timeout(10):
            while not any(got == fd for got, _ in self.events):
                self.more.clear()
                await self.more.wait()
        poller.unregister(fd)
        bits = 0
        for got, event in self.events:
            bits |= event if got == fd else 0
        self.events.clear()
        return bits


@pytest.mark.parametrize("model", event_models())
@pytest.mark.parametrize("loop", LOOPS)
def test_reading_writing_and_the_end(model: str, loop: str) -> None:
    async def story() -> None:
        seen = Seen()
        poller = make_poller(model, asyncio.get_running_loop(), seen.serve)
        left, right = socket.socketpair()
        with left, right:
            fd = left.fileno()
            poller.register(fd, WRITE)
            assert await seen.next(poller, fd) & WRITE
            right.send(b"x")
            poller.register(fd, READ)
            assert await seen.next(poller, fd) & READ
            left.recv(1)
            poller.register(fd, WRITE)
            poller.modify(fd, READ)
            right.shutdown(socket.SHUT_WR)
            assert await seen.next(poller, fd) & READ
            poller.register(fd, READ)
            poller.forget(fd)
        poller.close()

    LOOPS[loop](story())


def test_auto_is_the_best_and_a_strange_one_is_an_error() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        poller = make_poller("auto", loop, lambda _events: [])
        assert poller.name == event_models()[0]
        poller.close()
        with pytest.raises(ValueError, match="this system has"):
            make_poller("iocp", loop, lambda _events: [])

    asyncio.run(story())


class Rig:
    """A back-end, one end of a TCP connection that it watches, and the other end."""

    def __init__(self, poller: Poller, seen: Seen) -> None:
        self.poller = poller
        self.seen = seen
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.far = socket.create_connection(listener.getsockname())
            self.sock, _ = listener.accept()
        self.sock.setblocking(False)
        self.fd = self.sock.fileno()

    async def bits(self, events: int) -> int:
        """Watch for these events, and return the first that come."""
        self.poller.register(self.fd, events)
        return await self.seen.next(self.poller, self.fd)

    async def quiet(self) -> None:
        """Let the loop look at its descriptors a few times: nothing comes."""
        self.seen.events.clear()
        for _ in range(5):
            await asyncio.sleep(0)
        assert self.seen.events == []

    def fill(self) -> None:
        """Send until the socket takes no more."""
        block = bytes(1 << 16)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.sock.send(block)


def rigged(name: str, story: Callable[[Rig], Coroutine[Any, Any, None]]) -> None:
    """Run a test on one back-end."""

    async def main() -> None:
        seen = Seen()
        poller = make_poller(name.partition(" ")[0], asyncio.get_running_loop(), seen.serve)
        rig = Rig(poller, seen)
        try:
            async with asyncio.timeout(30):
                await story(rig)
        finally:
            rig.far.close()
            rig.sock.close()
            rig.poller.close()

    with asyncio.Runner(loop_factory=PlaneLoop if name == "epoll shared" else None) as runner:
        runner.run(main())


every_plane = pytest.mark.parametrize("plane", PLANES)


@every_plane
def test_readiness_is_level_triggered(plane: str) -> None:
    async def story(rig: Rig) -> None:
        rig.far.send(b"two")
        for left in (3, 2, 1):
            assert await rig.bits(READ) & READ, f"{left} bytes are there"
            rig.sock.recv(1)
        rig.poller.register(rig.fd, READ)
        await rig.quiet()
        rig.poller.unregister(rig.fd)

    rigged(plane, story)


@every_plane
def test_what_is_not_wanted_is_not_told(plane: str) -> None:
    async def story(rig: Rig) -> None:
        rig.far.send(b"!")
        assert not await rig.bits(WRITE) & READ
        rig.fill()
        rig.poller.register(rig.fd, WRITE)
        await rig.quiet()
        rig.poller.modify(rig.fd, READ | WRITE)
        assert not await rig.seen.next(rig.poller, rig.fd) & WRITE

    rigged(plane, story)


@every_plane
def test_room_comes_back_when_the_other_end_reads(plane: str) -> None:
    async def story(rig: Rig) -> None:
        rig.fill()
        rig.poller.register(rig.fd, WRITE)
        await rig.quiet()
        rig.far.setblocking(False)
        waiting = asyncio.create_task(rig.seen.next(rig.poller, rig.fd))
        while not waiting.done():
            with contextlib.suppress(BlockingIOError):
                rig.far.recv(1 << 16)
            await asyncio.sleep(0)
        assert await waiting & WRITE

    rigged(plane, story)


@every_plane
@pytest.mark.parametrize("how", ["end of file", "reset"])
def test_an_end_is_something_to_read(plane: str, how: str) -> None:
    async def story(rig: Rig) -> None:
        if how == "reset":
            rig.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        rig.far.close()
        for _ in range(2):
            assert await rig.bits(READ) & READ, "and is told again and again"
        if how == "reset":
            assert await rig.bits(WRITE) & WRITE, "whoever waits for room hears of it too"
            with pytest.raises(ConnectionResetError):
                rig.sock.recv(1)
        else:
            assert rig.sock.recv(1) == b""

    rigged(plane, story)


@every_plane
def test_an_unregistered_descriptor_is_silent_though_it_is_hung_up(plane: str) -> None:
    async def story(rig: Rig) -> None:
        rig.poller.register(rig.fd, READ)
        rig.poller.unregister(rig.fd)
        rig.far.send(b"!")
        rig.far.close()
        await rig.quiet()

    rigged(plane, story)


@every_plane
def test_a_number_that_came_back_is_not_the_old_one(plane: str) -> None:
    async def story(rig: Rig) -> None:
        rig.far.send(b"for the old one")
        rig.poller.register(rig.fd, READ)
        rig.poller.forget(rig.fd)
        rig.sock.close()
        new, other = socket.socketpair()
        with new, other:
            assert rig.fd in (new.fileno(), other.fileno())
            await rig.quiet()
            sock, far = (new, other) if new.fileno() == rig.fd else (other, new)
            rig.poller.register(rig.fd, READ)
            await rig.quiet()
            far.send(b"!")
            assert await rig.seen.next(rig.poller, rig.fd) & READ
            assert sock.recv(10) == b"!"

    rigged(plane, story)


@every_plane
def test_a_closed_back_end_tells_nothing_and_another_can_be_made(plane: str) -> None:
    async def story(rig: Rig) -> None:
        rig.poller.register(rig.fd, READ)
        rig.poller.unregister(rig.fd)
        rig.poller.close()
        rig.far.send(b"!")
        await rig.quiet()
        rig.poller = make_poller(plane.partition(" ")[0], asyncio.get_running_loop(), rig.seen.serve)
        assert await rig.bits(READ) & READ

    rigged(plane, story)


@pytest.mark.skipif("epoll" not in event_models(), reason="no epoll here")
def test_epoll_tells_that_the_end_of_file_has_come_too() -> None:
    async def story(rig: Rig) -> None:
        rig.far.send(b"last words")
        rig.far.close()
        bits = 0
        while not bits & ENDED:
            bits = await rig.bits(READ)
        assert bits & 1
        assert rig.sock.recv(100) == b"last words"
        assert rig.sock.recv(100) == b""

    rigged("epoll nested", story)
