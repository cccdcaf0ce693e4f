"""One server of a client: what goes through it, and when it is idle."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import RemoteProtocolError
from shadesocks.net.relay import Relay
from shadesocks.proxy.balance.member import MUTE_AFTER, MUTE_MOST, MUTE_WITHIN, NOT_THE_SERVERS, Member, MemberBack
from tests.proxy.balance.rig import make_member, make_side


class FakeRelay:
    """A relay: its bytes, and as much else as a server's account looks at."""

    def __init__(
        self, up: int = 0, down: int = 0, began_at: float = 0.0, host: str = "a.test", told: bool = True
    ) -> None:
        self.up, self.down, self.started_at = up, down, began_at
        self.label = ("client", Address(host, 443))
        self.right = SimpleNamespace(shut=told)
        """`told`: the program ended first, and the server was told so."""


def relay(**options: Any) -> Any:
    fake: Any = FakeRelay(**options)
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
    member.ended(first, "done")
    second.down = 30
    assert (member.tcp.live, member.heard, member.relays) == (1, 130, {second})
    member.ended(second, "done")
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


# -- connections that come to nothing ------------------------------------------------------------


class Line:
    """A server's connections, one after the other, each for another host."""

    def __init__(self) -> None:
        self.now = 100.0
        self.member: Member = make_member("a", time=lambda: self.now)
        self.count = 0

    def end(self, word: str = "done", lasted: float = 0.1, **options: Any) -> None:
        """One that began ends now."""
        self.count += 1
        each = relay(**{"up": 90, "began_at": self.now, "host": f"{self.count}.test", "told": False, **options})
        self.member.began(each)
        self.now += lasted
        self.member.ended(each, word)

    @property
    def failures(self) -> int:
        return self.member.tcp.health.failures(self.now)


@pytest.mark.parametrize("word", ["done", "reset_right", "truncated"])
def test_a_server_that_ends_all_it_takes_fails_in_the_end(word: str) -> None:
    """A wrong key, a plugin that leads nowhere, a page to log in at: dials are made, and nothing comes of them."""
    line = Line()
    for number in range(1, MUTE_MOST + 3):
        line.end(word)
        assert line.failures == max(0, number - MUTE_MOST + 1), "and each that follows"
    assert line.member.tcp.health.last_word == "no_answer"
    line.member.tcp.health.reached(line.now)
    assert line.failures == 3, "that one more is made says nothing"


def test_it_works_again_when_something_comes_back() -> None:
    line = Line()
    before = relay(up=1, down=1, began_at=line.now - 1)
    line.member.began(before)
    for _ in range(MUTE_MOST):
        line.end()
    line.member.ended(before, "reset_right")
    assert line.failures == 1, "that one is from before"
    line.now += 1
    line.end(down=1)
    assert (line.failures, line.member.tcp.health.last_word) == (0, "")


@pytest.mark.parametrize("word", ["done", "idle", "reset_left"])
def test_a_server_that_hangs_fails_once_programs_have_given_up(word: str) -> None:
    line = Line()
    for _ in range(MUTE_MOST):
        line.end(word, lasted=MUTE_AFTER, told=True)
    assert line.failures == 1


@pytest.mark.parametrize(
    "options",
    [
        {"told": True, "lasted": MUTE_AFTER - 0.1},
        {"word": "reset_left"},
        {"up": 0},
        {"host": "dead.test"},
        {"lasted": MUTE_WITHIN / (MUTE_MOST - 1) + 0.1},
        {"word": "switched"},
        {"word": "stopped", "lasted": 100.0},
        {"word": "internal"},
    ],
    ids=str,
)
def test_what_says_nothing_of_a_server(options: dict[str, Any]) -> None:
    """Programs that did not wait, asked nothing, ask for one dead host again and again; what takes long; ourselves."""
    line = Line()
    for _ in range(3 * MUTE_MOST):
        line.end(**options)
    assert (line.failures, line.member.tcp.health.count) == (0, 0)


def test_a_byte_between_shows_that_it_is_the_targets() -> None:
    line = Line()
    open_one = relay(up=1, began_at=line.now)
    line.member.began(open_one)
    for _ in range(10):
        for _ in range(MUTE_MOST - 1):
            line.end()
        open_one.down += 1
    assert line.failures == 0
    line.end(down=1)
    for _ in range(MUTE_MOST):
        assert line.failures == 0
        line.end()
    assert line.failures == 1


@pytest.mark.parametrize("word", ["bad_server", "bad_chunk"])
def test_an_answer_that_is_not_the_server_s_counts_at_once(word: str) -> None:
    line = Line()
    line.end("bad_chunk", down=1)
    assert line.failures == 0, "that one knew the key"
    line.end(word)
    assert (line.failures, line.member.tcp.health.last_word) == (1, "bad_server")


def test_who_probes_is_asked_first() -> None:
    line, asked = Line(), 0

    def look_into() -> bool:
        nonlocal asked
        asked += 1
        return True

    line.member.look_into = look_into
    for _ in range(3 * MUTE_MOST):
        line.end()
    assert (line.failures, asked) == (0, 3), "and a series is one question"


def test_a_share_follows_the_weight_and_is_never_nothing() -> None:
    side = make_side("a", 0.0)
    assert (side.weight, side.share) == (0.0, 1.0)
    side.weight = 2.5
    assert (side.weight, side.share) == (2.5, 2.5)
    assert (repr(side), repr(make_member("b"))) == ("<Side a>", "<Member b>")


def test_what_a_member_counts_is_what_a_relay_has() -> None:
    assert {"up", "down", "started_at", "label", "right"} <= {*dir(Relay), *Relay.__slots__}, "the fake has the same"
