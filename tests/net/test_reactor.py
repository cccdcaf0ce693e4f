"""The reactor's rules, each as a test on the simulated kernel.

Where a rule of design §4 is another file's, its test stands there: stories (7, 8, 9) in `test_story.py`, deadlines (10)
in `test_lane.py`, listeners (11) in `test_listen.py`, connects (6) in `test_connect.py`, hang-ups (5) in `test_end.py`,
random bytes after a fork (12) in `tests/crypto/test_random.py`, signals (13) in `test_loop.py`.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from socket import SocketType

import pytest

from shadesocks.net.loop import run
from shadesocks.net.poller import READ, WRITE
from shadesocks.net.reactor import Reactor
from shadesocks.net.story import ready

from .kernel import FIRST_FD, FakeSocket
from .world import MODELS, World


@pytest.fixture(params=MODELS)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    world = World(model=request.param)
    yield world
    world.reactor.stories.clear()


class Reader:
    """A handler of the plainest kind: notes what it was told, receives a little each time."""

    def __init__(self, world: World, sock: FakeSocket, most: int = 10) -> None:
        self.sock = sock
        self.fd = sock.fd
        self.most = most
        self.events: list[int] = []
        self.got = bytearray()
        self.acts: list[Callable[[], None]] = []
        """What to do at the next events, one each."""
        self.crashes = 0
        self.crash_raises = False
        self._buffer = memoryview(bytearray(most))
        world.reactor.watch(sock.fd, READ, self.on_event)

    def on_event(self, events: int) -> None:
        self.events.append(events)
        if self.acts:
            self.acts.pop(0)()
            return
        size = self.sock.recv_into(self._buffer, self.most)
        self.got += self._buffer[:size]

    def crash(self) -> None:
        self.crashes += 1
        if self.crash_raises:
            raise RuntimeError("a bug in the clean-up of a bug")


def readers(world: World, count: int) -> tuple[list[Reader], list[FakeSocket]]:
    pairs = [world.kernel.pair() for _ in range(count)]
    return [Reader(world, sock) for sock, _ in pairs], [far for _, far in pairs]


def end(world: World, errors: int = 0) -> None:
    """Close every socket there is, and see that nothing is left."""
    for sock in list(world.kernel.table.values()):
        if sock.outside:
            sock.close()
        else:
            world.reactor.close(sock.sock)
    world.reactor.settle()
    world.assert_clean(errors)


def fail() -> None:
    raise RuntimeError("a bug")


# -- interest --------------------------------------------------------------------------------------


def test_a_handler_is_called_while_there_is_what_it_waits_for(world: World) -> None:
    """Level-triggered: what was not received comes again."""
    (reader,), (far,) = readers(world, 1)
    world.turn()
    assert reader.events == []
    far.send(bytes(25))
    for count in (10, 20, 25):
        assert world.turn()
        assert len(reader.got) == count
    assert not world.turn()
    end(world)


def test_a_socket_that_others_hold_too_is_closed_without_a_trace() -> None:
    """Real sockets: epoll forgets a descriptor when the last one of its kind is closed, wherever that is."""

    async def story() -> None:
        reactor, heard = Reactor(), list[int]()
        near, far = socket.socketpair()
        held = near.dup()
        copy = SocketType(near.family, near.type, 0, near.detach())
        fd = copy.fileno()
        with held, far:
            for _ in range(2):  # the second time with the number that was just given back
                assert copy.fileno() == fd
                reactor.watch(fd, READ, heard.append)
                reactor.close_shared(copy)
                reactor.settle()
                far.send(b"!")
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                copy = SocketType(held.family, held.type, 0, os.dup(held.fileno()))
            copy.close()
        assert heard == []
        assert reactor.errors == 0
        reactor.stop()

    run(story())


def test_a_handler_hears_of_what_it_waits_for_and_of_nothing_else(world: World) -> None:
    (reader,), (far,) = readers(world, 1)
    fd = reader.fd
    heard: list[int] = []
    far.send(b"!")
    world.reactor.watch(fd, WRITE, heard.append)
    world.turn()
    assert heard == [WRITE]
    world.reactor.watch(fd, READ, heard.append)
    world.turn()
    assert heard == [WRITE, 1]
    world.reactor.watch(fd, READ | WRITE, heard.append)
    world.turn()
    assert sum(set(heard[2:])) == 5
    end(world)


def test_no_interest_means_unregistered(world: World) -> None:
    (reader,), (far,) = readers(world, 1)
    world.reactor.watch(reader.fd, 0, reader.on_event)
    far.send(b"!")
    far.close()  # a hang-up comes whatever the interest
    assert not world.turn()
    assert not world.kernel.interest
    assert not world.clock.readers
    world.reactor.watch(reader.fd, READ, reader.on_event)
    world.turn()
    assert reader.got == b"!"
    end(world)


def test_an_interest_that_stays_the_same_costs_no_system_call() -> None:
    world = World()
    (reader,), _ = readers(world, 1)
    del world.kernel.calls[:]
    for _ in range(3):
        world.reactor.watch(reader.fd, READ, reader.on_event)
    assert world.kernel.calls == []
    world.reactor.watch(reader.fd, READ | WRITE, reader.on_event)
    assert world.kernel.calls == [("watch", reader.fd)]
    end(world)


def test_an_event_that_nobody_waits_for_disarms_its_descriptor(world: World) -> None:
    (reader,), (far,) = readers(world, 1)
    world.reactor.unwatch(reader.fd)
    world.turn()
    far.send(b"!")
    far.close()
    world.run()  # fails where it spins
    assert reader.events == []
    assert not world.turn()
    world.reactor.watch(reader.fd, READ, reader.on_event)
    world.turn()
    assert reader.got == b"!", "and it can be watched again"
    end(world)


def test_a_descriptor_that_is_not_ours_is_told_of_and_left_alone(world: World) -> None:
    assert world.reactor.serve([(3, READ)]) == [(3, READ)]
    world.reactor.unwatch(3)
    end(world)


# -- rule 1: fairness ------------------------------------------------------------------------------


def test_a_busy_descriptor_gets_one_call_a_turn_like_any_other(world: World) -> None:
    (busy, quiet), (busy_far, quiet_far) = readers(world, 2)
    busy_far.send(bytes(1000))
    for _ in range(5):
        quiet_far.send(b"!")
        world.turn()
    assert len(busy.events) == 5
    assert quiet.got == b"!!!!!"
    end(world)


# -- rule 2: every call is guarded -----------------------------------------------------------------


def test_a_handler_that_raises_costs_its_connection_and_no_other(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    ours, far = readers(world, 5)
    ours[2].acts.append(fail)
    for one in far:
        one.send(b"!")
    world.turn()
    assert [bytes(one.got) for one in ours] == [b"!", b"!", b"", b"!", b"!"], "the rest of the batch went on"
    assert ours[2].crashes == 1
    assert world.reactor.errors == 1
    assert "a bug" in caplog.text
    world.run()
    assert len(ours[2].events) == 1, "it is not called again"
    end(world, errors=1)


def test_a_crash_that_raises_is_guarded_too(world: World) -> None:
    (one, two), (far_one, far_two) = readers(world, 2)
    one.acts.append(fail)
    one.crash_raises = True
    far_one.send(b"!")
    far_two.send(b"!")
    world.run()
    assert two.got == b"!"
    assert world.reactor.errors == 2
    end(world, errors=2)


def test_a_handler_that_closed_its_socket_and_then_raised(world: World) -> None:
    (reader,), (far,) = readers(world, 1)

    def act() -> None:
        world.reactor.close(reader.sock.sock)
        fail()

    reader.acts.append(act)
    far.send(b"!")
    world.run()
    assert reader.sock.fd < 0
    end(world, errors=1)


def test_a_queued_call_that_raises_costs_no_other(world: World) -> None:
    said: list[str] = []
    world.reactor.queue.extend([fail, lambda: said.append("next")])
    world.reactor.settle()
    assert said == ["next"]
    end(world, errors=1)


# -- rule 3: the run queue -------------------------------------------------------------------------


def test_what_is_queued_runs_when_every_handler_of_the_turn_has() -> None:
    world = World()
    ours, far = readers(world, 3)
    order: list[str] = []
    for number, reader in enumerate(ours):

        def act(number: int = number) -> None:
            order.append(f"handler {number}")
            world.reactor.queue.append(lambda: order.append(f"call {number}"))
            world.reactor.unwatch(ours[number].fd)

        reader.acts.append(act)
    for one in far:
        one.send(b"!")
    world.turn()
    assert order == [*(f"handler {number}" for number in range(3)), *(f"call {number}" for number in range(3))]
    end(world)


def test_a_queued_call_may_queue_more_and_it_runs_in_the_same_turn(world: World) -> None:
    said: list[int] = []

    def call(depth: int) -> None:
        said.append(depth)
        if depth:
            world.reactor.queue.append(lambda: call(depth - 1))

    world.reactor.queue.append(lambda: call(3))
    world.reactor.settle()
    assert said == [3, 2, 1, 0]
    end(world)


def test_a_story_that_another_ends_is_ended_from_the_queue_and_not_from_inside(world: World) -> None:
    """A full house evicts: the newcomer's story runs, and ends another's, whose event is in the same batch."""
    new, new_far = world.kernel.pair()
    old, old_far = world.kernel.pair()
    order: list[str] = []

    async def newest() -> None:
        await ready(new.fd, READ)
        world.reactor.queue.append(story.abort)
        world.reactor.close(old.sock)
        order.append("new goes on")

    async def oldest() -> None:
        try:
            await ready(old.fd, READ)
            order.append("old goes on")
        finally:
            order.append("old ends")

    world.reactor.tell(newest())
    story = world.reactor.tell(oldest())
    old_far.send(b"too late")
    new_far.send(b"!")
    world.run()
    assert order == ["new goes on", "old ends"]
    end(world)


# -- rule 4: descriptors are closed when the turn is over ------------------------------------------


def test_a_descriptor_closed_in_a_turn_is_closed_after_it_so_its_number_cannot_come_back_within_it() -> None:
    world = World()
    (closer, victim), (far_closer, far_victim) = readers(world, 2)
    fresh: list[FakeSocket] = []

    def act() -> None:
        world.reactor.close(victim.sock.sock)
        fresh.extend(world.kernel.pair())
        Reader(world, fresh[0])

    closer.acts.append(act)
    far_closer.send(b"!")
    far_victim.send(b"for the victim")
    number = victim.fd
    world.turn()
    assert victim.events == [], "it was closed before its event in the same batch"
    assert victim.sock.fd < 0
    assert fresh[0].fd != number
    assert world.kernel.pair()[0].fd == number, "after the turn it comes back"
    world.run()
    end(world)


def test_a_number_that_came_back_has_nothing_of_its_old_life(world: World) -> None:
    for _ in range(5):
        (reader,), (far,) = readers(world, 1)
        assert reader.fd == FIRST_FD
        far.send(b"!")
        world.run()
        assert reader.got == b"!"
        world.reactor.watch(reader.fd, READ | WRITE, reader.on_event)
        world.reactor.close(reader.sock.sock)
        world.reactor.settle()
        far.close()
    world.assert_clean()


def test_closing_twice_is_closing_once(world: World) -> None:
    (reader,), _ = readers(world, 1)
    world.reactor.close(reader.sock.sock)
    world.reactor.close(reader.sock.sock)
    world.reactor.settle()
    world.reactor.close(reader.sock.sock)
    assert reader.sock.fd < 0
    end(world)


def test_a_listener_may_be_closed_by_a_handler_of_the_same_batch(world: World) -> None:
    """Any two descriptors of one batch may close each other: whoever is second is not called."""
    ours, far = readers(world, 2)
    ours[0].acts.append(lambda: world.reactor.close(ours[1].sock.sock))
    ours[1].acts.append(lambda: world.reactor.close(ours[0].sock.sock))
    for one in far:
        one.send(b"!")
    world.run()
    assert sorted(len(one.events) for one in ours)[0] == 0
    assert sorted(one.sock.fd < 0 for one in ours) == [False, True]
    end(world)


# -- the end ---------------------------------------------------------------------------------------


def test_stop_ends_every_story_and_leaves_nothing(world: World) -> None:
    socks = [world.kernel.pair()[0] for _ in range(5)]
    ended: list[str] = []

    async def tell(sock: FakeSocket) -> None:
        try:
            await ready(sock.fd, READ)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        finally:
            world.reactor.close(sock.sock)

    for sock in socks:
        world.reactor.lane(10.0).start(world.reactor.tell(tell(sock)))
    world.reactor.stop()
    assert ended == ["cancelled"] * 5
    assert all(sock.fd < 0 for sock in socks)
    assert world.clock.timers == []
    end(world)


def test_an_unknown_event_model_is_refused_with_the_ones_there_are(world: World) -> None:
    with pytest.raises(ValueError, match=r"'iocp'.*portable"):
        Reactor("iocp", world.clock.loop)
