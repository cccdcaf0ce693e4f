"""The relay's rules on resets and on sinks that broke, on the simulated kernel.

`test_relay_bytes.py` has its rules on bad bytes, headers and accounts, `test_relay_life.py` those on its end,
`test_end.py` and `test_end_reads.py` the rules of one end, `test_relay_schedules.py` what chance makes of all of them,
`test_relay_sockets.py` the same relay on the system's own sockets.
"""

from __future__ import annotations

import errno
from typing import Final

import pytest

from shadesocks.net.poller import READ
from shadesocks.net.relay import LOOK_DELAY, LOOKS_MAX

from .world import MODELS, World, count_unsent

DATA: Final = bytes(range(256)) * 16


@pytest.fixture(params=MODELS)
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> World:
    count_unsent(monkeypatch)
    return World(model=request.param)


# -- rule 1: a reset becomes a reset, after what had come before ------------------------------------


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_reset_of_one_side_becomes_a_reset_of_the_other(world: World, side: str) -> None:
    _, client, target = world.pair()
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
    _, client, target = world.pair()
    goes, stays = (client, target) if side == "left" else (target, client)
    goes.say(DATA)
    goes.reset()  # both before the reactor has looked
    world.run()
    assert stays.got == DATA
    assert stays.saw_reset
    world.assert_clean()


def test_the_reset_waits_for_a_tail_and_for_what_is_on_its_way(world: World) -> None:
    relay, client, target = world.pair(room=1000)
    target.stuff(500)
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
    _, client, target = world.pair()
    target.stuff(500)
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
    _, client, target = world.pair()
    target.say(DATA)
    target.reset()
    client.end()
    world.run()
    assert client.got == DATA
    assert client.saw_reset
    assert world.words == ["reset_right"]
    world.assert_clean()


def test_a_side_is_reset_though_both_were_at_once(world: World) -> None:
    _, client, target = world.pair()
    client.reset()
    target.reset()
    world.run()
    assert len(world.words) == 1
    assert world.words[0] in ("reset_left", "reset_right")
    world.assert_clean()


def test_the_other_side_may_be_reset_while_it_is_waited_for(world: World) -> None:
    _, client, target = world.pair(room=1000)
    target.stuff(500)
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
        _, client, target = world.pair()
        world.kernel.faults["recv"] = [code]
        target.say(b"?")
        world.run()
        assert client.saw_reset
    assert world.words == ["reset_right"] * 3
    world.assert_clean()


# -- rule 2: a sink that broke is still read -------------------------------------------------------


def test_a_side_that_takes_nothing_more_is_read_to_its_end_and_then_counts_as_reset(world: World) -> None:
    relay, client, target = world.pair()
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
    relay, client, target = world.pair()
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
    _, client, target = world.pair()
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
    client.stuff(100)
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
    relay, client, target = world.pair(room=100)
    target.stuff(100)
    client.say(DATA)
    world.run()
    assert relay.right.tail
    target.reset()
    world.run()
    assert world.scratch.tails == 0
    assert client.saw_reset
    world.assert_clean()


def test_a_sink_that_breaks_after_its_own_end_is_over(world: World) -> None:
    _, client, target = world.pair()
    target.end()
    world.run()
    world.kernel.faults["send"] = [errno.ECONNRESET]
    client.say(b"?")
    world.run()
    assert client.sock.dead
    assert world.words == ["reset_right"]
    world.assert_clean()
