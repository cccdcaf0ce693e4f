"""One end's rules: what is copied, back-pressure, half-close, and the sizes of reads; on the simulated kernel."""

from __future__ import annotations

from itertools import permutations
from typing import Final

import pytest

from shadesocks.net.end import End

from .codec import CHUNK_MAX, HEAD, SALT, XorOpener, XorSealer, opened, sealed
from .kernel import ROOMY
from .world import MODELS, World

DATA: Final = bytes(range(256)) * 16
"""4 KiB in which a displaced byte shows."""


@pytest.fixture(params=MODELS)
def world(request: pytest.FixtureRequest) -> World:
    return World(model=request.param)


def begin(world: World, left: End, right: End) -> None:
    world.relay(left, right).begin()
    world.run()


# -- rule 1: only what cannot wait is copied -------------------------------------------------------


def test_an_incomplete_chunk_is_held_and_nothing_else(world: World) -> None:
    left, client = world.link(XorOpener(HEAD), XorSealer(SALT))
    right, target = world.link()
    begin(world, left, right)
    stream = sealed(DATA[:120], HEAD)
    for at in range(len(stream)):
        client.say(stream[at : at + 1])
        world.run()
        whole = opened(stream[: at + 1], HEAD)
        assert target.got == whole
        assert len(left.held) <= CHUNK_MAX + 2
        assert stream[: at + 1].endswith(left.held)
    assert left.held == b""
    world.finish(client, target)


def test_only_what_the_socket_did_not_take_becomes_a_tail(world: World) -> None:
    left, client = world.link()
    right, target = world.link(room=100, inward=ROOMY)
    target.hears = False
    target.sock.arrival_room = 50
    begin(world, left, right)
    client.say(DATA[:240])
    world.run()
    assert right.tail == DATA[150:240], "50 bytes have arrived, and 100 fill the send buffer"
    assert world.scratch.tails == len(right.tail)
    assert left.held == b""
    world.finish(client, target)
    assert target.got == DATA[:240]


def test_an_idle_connection_owns_no_bytes(world: World) -> None:
    left, client = world.link(XorOpener(HEAD), XorSealer(SALT))
    right, target = world.link()
    begin(world, left, right)
    client.say(sealed(DATA, HEAD))
    target.say(DATA)
    world.run()
    assert [left.held, left.tail, right.held, right.tail] == [b""] * 4
    assert client.got == sealed(DATA, SALT)
    world.finish(client, target)


# -- rule 2: back-pressure -------------------------------------------------------------------------


def test_while_the_sink_has_a_tail_its_source_is_not_read(world: World) -> None:
    left, client = world.link(inward=1 << 14)
    right, target = world.link(room=1000)
    target.hears = False
    target.sock.arrival_room = 1000
    begin(world, left, right)
    client.say(DATA * 64)
    world.run()
    kernel, sock = world.kernel, client.relays
    reads = len(sock.reads)
    assert right.tail
    assert len(sock.inward) == sock.arrival_room, "the source's kernel is full"
    assert len(client.sock.outward) > 0
    for _ in range(10):
        world.run()
    assert len(sock.reads) == reads
    assert kernel.interest.get(sock.fd, 0) == 0, "no interest means unregistered"
    target.hear(999)
    world.run()
    assert len(sock.reads) == reads, "a tail that shrank is still a tail"
    world.finish(target, client)
    assert target.got == DATA * 64


def test_the_other_direction_flows_while_one_is_blocked(world: World) -> None:
    left, client = world.link()
    right, target = world.link(room=500)
    target.hears = False
    target.sock.arrival_room = 500
    begin(world, left, right)
    client.say(DATA)
    world.run()
    assert right.tail
    for _ in range(5):
        target.say(DATA)
        world.run()
    assert client.got == DATA * 5
    world.finish(client, target)
    assert target.got == DATA


def test_both_directions_may_be_blocked_at_once(world: World) -> None:
    left, client = world.link(room=300)
    right, target = world.link(room=500)
    for program in (client, target):
        program.hears = False
        program.sock.arrival_room = 400
        program.say(DATA * 20)
    begin(world, left, right)
    assert left.tail
    assert right.tail
    assert world.scratch.tails == len(left.tail) + len(right.tail)
    world.finish(client, target)
    assert client.got == target.got == DATA * 20


def test_a_tail_goes_out_before_anything_newer(world: World) -> None:
    left, client = world.link()
    right, target = world.link(room=64)
    target.hears = False
    target.sock.arrival_room = 64
    begin(world, left, right)
    for at in range(0, len(DATA), 256):
        client.say(DATA[at : at + 256])
        world.run()
        target.hear(100)
        world.run()
    world.finish(client, target)
    assert target.got == DATA


# -- rule 3: half-close ----------------------------------------------------------------------------


def test_end_of_file_on_one_side_becomes_end_of_file_on_the_other(world: World) -> None:
    left, client = world.link()
    right, target = world.link()
    begin(world, left, right)
    client.say(DATA)
    client.end()
    world.run()
    assert target.got == DATA
    assert target.saw_end
    assert not client.saw_end
    assert world.words == []
    target.say(DATA)
    world.run()
    assert client.got == DATA, "the other direction goes on"
    world.finish(target)
    assert client.saw_end


STEPS: Final = ("client speaks", "client ends", "target speaks", "target ends")
ORDERS: Final = [
    order
    for order in permutations(STEPS)
    if order.index(STEPS[0]) < order.index(STEPS[1]) and order.index(STEPS[2]) < order.index(STEPS[3])
]


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: ", ".join(order))
@pytest.mark.parametrize("shadow", ["plain", "left", "right", "both"])
def test_half_close_works_in_every_order(order: tuple[str, ...], shadow: str) -> None:
    world = World()
    left, client = world.link(*((XorOpener(HEAD), XorSealer(SALT)) if shadow in ("left", "both") else ()))
    right, target = world.link(*((XorOpener(SALT), XorSealer(HEAD)) if shadow in ("right", "both") else ()))
    begin(world, left, right)
    up = sealed(DATA, HEAD) if shadow in ("left", "both") else DATA
    down = sealed(DATA, SALT) if shadow in ("right", "both") else DATA
    acts = {
        "client speaks": lambda: client.say(up),
        "client ends": client.end,
        "target speaks": lambda: target.say(down),
        "target ends": target.end,
    }
    for step in order:
        assert world.words == []
        acts[step]()
        world.run()
    assert world.words == ["done"]
    assert target.saw_end
    assert client.saw_end
    got_up = opened(bytes(target.got), HEAD) if shadow in ("right", "both") else target.got
    got_down = opened(bytes(client.got), SALT) if shadow in ("left", "both") else client.got
    assert (got_up, got_down) == (DATA, DATA)
    world.assert_clean()


def test_end_of_file_waits_for_the_tail(world: World) -> None:
    left, client = world.link()
    right, target = world.link(room=100)
    target.hears = False
    target.sock.arrival_room = 100
    begin(world, left, right)
    client.say(DATA)
    client.end()
    world.run()
    assert not right.shut
    while not target.saw_end:
        target.hear(77)
        world.run()
    assert target.got == DATA
    world.finish(target)


def test_end_of_file_that_came_during_the_dial_is_kept(world: World) -> None:
    left, client = world.link()
    client.say(DATA)
    client.end()
    world.run()
    right, target = world.link()
    begin(world, left, right)
    assert target.got == DATA
    assert target.saw_end
    target.say(DATA)
    world.finish(target)
    assert client.got == DATA


def test_ends_of_both_sides_before_the_relay_began(world: World) -> None:
    left, client = world.link()
    right, target = world.link()
    client.say(b"question")
    target.say(b"answer")
    client.end()
    target.end()
    world.run()
    begin(world, left, right)
    assert (bytes(target.got), bytes(client.got)) == (b"question", b"answer")
    assert world.words == ["done"]
    world.assert_clean()


def test_where_both_ended_the_close_says_it_and_no_shutdown_does(world: World) -> None:
    left, client = world.link()
    right, target = world.link()
    begin(world, left, right)
    client.end()
    world.run()
    target.end()
    world.run()
    ended = [fd for name, fd in world.kernel.calls if name == "shutdown"]
    assert ended == [right.fd], "the second end of file closes both sockets, which says the same"
    assert world.words == ["done"]
    world.assert_clean()


def test_a_source_that_closed_while_its_sink_is_slow_does_not_spin(world: World) -> None:
    """Hang-ups come again at every poll: `World.run` fails where nobody acts on them."""
    left, client = world.link()
    right, target = world.link(room=100)
    target.hears = False
    target.sock.arrival_room = 100
    begin(world, left, right)
    target.end()
    world.run()
    client.say(DATA)
    client.leave()
    world.run()
    assert right.tail
    world.finish(target)
    assert target.got == DATA


# -- rule 4: what does not authenticate is not looked at -------------------------------------------


def test_a_bad_chunk_delivers_nothing_of_its_read(world: World) -> None:
    left, client = world.link(XorOpener(HEAD), XorSealer(SALT))
    right, target = world.link()
    begin(world, left, right)
    client.say(sealed(DATA[:1000], HEAD))
    world.run()
    stream = bytearray(sealed(DATA[:500]))
    stream[-1] ^= 1
    client.say(bytes(stream))
    world.run()
    assert target.got == DATA[:1000], "the nine good chunks before the bad one came with the same read"
    assert target.saw_reset
    assert world.words == ["bad_chunk"]
    world.assert_clean()


# -- rule 5: what one event costs ------------------------------------------------------------------


@pytest.mark.parametrize("shadow", ["plain", "shadow"])
def test_an_event_costs_one_receive_and_one_send(shadow: str) -> None:
    world = World()
    codec = (XorOpener(SALT), XorSealer(HEAD)) if shadow == "shadow" else ()
    left, client = world.link()
    right, target = world.link(*codec)
    begin(world, left, right)
    for _ in range(5):
        client.say(DATA)
        before = len(world.kernel.calls)
        world.turn()
        assert world.kernel.calls[before:] == [("recv", left.fd), ("send", right.fd)]
    world.finish(client, target)


def test_a_header_and_its_first_payload_leave_in_one_send() -> None:
    world = World()
    left, client = world.link()
    right, target = world.link(XorOpener(SALT), XorSealer(HEAD))
    world.relay(left, right).begin(world.reactor.lane(0.1))
    client.say(DATA)
    world.turn()
    assert [fd for name, fd in world.kernel.calls if name == "send"] == [right.fd]
    world.finish(client, target)
    assert opened(bytes(target.got), HEAD) == DATA


def test_an_end_of_file_that_is_there_is_found_with_its_last_bytes() -> None:
    """Only epoll tells (RDHUP): one poll is spared, for one receive more."""
    world = World()
    left, client = world.link()
    right, target = world.link()
    begin(world, left, right)
    client.say(DATA)
    client.end()
    before = len(world.kernel.calls)
    world.turn()
    assert world.kernel.calls[before:] == [
        *(("recv", left.fd), ("send", right.fd)),
        *(("recv", left.fd), ("shutdown", right.fd), ("watch", left.fd)),
    ]
    world.finish(target)


def test_a_paced_end_is_not_read_until_it_goes_on(world: World) -> None:
    left, client = world.link()
    right, target = world.link()
    begin(world, left, right)
    left.pause()
    client.say(DATA)
    target.say(DATA)
    world.advance(5.0)
    assert (bytes(target.got), bytes(client.got)) == (b"", DATA)
    left.resume()
    world.run()
    assert target.got == DATA
    left.pause()
    client.end()
    world.advance(5.0)
    ends = [target.saw_end]
    left.resume()
    world.run()
    assert [*ends, target.saw_end] == [False, True]
    world.finish(target)
    left.resume()
    assert world.words == ["done"]


def test_a_sink_that_takes_its_tail_does_not_wake_a_paced_source(world: World) -> None:
    left, client = world.link()
    right, target = world.link(room=100, inward=ROOMY)
    target.stuff(50)
    begin(world, left, right)
    client.say(DATA[:240])
    world.run()
    left.pause()
    left.resume()
    left.pause()
    target.hears = True
    world.run()
    assert target.got == DATA[:240]
    client.say(b"more")
    world.run()
    assert target.got == DATA[:240]
    left.resume()
    world.run()
    assert target.got == DATA[:240] + b"more"
    world.finish(client, target)


def test_what_a_socket_gave_and_took_is_counted(world: World) -> None:
    left, client = world.link(XorOpener(HEAD), XorSealer(SALT), room=100)
    right, target = world.link()
    relay = world.relay(left, right)
    relay.begin()
    client.stuff(100)
    stream = sealed(DATA[:1000], HEAD)
    client.say(stream)
    target.say(DATA[:500])
    world.run()
    assert relay.carried() == (1000, 500, len(stream), 200), "a tail has not gone yet"
    client.hears = True
    world.run()
    assert relay.carried() == (1000, 500, len(stream), len(client.got))
    world.finish(client, target)


def test_an_event_without_anything_to_read_is_nothing(world: World) -> None:
    left, client = world.link()
    right, target = world.link()
    begin(world, left, right)
    left.on_event(1)
    right.on_event(4)
    assert world.words == []
    client.say(DATA)
    world.run()
    assert target.got == DATA
    world.finish(client, target)
