"""One server of a client: what goes through it, and when it is idle."""

from __future__ import annotations

from typing import Any

import pytest

from shadesocks.core.errors import RemoteProtocolError
from shadesocks.net.relay import Relay
from shadesocks.proxy.balance.member import NOT_THE_SERVERS, MemberBack
from tests.proxy.balance.rig import make_member, make_side


class FakeRelay:
    """The bytes of a relay."""

    down = 0


def relay() -> Any:
    fake: Any = FakeRelay()
    return fake


class FakeBack:
    """A back that answers what it was asked."""

    room = 17

    def __init__(self) -> None:
        self.ticks = 0
        self.error: Exception | None = None

    def forward(self, *_: Any) -> None:
        return None

    def read(self, *asked: Any) -> Any:
        if self.error is not None:
            raise self.error
        return asked

    def tick(self) -> None:
        self.ticks += 1


def test_relays_and_what_they_brought_are_counted() -> None:
    member = make_member("a")
    first, second = relay(), relay()
    for each in (first, second):
        member.began(each)
    first.down, second.down = 100, 20
    assert (member.tcp.live, member.udp.live, member.heard, member.is_idle) == (2, 0, 120, False)
    member.ended(first)
    second.down = 30
    assert (member.tcp.live, member.heard, member.relays) == (1, 130, {second})
    member.ended(second)
    assert (member.tcp.live, member.heard, member.is_idle) == (0, 130, True)


def test_a_dial_under_way_is_something_that_goes_through_it() -> None:
    member = make_member("a")
    member.tcp.live += 1
    assert not member.is_idle


def test_sessions_and_their_answers_are_counted() -> None:
    member, inner = make_member("a"), FakeBack()
    back = MemberBack(member, inner, lambda: 7.0)
    assert back.room == 17
    back.began()
    assert (member.udp.live, member.is_idle) == (1, False)
    session: Any = None
    asked: Any = back.read(session, "source", 1, 2, 3)
    assert asked == (session, "source", 1, 2, 3)
    inner.error = RemoteProtocolError("bad_server")
    with pytest.raises(RemoteProtocolError):
        back.read(session, "source", 1, 2, 3)
    assert back.answers == 1, "what does not authenticate is no answer"
    back.tick()
    assert inner.ticks == 1
    back.ended()
    assert member.is_idle


def test_a_failure_of_our_own_says_nothing_of_a_server() -> None:
    member = make_member("a")
    back = MemberBack(member, FakeBack(), lambda: 7.0)
    for word in NOT_THE_SERVERS:
        back.failed(word)
    assert member.udp.health.failures(7.0) == 0
    back.failed("no_name")
    assert (member.udp.health.failures(7.0), member.udp.health.failed_at) == (1, 7.0)


def test_it_hears_of_connects_that_no_request_waited_for() -> None:
    member = make_member("a")
    for word in sorted(NOT_THE_SERVERS):
        member.dialled(0.0, word)
    assert not member.tcp.health.count
    member.dialled(0.0, "refused")
    member.dialled(1.0, "dial_timeout")
    assert (member.tcp.health.failures(1.0), member.tcp.health.last_word) == (2, "dial_timeout")
    member.dialled(2.0, "done")
    assert not member.tcp.health.failures(2.0)


def test_a_share_follows_the_weight_and_is_never_nothing() -> None:
    side = make_side("a", 0.0)
    assert (side.weight, side.share) == (0.0, 1.0)
    side.weight = 2.5
    assert (side.weight, side.share) == (2.5, 2.5)
    assert (repr(side), repr(make_member("b"))) == ("<Side a>", "<Member b>")


def test_what_a_member_counts_is_what_a_relay_has() -> None:
    assert {"down"} <= set(dir(Relay)), "the fake above has the same"
