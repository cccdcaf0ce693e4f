"""Which servers are chosen from, and who is told of the best one."""

from __future__ import annotations

from random import Random

import pytest

from shadesocks.proxy.balance.group import TCP, UDP, Group
from shadesocks.proxy.balance.member import Member
from tests.proxy.balance.rig import make_member, names


class Hearing:
    """Notes what a group tells."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, str, str]] = []

    def __call__(self, group: Group, transport: str, before: Member | None, after: Member, why: str) -> None:
        self.heard.append((group.name + transport, "-" if before is None else before.name, after.name, why))


def make(policy: str = "ordered", *members: Member, told: Hearing | None = None) -> Group:
    group = Group("", policy, 0.2, Random(1), told)  # noqa: S311 - the same draws each time
    group.take(members)
    return group


@pytest.mark.parametrize("policy", ["ordered", "score", "random"])
def test_weights_exclude_for_each_transport_apart(policy: str) -> None:
    members = [make_member("a", 0, 1), make_member("b", 1, 0), make_member("c", 0.1, 0.1), make_member("d", 0, 0)]
    group = make(policy, *members)
    for _ in range(50):
        assert sorted(names(group.order(TCP, None, 0))) == ["b", "c"]
        assert sorted(names(group.order(UDP, None, 0))) == ["a", "c"]
    assert names(group.choices(TCP)) == "bc"


def test_where_all_are_excluded_none_is() -> None:
    group = make("ordered", make_member("a", 0, 0), make_member("b", 0, 1))
    assert names(group.order(TCP, None, 0)) == "ab"
    assert names(group.order(UDP, None, 0)) == "b"
    for policy in ("random", "round-robin", "least-connections", "sticky", "fastest", "score"):
        group = make(policy, make_member("a", 0, 0), make_member("b", 0, 0))
        group.members[0].tcp.health.measured(0, 0.1)
        assert sorted(names(group.order(TCP, None, 0))) == ["a", "b"], "and no weight divides by nothing"


def test_who_does_not_serve_a_transport_is_asked_only_if_nobody_does() -> None:
    a, b = make_member("a"), make_member("b")
    a.udp.serves = False
    assert names(make("ordered", a, b).order(UDP, None, 0)) == "b"
    assert names(make("ordered", a, b).order(TCP, None, 0)) == "ab"
    b.udp.weight = 0
    assert names(make("ordered", a, b).order(UDP, None, 0)) == "b", "of those who serve it, it is the only one"
    b.udp.serves = False
    assert names(make("ordered", a, b).order(UDP, None, 0)) == "a"


def test_none_and_one_need_no_policy() -> None:
    group = make("score")
    assert list(group.order(TCP, None, 0)) == []
    group.take([make_member("a")])
    group.members[0].tcp.health.failed(0, "refused")
    assert names(group.order(TCP, None, 0)) == "a"
    assert group.best(TCP) is None


def test_a_pinned_server_takes_all_until_it_is_gone() -> None:
    a, b, c = (make_member(name) for name in "abc")
    group = make("random", a, b, c)
    group.pinned = b
    for _ in range(20):
        assert names(group.order(TCP, None, 0)) == names(group.order(UDP, None, 0)) == "b"
    group.take([b, c])
    assert names(group.order(TCP, None, 0)) == "b"
    group.take([a, c])
    assert sorted(names(group.order(TCP, None, 0))) == ["a", "c"]


def test_another_best_one_is_told_for_each_transport() -> None:
    hearing = Hearing()
    a, b = make_member("a"), make_member("b")
    group = make("fastest", a, b, told=hearing)
    b.tcp.health.measured(0, 0.2)
    a.udp.health.measured(0, 0.1)
    assert (group.best(TCP), group.best(UDP)) == (None, None)
    group.look(0)
    assert (group.best(TCP), group.best(UDP)) == (b, a)
    assert sorted(hearing.heard) == [
        ("tcp", "-", "b", "b answers in 200 ms"),
        ("udp", "-", "a", "a answers in 100 ms"),
    ]
    hearing.heard.clear()
    a.tcp.health.measured(1, 0.1)
    assert names(group.order(TCP, None, 1)) == "ab"
    assert hearing.heard == [("tcp", "b", "a", "a answers in 100 ms, b in 200 ms")]
    group.look(1)
    assert len(hearing.heard) == 1


def test_nothing_is_told_while_one_is_pinned() -> None:
    hearing = Hearing()
    a, b = make_member("a"), make_member("b")
    group = make("score", a, b, told=hearing)
    group.pinned = a
    b.tcp.health.measured(0, 0.1)
    group.look(0)
    assert hearing.heard == []
    group.pinned = None
    assert names(group.order(TCP, None, 0)) == "ba", "its lead was known all the time"


def test_a_best_one_that_is_gone_is_nobody_s() -> None:
    hearing = Hearing()
    a, b, c = (make_member(name) for name in "abc")
    group = make("score", a, b, c, told=hearing)
    for member, latency in ((a, 0.1), (b, 0.2), (c, 0.3)):
        member.tcp.health.measured(0, latency)
    group.look(0)
    group.take([b, c])
    assert group.best(TCP) is None
    group.look(0)
    assert group.best(TCP) is b
    assert hearing.heard[-1] == ("tcp", "-", "b", "a is not there any more")


@pytest.mark.parametrize("policy", ["ordered", "random", "round-robin", "least-connections", "sticky"])
def test_policies_without_probes_have_nothing_to_look_at(policy: str) -> None:
    group = make(policy, make_member("a"), make_member("b"))
    group.look(0)
    assert group.best(TCP) is None


def test_a_weight_that_changed_counts_from_the_next_time_on() -> None:
    a, b = make_member("a"), make_member("b")
    group = make("ordered", a, b)
    a.tcp.weight = 0
    group.take([a, b])
    assert names(group.order(TCP, None, 0)) == "b"
