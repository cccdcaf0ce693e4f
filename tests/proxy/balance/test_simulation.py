"""Hours of each policy among servers that die, flap, slow down and come back, on a clock of their own."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from random import Random

import pytest

from shadesocks.proxy.balance.health import ROUNDS_MOST, SAMPLES, STEADY_AFTER
from shadesocks.proxy.balance.leader import REIGN
from shadesocks.proxy.balance.policies import POLICIES, PROBED
from shadesocks.proxy.balance.prober import JITTER, SKIPPED_MOST
from tests.proxy.balance.rig import INTERVAL, LONGEST, is_spread
from tests.proxy.balance.simulation import DIAL_TIMEOUT, Curve, Host, World

EVERY = sorted(POLICIES)
MEASURED = sorted(PROBED)
UNMEASURED = sorted(set(POLICIES) - PROBED)
SPREAD = sorted(set(UNMEASURED) - {"ordered"})
ROUND = INTERVAL * (1 + JITTER) + LONGEST
"""Seconds of a round of probes at most."""
QUICK, SLOW = 0.05, 0.15
WEIGHTS = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}


def five(*outages: tuple[float, float], silent: bool = True) -> list[Host]:
    """The first, which is the quickest, is down at times."""
    return [Host("a", QUICK, outages=outages, silent=silent), *(Host(name, SLOW) for name in "bcde")]


# -- who is taken while all is well --------------------------------------------------------------


@pytest.mark.parametrize("policy", EVERY)
def test_a_run_of_a_seed_is_the_same_each_time(policy: str) -> None:
    def run(seed: int) -> World:
        world = World(policy, *five((20, 40)), seed=seed)
        world.traffic(2, 100)
        world.run(200)
        return world

    assert run(1).requests == run(1).requests
    assert run(1).requests != run(2).requests


@pytest.mark.parametrize("policy", SPREAD)
def test_weights_share_the_connections(policy: str) -> None:
    world = World(policy, *(Host(name, SLOW, weight) for name, weight in WEIGHTS.items()))
    world.traffic(10, 400, lasts=20, hosts=1_000_000)
    world.run(500)
    counts = world.served(0)
    assert is_spread(counts, WEIGHTS), counts
    if policy == "round-robin":
        assert max(abs(counts[name] / weight - counts["a"]) for name, weight in WEIGHTS.items()) <= 2, "and exactly"
    assert not world.lost


def test_connections_that_are_open_are_shared_by_weight() -> None:
    """Where they last very differently on each server, it is not their number that counts."""
    world = World("least-connections", *(Host(name, SLOW, weight) for name, weight in WEIGHTS.items()))
    seen: Counter[str] = Counter()

    def look() -> None:
        seen.update({member.name: member.tcp.live for member in world.group.members})
        world.call_at(world.now + 7, look)

    world.call_at(100, look)
    world.traffic(10, 1000, lasts=20)
    world.run(1000)
    every = sum(seen.values())
    assert all(abs(seen[name] / every - weight / 10) < 0.01 for name, weight in WEIGHTS.items()), seen


def test_a_target_has_one_server() -> None:
    world = World("sticky", *five())
    for number in range(300):
        world.ask(f"host-{number % 30}.test", 1.0)
        world.run(world.now + 1)
    servers = [request.server for request in world.requests]
    assert servers[:30] * 10 == servers
    assert len(set(servers)) == 5


@pytest.mark.parametrize("policy", MEASURED)
def test_the_best_takes_all_once_it_is_known(policy: str) -> None:
    hosts = [Host("a", 0.3), Host("b", 0.1), Host("c", 0.2)]
    world = World(policy, *hosts)
    world.traffic(2, 300)
    world.run(310)
    assert world.served(5) == {"b": len(world.between(5))}
    assert world.served(0, 5)["b"] > 0, "nobody waited for all of the first round"
    assert len(world.switches) <= 2


@pytest.mark.parametrize("policy", MEASURED)
def test_weights_make_up_for_distance(policy: str) -> None:
    world = World(policy, Host("a", 0.1, weight=0.2), Host("b", 0.2), Host("c", 0.3, weight=0.0))
    world.traffic(2, 300)
    world.run(310)
    assert set(world.served(5)) == {"b"}


# -- deaths --------------------------------------------------------------------------------------

DEATH, REVIVAL, END = 200.0, 500.0, 700.0


@pytest.mark.parametrize("silent", [True, False])
@pytest.mark.parametrize("policy", EVERY)
def test_nobody_notices_that_a_server_died(policy: str, silent: bool) -> None:
    world = World(policy, *five((DEATH, REVIVAL), silent=silent))
    world.traffic(3, END, hosts=1_000_000)
    world.run(END + 100)
    assert not world.lost
    slow = DIAL_TIMEOUT if silent else 2 * QUICK
    assert max(request.took for request in world.requests) <= slow + SLOW + 0.01, "one dial time-out at most"
    # It is left within one dial time-out: after it, only trials go there.
    left = DEATH + (DIAL_TIMEOUT if silent else 1.0)
    after = world.between(left, REVIVAL - DIAL_TIMEOUT)
    assert "a" not in {request.server for request in after}
    trials = sum(request.took >= slow + SLOW - 0.01 for request in after) if silent else 0
    if policy in PROBED:
        assert trials == 0, "who probes tries nothing with connections of programs"
    else:
        assert trials <= len(after) / 21 * 1.5
        assert silent is False or trials > 0
    if policy in SPREAD:
        assert is_spread(world.served(left, REVIVAL), dict.fromkeys("bcde", 1) | ({"a": 1e-9}))


@pytest.mark.parametrize("policy", UNMEASURED)
def test_a_server_that_came_back_is_found_by_trials(policy: str) -> None:
    world = World(policy, *five((DEATH, REVIVAL)))
    world.traffic(5, 1200, hosts=1_000_000)
    world.run(1300)
    first = next(request.began_at for request in world.between(REVIVAL) if request.server == "a")
    # A trial is 1 request of 50, or of 250 where there are turns: at 5 a second, that is 50 seconds on average.
    assert first - REVIVAL < 240
    counts = world.served(first + 10)
    if policy == "ordered":
        assert set(counts) == {"a"}
    else:
        assert is_spread(counts, dict.fromkeys("abcde", 1)), counts


def test_a_server_that_came_back_leads_again_once_it_is_steady() -> None:
    world = World("fastest", *five((DEATH, REVIVAL)))
    world.traffic(3, 1000)
    world.run(1100)
    assert [switch.new for switch in world.switches][::2] == ["a", "a"]
    assert len(world.switches) == 3
    assert DEATH < world.switches[1].at <= DEATH + DIAL_TIMEOUT + REIGN
    assert world.switches[1].why == "a failed (dial_timeout)"
    steady = STEADY_AFTER * ROUNDS_MOST
    assert steady <= world.switches[2].at - REVIVAL + ROUND <= steady + ROUNDS_MOST + 3 * ROUND
    assert set(world.served(world.switches[2].at)) == {"a"}


def test_a_score_forgets_a_death_with_its_window() -> None:
    """It is what the formula says: failures count three times, for eleven minutes."""
    world = World("score", *five((DEATH, REVIVAL)))
    world.traffic(1, 1600)
    world.run(1700)
    assert [switch.new for switch in world.switches][::2] == ["a", "a"]
    assert len(world.switches) == 3
    back = world.switches[2].at
    assert DEATH + SAMPLES * INTERVAL < back < REVIVAL + SAMPLES * INTERVAL + ROUNDS_MOST + (SKIPPED_MOST + 2) * ROUND
    assert set(world.served(back)) == {"a"}


@pytest.mark.parametrize("policy", EVERY)
def test_after_all_of_them_died_the_first_that_comes_back_serves(policy: str) -> None:
    hosts = [Host(name, SLOW, outages=[(100, 160 if name == "d" else 400)], silent=False) for name in "abcde"]
    world = World(policy, *hosts)
    world.traffic(3, 300)
    world.run(320)
    assert {request.began_at // 100 for request in world.lost} == {1.0}
    assert max(request.began_at + request.took for request in world.lost) < 160 + 5 * SLOW
    assert set(world.served(160)) - {""} == {"d"}
    assert len(world.served(100, 159)) == 1, "nobody"


@pytest.mark.parametrize("policy", MEASURED)
def test_a_server_behind_a_plugin_that_takes_everything_is_found_out_by_probes(policy: str) -> None:
    world = World(policy, Host("a", QUICK, outages=[(DEATH, REVIVAL)], takes_all=True), Host("b", SLOW))
    world.traffic(3, 600)
    world.run(650)
    assert [(switch.old, switch.new) for switch in world.switches[:2]] == [("", "a"), ("a", "b")]
    # The round in which traffic still came through it, and a probe that gets no answer.
    assert set(world.served(DEATH + 2 * ROUND, REVIVAL)) == {"b"}


@pytest.mark.parametrize("policy", UNMEASURED)
def test_without_probes_it_is_found_out_by_what_comes_of_its_connections(policy: str) -> None:
    world = World(
        policy, Host("a", QUICK, outages=[(DEATH, REVIVAL)], takes_all=True), Host("b", SLOW), Host("c", SLOW)
    )
    world.traffic(5, 1300, hosts=1_000_000)
    world.run(1400)
    before, during = world.served(0, DEATH), world.served(DEATH + 60, REVIVAL)
    share = before["a"] / before.total()
    assert share > 0.3
    assert 0 < during["a"] / during.total() < 1 / 20, "but for trials"
    after = world.served(REVIVAL + 400)
    assert after["a"] / after.total() > 0.9 * share, "it is taken again once a trial was answered"


@pytest.mark.parametrize("policy", EVERY)
def test_targets_that_are_dead_move_nobody_while_others_answer(policy: str) -> None:
    """Half of what is asked for is not there: a server ends that without a word."""
    world = World(policy, *(Host(name, dead=0.5) for name in "abc"))
    world.traffic(5, 300)
    world.run(400)
    assert all(member.tcp.health.failed_at is None for member in world.group.members)
    assert not world.lost


# -- flapping ------------------------------------------------------------------------------------


def flaps(up: float, down: float) -> list[tuple[float, float]]:
    """When a server is down that goes up and down for twenty minutes."""
    starts = [100 + up + number * (up + down) for number in range(int(1200 / (up + down)))]
    return [(start, start + down) for start in starts]


@pytest.mark.parametrize("silent", [True, False])
@pytest.mark.parametrize(("up", "down"), [(15.0, 15.0), (100.0, 20.0)])
@pytest.mark.parametrize("policy", EVERY)
def test_a_server_that_flaps_harms_nobody(policy: str, up: float, down: float, silent: bool) -> None:
    world = World(policy, *five(*flaps(up, down), silent=silent))
    world.traffic(2, 1300)
    world.run(1400)
    assert not world.lost
    slow = DIAL_TIMEOUT if silent else 2 * QUICK
    assert max(request.took for request in world.requests) <= slow + SLOW + 0.01
    if policy not in PROBED:
        return
    cycles = len(flaps(up, down))
    if policy == "score" or up < STEADY_AFTER * ROUNDS_MOST:
        assert len(world.switches) <= 3, "it lost the lead, and did not get it again"
    else:
        assert len(world.switches) <= 1 + 2 * cycles
    late = [request for request in world.requests if request.took > 1]
    assert len(late) <= 2 * DIAL_TIMEOUT * 1.5 * (len(world.switches) // 2 + 1), "those that found it out"


# -- slow servers --------------------------------------------------------------------------------


def slows(start: float, end: float) -> Curve:
    """A round trip that grows to 1.5 s within half a minute, and comes back."""

    def curve(now: float) -> float:
        return QUICK + min(1.45, (now - start) / 30 * 1.45) if start <= now < end else QUICK

    return curve


@pytest.mark.parametrize(("policy", "leaves", "comes"), [("fastest", 150, 300), ("score", 400, 400)])
def test_a_server_that_became_slow_is_left_and_taken_again(policy: str, leaves: float, comes: float) -> None:
    """Traffic shows that it works, and so it is probed every sixth time only; a score is a median of eleven minutes."""
    world = World(policy, Host("a", slows(200, 1400)), Host("b", 0.12), Host("c", 0.25))
    world.traffic(1, 2400)
    world.run(2500)
    assert [(switch.old, switch.new) for switch in world.switches] == [("", "a"), ("a", "b"), ("b", "a")]
    _, left, came = (switch.at for switch in world.switches)
    assert 200 < left < 200 + leaves
    assert 1400 < came < 1400 + comes
    assert set(world.served(left, came)) == {"b"}
    assert not world.lost


@pytest.mark.parametrize("policy", UNMEASURED)
def test_who_does_not_measure_does_not_mind(policy: str) -> None:
    world = World(policy, Host("a", slows(0, 400)), Host("b"), Host("c"))
    world.traffic(5, 400, lasts=60, hosts=1_000_000)
    world.run(500)
    counts = world.served(0)
    if policy == "ordered":
        assert set(counts) == {"a"}
    else:
        assert is_spread(counts, {"a": 1, "b": 1, "c": 1}), counts


# -- and no flapping of our own ------------------------------------------------------------------

HOURS = 2


def switches(policy: str, *hosts: Host) -> int:
    """How often the lead changes within two hours."""
    world = World(policy, *hosts)
    world.traffic(0.05, HOURS * 3600)
    world.run(HOURS * 3600)
    assert not world.lost
    assert all(after.at - before.at >= ROUNDS_MOST for before, after in pairwise(world.switches) if before.at > 30)
    return len(world.switches)


@pytest.mark.parametrize("policy", MEASURED)
def test_servers_that_are_nearly_alike_share_no_lead(policy: str) -> None:
    curves = {name: 0.1 + 0.002 * number for number, name in enumerate("abcde")}
    assert switches(policy, *(Host(name, rtt) for name, rtt in curves.items())) <= 2


@pytest.mark.parametrize(("policy", "most"), [("fastest", 8 * HOURS), ("score", 3 * HOURS)])
def test_noise_seldom_moves_the_lead(policy: str, most: int) -> None:
    """Round trips that are half as long or twice as long at any time, of five servers that are alike."""
    noise = Random(5)  # noqa: S311 - the same in each run
    curve: Curve = lambda _now: 0.1 * math.exp(noise.gauss(0, 0.3))  # noqa: E731 - a value
    assert switches(policy, *(Host(name, curve) for name in "abcde")) <= most


@pytest.mark.parametrize(("policy", "most"), [("fastest", 12 * HOURS), ("score", 15 * HOURS)])
def test_latencies_that_alternate_seldom_move_the_lead(policy: str, most: int) -> None:
    """50 ms and 150 ms in turn, each for as long as a round of probes: the worst that can be met by chance."""

    def alternate(number: int) -> Curve:
        return lambda now: 0.05 if (now // INTERVAL + number) % 2 else 0.15

    assert switches(policy, *(Host(name, alternate(number)) for number, name in enumerate("abcd"))) <= most


@pytest.mark.parametrize("policy", MEASURED)
def test_a_day_s_curve_is_followed(policy: str) -> None:
    """Each is the best for a quarter of an hour: there are four switches in an hour, and hardly more."""

    def wave(number: int) -> Curve:
        return lambda now: 0.15 + 0.1 * math.sin(2 * math.pi * (now / 3600 + number / 4))

    count = switches(policy, *(Host(name, wave(number)) for number, name in enumerate("abcd")))
    assert 3 * HOURS <= count <= 6 * HOURS


@pytest.mark.parametrize("policy", EVERY)
def test_all_fail_now_and_then(policy: str) -> None:
    """One dial of twenty fails, whichever server it goes to."""
    world = World(policy, *(Host(name, SLOW, loss=0.05, silent=False) for name in "abcde"))
    world.traffic(5, 600)
    world.run(650)
    assert len(world.lost) <= 2, "one of three million"
    assert len(world.switches) <= 12
    assert sum(request.took > SLOW + 0.01 for request in world.requests) < 0.08 * len(world.requests)
