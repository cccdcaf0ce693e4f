"""Happy Eyeballs on the simulated kernel: when each attempt begins, who wins, and what is left of the others."""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from typing import Final

import pytest

from shadesocks.net.connect import ATTEMPT_DELAY
from shadesocks.net.race import interleave

from .dials import DELAY, FAR, FIRST, OTHER, Dial, Names, at_once, dialling_world, host, later
from .world import World

__all__ = ["dialling_world"]

THIRD: Final = "192.0.2.9"
FOURTH: Final = "2001:db8::9"


def families(*words: str) -> list[tuple[int, str]]:
    return [(4 if word.startswith("a") else 6, word) for word in words]


@pytest.mark.parametrize(
    ("found", "turns"),
    [
        (["a1"], ["a1"]),
        (["a1", "a2", "b1", "b2"], ["a1", "b1", "a2", "b2"]),
        (["b1", "b2", "b3", "a1"], ["b1", "a1", "b2", "b3"]),
        (["a1", "b1", "b2", "b3"], ["a1", "b1", "b2", "b3"]),
    ],
)
def test_the_families_take_turns(found: list[str], turns: list[str]) -> None:
    assert interleave(families(*found)) == deque(families(*turns))


def test_the_next_address_is_tried_when_the_first_is_slow(world: World) -> None:
    came = host(world, FAR, later), host(world, OTHER, later)
    dial = Dial(world, Names(world, FAR, OTHER), FIRST)
    world.advance(ATTEMPT_DELAY * 0.9)
    assert [len(sockets) for sockets in came] == [1, 0]
    world.advance(ATTEMPT_DELAY * 0.2)
    assert [len(sockets) for sockets in came] == [1, 1]
    far = came[1][0].decide()
    world.run()
    assert dial.end is not None
    assert dial.end.fd == came[1][0].fd
    assert far is not None
    assert far.arrived == FIRST
    world.reactor.settle()
    assert came[0][0].fd < 0, "the loser is closed"
    dial.close()


def test_the_first_may_still_win(world: World) -> None:
    came = host(world, FAR, later), host(world, OTHER, later)
    dial = Dial(world, Names(world, FAR, OTHER), FIRST)
    world.advance(ATTEMPT_DELAY * 1.5)
    far = came[0][0].decide()
    world.run()
    assert dial.end is not None
    assert dial.end.fd == came[0][0].fd
    assert far is not None
    assert far.arrived == FIRST
    world.reactor.settle()
    assert came[1][0].fd < 0
    dial.close()


def test_both_at_once_are_one_connection_and_one_payload(world: World) -> None:
    came = host(world, FAR, later), host(world, OTHER, later)
    dial = Dial(world, Names(world, FAR, OTHER), FIRST)
    world.advance(ATTEMPT_DELAY * 1.5)
    fars = [sockets[0].decide() for sockets in came]
    world.run()
    assert dial.end is not None
    assert sorted(far.arrived for far in fars if far is not None) == [b"", FIRST]
    dial.close()


def test_an_attempt_begins_at_each_delay_and_at_once_after_a_failure(world: World) -> None:
    came = [host(world, ip, later) for ip in (FAR, OTHER, THIRD, FOURTH)]
    dial = Dial(world, Names(world, FAR, THIRD, OTHER, FOURTH))
    world.advance(ATTEMPT_DELAY * 1.1)
    assert [len(sockets) for sockets in came] == [1, 1, 0, 0]
    came[1][0].decide(errno.ECONNREFUSED)
    world.run()
    assert [len(sockets) for sockets in came] == [1, 1, 1, 0], "at once"
    world.advance(ATTEMPT_DELAY * 1.1)
    assert [len(sockets) for sockets in came] == [1, 1, 1, 1]
    came[3][0].decide()
    world.run()
    assert dial.end is not None
    assert dial.end.fd == came[3][0].fd
    dial.close()


def test_the_error_is_the_last_one_s_when_all_fail(world: World) -> None:
    came = host(world, FAR, later), host(world, OTHER, later)
    dial = Dial(world, Names(world, FAR, OTHER))
    world.advance(ATTEMPT_DELAY * 1.5)
    came[1][0].decide(errno.ENETUNREACH)
    world.run()
    assert dial.goes_on
    came[0][0].decide(errno.ECONNREFUSED)
    world.run()
    assert dial.code == "refused"
    dial.close()


def test_addresses_that_fail_at_once_are_passed_over(world: World) -> None:
    first = host(world, FAR, later)
    host(world, OTHER, lambda _sock: errno.ENETUNREACH)
    host(world, THIRD, at_once)
    dial = Dial(world, Names(world, FAR, THIRD, OTHER))
    world.advance(ATTEMPT_DELAY * 1.1)
    assert dial.end is not None
    world.reactor.settle()
    assert first[0].fd < 0
    dial.close()


def test_all_of_them_have_one_time_out(world: World) -> None:
    came = host(world, FAR, later), host(world, OTHER, later)
    dial = Dial(world, Names(world, FAR, OTHER))
    world.advance(DELAY + ATTEMPT_DELAY * 0.9)
    assert dial.goes_on
    world.advance(ATTEMPT_DELAY * 0.2)
    assert dial.code == "dial_timeout"
    world.reactor.settle()
    assert [sockets[0].fd for sockets in came] == [-1, -1]
    dial.close()


@pytest.mark.parametrize("after", [ATTEMPT_DELAY * 0.5, ATTEMPT_DELAY * 1.5])
def test_a_dial_that_is_aborted_closes_all_of_them(world: World, after: float) -> None:
    came = [host(world, ip, later) for ip in (FAR, OTHER)]
    dial = Dial(world, Names(world, FAR, OTHER))
    world.advance(after)
    dial.story.abort()
    world.reactor.settle()
    assert all(sock.fd < 0 for sockets in came for sock in sockets)
    assert isinstance(dial.error, asyncio.CancelledError)
    dial.close()


def test_a_dial_that_is_aborted_with_its_winner_closes_it(world: World) -> None:
    """The connect stands, and before the story hears of it nobody wants it any more."""
    came = host(world, FAR, later), host(world, OTHER, later)
    dial = Dial(world, Names(world, FAR, OTHER))
    world.advance(ATTEMPT_DELAY * 1.5)
    came[1][0].decide()
    world.turn()
    if dial.goes_on:
        dial.story.abort()
        world.reactor.settle()
        assert came[1][0].fd < 0
    dial.close()
