"""A relay's end: reported once, for whatever reason, and nothing is left of it."""

from __future__ import annotations

import contextlib
import errno
import gc
import weakref
from typing import Final

import pytest

from shadesocks.net.end import End
from shadesocks.net.relay import Relay

from .codec import HEAD, SALT, XorOpener, XorSealer, sealed
from .world import MODELS, World, count_unsent

DATA: Final = bytes(range(256)) * 16


@pytest.fixture(params=MODELS)
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> World:
    count_unsent(monkeypatch)
    return World(model=request.param)


# -- rule 4: the outcome, once ---------------------------------------------------------------------


def test_the_end_is_reported_once_whatever_comes_after(world: World) -> None:
    relay, client, target = world.pair()
    client.end()
    target.end()
    world.run()
    for word in ("idle", "stopped", "done"):
        relay.close(word)
    relay.expire()
    relay.left.pull()
    relay.left.begin()
    relay.right.send_header()
    relay.left.crash()
    assert world.outcomes == [(relay, "done")]
    world.assert_clean()


def test_both_sockets_are_closed_when_the_end_is_reported(world: World) -> None:
    left, client = world.link()
    right, target = world.link()
    open_then: list[int] = []

    def on_end(_relay: Relay, word: str) -> None:
        world.outcomes.append((relay, word))
        world.reactor.queue.append(lambda: open_then.extend(fd for fd in (left.fd, right.fd) if fd in handlers))

    handlers = world.reactor.handlers
    relay = Relay(world.reactor, world.scratch, left, right, on_end)
    relay.begin()
    client.end()
    target.end()
    world.run()
    assert open_then == []
    assert world.words == ["done"]
    world.assert_clean()


def test_a_relay_may_be_closed_by_its_owner_with_everything_on_its_way(world: World) -> None:
    relay, client, target = world.pair(room=100)
    target.stuff(10)
    client.say(DATA)
    world.run()
    assert relay.right.tail
    relay.close("stopped")
    world.reactor.settle()
    world.run()
    assert world.words == ["stopped"]
    world.assert_clean()


def test_a_handler_that_raises_ends_its_connection_and_no_other(world: World) -> None:
    _, client, target = world.pair()
    _, bystander, friend = world.pair()

    class Raises(XorOpener):
        def open(self, source: memoryview, end: int, out: memoryview) -> tuple[int, int]:
            raise RuntimeError("a bug")

    left, unlucky = world.link(Raises(HEAD), XorSealer(SALT))
    right, other = world.link()
    world.relay(left, right).begin()
    for program in (client, unlucky, bystander):
        program.say(DATA)
    world.run()
    assert world.words == ["internal"]
    assert [bytes(program.got) for program in (target, friend, other)] == [DATA, DATA, b""]
    assert unlucky.relays.fd < 0
    assert other.relays.fd < 0
    for program in (client, target, bystander, friend):
        program.end()
    world.run()
    assert world.words == ["internal", "done", "done"]
    world.assert_clean(errors=1)


def test_nothing_is_left_of_a_relay_that_ended_without_the_garbage_collector(world: World) -> None:
    """No reference cycles: its memory comes back at once, not at some collection."""
    gc.collect()
    gc.disable()
    try:
        for way in ("done", "reset", "bad", "closed"):
            left, client = world.link(XorOpener(HEAD), XorSealer(SALT))
            right, target = world.link()
            ended: list[str] = []
            relay = Relay(world.reactor, world.scratch, left, right, lambda _relay, word: ended.append(word))  # noqa: B023 - called in this round
            relay.begin()
            client.say(sealed(DATA, HEAD))
            world.run()
            dead = [weakref.ref(sock) for sock in (client.relays, target.relays)]
            if way == "done":
                client.end()
                target.end()
            elif way == "reset":
                client.reset()
            elif way == "bad":
                client.say(b"\xff" * 300)
            else:
                relay.close("stopped")
                world.reactor.settle()
            world.advance(1.0)
            assert len(ended) == 1
            assert sum(1 for thing in gc.get_referrers(relay) if isinstance(thing, End)) == 0
            for program in (client, target):
                program.sock.close()
                program.sock.other = None
                program.relays.other = None
                world.kernel.links.remove(program.sock)
                world.kernel.links.remove(program.relays)
                world.programs.remove(program)
            del relay, left, right, client, target, program
            assert [ref() for ref in dead] == [None, None], way
    finally:
        gc.enable()
    world.assert_clean()


def test_a_relay_whose_sockets_cannot_be_watched_leaves_nothing() -> None:
    """The kernel refuses to watch more (`max_user_watches`), for the first end or for the second."""
    for faults in ([errno.ENOSPC], [0, errno.ENOSPC]):
        world = World()
        left, _client = world.link()
        right, _target = world.link()
        relay = world.relay(left, right)
        world.kernel.faults["watch"] = faults
        with contextlib.suppress(OSError):
            relay.begin()
        world.reactor.settle()
        world.run()
        assert world.words == ["internal"]
        world.assert_clean(errors=world.reactor.errors)


# -- the sweep -------------------------------------------------------------------------------------

IDLE: Final = 100.0
HALF_CLOSED: Final = 10.0


def sweep_until(world: World, relay: Relay, seconds: float) -> None:
    for _ in range(int(seconds)):
        world.advance(1.0)
        relay.sweep(world.clock.now, IDLE, HALF_CLOSED)
        world.reactor.settle()
        world.run()


def test_a_connection_on_which_nothing_moves_is_ended_by_the_sweep(world: World) -> None:
    relay, client, target = world.pair()
    sweep_until(world, relay, IDLE)
    assert world.words == []
    sweep_until(world, relay, 3)
    assert world.words == ["idle"]
    assert client.saw_end
    assert target.saw_end
    world.assert_clean()


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_connection_on_which_anything_moves_lives_on(world: World, side: str) -> None:
    relay, client, target = world.pair()
    for _ in range(5):
        sweep_until(world, relay, IDLE * 0.9)
        (client if side == "left" else target).say(b".")
        world.run()
    assert world.words == []
    sweep_until(world, relay, IDLE * 0.9)
    assert world.words == []
    world.finish(client, target)


def test_a_half_closed_connection_has_less_time(world: World) -> None:
    relay, client, target = world.pair()
    client.end()
    world.run()
    sweep_until(world, relay, HALF_CLOSED)
    target.say(b".")
    sweep_until(world, relay, HALF_CLOSED)
    assert world.words == []
    sweep_until(world, relay, 3)
    assert world.words == ["idle"]
    world.assert_clean()
