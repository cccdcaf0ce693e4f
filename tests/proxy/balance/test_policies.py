"""Which server each policy takes, how often, and what it does with those that failed."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shadesocks.config.settings import SETTINGS
from shadesocks.core.address import Address
from shadesocks.proxy.balance.health import FAILURES_MOST, FORGET_AFTER
from shadesocks.proxy.balance.member import Side
from shadesocks.proxy.balance.policies import POLICIES, PROBED, SKIP_BASE, Policy, willing_first
from tests.proxy.balance.rig import firsts, is_spread, make_side, make_sides, names

UNPROBED = sorted(set(POLICIES) - PROBED)
WEIGHTS = (1.0, 2.0, 3.0, 4.0)
SHARES = dict(zip("abcd", WEIGHTS, strict=True))
TARGET = Address("target.example", 443)


def make(word: str, seed: int = 1) -> Policy:
    return POLICIES[word](0.2, Random(seed), lambda *_: None)  # noqa: S311 - the same draws each time


class Drawn(Random):
    """Draws what the test says, and notes what it was asked for."""

    def __init__(self) -> None:
        super().__init__(1)
        self.asked: list[int] = []
        self.lucky: set[int] = set()

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        assert (stop, step) == (None, 1)
        self.asked.append(start)
        return 0 if start in self.lucky else 1


def fail(side: Side, times: int = 1, now: float = 0.0) -> None:
    for _ in range(times):
        side.health.failed(now, "refused")


def test_each_word_of_the_configuration_is_a_policy() -> None:
    assert set(SETTINGS["balancer_policy"].choices) == set(POLICIES) == {*UNPROBED, *PROBED}


@pytest.mark.parametrize("word", POLICIES)
def test_every_server_is_tried_in_the_end_and_none_twice(word: str) -> None:
    policy, sides = make(word), make_sides(*[1.0, 0.5, 7.0] * 4)
    random = Random(word)  # noqa: S311 - the same draws each time
    for now in range(300):
        side = random.choice(sides)
        if random.random() < 0.5:
            side.health.failed(now, "refused")
        else:
            side.health.succeeded(now)
        if word in PROBED:
            random.choice(sides).health.measured(now, random.random())
        order = policy.order(sides, TARGET, now)
        assert sorted(names(order)) == sorted(names(sides))


@pytest.mark.parametrize("word", POLICIES)
def test_servers_come_and_go(word: str) -> None:
    policy, every = make(word), make_sides(*[1.0] * 6)
    random = Random(2)  # noqa: S311 - the same draws each time
    for now in range(200):
        some = tuple(random.sample(every, random.randint(2, 6)))
        assert set(policy.order(some, TARGET, now)) == set(some)


@pytest.mark.parametrize("word", UNPROBED)
def test_policies_without_probes_prefer_nobody_for_long(word: str) -> None:
    assert make(word).leader is None


# -- the circuit, as shadowsocks-go has it -----------------------------------------------------


def test_a_server_that_failed_is_seldom_tried_in_its_turn() -> None:
    """1 of 21 at first, 1 of 50 at the cap, and never left out."""
    chance, sides = Drawn(), make_sides(1, 1, 1)
    policy = POLICIES["ordered"](0.2, chance, lambda *_: None)
    a, b, c = sides

    def order() -> str:
        chance.asked.clear()
        return names(policy.order(sides, TARGET, 0.0))

    assert (order(), chance.asked) == ("abc", [])
    fail(a)
    assert (order(), chance.asked) == ("bca", [21])
    fail(a)
    fail(b)
    assert (order(), chance.asked) == ("cab", [22, 21])
    chance.lucky = {22}
    assert order() == "acb"
    fail(a, 100)
    assert (order(), chance.asked) == ("cab", [FAILURES_MOST + SKIP_BASE, 21])
    a.health.succeeded(0.0)
    assert order() == "acb"
    fail(c)
    assert order() == "abc", "all that are left failed"


def test_the_chance_of_a_failed_server_is_go_s() -> None:
    policy, sides = make("ordered", 2), make_sides(1, 1)
    fail(sides[0])
    assert is_spread(firsts(lambda: policy.order(sides, TARGET, 0.0), 21_000), {"a": 1, "b": 20})
    fail(sides[0], 40)
    assert is_spread(firsts(lambda: policy.order(sides, TARGET, 0.0), 21_000), {"a": 1, "b": 49})


def test_a_server_that_failed_long_ago_is_as_good_as_any() -> None:
    chance, sides = Drawn(), make_sides(1, 1)
    fail(sides[0], 30)
    assert names(willing_first(sides, FORGET_AFTER / 2, chance)[0]) == "b"
    assert chance.asked == [15 + SKIP_BASE]
    assert names(willing_first(sides, FORGET_AFTER, chance)[0]) == "ab"


@pytest.mark.parametrize("word", [word for word in UNPROBED if word != "ordered"])
def test_a_server_that_failed_is_behind_the_others_but_for_a_small_chance_in_its_turn(word: str) -> None:
    policy, sides = make(word, 3), make_sides(1, 1, 1, 1)
    fail(sides[1])
    numbers = iter(range(1_000_000))

    def order() -> Sequence[Side]:
        return policy.order(sides, Address(f"host-{next(numbers)}.example", 80), 0.0)

    lasts = Counter(order()[-1].name for _ in range(4000))
    assert lasts["b"] > 3700
    counts = firsts(order, 21_000)
    assert 0.4 / 84 < counts.pop("b") / 21_000 < 1.6 / 84, "1 of 21, a quarter of the turns"
    assert is_spread(counts, {"a": 1, "c": 1, "d": 1})


@pytest.mark.parametrize("word", UNPROBED)
def test_where_all_failed_all_are_tried(word: str) -> None:
    policy, sides = make(word), make_sides(1, 1, 1)
    for side in sides:
        fail(side, 5)
    for _ in range(100):
        assert sorted(names(policy.order(sides, TARGET, 0.0))) == ["a", "b", "c"]


# -- random ------------------------------------------------------------------------------------


def test_random_draws_by_weight_each_time_anew() -> None:
    policy, sides = make("random"), make_sides(*WEIGHTS)
    orders = [names(policy.order(sides, TARGET, 0.0)) for _ in range(20_000)]
    assert is_spread(Counter(order[0] for order in orders), SHARES)
    # Independent: who follows whom in time is as the weights say, too.
    pairs = Counter(f"{one[0]}{two[0]}" for one, two in pairwise(orders))
    assert is_spread(pairs, {f"{x}{y}": SHARES[x] * SHARES[y] for x in "abcd" for y in "abcd"})
    # And the second is drawn from those that are left.
    seconds = Counter(order[:2] for order in orders)
    shares = {f"{x}{y}": SHARES[x] * SHARES[y] / (10 - SHARES[x]) for x in "abcd" for y in "abcd" if x != y}
    assert is_spread(seconds, shares)


# -- round-robin -------------------------------------------------------------------------------


def test_round_robin_spreads_the_turns_of_a_heavy_one() -> None:
    policy, sides = make("round-robin"), make_sides(5, 1, 1)
    turns = "".join(policy.order(sides, TARGET, 0.0)[0].name for _ in range(14))
    assert turns == "aabacaa" * 2


def test_round_robin_is_exact_in_each_round_whatever_the_weights() -> None:
    policy, sides = make("round-robin"), make_sides(*WEIGHTS)
    for _ in range(50):
        assert firsts(lambda: policy.order(sides, TARGET, 0.0), 10) == {"a": 1, "b": 2, "c": 3, "d": 4}


def test_a_server_that_comes_back_has_no_row_of_turns() -> None:
    policy, sides = POLICIES["round-robin"](0.2, Drawn(), lambda *_: None), make_sides(1, 1, 1)
    fail(sides[0])
    assert firsts(lambda: policy.order(sides, TARGET, 0.0), 100) == {"b": 50, "c": 50}
    sides[0].health.succeeded(0.0)
    turns = [policy.order(sides, TARGET, 0.0)[0].name for _ in range(30)]
    assert all(set(three) == {"a", "b", "c"} for three in zip(turns[::3], turns[1::3], turns[2::3], strict=True))


# -- least-connections -------------------------------------------------------------------------


def test_least_connections_takes_the_one_with_the_fewest_for_its_weight() -> None:
    policy, sides = make("least-connections"), make_sides(1, 2)
    a, b = sides
    for live_a, live_b, order in ((0, 0, "ba"), (0, 2, "ab"), (1, 2, "ba"), (3, 8, "ab"), (4, 8, "ba"), (0, 100, "ab")):
        a.live, b.live = live_a, live_b
        assert names(policy.order(sides, TARGET, 0.0)) == order


def test_connections_that_last_are_spread_by_weight_and_equals_are_drawn() -> None:
    policy, sides = make("least-connections"), make_sides(*WEIGHTS)
    for _ in range(1000):
        policy.order(sides, TARGET, 0.0)[0].live += 1
    assert [side.live for side in sides] == [100, 200, 300, 400]
    equals = make_sides(1, 1, 1)
    assert is_spread(firsts(lambda: policy.order(equals, TARGET, 0.0), 6000), {"a": 1, "b": 1, "c": 1})


# -- sticky ------------------------------------------------------------------------------------

HOSTS = [f"host-{number}.example" for number in range(20_000)]


def places(sides: Sequence[Side], hosts: Sequence[str] = HOSTS) -> dict[str, str]:
    """Where each target goes."""
    policy, sides = make("sticky"), tuple(sides)
    return {host: policy.order(sides, Address(host, 443), 0.0)[0].name for host in hosts}


def test_targets_are_spread_by_weight() -> None:
    assert is_spread(Counter(places(make_sides(*WEIGHTS)).values()), SHARES)
    assert is_spread(Counter(places(make_sides(*[1] * 20)).values()), {side.name: 1 for side in make_sides(*[1] * 20)})


def test_a_target_is_its_host_alone_however_it_is_written() -> None:
    policy, sides = make("sticky"), make_sides(1, 1, 1, 1)
    for host in HOSTS[:50]:
        orders = {
            names(policy.order(sides, Address(spelled, port), 0.0))
            for spelled in (host, host.upper(), f"{host}.")
            for port in (80, 443, 0)
        }
        assert len(orders) == 1
    assert policy.order(sides, None, 0.0), "who has no target sticks to something"


def test_a_server_that_is_lost_or_added_moves_its_own_share_alone() -> None:
    sides = make_sides(*WEIGHTS)
    before, without = places(sides), places(sides[:2] + sides[3:])
    moved = {host for host in HOSTS if before[host] != without[host]}
    assert moved == {host for host in HOSTS if before[host] == "c"}
    assert is_spread(Counter(without[host] for host in moved), {"a": 1, "b": 2, "d": 4})
    assert places(sides[::-1]) == before, "whatever the order of the configuration"


def test_more_weight_draws_targets_to_a_server_and_takes_none_from_it() -> None:
    before, after = places(make_sides(1, 1, 1)), places(make_sides(1, 1, 3))
    assert all(after[host] == "c" for host in HOSTS if before[host] != after[host])
    assert is_spread(Counter(after.values()), {"a": 1, "b": 1, "c": 3})


def test_targets_of_a_server_that_fails_go_elsewhere_and_come_back() -> None:
    sides, hosts = make_sides(1, 1, 1, 1), HOSTS[:2000]
    policy = POLICIES["sticky"](0.2, Drawn(), lambda *_: None)

    def where() -> dict[str, str]:
        return {host: policy.order(sides, Address(host, 443), 0.0)[0].name for host in hosts}

    before = where()
    fail(sides[2], 3)
    during = where()
    assert {before[host] for host in hosts if before[host] != during[host]} == {"c"}
    assert is_spread(Counter(during[host] for host in hosts if before[host] == "c"), {"a": 1, "b": 1, "d": 1})
    sides[2].health.succeeded(0.0)
    assert where() == before


def test_a_target_has_the_same_server_after_a_restart() -> None:
    """Python's own hash is another in each process."""
    script = "\n".join(
        (
            "from tests.proxy.balance.test_policies import HOSTS, make_sides, places",
            "print(''.join(places(make_sides(1, 1, 1), HOSTS[:40]).values()))",
        )
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            check=True,
            capture_output=True,
            timeout=60,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert runs == {"".join(places(make_sides(1, 1, 1), HOSTS[:40]).values())}


def test_a_name_is_drawn_by_the_same_numbers_in_each_version() -> None:
    """A list of servers that is kept keeps its targets over an update of this program."""
    sides = tuple(make_side(name) for name in ("tokyo", "home", "oslo"))
    policy = make("sticky")
    found = " ".join(policy.order(sides, Address(host, 443), 0.0)[0].name for host in HOSTS[:8])
    assert found == "tokyo oslo tokyo home home tokyo tokyo oslo"


# -- whatever happens ----------------------------------------------------------------------------

WEIGHT = st.sampled_from([0.1, 0.5, 1.0, 2.0, 7.0, 1000.0])
STATE = st.tuples(WEIGHT, st.integers(0, 40), st.integers(0, 5))
"""Of a server: its weight, what goes through it, and how often it failed."""
STATES = st.lists(STATE, min_size=2, max_size=8)
HOST = st.sampled_from(HOSTS[:200])


def sides_of(states: Sequence[tuple[float, int, int]]) -> tuple[Side, ...]:
    sides = make_sides(*[weight for weight, _, _ in states])
    for side, (_, live, failures) in zip(sides, states, strict=True):
        side.live = live
        fail(side, failures)
    return sides


def fails(side: Side) -> bool:
    return side.health.failures(0.0) > 0


@given(st.sampled_from(UNPROBED), STATES, st.lists(HOST, min_size=1, max_size=20), st.integers(0, 99))
def test_whoever_works_stands_before_whoever_failed(
    word: str, states: list[tuple[float, int, int]], hosts: list[str], seed: int
) -> None:
    """Nobody is left out, nobody stands there twice, and only a trial comes before its turn."""
    chance = Random(seed)  # noqa: S311 - the same draws each time
    chance.randrange = lambda limit: 1  # type: ignore[method-assign, misc, assignment]  # no trial
    policy, sides = POLICIES[word](0.2, chance, lambda *_: None), sides_of(states)
    for host in hosts:
        order = list(policy.order(sides, Address(host, 443), 0.0))
        assert sorted(names(order)) == sorted(names(sides))
        assert [fails(side) for side in order] == sorted(map(fails, sides))


@given(STATES)
def test_ordered_is_the_order_of_the_configuration(states: list[tuple[float, int, int]]) -> None:
    policy, sides = POLICIES["ordered"](0.2, Drawn(), lambda *_: None), sides_of(states)
    assert list(policy.order(sides, TARGET, 0.0)) == sorted(sides, key=fails), "which keeps the order of equals"


@given(STATES, st.integers(0, 99))
def test_least_connections_never_takes_a_fuller_one(states: list[tuple[float, int, int]], seed: int) -> None:
    sides = sides_of([(weight, live, 0) for weight, live, _ in states])
    order = make("least-connections", seed).order(sides, TARGET, 0.0)
    loads = [(side.live + 1) / side.share for side in order]
    assert all(before <= after * (1 + 1e-8) for before, after in pairwise(loads))


@given(st.lists(st.integers(1, 6), min_size=2, max_size=6), st.integers(0, 5))
def test_round_robin_owes_nobody_more_than_a_turn_for_each_other(weights: list[int], rest: int) -> None:
    policy, sides = make("round-robin"), make_sides(*map(float, weights))
    counts, total = Counter[str](), sum(weights)
    for number in range(1, 2 * total + rest):
        counts[policy.order(sides, TARGET, 0.0)[0].name] += 1
        owed = [number * side.weight / total - counts[side.name] for side in sides]
        assert max(map(abs, owed)) < len(sides)
        if number % total == 0:
            assert [counts[side.name] for side in sides] == [weight * number // total for weight in weights]


@given(st.lists(WEIGHT, min_size=3, max_size=8), HOST, st.data())
def test_sticky_has_one_order_for_a_target_whoever_else_is_there(
    weights: list[float], host: str, data: st.DataObject
) -> None:
    """Who goes leaves the order of the others as it was, so its targets go where they would have gone without it."""
    sides = make_sides(*weights)
    some = data.draw(st.permutations(sides).map(lambda all_: tuple(all_[: len(all_) - 1])))
    order = list(make("sticky").order(sides, Address(host, 443), 0.0))
    without = list(make("sticky").order(some, Address(host, 80), 0.0))
    assert without == [side for side in order if side in some]


@given(st.lists(WEIGHT, min_size=2, max_size=4), st.integers(0, 9))
def test_random_leaves_nobody_for_last_for_ever(weights: list[float], seed: int) -> None:
    assume(max(weights) / min(weights) <= 20)
    policy, sides = make("random", seed), make_sides(*weights)
    assert set(firsts(lambda: policy.order(sides, TARGET, 0.0), 3000)) == set(names(sides))
