"""Datagrams of users who may reach less than their port does: directly and through others, and beside each other."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadesocks.core.address import Address
from shadesocks.core.limits import FREE, Limits
from shadesocks.crypto.methods import find_method
from shadesocks.net.origin import OriginPolicy
from shadesocks.proxy.outbound.guarded import GuardedBack
from shadesocks.proxy.targets import TargetRules
from shadesocks.proxy.users.account import Account
from shadesocks.proxy.users.meter import Meter
from shadesocks.proxy.users.table import UserTable
from shadesocks.proxy.users.user import User
from shadesocks.service.heard import HeardBack
from shadesocks.wire.editions import make_packets, make_tried_packets
from tests.net.packet_rig import AEAD, HOST, METHODS, SIP022, Client, Rig, heard, nothing
from tests.net.packet_rig import run as run_rig

if TYPE_CHECKING:
    from shadesocks.net.packets import PacketRelay

OTHER: Final = "127.0.0.2"
WAYS: Final = ("direct", "guarded", "through", "heard")
OPEN: Final = TargetRules(OriginPolicy(allow_private=True))


class Silence:
    """The journal of a voice that speaks of each message, and says nothing."""

    def is_new(self, _source: object, _address: bytes) -> bool:
        return True

    def datagram(self, _client: object, _target: Address) -> None: ...


class Town:
    """One port with users, each with a client of a session of its own."""

    def __init__(self, rig: Rig, way: str, method: str, users: dict[str, Limits]) -> None:
        self.rig = rig
        packets = rig.packets(method)
        back: Any = None
        if way in ("guarded", "through"):
            far = rig.packets(SIP022)
            back = rig.way_through(rig.relay(far), far)
            if way == "guarded":
                back = GuardedBack(OPEN, back, rig.datagrams.middle)
        self.relay: PacketRelay = rig.relay(packets, back)
        if way == "heard":
            silence: Any = Silence()
            self.relay = rig.relay(packets, HeardBack(self.relay.back, rig.datagrams, silence))
        self.meters = {
            name: Meter(rig.reactor, Account(name, limits), lambda: rig.unix) for name, limits in users.items()
        }
        self.clients: dict[str, Client] = {}
        for name in users:
            self.join(name, packets)
        self._packets = packets

    def join(self, name: str, packets: Any = None) -> None:
        """Let a user have a new session."""
        self.clients[name] = self.rig.client(self.relay, packets or self._packets)

    async def say_nothing(self, user: str, to: Address) -> None:
        """Send something short, wherever it goes."""
        self.relay.meter_of = lambda _talk: self.meters[user]
        await self.clients[user].say(to, b"x")

    async def say(self, user: str, host: str, target: socket.socket, port: int = 0) -> str:
        """Return "heard" where a target got what a user said, or the word for why it was dropped; "" for neither."""
        relay, said = self.relay, os.urandom(20)
        before = relay.dropped.copy()
        relay.meter_of = lambda _talk: self.meters[user]
        await self.clients[user].say(Address(host, port or target.getsockname()[1]), said)
        for word in relay.dropped - before:
            assert nothing(target)
            return word
        try:
            async with asyncio.timeout(0.2):
                assert (await heard(target))[0] == said
        except TimeoutError:
            return ""
        return "heard"


def run(
    story: Callable[[Town, socket.socket], Coroutine[Any, Any, None]],
    way: str = "direct",
    method: str = SIP022,
    **users: Limits,
) -> None:
    async def whole(rig: Rig) -> None:
        await story(Town(rig, way, method, users), rig.socket())

    run_rig(whole)


def names(rig: Rig) -> None:
    found: dict[str, tuple[str, ...]] = {"two.test": (OTHER, HOST)}
    for name in ("good.test", "www.good.test", "else.test", "xn--bcher-kva.test"):
        found[name] = (HOST,)
    for name, ips in found.items():
        rig.names.known[name] = rig.names.known[name.upper()] = tuple((socket.AF_INET, ip) for ip in ips)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("targets", "host", "word"),
    [
        (("127.0.0.1",), HOST, "heard"),
        (("127.0.0.0/30",), HOST, "heard"),
        (("::ffff:127.0.0.1",), HOST, "heard"),
        (("127.0.0.1",), "::ffff:127.0.0.1", "heard"),
        (("127.0.0.2", "good.test"), HOST, "denied"),
        (("::/0",), HOST, "denied"),
        (("::/0",), "::ffff:127.0.0.1", "denied"),
        (("0.0.0.0/0",), "::1", "denied"),
        (("good.test",), "good.test", "heard"),
        (("good.test",), "WWW.GOOD.TEST", "heard"),
        (("good.test",), "else.test", "denied"),
        (("bücher.test",), "xn--bcher-kva.test", "heard"),
        (("bücher.test",), "good.test", "denied"),
        ((), HOST, "denied"),
        ((), "good.test", "denied"),
    ],
)
def test_targets(way: str, targets: tuple[str, ...], host: str, word: str) -> None:
    async def story(town: Town, target: socket.socket) -> None:
        names(town.rig)
        for _ in range(2):  # the second goes by what is remembered
            assert await town.say("a", host, target) == word
            if host != "::1":
                assert await town.say("b", host, target) == ("heard" if word == "denied" else word)

    run(story, way, a=Limits(targets=targets), b=FREE)


@pytest.mark.parametrize("way", WAYS)
def test_ports(way: str) -> None:
    async def story(town: Town, target: socket.socket) -> None:
        port = target.getsockname()[1]
        town.meters["c"].change(Limits(ports=((1, 1), (port - 1, port + 1))))
        assert [await town.say(user, HOST, target) for user in "abc"] == ["heard", "denied", "heard"]
        town.meters["a"].change(Limits(ports=((1, 1),)))
        town.meters["c"].change(Limits(ports=((1, 1), (port + 1, port + 9))))
        town.meters["b"].change(Limits(ports=((port, port),)))
        assert [await town.say(user, HOST, target) for user in "abc"] == ["denied", "heard", "denied"]
        assert town.relay.dropped == {"denied": 3}
        assert len(town.relay.sessions) == 3, "the sessions live on"

    run(story, way, a=FREE, b=Limits(ports=((1, 1),)), c=FREE)


@pytest.mark.parametrize("method", METHODS)
def test_what_another_user_found_is_no_way(method: str) -> None:
    """Names, addresses and sockets: whatever one has opened, each goes by his own limits."""

    async def story(town: Town, target: socket.socket) -> None:
        names(town.rig)
        other = town.rig.socket(OTHER)
        for _ in range(3):
            assert await town.say("a", "good.test", target) == "heard"
            assert await town.say("a", "two.test", other) == "heard", "its first address"
            assert await town.say("a", HOST, target) == "heard"
            assert await town.say("b", "good.test", target) == "denied"
            assert await town.say("b", HOST, target) == "denied"
            assert await town.say("c", "two.test", target) == "heard", "the one of its addresses that c may reach"
            assert await town.say("b", "two.test", other) == "heard"
            assert await town.say("d", "two.test", other) == "heard"
            assert await town.say("d", OTHER, other) == "denied"

    run(
        story,
        "direct",
        method,
        a=FREE,
        b=Limits(targets=(OTHER,)),
        c=Limits(targets=(HOST,)),
        d=Limits(targets=("two.test",)),
    )


@pytest.mark.parametrize("method", [AEAD, SIP022])
def test_users_behind_one_address(method: str) -> None:
    """One socket of theirs, so one address: each message goes by the limits of whose key sealed it."""
    found = find_method(method)
    keys = {name: name.encode() * found.key_size for name in "ab"}
    table = UserTable([User(name, (key,)) for name, key in keys.items()])

    async def story(rig: Rig) -> None:
        insert, sip = rig.salts.insert, method == SIP022
        if sip:
            host = make_packets(found, [b"s" * found.key_size], os.urandom, insert, users=table.by_identity)
        else:
            host = make_tried_packets(found, table, os.urandom, insert, lambda _source: b"")
        relay, target = rig.relay(host), rig.socket()
        meters = {
            name: Meter(rig.reactor, Account(name, limits), lambda: rig.unix)
            for name, limits in {"a": FREE, "b": Limits(targets=(OTHER,))}.items()
        }
        relay.meter_of = lambda talk: meters[talk.user.name]  # type: ignore[attr-defined]
        clients = {}
        for name, key in keys.items():
            chain = [b"s" * found.key_size, key] if sip else [key]
            clients[name] = rig.client(relay, make_packets(found, chain, os.urandom, insert))
        clients["b"].sock = clients["a"].sock
        for number in range(3):
            await clients["a"].say(target, b"a")
            assert (await heard(target))[0] == b"a"
            await clients["b"].say(target, b"b")
            assert nothing(target)
            assert relay.dropped == {"denied": number + 1}
        assert len(relay.sessions) == 2

    run_rig(story)


def test_a_message_that_waits_for_a_name_is_judged_when_it_is_known() -> None:
    async def story(town: Town, target: socket.socket) -> None:
        for user in "abc":
            assert await town.say(user, "slow.test", target) == ""
        town.meters["a"].change(Limits(targets=(OTHER,)))
        town.rig.names.find("slow.test", HOST)
        await town.rig.settle()
        assert town.relay.dropped == {"denied": 2}
        await heard(target)
        assert nothing(target)
        assert len(town.rig.names.waiting) == 0

    run(story, a=FREE, b=Limits(targets=(OTHER,)), c=Limits(targets=(HOST,)))


def test_who_is_refused_by_name_asks_nobody_for_it() -> None:
    async def story(town: Town, target: socket.socket) -> None:
        assert await town.say("a", "slow.test", target) == "denied"
        assert not town.rig.names.waiting
        (session,) = town.relay.sessions.values()
        assert session.outlet is None

    run(story, a=Limits(targets=("good.test",)))


def test_no_user_reaches_what_the_server_refuses() -> None:
    async def story(town: Town, target: socket.socket) -> None:
        names(town.rig)
        town.rig.judge.refused.add(HOST)
        for user in "ab":
            assert await town.say(user, "good.test", target) == "denied"
            assert await town.say(user, HOST, target) == "denied"
        assert town.relay.dropped == {"denied": 4}

    run(story, a=FREE, b=Limits(targets=("good.test", "0.0.0.0/0")))


def test_what_was_judged_is_judged_again_after_a_tick() -> None:
    async def story(town: Town, target: socket.socket) -> None:
        assert await town.say("a", HOST, target) == "heard"
        town.rig.judge.refused.add(HOST)
        assert await town.say("a", HOST, target) == "heard"
        town.relay.sweep()
        assert await town.say("a", HOST, target) == "denied"
        town.rig.judge.refused.clear()
        town.relay.sweep()
        assert await town.say("a", HOST, target) == "heard"

    run(story, a=Limits(targets=(HOST,)))


def test_answers_come_back_to_who_may_reach_less() -> None:
    async def story(town: Town, target: socket.socket) -> None:
        await town.say("a", HOST, target)
        relay, (session,) = town.relay, town.relay.sessions.values()
        assert session.outlet is not None
        target.sendto(b"answer", (HOST, session.outlet.sock.getsockname()[1]))
        got = await town.clients["a"].hear()
        assert got == (Address(*target.getsockname()), b"answer")
        assert relay.sums()[1:] == (20, 1, 6)

    run(story, a=Limits(targets=(HOST,)))


def test_users_without_such_limits_share_what_was_made_for_the_port() -> None:
    """Those with the same limits share what is made for them, and it goes with their sessions."""

    async def story(town: Town, target: socket.socket) -> None:
        for user in "abcd":
            await town.say(user, HOST, target)
        relay = town.relay
        ways = [session.forward for session in relay.sessions.values()]
        assert ways[0] is ways[1] is relay.forward
        assert ways[2] == ways[3] != relay.forward
        assert relay._narrowed is not None
        assert len(relay._narrowed) == 1
        town.meters["c"].change(FREE)
        assert [*relay.sessions.values()][2].forward is relay.forward
        assert len(relay._narrowed) == 1
        ways.clear()
        relay.end([*relay.sessions.values()][3], "idle")
        gc.collect()
        assert len(relay._narrowed) == 0
        relay.sweep()

    run(story, "direct", AEAD, a=FREE, b=Limits(connections=5), c=Limits(ports=((1, 65_535),)), d=ALMOST)


ALMOST: Final = Limits(ports=((1, 65_535),), sessions=9)


def test_refused_names_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    from shadesocks.net import backs

    async def story(town: Town, target: socket.socket) -> None:
        monkeypatch.setattr(backs, "ROUTES_MOST", 4)
        for number in range(10):
            assert await town.say("a", f"{number}.test", target) == "denied"
            back: Any = next(iter(town.relay.sessions.values())).forward.__self__  # type: ignore[attr-defined]
            assert len(back._refusals) <= 4

    run(story, a=Limits(targets=("good.test",)))


# Whatever several users say in whatever order, each reaches what a plain model says.

FOUND: Final = {
    "one.test": (HOST,),
    "two.test": (OTHER, HOST),
    "far.two.test": (HOST, OTHER),
    HOST: (HOST,),
    OTHER: (OTHER,),
}
RULES: Final = st.none() | st.lists(
    st.sampled_from(["one.test", "two.test", "test", HOST, OTHER, "127.0.0.0/30", "::/0", "10.0.0.0/8"]), max_size=3
)
OPENED: Final = st.none() | st.sets(st.sampled_from([0, 1]))
"""Which of two ports; None: all."""
SAID: Final = st.tuples(st.sampled_from("abc"), st.sampled_from(sorted(FOUND)), st.sampled_from([0, 1]))
CHANGED: Final = st.tuples(st.sampled_from("abc"), RULES, OPENED)
STEPS: Final = st.lists(st.one_of(SAID, SAID, SAID, CHANGED, st.just("tick")), max_size=25)


def reached(rules: list[str] | None, opened: set[int] | None, host: str, port: int) -> str | None:
    """Return the address at which a message arrives, None where it does not."""
    if opened is not None and port not in opened:
        return None
    if rules is None or any(f".{host}".endswith(f".{rule}") for rule in rules if rule.endswith("test")):
        return FOUND[host][0]
    networks = [ip_network(rule) for rule in rules if not rule.endswith("test")]
    return next((ip for ip in FOUND[host] if any(ip_address(ip) in network for network in networks)), None)


def pair_of_targets(rig: Rig) -> dict[str, socket.socket]:
    """Two targets that have the same port, at two addresses."""
    while True:
        one = rig.socket(HOST)
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        other.setblocking(False)
        rig._socks.append(other)
        with suppress(OSError):
            other.bind((OTHER, one.getsockname()[1]))
            return {HOST: one, OTHER: other}


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_each_reaches_what_a_model_says(steps: list[Any]) -> None:
    async def story(town: Town, _target: socket.socket) -> None:
        rig = town.rig
        for name, ips in FOUND.items():
            rig.names.known[name] = tuple((socket.AF_INET, ip) for ip in ips)
        pairs = [pair_of_targets(rig) for _ in range(2)]
        ports = [pair[HOST].getsockname()[1] for pair in pairs]
        limits: dict[str, Any] = dict.fromkeys("abc", (None, None))
        for step in steps:
            if step == "tick":
                town.relay.sweep()
            elif step[2] in (0, 1) and isinstance(step[1], str):
                user, host, port = step
                await town.say_nothing(user, Address(host, ports[port]))
                rules, opened = limits[user]
                ip = reached(rules, opened, host, port)
                for at, sock in pairs[port].items():
                    assert nothing(sock) == (at != ip), (user, limits[user], host)
            else:
                user, rules, opened = step
                limits[user] = rules, opened
                ranges = None if opened is None else tuple((ports[each], ports[each]) for each in sorted(opened))
                town.meters[user].change(Limits(targets=None if rules is None else tuple(rules), ports=ranges))

    run(story, a=FREE, b=FREE, c=FREE)
