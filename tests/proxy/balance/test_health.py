"""What is known of a server, and what it comes to."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadesocks.proxy.balance.health import (
    BURST,
    FAILURES_MOST,
    FORGET_AFTER,
    ROUNDS,
    ROUNDS_MOST,
    SAMPLES,
    STEADY_AFTER,
    Health,
)
from tests.proxy.balance.rig import INTERVAL, LONGEST


def make() -> Health:
    return Health(INTERVAL, LONGEST)


def test_nothing_is_known_of_a_new_server() -> None:
    health = make()
    assert (health.score(1.0), health.latency, health.worked_at, health.failed_at) == (None, None, None, None)
    assert (health.count, health.failures(0), health.last_word) == (0, 0, "")
    assert health.is_steady(0)
    assert not health.is_down(0)


# -- failures, as shadowsocks-go counts them ---------------------------------------------------


def test_failures_are_counted_to_thirty_and_one_success_clears_them() -> None:
    health = make()
    for number in range(1, 40):
        health.failed(5.0, "refused")
        assert health.failures(5.0) == min(number, FAILURES_MOST)
    assert (health.last_word, health.failed_at) == ("refused", 5.0)
    health.succeeded(6.0)
    assert (health.failures(6.0), health.last_word, health.worked_at) == (0, "", 6.0)


def test_failures_fade() -> None:
    health = make()
    for _ in range(30):
        health.failed(100.0, "refused")
    faded = [health.failures(100.0 + part * FORGET_AFTER / 10) for part in range(12)]
    assert faded == [30, 27, 24, 21, 18, 15, 12, 9, 6, 3, 0, 0]
    health.failed(100.0 + FORGET_AFTER / 2, "refused")
    assert health.failures(100.0 + FORGET_AFTER / 2) == 16, "what was left, and the new one"


def test_a_server_is_down_after_two_failures_or_one_that_lasts() -> None:
    health = make()
    health.failed(10.0, "refused")
    assert not health.is_down(10.5)
    assert health.is_down(10.0 + health.a_while)
    health.failed(10.6, "refused")
    assert health.is_down(10.6)
    health.succeeded(10.7)
    assert not health.is_down(10.0 + health.a_while)


@pytest.mark.parametrize(("interval", "a_while"), [(2.0, ROUNDS * 2.0), (3600.0, ROUNDS_MOST)])
def test_a_server_is_steady_some_rounds_after_its_last_failure(interval: float, a_while: float) -> None:
    health = Health(interval, LONGEST)
    assert health.a_while == a_while
    health.failed(10.0, "refused")
    health.succeeded(11.0)
    assert not health.is_steady(10.0 + STEADY_AFTER * a_while - 0.1)
    assert health.is_steady(10.0 + STEADY_AFTER * a_while)


def test_a_connection_makes_good_what_connections_found_out() -> None:
    health = make()
    health.missed(1, "refused")
    health.missed(2, "refused")
    assert health.failures(2) == 2
    health.reached(3)
    assert (health.failures(3), health.last_word, health.worked_at) == (0, "", 3)


def test_a_connection_makes_not_good_what_a_probe_found_out() -> None:
    """A plugin takes every connection, whatever is behind it; some lines let connections through and nothing else."""
    health = make()
    health.failed(1, "no_answer")
    health.missed(2, "refused")
    health.reached(3)
    assert (health.failures(3), health.last_word, health.worked_at) == (2, "refused", None)
    health.succeeded(4)
    assert health.failures(4) == 0
    health.missed(5, "refused")
    health.reached(6)
    assert health.failures(6) == 0, "the probe's word is over"
    health.failed(7, "no_answer")
    health.missed(7 + FORGET_AFTER, "refused")
    health.reached(7 + FORGET_AFTER)
    assert health.failures(7 + FORGET_AFTER) == 0, "so is it when it faded"


# -- smoothed latency, as shadowsocks-lite has it ----------------------------------------------


def test_latency_is_four_fifths_old_and_one_fifth_new() -> None:
    health = make()
    health.measured(0, 0.1)
    assert health.latency == 0.1, "lite began with 100 s, and took a minute to come down"
    health.measured(10, 0.2)
    assert health.latency == pytest.approx(0.12)
    health.measured(20, 0.2)
    assert health.latency == pytest.approx(0.136)


def test_latency_begins_anew_after_two_failures_but_not_after_one() -> None:
    health, seen = make(), []
    health.measured(0, 0.1)
    for now in (10, 11):
        health.failed(now, "refused")
        seen.append(health.latency)
    health.measured(20, 0.4)
    assert [*seen, health.latency] == [0.1, None, 0.4]


def test_what_programs_move_stands_in_for_a_probe() -> None:
    health = make()
    health.carried(0)
    assert (health.count, health.worked_at) == (0, 0), "how long it takes is not known"
    health.measured(10, 0.1)
    health.measured(20, 0.2)
    for round_ in range(3, SAMPLES * 3):
        health.carried(round_ * INTERVAL)
    assert health.latency == pytest.approx(0.12)
    assert health.count == SAMPLES + 1
    assert health.score(1.0) == int(10_000 * (0.12 / LONGEST) / 5)


# -- the score, as shadowsocks-rust has it -----------------------------------------------------


def plain_score(samples: list[tuple[float, float | None]], weight: float) -> int:
    """The formula once more, from its description, in exact numbers."""
    latest = Fraction(samples[-1][0])
    known = [
        None if took is None else Fraction(took) for at, took in samples if latest - Fraction(at) <= 67 * Fraction(10)
    ]
    answered = sorted(took for took in known if took is not None)

    def middle_of(numbers: list[Fraction]) -> Fraction:
        half, odd = divmod(len(numbers), 2)
        return numbers[half] if odd else (numbers[half - 1] + numbers[half]) / 2

    longest = Fraction(LONGEST)
    m = middle_of(answered) if answered else longest
    d = middle_of(sorted(abs(took - m) for took in answered)) if answered else longest
    f = Fraction(known.count(None), len(known))
    return int(10_000 * (m / longest + 3 * f + d / longest) / 5 / Fraction(weight))


SAMPLE = st.tuples(st.integers(2, 120), st.none() | st.integers(1, 5000).map(lambda ms: ms / 1000))


@settings(max_examples=300, deadline=None)
@given(st.lists(SAMPLE, min_size=1, max_size=200), st.sampled_from([0.1, 0.5, 1.0, 2.0, 7.5, 1000.0]))
def test_the_score_is_shadowsocks_rust_s(steps: list[tuple[int, float | None]], weight: float) -> None:
    health, samples, now = make(), [], 0.0
    for wait, took in steps:
        now += wait
        samples.append((now, took))
        if took is None:
            health.failed(now, "dial_timeout")
        else:
            health.measured(now, took)
        score = health.score(weight)
        assert score is not None
        assert abs(score - plain_score(samples, weight)) <= 1, "but for the last bit of a float before the cut"


def test_a_dead_server_scores_ten_thousand() -> None:
    health = make()
    health.failed(0, "refused")
    assert (health.score(1.0), health.score(2.0), health.score(0.5)) == (10_000, 5_000, 20_000)
    assert health.score(0.0) == int(10_000 * 2.0**23), "no division by zero"


def test_one_answer_has_no_deviation() -> None:
    health = make()
    health.measured(0, 0.5)
    assert health.score(1.0) == 200


def test_samples_leave_the_window_when_a_new_one_comes() -> None:
    health = make()
    health.measured(0, 0.5)
    health.measured(SAMPLES * INTERVAL, 0.1)
    assert health.count == 2
    health.measured(SAMPLES * INTERVAL + 1, 0.1)
    assert health.count == 2
    assert health.score(1.0) == 40


def test_failures_of_a_moment_are_one_sample() -> None:
    """A server that restarts fails two hundred dials in that second: it is not dead for the next eleven minutes."""
    health = make()
    for number in range(60):
        health.measured(number * INTERVAL, 0.1)
    for _ in range(200):
        health.failed(600.0, "refused")
    assert health.failures(600.0) == FAILURES_MOST
    assert health.count == 61
    health.failed(600.0 + BURST * INTERVAL, "refused")
    assert health.count == 62
    for tenth in range(100_000):
        health.failed(700.0 + tenth / 10, "refused")
    assert health.count <= SAMPLES / BURST + 1, "however long it fails"


# -- what is learnt is noticed -----------------------------------------------------------------


def test_the_revision_grows_with_what_is_learnt_and_with_nothing_else() -> None:
    health = make()
    before = health.revision

    def grew() -> bool:
        nonlocal before
        before, last = health.revision, before
        return before > last

    health.measured(0, 0.1)
    assert grew()
    health.succeeded(1)
    health.score(1.0)
    assert not grew(), "it worked, as it did before: nothing to rank anew for each connection"
    health.failed(2, "refused")
    assert grew()
    health.failed(2, "refused")
    assert grew()
    health.succeeded(3)
    assert grew()
