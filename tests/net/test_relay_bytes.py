"""The relay's rules on bytes: what does not authenticate, the header that is owed, and the exact account of payload."""

from __future__ import annotations

from typing import Final

import pytest

from shadesocks.core.reasons import REASONS
from shadesocks.net.relay import LOOK_DELAY, LOOKS_MAX, Relay

from .codec import HEAD, SALT, XorOpener, XorSealer, opened, sealed
from .world import MODELS, Program, World, count_unsent

DATA: Final = bytes(range(256)) * 16
HEADER_DELAY: Final = 0.1


@pytest.fixture(params=MODELS)
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> World:
    count_unsent(monkeypatch)
    return World(model=request.param)


# -- rule 3: bytes that do not authenticate --------------------------------------------------------


def bad(stream: bytes, at: int = -1) -> bytes:
    flipped = bytearray(stream)
    flipped[at] ^= 1
    return bytes(flipped)


def test_a_bad_chunk_of_the_initiator_resets_the_other_side_and_gives_its_own_away(world: World) -> None:
    left, client = world.link(XorOpener(HEAD), XorSealer(SALT))
    right, target = world.link()
    world.relay(left, right, keep_bad=True).begin()
    client.say(sealed(DATA, HEAD))
    world.run()
    client.say(bad(sealed(b"flipped")))
    world.run()
    assert target.got == DATA
    assert target.saw_reset
    assert world.bad == [client.relays]
    assert client.relays.fd >= 0, "its own side is not closed: it falls silent"
    assert not client.saw_end
    assert not client.saw_reset
    assert client.got == b""
    assert world.words == ["bad_chunk"]
    world.assert_clean()


def test_a_bad_chunk_without_anybody_to_fall_silent_closes_its_side(world: World) -> None:
    left, client = world.link(XorOpener(HEAD), XorSealer(SALT))
    right, target = world.link()
    world.relay(left, right).begin()
    client.say(sealed(DATA, HEAD) + bad(sealed(b"flipped")))
    world.run()
    assert target.got == b""
    assert target.saw_reset
    assert client.relays.fd < 0
    assert world.words == ["bad_chunk"]
    world.assert_clean()


@pytest.mark.parametrize(("at", "word"), [(0, "bad_server"), (-1, "bad_chunk")])
def test_a_bad_answer_of_a_server_resets_the_initiator(world: World, at: int, word: str) -> None:
    """The far end is closed, and never given to who falls silent: that is for those who came to us."""
    left, client = world.link()
    right, server = world.link(XorOpener(SALT), XorSealer(HEAD))
    world.relay(left, right, keep_bad=True).begin()
    client.say(b"question")
    world.run()
    server.say(bad(sealed(b"answer", SALT), at))
    world.run()
    assert client.got == b""
    assert client.saw_reset
    assert world.bad == []
    assert world.words == [word]
    world.assert_clean()


@pytest.mark.parametrize("reads", [True, False])
def test_what_was_opened_before_a_bad_chunk_is_delivered_before_the_reset(world: World, reads: bool) -> None:
    left, client = world.link(XorOpener(HEAD), XorSealer(SALT))
    right, target = world.link(room=300)
    target.stuff(300)
    world.relay(left, right, keep_bad=True).begin()
    client.say(sealed(DATA[:500], HEAD))
    world.run()
    client.say(bad(sealed(b"flipped")))
    world.run()
    assert world.words == []
    assert target.relays.outward
    target.hears = reads
    world.advance(LOOK_DELAY * 3)
    assert world.words == (["bad_chunk"] if reads else [])
    world.advance(LOOK_DELAY * LOOKS_MAX)
    assert target.sock.dead
    assert DATA[:500] == target.got if reads else target.got == b""
    assert world.words == ["bad_chunk"]
    world.assert_clean()


@pytest.mark.parametrize("cut", range(1, 20))
def test_a_stream_that_ends_inside_a_chunk_is_a_reset_and_no_end_of_file(cut: int) -> None:
    world = World()
    left, client = world.link(XorOpener(HEAD), XorSealer(SALT))
    right, target = world.link()
    world.relay(left, right).begin()
    client.say(sealed(DATA[:100], HEAD) + sealed(DATA[100:130])[:cut])
    client.end()
    world.run()
    assert target.got == DATA[:100]
    assert target.saw_reset
    assert not target.saw_end
    assert world.words == ["truncated"]
    world.assert_clean()


def test_every_word_that_a_relay_may_report_is_in_the_table_of_reasons() -> None:
    for word in ("done", "reset_left", "reset_right", "bad_server", "bad_chunk", "truncated", "idle", "internal"):
        assert word in REASONS


# -- the header ------------------------------------------------------------------------------------


def shadow_pair(world: World, delay: float | None = HEADER_DELAY) -> tuple[Relay, Program, Program]:
    """A client's relay: plain on the left, shadow on the right."""
    left, client = world.link()
    right, server = world.link(XorOpener(SALT), XorSealer(HEAD))
    relay = world.relay(left, right)
    relay.begin(None if delay is None else world.reactor.lane(delay))
    world.run()
    return relay, client, server


def test_the_header_goes_alone_after_the_delay_when_no_payload_comes(world: World) -> None:
    _, client, server = shadow_pair(world)
    world.advance(HEADER_DELAY * 0.9)
    assert server.got == b""
    world.advance(HEADER_DELAY * 0.2)
    assert server.got == HEAD
    server.say(sealed(b"220 ready", SALT))
    world.run()
    assert client.got == b"220 ready", "a server that speaks first"
    client.say(DATA)
    world.run()
    assert opened(bytes(server.got), HEAD) == DATA
    world.finish(client, server)


def test_a_payload_that_comes_in_time_takes_the_header_along(world: World) -> None:
    _, client, server = shadow_pair(world)
    world.advance(HEADER_DELAY * 0.5)
    client.say(DATA)
    world.run()
    assert server.got == sealed(DATA, HEAD)
    world.advance(HEADER_DELAY)
    assert server.got == sealed(DATA, HEAD), "the deadline that comes later finds nothing owed"
    world.finish(client, server)


def test_without_a_lane_the_header_goes_at_once(world: World) -> None:
    _, client, server = shadow_pair(world, None)
    assert server.got == HEAD
    world.finish(client, server)


def test_payload_that_was_held_carries_the_header(world: World) -> None:
    left, client = world.link()
    right, server = world.link(XorOpener(SALT), XorSealer(HEAD))
    left.held = DATA
    world.relay(left, right).begin(None)
    world.run()
    assert server.got == sealed(DATA, HEAD)
    assert [fd for name, fd in world.kernel.calls if name == "send"] == [right.fd]
    world.finish(client, server)


def test_a_client_that_ends_without_a_word_sends_the_header_and_the_end(world: World) -> None:
    _, client, server = shadow_pair(world)
    client.end()
    world.run()
    assert server.got == HEAD
    assert server.saw_end
    server.say(sealed(b"bye", SALT))
    world.run()
    assert client.got == b"bye"
    world.finish(server)


def test_an_answer_owes_no_header_before_there_is_one(world: World) -> None:
    left, client = world.link(XorOpener(b""), XorSealer(SALT))
    right, target = world.link()
    world.relay(left, right).begin()
    world.advance(1)
    assert client.got == b""
    target.say(b"hello")
    world.run()
    assert client.got == sealed(b"hello", SALT), "salt and payload in one send"
    assert [fd for name, fd in world.kernel.calls if name == "send"] == [left.fd]
    world.finish(client, target)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_header_that_is_due_after_a_reset_is_not_sent(world: World, side: str) -> None:
    relay, client, server = shadow_pair(world)
    (client if side == "left" else server).reset()
    world.advance(HEADER_DELAY * 2)
    assert world.words == [f"reset_{side}"]
    assert server.got == b""
    assert relay.right.relay is None
    world.assert_clean()


def test_a_header_that_the_socket_does_not_take_becomes_a_tail(world: World) -> None:
    left, client = world.link()
    right, server = world.link(XorOpener(SALT), XorSealer(HEAD), room=4)
    server.stuff(0)
    world.relay(left, right).begin(world.reactor.lane(HEADER_DELAY))
    world.advance(HEADER_DELAY * 1.5)
    assert right.tail == HEAD[4:]
    client.say(DATA)
    server.sock.arrival_room, server.hears = 1 << 20, True
    world.run()
    assert opened(bytes(server.got), HEAD) == DATA
    world.finish(client, server)


def test_a_header_with_a_tail_goes_out_though_both_sides_have_ended(world: World) -> None:
    left, client = world.link()
    right, server = world.link(XorOpener(SALT), XorSealer(HEAD), room=4)
    server.stuff(0)
    world.relay(left, right).begin(world.reactor.lane(HEADER_DELAY))
    client.end()
    world.run()
    server.end()
    world.run()
    assert right.tail == HEAD[4:]
    server.sock.arrival_room, server.hears = 1 << 20, True
    world.run()
    assert server.got == HEAD
    assert world.words == ["done"]
    world.assert_clean()


# -- the account -----------------------------------------------------------------------------------


def test_up_and_down_count_payload_to_the_byte(world: World) -> None:
    left, client = world.link(XorOpener(HEAD), XorSealer(SALT))
    right, target = world.link(XorOpener(SALT), XorSealer(HEAD))
    relay = world.relay(left, right)
    relay.begin()
    stream = sealed(DATA[:777], HEAD)
    client.say(stream[:-1])
    world.run()
    assert relay.up == 777 // 50 * 50, "a chunk that is not whole does not count"
    client.say(stream[-1:])
    target.say(sealed(DATA[:333], SALT))
    world.run()
    assert (relay.up, relay.down) == (777, 333)
    world.finish(client, target)
    assert (relay.up, relay.down) == (777, 333), "and is still told after the end"


def test_first_payload_that_left_with_the_connect_counts(world: World) -> None:
    left, client = world.link()
    right, target = world.link()
    left.moved = 5
    relay = world.relay(left, right)
    relay.begin()
    client.say(b"more")
    world.run()
    assert relay.up == 9
    world.finish(client, target)
