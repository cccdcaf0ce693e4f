"""The shared poll: asyncio loses nothing by it."""

from __future__ import annotations

import asyncio
import os
import selectors
import signal
import socket
import sys
import threading

import pytest

from shadesocks.net.loop import PlaneLoop, PlaneSelector, run
from shadesocks.net.poller import READ
from shadesocks.net.reactor import Reactor
from shadesocks.net.story import ready

HOST = "127.0.0.1"


def test_the_selector_keeps_the_contract_of_selectors() -> None:
    selector = PlaneSelector()
    left, right = socket.socketpair()
    with left, right:
        key = selector.register(left, selectors.EVENT_READ, "data")
        assert selector.get_key(left) == key
        assert left in selector.get_map()
        with pytest.raises(KeyError):
            selector.register(left, selectors.EVENT_READ)
        assert selector.select(0) == []
        right.send(b"x")
        assert selector.select(1) == [(key, selectors.EVENT_READ)]
        both = selector.modify(left, selectors.EVENT_READ | selectors.EVENT_WRITE, "more")
        assert selector.select(1) == [(both, selectors.EVENT_READ | selectors.EVENT_WRITE)]
        assert selector.unregister(left) == both
        with pytest.raises(KeyError):
            selector.unregister(left)
        assert selector.select(0) == []
    selector.close()


def test_streams_timers_threads_signals_and_children() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, PlaneLoop)
        reactor = Reactor()

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.read(-1))
            writer.close()

        server = await asyncio.start_server(echo, HOST, 0)
        reader, writer = await asyncio.open_connection(HOST, server.sockets[0].getsockname()[1])
        writer.write(b"over asyncio")
        writer.write_eof()
        assert await reader.read(-1) == b"over asyncio"
        writer.close()
        server.close()

        rung = asyncio.Event()
        loop.call_later(0.01, rung.set)
        await rung.wait()
        called = asyncio.Event()
        thread = threading.Thread(target=loop.call_soon_threadsafe, args=(called.set,))
        thread.start()
        await called.wait()
        thread.join()
        heard = asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, heard.set)
        os.kill(os.getpid(), signal.SIGUSR1)
        await heard.wait()
        loop.remove_signal_handler(signal.SIGUSR1)
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "print('hi')", stdout=asyncio.subprocess.PIPE
        )
        assert (await child.communicate())[0] == b"hi\n"
        reactor.stop()

    run(story())


def test_what_a_handler_asks_of_asyncio_happens_at_once() -> None:
    """The loop stays in its poll only while nobody wants anything else."""

    async def story() -> None:
        loop = asyncio.get_running_loop()
        reactor = Reactor()
        left, right = socket.socketpair()
        soon, later = asyncio.Event(), asyncio.Event()

        def handler(_events: int) -> None:
            left.recv(1)
            loop.call_soon(soon.set)
            loop.call_later(0.01, later.set)

        with left, right:
            reactor.watch(left.fileno(), READ, handler)
            right.send(b"x")
            await soon.wait()
            await later.wait()
            reactor.stop()

    run(story())


def test_two_reactors_share_a_loop() -> None:
    """The first shares the poll, the second nests its own; both serve."""

    async def story() -> None:
        reactors = [Reactor(), Reactor()]
        pairs = [socket.socketpair() for _ in reactors]
        for reactor, (left, right) in zip(reactors, pairs, strict=True):

            async def wait(sock: socket.socket) -> bytes:
                await ready(sock.fileno(), READ)
                return sock.recv(1)

            future = reactor.spawn(wait(left))
            right.send(b"x")
            assert await future == b"x"
        for reactor, (left, right) in zip(reactors, pairs, strict=True):
            reactor.stop()
            left.close()
            right.close()
        again = Reactor()
        again.stop()

    run(story())


def test_run_returns_and_raises_as_asyncio_does() -> None:
    async def give() -> int:
        return 7

    async def fail() -> None:
        raise ValueError("that")

    assert run(give()) == 7
    with pytest.raises(ValueError, match="that"):
        run(fail())
