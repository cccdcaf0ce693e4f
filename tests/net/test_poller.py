"""The back-ends, on real sockets: the same events from each that this system has."""

from __future__ import annotations

import asyncio
import socket

import pytest

from shadesocks.net.loop import run as run_plane
from shadesocks.net.poller import READ, WRITE, Poller, event_models, make_poller

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
