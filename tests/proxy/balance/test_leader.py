"""The one that leads: how it comes to, when it loses the lead, and that it does not go back and forth."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadesocks.proxy.balance.health import ROUNDS_MOST, STEADY_AFTER
from shadesocks.proxy.balance.leader import REFRESH, REIGN, Latency, Leader, Metric, Score
from shadesocks.proxy.balance.member import Side
from tests.proxy.balance.rig import INTERVAL, LONGEST, make_side, make_sides, names

METRICS: list[type[Metric]] = [Latency, Score]


class Court:
    """A leader, and what it told."""

    def __init__(self, metric: type[Metric], *sides: Side, margin: float = 0.2) -> None:
        self.sides = sides or make_sides(1, 1, 1)
        self.leader = Leader(metric(), margin, self._hear)
        self.told: list[str] = []
        self.moves: list[str] = []

    def _hear(self, old: Side | None, new: Side, why: str) -> None:
        self.told.append(why)
        self.moves.append(("-" if old is None else old.name) + new.name)

    def order(self, now: float) -> str:
        return names(self.leader.order(self.sides, None, now))

    def answer(self, now: float, *latencies: float | None) -> None:
        """A round of probes."""
        for side, latency in zip(self.sides, latencies, strict=True):
            if latency is not None:
                side.health.measured(now, latency)
            else:
                side.health.failed(now, "dial_timeout")


@pytest.fixture(params=METRICS)
def court(request: pytest.FixtureRequest) -> Court:
    return Court(request.param)


def test_the_configuration_s_order_holds_until_something_is_known(court: Court) -> None:
    assert court.order(0) == "abc"
    assert court.leader.leader is None
    court.sides[1].health.succeeded(0)
    assert court.order(1) == "abc"
    assert court.told == []


def test_who_answers_first_leads_and_the_others_follow_as_they_are(court: Court) -> None:
    court.sides[1].health.measured(0, 0.2)
    assert court.order(0) == "bac"
    court.sides[2].health.measured(0, 0.19)
    assert court.order(0) == "bca", "a little better is not enough"
    court.sides[0].health.measured(0, 0.1)
    assert court.order(0) == "acb"
    assert court.moves == ["-b", "ba"]


def test_why_is_said_in_words() -> None:
    home, tokyo = make_side("home"), make_side("tokyo", 2.0)
    for metric, said in (
        (Latency, ["home answers in 210 ms", "tokyo answers in 80 ms by weight 2, home in 210 ms"]),
        (Score, ["home scores 84 (less is better)", "tokyo scores 16 by weight 2, home 84 (less is better)"]),
    ):
        court = Court(metric, make_side("home"), make_side("tokyo", 2.0))
        home, tokyo = court.sides
        home.health.measured(0, 0.21)
        court.order(0)
        tokyo.health.measured(0, 0.08)
        court.order(0)
        assert court.told == said
        tokyo.health.failed(10, "refused")
        tokyo.health.failed(10, "refused")
        court.order(10)
        assert court.told[2:] == ["tokyo failed (refused)"]


def test_a_leader_without_a_known_time_gives_way() -> None:
    court = Court(Latency)
    court.answer(0, 0.1, 0.2, 0.3)
    court.order(0)
    for now in (10, 11):
        court.sides[0].health.failed(now, "refused")
    court.sides[0].health.succeeded(11)
    assert court.order(11) == "bca"
    assert court.told[-1] == "b answers in 200 ms, a in no known time"


def test_a_failed_dial_counts_for_the_next_request(court: Court) -> None:
    for number in range(30):
        court.answer(number * INTERVAL, 0.1, 0.3, 0.5)
    assert court.order(290) == "abc"
    court.sides[0].health.failed(290.5, "refused")
    assert court.order(290.5) == "bca"
    court.sides[1].health.failed(290.5, "refused")
    assert court.order(290.5) == "cab"
    assert court.moves == ["-a"], "and yet a leads: it may have been bad luck"
    court.sides[0].health.succeeded(290.6)
    assert court.order(290.6) == "acb"
    assert court.moves == ["-a"]


@pytest.mark.parametrize(("failures", "wait"), [(2, 0.0), (1, ROUNDS_MOST)])
def test_a_server_that_is_down_loses_the_lead(court: Court, failures: int, wait: float) -> None:
    court.answer(0, 0.1, 0.2, 0.3)
    court.order(0)
    for _ in range(failures):
        court.sides[0].health.failed(10, "refused")
    assert court.order(10 + wait) == "bca"
    assert court.moves == ["-a", "ab"]
    assert court.told[-1] == "a failed (refused)"


def test_the_lead_stays_where_nobody_works(court: Court) -> None:
    court.answer(0, 0.1, 0.2, 0.3)
    court.order(0)
    for now in range(10, 60, 10):
        court.answer(now, None, None, None)
        assert sorted(court.order(now)) == ["a", "b", "c"]
    assert court.moves == ["-a"]
    court.sides[2].health.measured(60, 0.3)
    assert court.order(60)[0] == "c"
    assert court.moves == ["-a", "ac"]


def test_all_fail_now_and_then_and_the_lead_is_not_news_for_each_connection(court: Court) -> None:
    """One dial of twenty fails, at two hundred a second, whichever server it goes to."""
    court.answer(0, 0.1, 0.1, 0.1)
    for number in range(200 * 60):
        now = 1.0 + number / 200
        health = next(side for side in court.sides if side.name == court.order(now)[0]).health
        if number % 20 == 7:
            health.failed(now, "dial_timeout")
        else:
            health.succeeded(now)
    assert len(court.moves) <= 1 + 60 / REIGN


def test_a_server_that_failed_of_late_does_not_take_the_lead_from_one_that_works() -> None:
    court = Court(Latency)
    court.answer(0, 0.1, 0.4, 0.4)
    court.order(0)
    for failed_at in (10, 11):
        court.sides[0].health.failed(failed_at, "refused")
    assert court.order(11) == "bca"
    now = 20.0
    while court.moves[-1] == "ab":
        court.answer(now, 0.1, 0.4, 0.4)
        assert court.order(now) in ("bac", "abc")
        now += INTERVAL
    assert court.moves == ["-a", "ab", "ba"]
    wait = STEADY_AFTER * ROUNDS_MOST + ROUNDS_MOST
    assert wait <= now - 11 <= wait + 2 * INTERVAL, "steady, and better for a while"


@pytest.mark.parametrize("metric", METRICS)
def test_a_server_that_is_gone_leads_nobody(metric: type[Metric]) -> None:
    court = Court(metric)
    court.answer(0, 0.1, 0.2, 0.3)
    court.order(0)
    every, court.sides = court.sides, court.sides[1:]
    assert court.order(0.1) == "bc"
    assert court.told[-1] == "a is not there any more"
    court.sides = make_sides(1, 1)
    assert court.order(0.2) == "ab", "new ones, of whom nothing is known"
    assert court.leader.leader is None
    court.sides = every
    assert court.order(0.3) == "abc"


@pytest.mark.parametrize("metric", METRICS)
def test_weights_count(metric: type[Metric]) -> None:
    court = Court(metric, *make_sides(1, 3, 0.1))
    court.answer(0, 0.1, 0.2, 0.09)
    assert court.order(0) == "bac"


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("margin", "better", "worse"), [(0.2, 0.08, 0.09), (1.0, 0.045, 0.055), (0.0, 0.09, 0.1)])
def test_the_margin_is_what_another_must_be_better_by(
    metric: type[Metric], margin: float, better: float, worse: float
) -> None:
    for latency, moves in ((worse, ["-a"]), (better, ["-a", "ab"])):
        court = Court(metric, *make_sides(1, 1), margin=margin)
        court.sides[0].health.measured(0, 0.1 * 5)
        court.order(0)
        court.sides[1].health.measured(0, latency * 5)
        court.order(0)
        assert court.moves == moves


def test_another_must_be_better_for_a_while() -> None:
    """After the first while, in which the first answers come in."""
    values = {"a": 1.0, "b": 2.0, "c": 3.0}

    class Given:
        least = 0.1

        def of(self, side: Side) -> float:
            return values[side.name]

        def words(self, _old: Side | None, new: Side) -> str:
            return new.name

    court = Court(Given)
    assert court.order(0) == "abc"
    taken = []
    for number, quickest in enumerate("bbacbcbbbb"):
        values |= dict.fromkeys("abc", 2.0) | {quickest: 1.0}
        taken.append(court.order(100 + number * INTERVAL)[0])
    assert "".join(taken) == "aaaaaabbbb"
    assert court.moves == ["-a", "ab"], "whoever was better: there was one for half a minute"


@pytest.mark.parametrize("metric", METRICS)
def test_what_nobody_notices_is_no_reason(metric: type[Metric]) -> None:
    court = Court(metric)
    court.answer(0, 0.0005, None, None)
    court.order(0)
    court.answer(10, 0.004, 0.0001, 0.0002)
    court.answer(120, 0.004, 0.0001, 0.0002)
    court.order(120)
    assert court.moves == ["-a"]


@pytest.mark.parametrize("metric", METRICS)
def test_latencies_that_alternate_move_nothing(metric: type[Metric]) -> None:
    """The other programs that measure go back and forth with each round."""
    court = Court(metric)
    for number in range(1000):
        quick, slow = (0.08, 0.12) if number % 2 else (0.12, 0.08)
        court.answer(number * INTERVAL, quick, slow, 0.1)
        court.order(number * INTERVAL)
    assert len(court.moves) <= 2, "the first, and perhaps one that was better in the first round"


def test_nothing_is_ranked_anew_where_nothing_was_learnt() -> None:
    court = Court(Score)
    court.answer(0, 0.1, 0.2, 0.3)
    first = court.leader.order(court.sides, None, 0)
    for _ in range(100):
        for side in court.sides:
            side.health.succeeded(0.5)
        assert court.leader.order(court.sides, None, 0.5) is first
    assert court.leader.order(court.sides, None, REFRESH) is not first, "failures fade"
    court.sides[0].health.measured(1.2, 0.1)
    assert court.leader.order(court.sides, None, 1.2) is not first


# -- whatever happens ----------------------------------------------------------------------------

EVENT = st.tuples(
    st.floats(0.01, 40),
    st.sampled_from(["measured", "carried", "succeeded", "reached", "failed", "missed", "gone", "back"]),
    st.integers(0, 3),
    st.floats(0.001, LONGEST),
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(METRICS), st.lists(EVENT, max_size=80))
def test_whatever_happens_the_order_is_whole_and_the_lead_has_one_story(
    metric: type[Metric], events: list[tuple[float, str, int, float]]
) -> None:
    every = make_sides(1, 2, 0.5, 1)
    court, now = Court(metric, *every), 0.0
    for wait, what, number, latency in events:
        now += wait
        side, health = every[number], every[number].health
        there = [other for other in every if other in court.sides]
        if what == "measured":
            health.measured(now, latency)
        elif what in ("failed", "missed"):
            getattr(health, what)(now, "refused")
        elif what == "gone" and len(there) > 2:
            court.sides = tuple(other for other in there if other is not side)
        elif what == "back":
            court.sides = tuple(other for other in every if other in there or other is side)
        elif what in ("carried", "succeeded", "reached"):
            getattr(health, what)(now)
        before, leader = len(court.moves), court.leader.leader
        order = court.leader.order(court.sides, None, now)
        assert sorted(names(order)) == sorted(names(court.sides))
        fails = [other.health.failures(now) > 0 for other in order]
        assert fails == sorted(fails), "who works stands before who fails"
        new = court.leader.leader
        assert new is None or new in court.sides
        assert new is None or new in (order[0], leader), "no lead without the first place"
        if len(court.moves) > before:
            assert len(court.moves) == before + 1
            assert new is not None
            assert court.moves[-1] == ("-" if leader is None else leader.name) + new.name
            assert new is not leader
            assert not new.health.failures(now)
        elif leader in court.sides:
            assert new is leader
        if new is not None and not new.health.failures(now):
            assert order[0] is new
    assert all(court.told)
