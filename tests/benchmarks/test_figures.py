"""The arithmetic of the bench: what it says about samples must be true before anybody quotes it."""

from __future__ import annotations

import pytest

from benchmarks.figures import GOALS, Goal, Results, Row, judge, percentile, spread
from benchmarks.plan import alternate
from benchmarks.systems import OURS, REFERENCE

UP = Row("bulk", "up", "cpu_gb", "aes-256-gcm")
DOWN = Row("bulk", "down", "cpu_gb", "aes-256-gcm")


def filled(samples: dict[Row, dict[str, list[float]]]) -> Results:
    results = Results()
    for row, systems in samples.items():
        for system, values in systems.items():
            for turn, value in enumerate(values):
                results.add(row, system, turn, value)
    return results


@pytest.mark.parametrize(
    ("percent", "expected"), [(50, 50), (99, 99), (100, 100), (1, 1), (0, 1), (99.5, 100), (50.5, 51)]
)
def test_a_percentile_is_a_value_that_occurred(percent: float, expected: float) -> None:
    assert percentile(range(100, 0, -1), percent) == expected


def test_the_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7.0], 99) == 7.0


def test_nothing_has_no_percentile_and_no_spread() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)
    assert spread([]) is None


def test_a_spread_is_median_and_ends() -> None:
    seen = spread([3.0, 1.0, 10.0])
    assert seen is not None
    assert (seen.middle, seen.least, seen.most, seen.count) == (3.0, 1.0, 10.0, 3)


def test_a_ratio_pairs_the_rounds() -> None:
    """A round that was slow for both says nothing about either."""
    results = filled({UP: {OURS: [1.0, 10.0, 1.0], REFERENCE: [2.0, 20.0, 2.0]}})
    seen = results.ratio(UP, OURS, REFERENCE)
    assert seen is not None
    assert (seen.least, seen.most) == (0.5, 0.5)


def test_a_ratio_leaves_out_rounds_that_one_side_missed() -> None:
    results = filled({UP: {OURS: [1.0, 9.0]}})
    results.add(UP, REFERENCE, 0, 4.0)
    seen = results.ratio(UP, OURS, REFERENCE)
    assert seen is not None
    assert (seen.middle, seen.count) == (0.25, 1)
    assert results.ratio(UP, OURS, "sing-box") is None


def test_a_relative_goal_is_judged_row_by_row_worst_first() -> None:
    goal = Goal("", "bulk", "cpu_gb", 0.95, REFERENCE)
    results = filled({UP: {OURS: [0.9], REFERENCE: [1.0]}, DOWN: {OURS: [1.2], REFERENCE: [1.0]}})
    assert [(verdict.row, verdict.met) for verdict in judge(goal, results)] == [(DOWN, False), (UP, True)]


def test_a_goal_against_several_has_a_verdict_for_each_of_them() -> None:
    goal = Goal("", "bulk", "cpu_gb", 1.0, ("python", "go-1.2.2", "procurator"))
    results = filled({UP: {OURS: [2.0], "python": [4.0], "go-1.2.2": [1.0]}})
    verdicts = judge(goal, results)
    assert [(verdict.against, verdict.value, verdict.met) for verdict in verdicts] == [
        ("go-1.2.2", 2.0, False),
        ("python", 0.5, True),
    ]


def test_what_is_old_is_judged_by_goals_of_its_own() -> None:
    row = Row("bulk", "up", "cpu_gb", "aes-256-cfb")
    results = filled({row: {OURS: [9.0], REFERENCE: [1.0], "shadowsocks-libev": [1.0], "python": [1.0]}})
    verdicts = [verdict for goal in GOALS for verdict in judge(goal, results)]
    assert {verdict.goal.text for verdict in verdicts} == {"bulk CPU a GB ≤ each ancestor's"}
    assert {verdict.against for verdict in verdicts} == {"shadowsocks-libev", "python"}


def test_an_absolute_goal_is_met_at_its_limit() -> None:
    results = filled({Row("start", "", "start", "aes-256-gcm"): {OURS: [0.25]}})
    (verdict,) = judge(Goal("", "start", "start", 0.25), results)
    assert verdict.met


def test_a_goal_without_a_sample_has_no_verdict() -> None:
    assert all(judge(goal, Results()) == [] for goal in GOALS)


def test_xchacha_is_reported_and_not_judged() -> None:
    row = Row("bulk", "up", "cpu_gb", "xchacha20-ietf-poly1305")
    results = filled({row: {OURS: [9.0], REFERENCE: [1.0], "shadowsocks-libev": [1.0]}})
    assert all(judge(goal, results) == [] for goal in GOALS)


def test_each_edition_has_its_own_goal_for_short_connections() -> None:
    samples = {OURS: [1.4], REFERENCE: [1.0]}
    aead, edition_2022 = (Row("short", "", "cpu", name) for name in ("aes-256-gcm", "2022-blake3-aes-256-gcm"))
    verdicts = [verdict for goal in GOALS for verdict in judge(goal, filled({aead: samples, edition_2022: samples}))]
    assert {(verdict.row, verdict.met) for verdict in verdicts} == {(aead, True), (edition_2022, False)}


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_each_system_is_first_and_last_at_times(count: int) -> None:
    systems = list(range(count))
    orders = [alternate(systems, turn) for turn in range(2 * count)]
    assert all(sorted(order) == systems for order in orders)
    assert {order[0] for order in orders} == set(systems)
    assert {order[-1] for order in orders} == set(systems)


def test_no_system_always_follows_the_same_one() -> None:
    orders = [alternate("abc", turn) for turn in range(4)]
    assert len({order[order.index("b") - 1] for order in orders if order[0] != "b"}) > 1
