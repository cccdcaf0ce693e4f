"""One end's reads: their sizes, the budget of all tails, and what is there when the relay begins."""

from __future__ import annotations

import errno
from typing import Final

import pytest

from shadesocks.net.end import End
from shadesocks.net.pipe import READ_MAX, READ_MIN, TAILS_MAX

from .codec import SALT, XorOpener, XorSealer, sealed
from .kernel import ROOMY
from .world import MODELS, Program, World

DATA: Final = bytes(range(256)) * 16
"""4 KiB in which a displaced byte shows."""


@pytest.fixture(params=MODELS)
def world(request: pytest.FixtureRequest) -> World:
    return World(model=request.param)


def begin(world: World, left: End, right: End) -> None:
    world.relay(left, right).begin()
    world.run()


# -- the sizes of reads ----------------------------------------------------------------------------


def grow(world: World, client: Program, end: End) -> list[int]:
    """Offer so much that every read is filled; return what the reads asked for."""
    sock = client.relays
    sock.arrival_room = client.sock.room = 1 << 24
    client.say(bytes(READ_MAX * 4))
    del sock.reads[:]
    while sock.inward:
        world.turn()
    return sock.reads


def test_reads_start_at_64_kib_and_double_to_1_mib() -> None:
    world = World()
    left, client = world.link()
    right, target = world.link(room=1 << 24)
    target.sock.arrival_room = 1 << 24
    world.relay(left, right).begin()
    reads = grow(world, client, left)
    assert reads[:6] == [READ_MIN, READ_MIN * 2, READ_MIN * 4, READ_MIN * 8, READ_MAX, READ_MAX]
    assert max(reads) == READ_MAX
    world.finish(client, target)


def test_a_read_that_is_not_filled_does_not_grow_the_next() -> None:
    world = World()
    left, client = world.link()
    right, target = world.link()
    begin(world, left, right)
    for _ in range(5):
        client.say(DATA)
        world.run()
    assert set(client.relays.reads) == {READ_MIN}
    world.finish(client, target)


def test_a_read_that_is_filled_does_not_grow_the_next_while_the_sink_has_a_tail() -> None:
    world = World()
    left, client = world.link()
    right, target = world.link(room=1000)
    target.hears = False
    target.sock.arrival_room = 1000
    client.relays.arrival_room = client.sock.room = READ_MIN
    client.say(bytes(READ_MIN))
    begin(world, left, right)
    assert client.relays.reads == [READ_MIN]
    assert right.tail
    assert left.room == READ_MIN
    client.relays.arrival_room = client.sock.room = ROOMY
    world.finish(client, target)


def test_reads_fall_back_when_the_sink_does_not_take_everything() -> None:
    world = World()
    left, client = world.link()
    right, target = world.link(room=1 << 24)
    target.sock.arrival_room = 1 << 24
    world.relay(left, right).begin()
    grow(world, client, left)
    assert left.room == READ_MAX
    target.relays.room = 1000
    target.hears = False
    target.sock.arrival_room = len(target.sock.inward)
    client.say(DATA)
    world.run()
    assert right.tail
    assert left.room == READ_MIN
    world.finish(client, target)


def test_beyond_the_budget_of_all_tails_every_read_is_64_kib() -> None:
    world = World()
    left, client = world.link()
    right, target = world.link(room=1 << 24)
    target.sock.arrival_room = 1 << 24
    world.relay(left, right).begin()
    grow(world, client, left)
    assert left.room == READ_MAX
    world.scratch.tails += TAILS_MAX
    assert set(grow(world, client, left)) == {READ_MIN}
    world.scratch.tails -= TAILS_MAX
    assert max(grow(world, client, left)) == READ_MAX
    world.finish(client, target)


class SlowSealer(XorSealer):
    """One that wants little at once."""

    read_max = READ_MIN // 8


class SlowOpener(XorOpener):
    """One that wants twice as much."""

    read_max = READ_MIN * 2


@pytest.mark.parametrize(
    ("opener", "sealer", "most"),
    [
        (None, SlowSealer(SALT), READ_MIN // 8),
        (SlowOpener(b""), None, READ_MIN * 2),
        (SlowOpener(b""), SlowSealer(SALT), READ_MIN // 8),
        (SlowOpener(b""), XorSealer(SALT), READ_MIN * 2),
    ],
)
def test_a_slow_cipher_gets_no_more_at_once_than_it_says(
    opener: XorOpener | None, sealer: XorSealer | None, most: int
) -> None:
    """Or one connection of camellia-256-cfb1 held all others for 7 s a read."""
    world = World()
    left, client = world.link(opener, XorSealer(SALT) if opener else None)
    right, target = world.link(XorOpener(b"") if sealer else None, sealer, room=1 << 24)
    target.sock.arrival_room = 1 << 24
    world.relay(left, right).begin()
    sock = client.relays
    sock.arrival_room = client.sock.room = 1 << 24
    client.say(sealed(bytes(READ_MIN * 4)) if opener else bytes(READ_MIN * 4))
    while sock.inward:
        world.turn()
    assert max(sock.reads) == most
    target.relays.room, target.hears, target.sock.arrival_room = 1000, False, len(target.sock.inward)
    client.say(sealed(DATA) if opener else DATA)
    world.run()
    assert right.tail
    assert left.room == min(READ_MIN, most)
    world.finish(client, target)


# -- what is there when the relay begins -----------------------------------------------------------


def test_bytes_that_came_with_the_handshake_go_first(world: World) -> None:
    left, client = world.link(XorOpener(b""), XorSealer(SALT))
    right, target = world.link()
    left.held = sealed(DATA[:333])
    client.say(sealed(DATA[333:]))
    begin(world, left, right)
    assert target.got == DATA
    world.finish(client, target)


def test_a_first_payload_that_the_connect_did_not_take_goes_before_what_is_held(world: World) -> None:
    left, client = world.link(XorOpener(b""), XorSealer(SALT))
    right, target = world.link(room=100)
    target.hears = False
    target.sock.arrival_room = 100
    right.tail = DATA[:1000]
    left.held = sealed(DATA[1000:2000])
    begin(world, left, right)
    assert left.held == sealed(DATA[1000:2000])
    target.hears = True
    world.run()
    assert target.got == DATA[:2000], "whole chunks are passed on without waiting for more"
    assert left.held == b""
    client.say(sealed(DATA[2000:]))
    world.run()
    assert target.got == DATA
    world.finish(client, target)


def test_a_client_that_ends_behind_what_is_held_is_not_cut_off(world: World) -> None:
    left, client = world.link(XorOpener(b""), XorSealer(SALT))
    right, target = world.link(room=100)
    right.tail = DATA[:500]
    left.held = sealed(DATA[500:])
    client.end()
    begin(world, left, right)
    assert target.got == DATA
    assert target.saw_end
    world.finish(target)


def test_a_held_chunk_that_meets_a_broken_sink_does_not_open_the_source_again() -> None:
    world = World()
    left, client = world.link(XorOpener(b""), XorSealer(SALT))
    right, target = world.link(room=100)
    target.hears = False
    target.sock.arrival_room = 100
    right.tail = DATA[:150]
    left.held = sealed(DATA[:500])
    client.say(sealed(DATA) * 40)
    world.relay(left, right).begin()
    world.turn()
    target.say(b"last words")
    target.relays.room = ROOMY
    world.kernel.faults["send"] = [0, errno.EPIPE]  # the tail goes out, and then the held chunks do not
    reads = len(client.relays.reads)
    world.turn()
    assert right.broken
    assert not left.wanted & 1, "nothing that it says could be delivered"
    assert len(client.relays.reads) == reads
    target.end()
    world.run()
    assert client.got == sealed(b"last words", SALT)
    assert world.words == ["reset_right"]
    world.assert_clean()
