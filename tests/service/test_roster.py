"""The servers of a client: who stays, who comes, who goes; and what is told of them."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from shadesocks.config.model import Config, Mode, ServerConfig
from shadesocks.core.address import Address
from shadesocks.proxy.balance.group import TCP, UDP
from shadesocks.proxy.balance.member import Member
from shadesocks.service.roster import Roster, Way
from tests.config.dialects.samples import config_of
from tests.proxy.balance.rig import is_spread

from .furniture import shared_of
from .rig import HOST, run, server_config

BOTH = Mode.TCP_AND_UDP


def named(name: str, port: int = 1, **options: Any) -> ServerConfig:
    return replace(server_config(port=port), remarks=name, mode=BOTH, **options)


A, B, C = named("a", 1), named("b", 2), named("c", 3)


class Part:
    """A dialer, a back: nothing is asked of it here."""

    room = 0
    forward = read = tick = None


class Prober:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.watched: list[tuple[str, str]] = []
        self.looks: list[tuple[str, str]] = []
        self.wants = 0
        self.closed = False

    def watch(self, keys: Any) -> None:
        self.watched = [(member.name, transport) for member, transport in keys]

    def wanted(self) -> None:
        self.wants += 1

    def look(self, key: tuple[Member, str]) -> bool:
        self.looks.append((key[0].name, key[1]))
        return True

    def close(self) -> None:
        self.closed = True


class World:
    """A roster, and what it opened and closed."""

    def __init__(self, config: Config) -> None:
        self.opened: list[str] = []
        self.resting: list[str] = []
        self.closed: list[str] = []
        self.shared = shared_of(config)
        self.prober = Prober()
        prober: Any = self.prober
        self.roster = Roster(self.shared, self._way, lambda _shared, _roster: prober)

    def _way(self, _shared: Any, server: ServerConfig) -> Way:
        self.opened.append(server.remarks)
        part: Any = Part()
        return Way(
            part,
            part,
            lambda: self.closed.append(server.remarks),
            lambda: {"pool": {"size": server.pool, "ready": 0}} if server.pool else {},
            lambda: self.resting.append(server.remarks),
        )

    @property
    def names(self) -> list[str]:
        return [member.name for member in self.roster.members.values()]

    def member(self, name: str) -> Member:
        return next(member for member in self.roster.members.values() if member.name == name)


@asynccontextmanager
async def world(*servers: ServerConfig, **options: Any) -> AsyncIterator[World]:
    here = World(Config(servers=servers, **options))
    try:
        yield here
    finally:
        here.roster.close()
        here.shared.salts.close()
        await here.shared.names.close()
        here.shared.reactor.stop()


def in_a_world(*servers: ServerConfig, **options: Any) -> Callable[[Callable[[World], Coroutine[Any, Any, None]]], Any]:
    """Run a test in a world with these servers."""

    def decorate(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
        def runs() -> None:
            async def story() -> None:
                async with world(*servers, **options) as here:
                    await test(here)

            run(story())

        runs.__name__, runs.__doc__ = test.__name__, test.__doc__
        return runs

    return decorate


class Relay:
    """A connection through a server."""

    up = down = 0

    def __init__(self, member: Member) -> None:
        self.member = member
        self.word = ""
        itself: Any = self
        self.itself = itself
        member.began(itself)

    def close(self, word: str) -> None:
        self.word = word
        self.member.ended(self.itself, word)


@in_a_world(A, B)
async def test_those_that_stay_keep_what_is_known_of_them(here: World) -> None:
    group = here.roster.group("")
    b = here.member("b")
    b.tcp.health.measured(here.shared.reactor.loop.time(), 0.5)
    here.roster.update((C, B))
    assert here.names == ["c", "b"]
    assert here.member("b") is b
    assert [member.name for member in group.members] == ["c", "b"]
    assert (here.opened, here.resting, here.closed) == (["a", "b", "c"], ["a"], ["a"])


@in_a_world(A, B)
async def test_one_that_is_gone_ends_with_its_last_connection(here: World) -> None:
    relay = Relay(here.member("a"))
    here.roster.update((B,))
    assert (here.names, here.resting, here.closed) == (["b"], ["a"], [])
    here.roster.settle()
    assert not here.closed
    relay.close("done")
    here.roster.settle()
    assert here.closed == ["a"]
    here.roster.settle()
    assert here.closed == ["a"]


@in_a_world(A, B)
async def test_one_that_is_called_weighed_or_grouped_otherwise_is_the_same(here: World) -> None:
    far = here.roster.group("far")
    a = here.member("a")
    changed = replace(A, remarks="z", id="1", tcp_weight=3.0, udp_weight=0.0, group="far")
    here.roster.update((changed, B))
    assert here.opened == ["a", "b"]
    assert here.member("z") is a
    assert (a.tcp.name, a.tcp.weight, a.udp.weight, a.group) == ("z", 3.0, 0.0, "far")
    assert far.members == (a,)
    here.roster.update((replace(changed, pool=4), B))
    assert here.member("z") is not a, "how it is reached has changed"
    assert here.opened == ["a", "b", "z"]


@in_a_world(A, B)
async def test_when_nothing_new_is_to_come_all_of_them_rest(here: World) -> None:
    here.roster.rest()
    assert here.prober.closed
    assert (here.resting, here.closed) == (["a", "b"], [])


@in_a_world(A)
async def test_one_that_comes_back_while_it_leaves_begins_anew(here: World) -> None:
    before = here.member("a")
    relay = Relay(before)
    here.roster.update((B,))
    here.roster.update((A, B))
    assert here.names == ["a", "b"], "its name is its own again"
    assert here.member("a") is not before
    relay.close("done")
    here.roster.settle()
    assert here.closed == ["a"]
    assert len(here.roster._ways) == 2


@in_a_world(A, A, replace(A, group="far"))
async def test_the_same_server_in_two_groups_is_two(here: World) -> None:
    assert here.names == ["a", f"a ({HOST}:1)"]
    assert [member.group for member in here.roster.members.values()] == ["", "far"]


@in_a_world(named(""), named("x", 2), named("x", 3), named("x", 3, group="g"))
async def test_each_has_a_name_of_its_own(here: World) -> None:
    assert here.names == [f"{HOST}:1", "x", f"x ({HOST}:3)", "x #2"]


@in_a_world(A)
async def test_each_source_has_its_own_servers(here: World) -> None:
    here.roster.update((B, C), "one")
    here.roster.update((C,), "two")
    assert here.names == ["a", "b", "c"]
    here.roster.update((), "one")
    assert here.names == ["a", "c"]
    here.roster.update((named("d", 4),))
    assert here.names == ["d", "c"], "the client's own stand first"
    here.roster.update((), "two")
    here.roster.update(())
    assert here.names == []
    assert here.roster.group("").order(TCP, None, 0.0) == []


@in_a_world(A, B, named("far", 3, group="far"), balancer_policy="random")
async def test_groups(here: World) -> None:
    every, far = here.roster.group(""), here.roster.group("far")
    assert here.roster.group("far") is far
    assert [len(group.members) for group in (every, far, here.roster.group("none"))] == [3, 1, 0]
    assert here.roster.groups == (every, far, here.roster.group("none"))
    assert here.member("a").tcp.health is here.member("a").udp.health, "nobody probes: connections speak for both"


@in_a_world(A, B, C, named("d", 4, tcp_weight=0.0, udp_weight=0.0))
async def test_probed_are_those_that_are_chosen_from(here: World) -> None:
    assert not here.prober.watched, "no listener uses them"
    here.roster.group("")
    assert sorted(here.prober.watched) == [(name, transport) for name in "abc" for transport in (TCP, UDP)]
    here.roster.update((A,))
    assert not here.prober.watched, "there is no choice"
    here.roster.update((A, replace(B, udp_weight=0.0)))
    assert here.prober.watched == [("a", TCP), ("b", TCP)]
    here.roster.wanted()
    assert here.prober.wants == 1
    here.roster.close()
    assert here.prober.closed


@in_a_world(A, B)
async def test_pins(here: World) -> None:
    group, far = here.roster.group(""), here.roster.group("far")
    assert here.roster.pin("b") == "b"
    assert [member.name for member in group.order(TCP, None, 0.0)] == ["b"]
    assert far.pinned is None, "it is not in there"
    assert [row["pinned"] for row in here.roster.table()] == [False, True]
    assert [row["chosen"] for row in here.roster.table()] == [[], [TCP, UDP]]
    here.roster.pin("a")
    assert group.pinned is here.member("a")
    assert here.roster.unpin()
    assert not here.roster.unpin()
    assert len(group.order(TCP, None, 0.0)) == 2


@in_a_world(named("one", 1, id="x"), named("two", 2, id="y"), named("three", 2, id="y", group="g"))
async def test_whom_to_pin(here: World) -> None:
    here.roster.group("far")
    with pytest.raises(LookupError, match="no listener uses 'one'"):
        here.roster.pin("one")
    here.roster.group("")
    for called, name in ("one", "one"), ("x", "one"), (f"{HOST}:1", "one"), ("three", "three"):
        assert here.roster.pin(called) == name
    for called in ("y", f"{HOST}:2", HOST):
        with pytest.raises(LookupError, match="servers are called"):
            here.roster.pin(called)
    for called in ("", "four"):
        with pytest.raises(LookupError, match="no server is called"):
            here.roster.pin(called)
    assert [row["pinned"] for row in here.roster.table()] == [False, False, True], "what failed changed nothing"


def test_a_pinned_one_that_goes_is_pinned_no_more(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with world(A, B) as here:
            group = here.roster.group("")
            here.roster.pin("a")
            here.roster.update((replace(A, remarks="still a"), B))
            assert group.pinned is here.member("still a")
            here.roster.update((B,))
            assert group.pinned is None

    with caplog.at_level(logging.INFO):
        run(story())
    assert caplog.messages == ["a is pinned: all goes through it", "still a is pinned no more: it is gone"]


@pytest.mark.parametrize(
    ("before", "after", "heir"),
    [
        (replace(A, id="x"), (replace(C, id="x"), named("a", 4)), "c"),
        (replace(A, id="x"), (replace(C, id="y"), named("a", 4)), "a"),
        (A, (named("a", 4), B), "a"),
        (A, (named("a", 4), named("a", 5)), None),
        (named("", 1), (named("", 4), B), None),
    ],
)
def test_a_pin_follows_a_server_to_another_address(
    before: ServerConfig, after: tuple[ServerConfig, ...], heir: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Subscriptions move their servers, and keep their ids."""

    async def story() -> None:
        async with world(before, B) as here:
            group = here.roster.group("")
            here.roster.pin(before.remarks or str(before.address))
            old = group.pinned
            here.roster.update(after)
            new = group.pinned
            assert new is not old, "another way is another server, with a record of its own"
            assert (None if new is None else new.name) == heir

    with caplog.at_level(logging.INFO):
        run(story())
    [_, line] = caplog.messages
    assert line.endswith("is gone" if heir is None else f"{heir} stays pinned: it is reached another way now")


@pytest.mark.parametrize("drops", [False, True])
def test_a_pin_is_a_switch_too(drops: bool) -> None:
    async def story() -> None:
        async with world(A, B, replace(C, group="far"), named("d", 4), balancer_drops=drops) as here:
            here.roster.group("")
            here.roster.group("far")
            relays = {name: Relay(here.member(name)) for name in "abc"}
            here.roster.pin("b")
            ended = {name: relay.word for name, relay in relays.items()}
            assert ended == {"a": "switched" if drops else "", "b": "", "c": ""}, "c serves its own group on"

    run(story())


@in_a_world(A, B)
async def test_a_server_whose_connections_come_to_nothing_is_probed(here: World) -> None:
    here.roster.group("")
    assert here.member("b").look_into()
    assert here.prober.looks == [("b", TCP)]


@in_a_world(A, B, balancer_policy="ordered")
async def test_where_nobody_probes_it_fails(here: World) -> None:
    here.roster._prober = None
    assert not here.member("b").look_into()


@in_a_world(replace(A, pool=3, id="x"), replace(B, group="far", udp_weight=0.5))
async def test_the_table(here: World) -> None:
    here.roster.group("")
    now = here.shared.reactor.loop.time()
    a, b = here.member("a"), here.member("b")
    a.tcp.health.measured(now, 0.1234)
    b.udp.health.failed(now, "no_answer")
    relay = Relay(a)
    relay.down = 1000
    table = here.roster.table()
    assert json.loads(json.dumps(table)) == table
    first, second = table
    nothing = {"weight": 1.0, "score": None, "latency_ms": None, "failures": 0, "error": "", "live": 0}
    assert first == {
        "name": "a",
        "address": f"{HOST}:1",
        "id": "x",
        "group": "",
        "policy": "score",
        "pinned": False,
        "chosen": [],
        TCP: {**nothing, "score": a.tcp.health.score(1.0), "latency_ms": 123.4, "live": 1},
        UDP: nothing,
        "bytes": 1000,
        "pool": {"size": 3, "ready": 0},
    }
    assert second["group"] == "far"
    assert (second[UDP]["weight"], second[UDP]["failures"], second[UDP]["error"]) == (0.5, 1, "no_answer")
    assert "pool" not in second
    relay.close("done")


def switch(here: World) -> list[Relay]:
    """Let a lead, then b; return the connections that went through each."""
    group = here.roster.group("")
    time = here.shared.reactor.loop.time()
    a, b = here.member("a"), here.member("b")
    a.tcp.health.measured(time, 0.3)
    here.roster.learnt(a, TCP)
    assert group.best(TCP) is a
    assert here.roster.is_best(a, TCP)
    relays = [Relay(a), Relay(b)]
    b.tcp.health.measured(time, 0.01)
    here.roster.learnt(b, TCP)
    assert here.roster.is_best(b, TCP)
    return relays


@pytest.mark.parametrize("drops", [False, True])
def test_a_switch_is_told_and_ends_connections_where_that_is_wanted(
    drops: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with world(A, B, balancer_drops=drops) as here:
            old, new = switch(here)
            assert [row["chosen"] for row in here.roster.table()] == [[], [TCP]]
            assert (old.word, new.word) == ("switched" if drops else "", "")
            for relay in (old, new):
                if not relay.word:
                    relay.close("done")

    with caplog.at_level(logging.INFO):
        run(story())
    first, second = caplog.messages
    assert first.startswith("connections: none -> a: a scores ")
    assert second.startswith("connections: a -> b: b scores ")


def test_what_another_group_still_uses_is_not_dropped() -> None:
    async def story() -> None:
        near = [replace(server, group="near") for server in (A, C)]
        async with world(near[0], B, near[1], balancer_drops=True) as here:
            here.roster.group("near")
            relays = switch(here)
            assert here.roster.group("near").best(TCP) is here.member("a")
            assert [relay.word for relay in relays] == ["", ""]
            for relay in relays:
                relay.close("done")

    run(story())


class Outlets:
    """A packet relay with some sessions."""

    def __init__(self, *vias: Any) -> None:
        self.sessions = {number: Outlet(via) for number, via in enumerate(vias)}
        self.closed: list[Any] = []

    def close_outlet(self, session: Any) -> None:
        self.closed.append(session.via)


class Outlet:
    def __init__(self, via: Any) -> None:
        self.via = via


@in_a_world(A, B)
async def test_sessions_leave_a_server_that_is_down_for_one_that_works(here: World) -> None:
    here.roster.group("")
    a, b = here.member("a"), here.member("b")
    assert a.back is not None
    a.back.began()
    outlets: Any = Outlets(a.back, b.back, None)
    here.shared.crowd.relays.append(outlets)
    try:
        now = here.shared.reactor.loop.time()
        a.udp.health.failed(now, "no_answer")
        here.roster.learnt(a, UDP)
        assert not outlets.closed, "once is bad luck"
        a.udp.health.failed(now, "no_answer")
        here.roster.learnt(a, UDP)
        assert not outlets.closed, "nobody is known to work"
        b.udp.health.measured(now, 0.1)
        here.roster.learnt(a, UDP)
        assert outlets.closed == [a.back]
    finally:
        here.shared.crowd.relays.clear()
        a.back.ended()


def test_addresses_without_names_are_said_as_such() -> None:
    async def story() -> None:
        async with world(replace(named("", 1), address=Address("::1", 8388))) as here:
            assert here.names == ["[::1]:8388"]

    run(story())


@pytest.mark.parametrize("dialect", ["python", "node"])
def test_random_draws_host_and_port_each_by_itself_for_each_connection_and_session(
    dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old Python and Node drew one of their hosts and one of their ports; what was drawn before is no matter."""
    hosts, ports = ("a.example", "b.example", "c.example"), (8381, 8382, 8383, 8384)
    text = {
        "server": hosts,
        "server_port": ports,
        "local_port": 1080,
        "password": "long words",
        "method": "aes-256-cfb",
    }
    config = config_of(text, "local", dialect)
    every = {f"{host}:{port}": 1.0 for host in hosts for port in ports}

    async def story() -> None:
        options = {"balancer_policy": config.balancer_policy}
        async with world(*(replace(server, mode=BOTH) for server in config.servers), **options) as here:
            group = here.roster.group("")
            places = {member: server.address for server, member in here.roster.members.items()}
            for transport in (TCP, UDP):
                drawn = [places[group.order(transport, None, 0.0)[0]] for _ in range(6000)]
                assert is_spread(Counter(map(str, drawn)), every)
                repeats = sum(before == after for before, after in pairwise(drawn))
                assert 0.5 * len(drawn) / len(every) < repeats < 1.5 * len(drawn) / len(every)

    run(story())
