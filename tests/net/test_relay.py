"""The relay's rules: resets, broken sinks, bytes that do not authenticate, the header, and the one end of each.

On the simulated kernel. `test_end.py` has the rules of one end, `test_relay_schedules.py` what chance makes of all
of them, `test_relay_sockets.py` the same relay on the system's own sockets.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import weakref
from typing import Final

import pytest

from shadesocks.core.reasons import REASONS
from shadesocks.net.end import End
from shadesocks.net.poller import READ
from shadesocks.net.relay import LOOK_DELAY, LOOKS_MAX, Relay

from .codec import HEAD, SALT, XorOpener, XorSealer, opened, sealed
from .world import MODELS, Program, World, count_unsent

DATA: Final = bytes(range(256)) * 16
HEADER_DELAY: Final = 0.1


@pytest.fixture(params=MODELS)
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> World:
    count_unsent(monkeypatch)
    return World(model=request.param)


def pair(world: World, room: int = 1 << 20) -> tuple[Relay, Program, Program]:
    """A plain relay between two programs; so much room towards the target."""
    left, client = world.link()
    right, target = world.link(room=room)
    relay = world.relay(left, right)
    relay.begin()
    world.run()
    return relay, client, target


def stuff(program: Program, room: int) -> None:
    """Let a program stop reading, with so much room in its kernel's buffer."""
    program.hears = False
    program.sock.arrival_room = room


# -- rule 1: a reset becomes a reset, after what had come before ------------------------------------


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_reset_of_one_side_becomes_a_reset_of_the_other(world: World, side: str) -> None:
    _, client, target = pair(world)
    goes, stays = (client, target) if side == "left" else (target, client)
    goes.say(DATA)
    world.run()
    goes.reset()
    world.run()
    assert stays.got == DATA
    assert stays.saw_reset
    assert not stays.saw_end
    assert world.words == [f"reset_{side}"]
    world.assert_clean()


@pytest.mark.parametrize("side", ["left", "right"])
def test_what_came_before_the_reset_is_delivered_first(world: World, side: str) -> None:
    _, client, target = pair(world)
    goes, stays = (client, target) if side == "left" else (target, client)
    goes.say(DATA)
    goes.reset()  # both before the reactor has looked
    world.run()
    assert stays.got == DATA
    assert stays.saw_reset
    world.assert_clean()


def test_the_reset_waits_for_a_tail_and_for_what_is_on_its_way(world: World) -> None:
    relay, client, target = pair(world, room=1000)
    stuff(target, 500)
    client.say(DATA)
    world.run()
    assert relay.right.tail
    client.reset()
    world.run()
    assert not target.saw_reset, "the reset would throw away what is not delivered"
    while relay.right.tail or target.relays.outward:
        assert world.words == []
        assert target.hear(500)
        world.advance(LOOK_DELAY / 2)
    world.advance(LOOK_DELAY)
    target.hears = True
    world.run()
    assert target.got == DATA
    assert target.sock.dead
    assert world.words == ["reset_left"]
    world.assert_clean()


def test_a_peer_that_never_reads_is_reset_in_the_end(world: World) -> None:
    """All of it fits the sink's kernel, so the reset is found at once; the peer takes nothing of it."""
    _, client, target = pair(world)
    stuff(target, 500)
    client.say(DATA)
    world.run()
    client.reset()
    world.advance(LOOK_DELAY * (LOOKS_MAX - 1))
    assert world.words == []
    world.advance(LOOK_DELAY * 2)
    assert world.words == ["reset_left"]
    target.hear(500)
    target.hear(1)
    assert target.saw_reset
    world.assert_clean()


def test_what_a_side_said_before_its_reset_is_delivered_though_it_can_no_longer_be_told_the_end(world: World) -> None:
    """Ending a direction of a socket that was reset fails; what it had sent is still there to be read."""
    _, client, target = pair(world)
    target.say(DATA)
    target.reset()
    client.end()
    world.run()
    assert client.got == DATA
    assert client.saw_reset
    assert world.words == ["reset_right"]
    world.assert_clean()


def test_a_side_is_reset_though_both_were_at_once(world: World) -> None:
    _, client, target = pair(world)
    client.reset()
    target.reset()
    world.run()
    assert len(world.words) == 1
    assert world.words[0] in ("reset_left", "reset_right")
    world.assert_clean()


def test_the_other_side_may_be_reset_while_it_is_waited_for(world: World) -> None:
    _, client, target = pair(world, room=1000)
    stuff(target, 500)
    client.say(DATA[:1200])
    world.run()
    client.reset()
    world.run()
    assert world.words == []
    target.reset()
    world.advance(LOOK_DELAY * 2)
    assert world.words == ["reset_left"]
    world.assert_clean()


def test_a_reset_by_an_error_of_the_network_counts_as_one(world: World) -> None:
    for code in (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETDOWN):
        _, client, target = pair(world)
        world.kernel.faults["recv"] = [code]
        target.say(b"?")
        world.run()
        assert client.saw_reset
    assert world.words == ["reset_right"] * 3
    world.assert_clean()


# -- rule 2: a sink that broke is still read -------------------------------------------------------


def test_a_side_that_takes_nothing_more_is_read_to_its_end_and_then_counts_as_reset(world: World) -> None:
    relay, client, target = pair(world)
    world.kernel.faults["send"] = [errno.EPIPE]
    client.say(b"into the void")
    world.run()
    assert relay.right.broken
    assert world.words == []
    for part in (DATA[:100], DATA[100:]):
        target.say(part)
        world.run()
    assert client.got == DATA
    target.end()
    world.run()
    assert client.saw_reset
    assert world.words == ["reset_right"]
    world.assert_clean()


@pytest.mark.parametrize("code", [errno.EPIPE, errno.ECONNRESET, errno.ETIMEDOUT])
def test_a_broken_sink_does_not_spin_while_its_source_still_has_data(world: World, code: int) -> None:
    relay, client, target = pair(world)
    world.kernel.faults["send"] = [code]
    client.say(DATA * 100)
    world.run()
    assert not relay.left.wanted & READ, "what it says could not be delivered"
    client.say(DATA * 100)
    client.end()
    world.run()
    target.say(b"bye")
    target.end()
    world.run()
    assert client.got == b"bye"
    assert world.words == ["reset_right"]
    world.assert_clean()


def test_a_target_that_answers_and_resets_a_client_that_still_sends(world: World) -> None:
    """What HTTP servers do with a body they do not want: the answer reaches the client, then the reset does."""
    _, client, target = pair(world)
    target.hears = False
    client.say(DATA)
    world.run()
    target.say(b"413 too large")
    target.leave()  # with unread bytes: a reset
    client.say(DATA * 10)
    world.run()
    assert client.got == b"413 too large"
    assert client.saw_reset
    assert world.words == ["reset_right"]
    world.assert_clean()


def test_a_broken_end_is_not_read_while_its_own_sink_has_a_tail(world: World) -> None:
    """Back-pressure holds for what it still has to say: a newer read must not overtake the tail, nor replace it."""
    left, client = world.link(room=100)
    right, target = world.link()
    world.relay(left, right).begin()
    stuff(client, 100)
    target.say(DATA[:1000])
    world.run()
    assert left.tail
    world.kernel.faults["send"] = [errno.EPIPE]
    client.say(b"into the void")
    target.say(DATA[1000:])
    world.run()
    assert right.broken
    client.hears = True
    target.end()
    world.run()
    assert client.got == DATA
    assert client.saw_reset
    assert world.words == ["reset_right"]
    world.assert_clean()


def test_a_sink_that_breaks_with_a_tail_gives_the_tail_back(world: World) -> None:
    relay, client, target = pair(world, room=100)
    stuff(target, 100)
    client.say(DATA)
    world.run()
    assert relay.right.tail
    target.reset()
    world.run()
    assert world.scratch.tails == 0
    assert client.saw_reset
    world.assert_clean()


def test_a_sink_that_breaks_after_its_own_end_is_over(world: World) -> None:
    _, client, target = pair(world)
    target.end()
    world.run()
    world.kernel.faults["send"] = [errno.ECONNRESET]
    client.say(b"?")
    world.run()
    assert client.sock.dead
    assert world.words == ["reset_right"]
    world.assert_clean()


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
    stuff(target, 300)
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


# -- rule 4: the outcome, once ---------------------------------------------------------------------


def test_the_end_is_reported_once_whatever_comes_after(world: World) -> None:
    relay, client, target = pair(world)
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
    relay, client, target = pair(world, room=100)
    stuff(target, 10)
    client.say(DATA)
    world.run()
    assert relay.right.tail
    relay.close("stopped")
    world.reactor.settle()
    world.run()
    assert world.words == ["stopped"]
    world.assert_clean()


def test_a_handler_that_raises_ends_its_connection_and_no_other(world: World) -> None:
    _, client, target = pair(world)
    _, bystander, friend = pair(world)

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


# -- the header ------------------------------------------------------------------------------------


def shadow_pair(world: World, delay: float | None = HEADER_DELAY) -> tuple[Relay, Program, Program]:
    """A client's relay: plain on the left, shadow on the right."""
    left, client = world.link()
    right, server = world.link(XorOpener(SALT), XorSealer(HEAD))
    relay = world.relay(left, right)
    relay.begin(None if delay is None else world.reactor.lane(delay))
    world.run()
    return relay, client, server


def finish(world: World, *programs: Program) -> None:
    for program in programs:
        program.end()
    world.run()
    assert world.words == ["done"]
    world.advance(10)
    world.assert_clean()


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
    finish(world, client, server)


def test_a_payload_that_comes_in_time_takes_the_header_along(world: World) -> None:
    _, client, server = shadow_pair(world)
    world.advance(HEADER_DELAY * 0.5)
    client.say(DATA)
    world.run()
    assert server.got == sealed(DATA, HEAD)
    world.advance(HEADER_DELAY)
    assert server.got == sealed(DATA, HEAD), "the deadline that comes later finds nothing owed"
    finish(world, client, server)


def test_without_a_lane_the_header_goes_at_once(world: World) -> None:
    _, client, server = shadow_pair(world, None)
    assert server.got == HEAD
    finish(world, client, server)


def test_payload_that_was_held_carries_the_header(world: World) -> None:
    left, client = world.link()
    right, server = world.link(XorOpener(SALT), XorSealer(HEAD))
    left.held = DATA
    world.relay(left, right).begin(None)
    world.run()
    assert server.got == sealed(DATA, HEAD)
    assert [fd for name, fd in world.kernel.calls if name == "send"] == [right.fd]
    finish(world, client, server)


def test_a_client_that_ends_without_a_word_sends_the_header_and_the_end(world: World) -> None:
    _, client, server = shadow_pair(world)
    client.end()
    world.run()
    assert server.got == HEAD
    assert server.saw_end
    server.say(sealed(b"bye", SALT))
    world.run()
    assert client.got == b"bye"
    finish(world, server)


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
    finish(world, client, target)


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
    stuff(server, 0)
    world.relay(left, right).begin(world.reactor.lane(HEADER_DELAY))
    world.advance(HEADER_DELAY * 1.5)
    assert right.tail == HEAD[4:]
    client.say(DATA)
    server.sock.arrival_room, server.hears = 1 << 20, True
    world.run()
    assert opened(bytes(server.got), HEAD) == DATA
    finish(world, client, server)


def test_a_header_with_a_tail_goes_out_though_both_sides_have_ended(world: World) -> None:
    left, client = world.link()
    right, server = world.link(XorOpener(SALT), XorSealer(HEAD), room=4)
    stuff(server, 0)
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


# -- accounts and the sweep ------------------------------------------------------------------------


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
    finish(world, client, target)
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
    finish(world, client, target)


IDLE: Final = 100.0
HALF_CLOSED: Final = 10.0


def sweep_until(world: World, relay: Relay, seconds: float) -> None:
    for _ in range(int(seconds)):
        world.advance(1.0)
        relay.sweep(world.clock.now, IDLE, HALF_CLOSED)
        world.reactor.settle()
        world.run()


def test_a_connection_on_which_nothing_moves_is_ended_by_the_sweep(world: World) -> None:
    relay, client, target = pair(world)
    sweep_until(world, relay, IDLE)
    assert world.words == []
    sweep_until(world, relay, 3)
    assert world.words == ["idle"]
    assert client.saw_end
    assert target.saw_end
    world.assert_clean()


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_connection_on_which_anything_moves_lives_on(world: World, side: str) -> None:
    relay, client, target = pair(world)
    for _ in range(5):
        sweep_until(world, relay, IDLE * 0.9)
        (client if side == "left" else target).say(b".")
        world.run()
    assert world.words == []
    sweep_until(world, relay, IDLE * 0.9)
    assert world.words == []
    finish(world, client, target)


def test_a_half_closed_connection_has_less_time(world: World) -> None:
    relay, client, target = pair(world)
    client.end()
    world.run()
    sweep_until(world, relay, HALF_CLOSED)
    target.say(b".")
    sweep_until(world, relay, HALF_CLOSED)
    assert world.words == []
    sweep_until(world, relay, 3)
    assert world.words == ["idle"]
    world.assert_clean()
