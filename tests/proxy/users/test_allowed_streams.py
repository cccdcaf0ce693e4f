"""Streams of users who may reach less than their port does: to real targets, directly and through others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from socket import AF_INET, AF_INET6, socket, socketpair
from typing import Any, Final

import pytest

from shadesocks.core.address import Address
from shadesocks.core.limits import FREE, Limits
from shadesocks.crypto.methods import METHODS
from shadesocks.net.connect import Anywhere, Connector
from shadesocks.net.lookup import Found
from shadesocks.net.name_cache import NameCache
from shadesocks.net.origin import OriginPolicy
from shadesocks.net.resolve import Resolver
from shadesocks.proxy.acl_file import parse_acl
from shadesocks.proxy.flow import Flow
from shadesocks.proxy.inbound.shadowsocks import ShadowsocksInbound
from shadesocks.proxy.outbound.direct import DirectDialer
from shadesocks.proxy.outbound.guarded import GuardedDialer
from shadesocks.proxy.seams import Dialer, Dialing, First, OneWay
from shadesocks.proxy.targets import TargetRules
from shadesocks.proxy.users.account import Account
from shadesocks.proxy.users.meter import Meter
from shadesocks.proxy.users.table import UserTable
from shadesocks.proxy.users.user import User
from shadesocks.wire.editions import make_shadow
from tests.net.lookups import Table
from tests.proxy.rig import CLIENT, NOW, Stage, _raw, receive, stage
from tests.service.rig import run, target
from tests.wire.hearing import ClientHearing, make_request

HOST, OTHER, V6 = "127.0.0.1", "127.0.0.2", "::1"
METHOD: Final = METHODS["2022-blake3-aes-128-gcm"]
WAYS: Final = ("direct", "guarded", "through")
NAMES: Final[dict[str, tuple[Found, ...]]] = {
    "good.test": ((AF_INET, HOST),),
    "www.good.test": ((AF_INET, HOST),),
    "xn--bcher-kva.test": ((AF_INET, HOST),),
    "two.test": ((AF_INET, OTHER), (AF_INET, HOST)),
    "six.test": ((AF_INET6, V6), (AF_INET, HOST)),
    "other.test": ((AF_INET, OTHER),),
    "none.test": (),
}
"""The target listens at `HOST` alone."""
NOBODY: Final = {V6: "refused", "bucher.test": "no_name"}
"""What becomes of whoever may reach them."""


class Town:
    """One port with users, whose keys are made of their letters; what they reach is at `to`."""

    def __init__(self, made: Stage, users: dict[str, Limits], dialer: Dialer, to: Address) -> None:
        self.made, self.to = made, to
        self.meters = {name: Meter(made.reactor, Account(name, limits), lambda: NOW) for name, limits in users.items()}
        table = UserTable([User(name, (name.encode() * 16,)) for name in users])
        inbound = ShadowsocksInbound(
            make_shadow(METHOD, [b"s" * 16], users=table.by_identity),
            made.salts,
            made.strangers(1000.0),
            lambda: NOW,
            lambda size: b"a" * size,
            meter_of=lambda user: self.meters[user.name],  # type: ignore[union-attr]  # it is one of ours
        )
        self._flow = Flow(made.reactor, made.scratch, inbound, OneWay(dialer), made.ledger)
        self._salts = map(partial(int.to_bytes, length=16, byteorder="big"), count(1))
        self.socks: list[socket] = []

    async def ask(self, user: str, host: str, port: int = 0) -> str:
        """Return what a target said to a user, or the word for why there was none and nothing came but the end."""
        ours, theirs = socketpair()
        theirs.setblocking(False)
        self.socks.append(theirs)
        before = len(self.made.ledger.stages)
        shadow = make_shadow(METHOD, [b"s" * 16, user.encode() * 16])
        salt = next(self._salts)
        theirs.sendall(make_request(shadow, Address(host, port or self.to.port), [b"hello"], salt=salt, now=NOW))
        self._flow.accept(_raw(ours), CLIENT)
        self.made.reactor.settle()
        heard = ClientHearing(shadow, salt, NOW)
        while piece := await receive(theirs):
            heard.feed(piece)
            if heard.payload == b"HELLO":
                return "heard"
        assert not heard.payload
        ((_, word),) = self.made.ledger.stages[before:]
        return word


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data.upper())


class Onward:
    """A dialer that knows no rules: a chain."""

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer

    def dial(self, target: Address, first: First) -> Dialing:
        return self._dialer.dial(target, first)


@asynccontextmanager
async def town(way: str, judge: Any = None, /, **users: Limits) -> AsyncIterator[Town]:
    """A port whose dialer is direct, or a chain with the server's rules before it, or a chain without any."""
    judge = judge or TargetRules(OriginPolicy(allow_private=True))
    async with target(shout) as to:
        with stage() as made:
            names = Resolver(Table(NAMES), NameCache(100, 1, 3600))
            connector = partial(Connector, made.reactor, names, deadline=made.reactor.lane(5.0))
            dialer: Dialer = DirectDialer(connector(judge if way == "direct" else Anywhere()))
            if way != "direct":
                dialer = Onward(dialer)
            if way == "guarded":
                dialer = GuardedDialer(judge, dialer)
            made_town = Town(made, users, dialer, to)
            try:
                yield made_town
            finally:
                for relay in list(made.ledger.relays):
                    relay.close("stopped")
                for sock in made_town.socks:
                    sock.close()
                assert not any(meter.account.connections for meter in made_town.meters.values())
                assert not made.reactor.errors
                await names.close()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("targets", "host", "word"),
    [
        (("127.0.0.1",), HOST, "heard"),
        (("127.0.0.0/30",), HOST, "heard"),
        (("::ffff:127.0.0.1",), HOST, "heard"),
        (("127.0.0.1",), "::ffff:127.0.0.1", "heard"),
        (("127.0.0.2", "10.0.0.0/8", "good.test"), HOST, "denied"),
        (("::/0",), HOST, "denied"),
        (("::/0",), "::ffff:127.0.0.1", "denied"),
        (("0.0.0.0/0",), V6, "denied"),
        (("::1",), V6, "refused"),
        (("good.test",), "good.test", "heard"),
        (("good.test",), "WWW.Good.Test.", "heard"),
        (("good.test",), "two.test", "denied"),
        (("bücher.test",), "bücher.test", "heard"),
        (("xn--bcher-kva.test",), "BÜCHER.test", "heard"),
        (("bücher.test",), "bucher.test", "denied"),
        (("none.test",), "none.test", "no_name"),
        (("*.test",), "two.test", "heard"),
        ((), HOST, "denied"),
        ((), "good.test", "denied"),
        (("127.0.0.1",), "2130706433", "no_name"),
    ],
)
def test_targets(way: str, targets: tuple[str, ...], host: str, word: str) -> None:
    async def story() -> None:
        async with town(way, a=Limits(targets=targets), b=FREE) as it:
            assert await it.ask("a", host) == word
            assert await it.ask("b", host) == (NOBODY.get(host, "heard" if word == "denied" else word))

    run(story())


@pytest.mark.parametrize(
    ("targets", "host", "word"),
    [
        ((HOST,), "good.test", "heard"),
        ((HOST,), "two.test", "heard"),
        ((HOST,), "six.test", "heard"),
        ((OTHER,), "two.test", "refused"),
        (("::1",), "six.test", "refused"),
        (("10.0.0.0/8",), "two.test", "denied"),
        (("10.0.0.0/8", "two.test"), "two.test", "heard"),
    ],
)
def test_a_name_that_is_not_named_is_judged_by_its_addresses(targets: tuple[str, ...], host: str, word: str) -> None:
    """Those that are allowed are dialled. Where others look it up, nobody knows them, and it is refused."""

    async def story() -> None:
        for way in WAYS:
            async with town(way, a=Limits(targets=targets)) as it:
                named = host in targets
                assert await it.ask("a", host) == (word if way == "direct" or named else "denied")

    run(story())


@pytest.mark.parametrize("way", WAYS)
def test_ports(way: str) -> None:
    async def story() -> None:
        async with town(way, a=FREE, b=Limits(ports=((1, 1),)), c=FREE, d=FREE) as it:
            port = it.to.port
            it.meters["c"].change(Limits(ports=((1, 1), (port - 1, port + 1))))
            it.meters["d"].change(Limits(ports=((port, port),), targets=("good.test",)))
            assert [await it.ask(user, HOST) for user in "abcd"] == ["heard", "denied", "heard", "denied"]
            assert [await it.ask(user, "good.test") for user in "abcd"] == ["heard", "denied", "heard", "heard"]
            assert [await it.ask(user, HOST, 1) for user in "abcd"] == ["refused", "refused", "refused", "denied"]

    run(story())


@pytest.mark.parametrize("way", WAYS[:2])
def test_no_user_reaches_what_the_server_refuses(way: str) -> None:
    rules = TargetRules(OriginPolicy(allow_private=True), parse_acl("[outbound_block_list]\n||good.test\n", "a"))

    async def story() -> None:
        for judge in (OriginPolicy(), rules):
            async with town(way, judge, a=Limits(targets=("good.test", "127.0.0.0/8")), b=FREE) as it:
                for host in ("www.good.test", HOST) if judge is not rules else ("www.good.test",):
                    if way == "guarded" and judge is not rules and host != HOST:
                        continue  # a name is not looked up here
                    assert [await it.ask(user, host) for user in "ab"] == ["denied"] * 2
                    assert set(it.made.ledger.stages) == {("dial", "denied")}

    run(story())


def test_other_limits_hold_for_the_next_connection() -> None:
    async def story() -> None:
        async with town("direct", a=FREE) as it:
            assert await it.ask("a", HOST) == "heard"
            (relay,) = it.made.ledger.relays
            it.meters["a"].change(Limits(targets=("good.test",)))
            assert await it.ask("a", HOST) == "denied"
            assert await it.ask("a", "good.test") == "heard"
            assert it.made.ledger.relays > {relay}, "what is open stays open"
            it.meters["a"].change(FREE)
            assert await it.ask("a", HOST) == "heard"

    run(story())


def test_a_way_without_limits_is_the_one_that_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is asked of it but to dial."""
    from shadesocks.proxy import flow

    def never(*_: object) -> None:
        raise AssertionError

    async def story() -> None:
        async with town("direct", a=FREE, b=Limits(connections=9, targets=(HOST,))) as it:
            monkeypatch.setattr(flow, "_narrowed_dialer", never)
            assert await it.ask("a", HOST) == "heard"
            monkeypatch.undo()
            assert await it.ask("b", HOST) == "heard"

    run(story())
