"""The shared poll: asyncio loses nothing by it."""

from __future__ import annotations

import asyncio
import os
import random
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shadesocks.net.loop import EVENTS_MAX, PlaneLoop, PlaneSelector, run
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


def test_a_timer_that_a_handler_sets_is_known_to_the_poll_that_called_it() -> None:
    """Nothing else is to be done, so the loop sleeps until the time it knows of: the only other one is much later."""

    async def story() -> None:
        loop = asyncio.get_running_loop()
        reactor = Reactor()
        left, right = socket.socketpair()
        rung = asyncio.Event()

        def handler(_events: int) -> None:
            left.recv(1)
            loop.call_later(0.01, rung.set)

        end_of_patience = loop.call_later(5, rung.set)
        with left, right:
            reactor.watch(left.fileno(), READ, handler)
            right.send(b"x")
            await rung.wait()
            assert loop.time() < end_of_patience.when()
            end_of_patience.cancel()
            reactor.close(left)
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


class Busy:
    """A descriptor of the data plane that is always ready: its handler reads nothing."""

    def __init__(self, reactor: Reactor) -> None:
        self.calls = 0
        self.sock, self.far = socket.socketpair()
        self.far.send(b"!")
        reactor.watch(self.sock.fileno(), READ, self._on_event)

    def _on_event(self, _events: int) -> None:
        self.calls += 1

    def close(self, reactor: Reactor) -> None:
        reactor.close(self.sock)
        reactor.settle()
        self.far.close()


@contextmanager
def busy() -> Iterator[Busy]:
    """A reactor in the running loop that never comes to rest."""
    reactor = Reactor()
    one = Busy(reactor)
    try:
        yield one
    finally:
        one.close(reactor)
        reactor.stop()


@pytest.mark.parametrize("what", ["timer", "descriptor", "thread", "signal", "future"])
def test_a_busy_data_plane_starves_nobody(what: str) -> None:
    """A turn is bounded: whatever asyncio has to do comes between two of them."""

    async def story() -> None:
        loop = asyncio.get_running_loop()
        rung = asyncio.Event()
        with busy() as plane:
            if what == "timer":
                loop.call_later(0.01, rung.set)
            elif what == "descriptor":
                near, far = socket.socketpair()
                loop.add_reader(near, rung.set)
                far.send(b"!")
            elif what == "thread":
                await loop.run_in_executor(None, rung.set)
            elif what == "signal":
                loop.add_signal_handler(signal.SIGUSR1, rung.set)
                os.kill(os.getpid(), signal.SIGUSR1)
            else:
                loop.call_soon(rung.set)
            await rung.wait()
            if what == "descriptor":
                loop.remove_reader(near)
                near.close()
                far.close()
            loop.remove_signal_handler(signal.SIGUSR1)
            assert plane.calls
        if what == "thread":
            await loop.shutdown_default_executor()

    run(story())


def test_a_turn_serves_a_bounded_number_of_events() -> None:
    async def story() -> None:
        reactor = Reactor()
        crowd = [Busy(reactor) for _ in range(EVENTS_MAX + 20)]
        before = sum(one.calls for one in crowd)
        turns = 0
        while not all(one.calls for one in crowd):
            await asyncio.sleep(0)
            turns += 1
            assert sum(one.calls for one in crowd) - before <= EVENTS_MAX * turns
        for one in crowd:
            one.close(reactor)
        reactor.stop()

    run(story())


def test_no_timer_comes_before_its_time_and_all_in_their_order() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        came: list[tuple[float, float]] = []
        last = asyncio.Event()
        with busy():
            now = loop.time()
            for number in random.Random(1).sample(range(40), 40):  # noqa: S311 - an order
                due = now + number / 2000 + 0.0003
                loop.call_at(due, lambda due=due: came.append((due, loop.time())))  # type: ignore[misc]
            loop.call_at(now + 0.03, last.set)
            await last.wait()
        assert [due for due, _ in came] == sorted(due for due, _ in came)
        assert all(at >= due for due, at in came)

    run(story())


def test_a_handler_may_stop_the_loop() -> None:
    with asyncio.Runner(loop_factory=PlaneLoop) as runner:
        loop = runner.get_loop()
        reactor = Reactor(loop=loop)
        near, far = socket.socketpair()
        with near, far:
            reactor.watch(near.fileno(), READ, lambda _events: (near.recv(1), loop.stop())[1])
            far.send(b"!")
            end_of_patience = loop.call_later(5, loop.stop)
            loop.run_forever()
            stopped_at = loop.time()
            end_of_patience.cancel()
            reactor.close(near)
            reactor.stop()
        assert stopped_at < end_of_patience.when(), "the loop slept on though it was told to stop"


def test_a_handler_may_finish_a_future_and_wake_a_task() -> None:
    async def story() -> None:
        reactor = Reactor()
        near, far = socket.socketpair()
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        reactor.watch(near.fileno(), READ, lambda _events: future.set_result(near.recv(1)))
        far.send(b"!")
        assert await future == b"!"
        task = asyncio.create_task(asyncio.sleep(3600))
        reactor.watch(near.fileno(), READ, lambda _events: (near.recv(1), task.cancel())[0])  # type: ignore[arg-type]
        await asyncio.sleep(0)
        far.send(b"!")
        with pytest.raises(asyncio.CancelledError):
            await task
        reactor.close(near)
        reactor.stop()
        far.close()

    run(story())


def test_a_thread_may_call_while_a_handler_runs() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        reactor = Reactor()
        near, far = socket.socketpair()
        called = asyncio.Event()

        def handler(_events: int) -> None:
            near.recv(1)
            thread = threading.Thread(target=loop.call_soon_threadsafe, args=(called.set,))
            thread.start()
            thread.join()

        reactor.watch(near.fileno(), READ, handler)
        far.send(b"!")
        await called.wait()
        reactor.close(near)
        reactor.stop()
        far.close()

    run(story())


def test_a_handler_may_add_a_reader_of_asyncio() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        reactor = Reactor()
        near, far = socket.socketpair()
        other, other_far = socket.socketpair()
        heard = asyncio.Event()
        other_far.send(b"!")
        reactor.watch(near.fileno(), READ, lambda _events: (near.recv(1), loop.add_reader(other, heard.set))[1])
        far.send(b"!")
        await heard.wait()
        loop.remove_reader(other)
        reactor.close(near)
        reactor.stop()
        for sock in (far, other, other_far):
            sock.close()

    run(story())


def test_a_handler_that_raises_does_not_reach_the_loop() -> None:
    async def story() -> None:
        reactor = Reactor()
        near, far = socket.socketpair()
        reactor.watch(near.fileno(), READ, lambda _events: (_ for _ in ()).throw(RuntimeError("a bug")))
        far.send(b"!")
        while not reactor.errors:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)
        reactor.close(near)
        reactor.stop()
        far.close()

    run(story())


def test_bulk_over_asyncio_streams_beside_a_busy_data_plane() -> None:
    """asyncio's own transports block, go on, and end under the shared poll as under any other."""

    async def story() -> None:
        data = random.Random(2).randbytes(2_000_000)  # noqa: S311 - data

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while part := await reader.read(50_000):
                writer.write(part)
                await writer.drain()
            writer.close()
            await writer.wait_closed()

        with busy():
            async with await asyncio.start_server(echo, HOST, 0) as server:
                reader, writer = await asyncio.open_connection(HOST, server.sockets[0].getsockname()[1])

                async def send() -> None:
                    writer.write(data)
                    await writer.drain()
                    writer.write_eof()

                sending = asyncio.create_task(send())
                assert await reader.read(-1) == data
                await sending
                writer.close()
                await writer.wait_closed()

    run(story())


def test_children_their_pipes_and_their_ends_beside_a_busy_data_plane() -> None:
    async def story() -> None:
        with busy():
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                "import sys; data = sys.stdin.buffer.read(); sys.stdout.buffer.write(data[::-1]); sys.exit(7)",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            data = bytes(range(256)) * 1000
            out, _ = await child.communicate(data)
            assert out == data[::-1]
            assert child.returncode == 7

    run(story())


def test_the_poll_is_given_back_when_the_reactor_stops_and_taken_by_the_next() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, PlaneLoop)
        who: dict[str, Reactor] = {}
        owners = []
        for step in ("make first", "make second", "stop first", "make third", "stop second", "stop third"):
            what, name = step.split()
            if what == "make":
                who[name] = Reactor()
            else:
                who[name].stop()
            owner = loop.plane.dispatch
            owners.append(next((name for name, reactor in who.items() if reactor.serve == owner), "nobody"))
        assert owners == ["first", "first", "nobody", "third", "third", "nobody"]

    run(story())


def test_selecting_waits_no_longer_than_it_is_told_and_serves_the_plane_meanwhile() -> None:
    selector = PlaneSelector()
    near, far = socket.socketpair()
    served: list[tuple[int, int]] = []

    def dispatch(events: list[tuple[int, int]]) -> list[tuple[int, int]]:
        ours = [event for event in events if event[0] == near.fileno()]
        served.extend(ours)
        near.recv(1)
        return [event for event in events if event not in ours]

    with near, far:
        selector.dispatch = dispatch
        selector.epoll.register(near, selectors.EVENT_READ)
        far.send(b"1")
        assert selector.select(0) == []
        far.send(b"2")
        assert selector.select(0.01) == []
        assert len(served) == 2
    selector.close()


def test_a_time_out_is_waited_for_to_its_end() -> None:
    """epoll counts milliseconds: rounded down, the loop would come back early again and again."""
    selector = PlaneSelector()
    for timeout in (0.0004, 0.0017):
        begun = time.monotonic()
        assert selector.select(timeout) == []
        assert time.monotonic() - begun >= timeout
    selector.close()


def test_a_time_out_below_zero_does_not_wait() -> None:
    """As `selectors` says: if it is not positive, the call will not block."""
    selector = PlaneSelector()
    near, far = socket.socketpair()
    with near, far:
        selector.register(near, selectors.EVENT_READ)
        end_of_patience = threading.Timer(5, far.send, (b"!",))
        end_of_patience.start()
        try:
            assert selector.select(-1) == []
        finally:
            end_of_patience.cancel()
            end_of_patience.join()
            selector.close()


def test_a_descriptor_that_was_closed_behind_the_selector_can_be_unregistered() -> None:
    selector = PlaneSelector()
    near, far = socket.socketpair()
    with far:
        key = selector.register(near.fileno(), selectors.EVENT_READ)
        near.close()
        assert selector.unregister(key.fd) == key
        assert not selector.get_map()
    with pytest.raises(OSError, match="Bad file descriptor"):
        selector.register(key.fd, selectors.EVENT_READ)
    with pytest.raises(KeyError):
        selector.get_key(key.fd)
    selector.close()
