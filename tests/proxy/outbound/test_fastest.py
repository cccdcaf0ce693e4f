"""The fastest server: what is measured, when it is chosen, and when nobody is bothered."""

from __future__ import annotations

import asyncio
from socket import socketpair

import pytest

from shadesocks.core.errors import DialError
from shadesocks.net.end import End
from shadesocks.net.reactor import Reactor
from shadesocks.net.story import until as wait_for
from shadesocks.proxy.outbound import fastest
from shadesocks.proxy.outbound.fastest import CHOOSE_EVERY, FORGET_EVERY, START, Fastest, Scores
from tests.service.rig import run, until


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_first_serves_until_something_is_known() -> None:
    scores = Scores((3, 5, 9), Clock())
    assert list(scores.ranking()) == [3, 5, 9]


def test_the_best_is_chosen_every_five_seconds() -> None:
    clock = Clock()
    scores = Scores((0, 1), clock)
    assert list(scores.ranking()) == [0, 1]
    for _ in range(3):
        scores.measured(0, 300.0)
        scores.measured(1, 20.0)
    assert list(scores.ranking()) == [0, 1], "not yet"
    clock.now += CHOOSE_EVERY
    assert list(scores.ranking()) == [1, 0]
    for _ in range(10):
        scores.measured(0, 1.0)
        scores.measured(1, 20.0)
    clock.now += CHOOSE_EVERY
    assert list(scores.ranking()) == [0, 1]


def test_the_score_is_lite_s() -> None:
    scores = Scores((0,), Clock())
    scores.measured(0, 50.0)
    assert scores._scores[0] == pytest.approx(0.8 * START + 0.2 * 50)
    scores.measured(0, 50.0)
    assert scores._scores[0] == pytest.approx(0.8 * (0.8 * START + 10) + 10)


def test_all_is_forgotten_every_thirty_seconds_but_not_who_was_chosen() -> None:
    clock = Clock()
    scores = Scores((0, 1), clock)
    for _ in range(3):
        scores.measured(0, 300.0)
        scores.measured(1, 20.0)
    assert list(scores.ranking()) == [1, 0]
    clock.now += FORGET_EVERY
    scores.measured(0, START)
    assert scores._scores == {0: START, 1: START}
    assert list(scores.ranking()) == [1, 0], "equals: it stays"
    scores.measured(1, 300.0)
    scores.measured(0, 20.0)
    clock.now += CHOOSE_EVERY
    assert list(scores.ranking()) == [0, 1]


def test_a_server_that_fails_is_left_at_once() -> None:
    """N3: lite chose every 5 s, and told the error meanwhile."""
    clock = Clock()
    scores = Scores((0, 1, 2), clock)
    for _ in range(5):
        for number in (0, 1, 2):
            scores.measured(number, 10.0 + number)
    assert list(scores.ranking()) == [0, 1, 2]
    scores.failed(0)
    assert list(scores.ranking()) == [1, 2, 0]


class Way:
    """A server that is connected to when the test says so."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: DialError | None = None
        self.gate: asyncio.Event | None = None

    async def probe(self) -> End:
        self.asked += 1
        if self.error is not None:
            raise self.error
        near, far = socketpair()
        far.close()
        return End(near)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastest, "PROBE_EVERY", 0.005)


@pytest.mark.usefixtures("quick")
def test_servers_are_measured_while_somebody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        reactor = Reactor()
        good, bad = Way(), Way()
        bad.error = DialError("dial_timeout")
        try:
            choice = Fastest(reactor, {0: bad.probe, 1: good.probe})
            await asyncio.sleep(0.02)
            assert good.asked == 0, "nobody asked"
            assert sorted(choice.order((0, 1))) == [0, 1]
            assert choice.order((0,)) == [0]
            await until(lambda: good.asked >= 3)
            assert abs(good.asked - bad.asked) <= 1
            assert choice.scores._scores[0] == START
            assert choice.scores._scores[1] < START
            monkeypatch.setattr(fastest, "USED_FOR", 0.0)
            await asyncio.sleep(0.02)
            asked = good.asked
            await asyncio.sleep(0.03)
            assert good.asked == asked, "nobody asks any more"
            choice.failed(0)
            choice.succeeded(1)
            assert choice.order((0, 1)) == [1, 0]
            assert good.asked == asked + 1, "and again"
        finally:
            reactor.stop()
            assert not reactor.errors

    run(story())


@pytest.mark.usefixtures("quick")
def test_a_measurement_that_lasts_is_not_begun_twice() -> None:
    async def story() -> None:
        reactor = Reactor()
        waits: asyncio.Future[None] = reactor.loop.create_future()
        other = Way()
        begun = 0

        async def probe() -> End:
            nonlocal begun
            begun += 1
            await wait_for(waits)
            raise DialError("dial_timeout")

        try:
            choice = Fastest(reactor, {0: probe, 1: other.probe})
            choice.order((0, 1))
            await until(lambda: other.asked >= 4)
            assert begun == 1
            waits.set_result(None)
            await until(lambda: begun == 2)
        finally:
            reactor.stop()

    run(story())
