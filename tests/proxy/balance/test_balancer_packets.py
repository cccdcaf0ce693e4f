"""Datagrams through one of several servers, over real sockets: each session has its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import DialError
from shadesocks.net.backs import DirectBack
from shadesocks.net.datagrams import DatagramOptions
from shadesocks.net.packet_seams import Back
from shadesocks.net.packets import DNS_IDLE, PacketRelay
from shadesocks.proxy.acl_file import parse_acl
from shadesocks.proxy.balance.balancer_packets import BalancerBack
from shadesocks.proxy.balance.member import Member, MemberBack
from shadesocks.proxy.outbound.split import SplitBack
from shadesocks.proxy.route import Ways
from tests.net.packet_rig import AEAD, HOST, METHODS, SIP022, Client, Rig, heard, run

from .rig import make_member


class Turns:
    """A group that draws what the test says, and the first when it said nothing."""

    def __init__(self, rig: Rig, backs: Sequence[Back]) -> None:
        self.draws: list[int] = []
        self.members: list[Member] = []
        self.wanted = 0
        for number, back in enumerate(backs):
            member = make_member(str(number))
            member.back = MemberBack(member, back, lambda: rig.now)
            self.members.append(member)

    def order(self, _transport: str, _target: Address | None, _now: float) -> list[Member]:
        number = self.draws.pop(0) if self.draws else 0
        return [*self.members[number : number + 1], *self.members[:number], *self.members[number + 1 :]]

    def want(self) -> None:
        self.wanted += 1

    def failures(self, rig: Rig) -> list[int]:
        return [member.udp.health.failures(rig.now) for member in self.members]


def back_of(rig: Rig, turns: Turns) -> BalancerBack:
    group: Any = turns
    return BalancerBack(group, rig.datagrams.middle, lambda: rig.now, turns.want)


class Fan:
    """A client's relay before several servers of different methods."""

    def __init__(self, rig: Rig, *methods: str, before: Sequence[Back] = ()) -> None:
        self.rig = rig
        packets = [rig.packets(method) for method in methods]
        self.servers: list[PacketRelay] = [rig.relay(each) for each in packets]
        ways = [rig.way_through(relay, each) for relay, each in zip(self.servers, packets, strict=True)]
        self.turns = Turns(rig, [*before, *ways])
        self.back = back_of(rig, self.turns)
        self.plain = rig.packets("none")
        self.near = rig.relay(self.plain, self.back)

    def client(self) -> Client:
        return Client(self.rig, self.near, self.plain.join(), HOST)

    @property
    def heard(self) -> list[int]:
        """How many packets each server got."""
        return [server.sums()[0] for server in self.servers]

    @property
    def live(self) -> list[int]:
        return [member.udp.live for member in self.turns.members]


@pytest.mark.parametrize("way", ["plain", "auto"])
def test_each_session_keeps_its_server(way: str) -> None:
    """P13: old Python drew one for each datagram."""

    async def story(rig: Rig) -> None:
        fan = Fan(rig, *METHODS[:3])
        fan.turns.draws = [2, 0, 1]
        target = rig.socket()
        for number in (2, 0, 1):
            client = fan.client()
            for payload in (b"one", b"two", b"three"):
                await client.say(target, payload)
                got, outlet = await heard(target)
                assert got == payload
                target.sendto(payload[::-1], outlet)
                assert await client.hear() == (Address(*target.getsockname()), payload[::-1])
            assert fan.heard[number] == 3
        assert fan.heard == [3, 3, 3]
        assert fan.live == [1, 1, 1]
        assert fan.turns.wanted == 3
        assert [member.back and member.back.answers for member in fan.turns.members] == [3, 3, 3]
        assert not fan.turns.draws
        fan.near.close()
        assert fan.live == [0, 0, 0]

    run(story, way)


def test_a_session_that_lost_its_socket_may_get_another_server() -> None:
    """What it had agreed with the other is forgotten."""

    async def story(rig: Rig) -> None:
        fan = Fan(rig, SIP022, AEAD)
        fan.turns.draws = [0, 1]
        client, target = fan.client(), rig.socket()
        for number in (0, 1):
            await client.say(target, b"question")
            _, outlet = await heard(target)
            target.sendto(b"answer", outlet)
            assert (await client.hear())[1] == b"answer"
            assert fan.heard == [1, number]
            assert fan.live == [1 - number, number]
            [session] = fan.near.sessions.values()
            fan.near.close_outlet(session)

    run(story)


def test_what_waits_for_a_server_s_name_goes_to_that_server() -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(AEAD)
        servers = [rig.relay(packets), rig.relay(packets)]
        turns = Turns(rig, [rig.way_through(relay, packets, f"{n}.test") for n, relay in enumerate(servers)])
        turns.draws = [1, 0, 0]
        plain = rig.packets("none")
        near = rig.relay(plain, back_of(rig, turns))
        client, target = Client(rig, near, plain.join(), HOST), rig.socket()
        for payload in (b"one", b"two"):
            await client.say(target, payload)
        assert set(rig.names.waiting) == {"1.test"}
        rig.names.find("1.test", HOST)
        await rig.settle()
        assert [(await heard(target))[0] for _ in range(2)] == [b"one", b"two"]
        assert [server.sums()[0] for server in servers] == [0, 2]
        assert turns.draws == [0, 0]
        [session] = near.sessions.values()
        assert session.held == 0

    run(story)


def test_a_server_without_a_name_is_known_by_it() -> None:
    """What waited is lost, as datagrams are; the next goes elsewhere."""

    async def story(rig: Rig) -> None:
        packets = rig.packets(AEAD)
        server = rig.relay(packets)
        turns = Turns(rig, [rig.way_through(server, packets, "0.test"), rig.way_through(server, packets)])
        plain = rig.packets("none")
        near = rig.relay(plain, back_of(rig, turns))
        client, target = Client(rig, near, plain.join(), HOST), rig.socket()
        await client.say(target, b"lost")
        rig.names.find("0.test")
        await rig.settle()
        assert turns.failures(rig) == [1, 0]
        assert near.dropped == {"no_name": 1}
        turns.draws = [1]
        await client.say(target, b"found")
        assert (await heard(target))[0] == b"found"

    run(story)


class Failing:
    """A way that leads nowhere, until it is mended."""

    room = 0

    def __init__(self, code: str) -> None:
        self.code = code
        self.asked = 0

    def forward(self, *_: Any) -> None:
        self.asked += 1
        raise DialError(self.code)

    def read(self, *_: Any) -> Any:
        raise AssertionError("nothing was sent")

    def tick(self) -> None:
        self.asked = 0


def test_a_way_that_fails_is_followed_by_the_next_for_the_same_datagram() -> None:
    async def story(rig: Rig) -> None:
        failing = Failing("unreachable")
        fan = Fan(rig, SIP022, before=[failing])
        client, target = fan.client(), rig.socket()
        for payload in (b"one", b"two"):
            await client.say(target, payload)
            assert (await heard(target))[0] == payload
        assert failing.asked == 1
        assert fan.turns.failures(rig) == [1, 0]
        assert fan.live == [0, 1]
        assert not fan.near.dropped

    run(story)


@pytest.mark.parametrize(("code", "failures"), [("unreachable", 1), ("plugin_down", 1), ("limit", 0)])
def test_where_none_works_the_datagram_is_dropped_by_the_last_word(code: str, failures: int) -> None:
    async def story(rig: Rig) -> None:
        fan = Fan(rig, before=[Failing("refused"), Failing(code)])
        await fan.client().say(Address(HOST, 9), b"x")
        assert fan.near.dropped == {code: 1}
        assert fan.turns.failures(rig) == [1, failures]

    run(story)


def test_without_a_server_datagrams_are_dropped() -> None:
    async def story(rig: Rig) -> None:
        fan = Fan(rig)
        await fan.client().say(Address(HOST, 9), b"x")
        fan.turns.members.append(make_member("for connections only"))
        await fan.client().say(Address(HOST, 9), b"x")
        assert fan.near.dropped == {"no_server": 2}
        assert fan.turns.wanted == 2
        fan.back.tick()

    run(story)


def test_messages_may_wait_before_a_server_is_chosen() -> None:
    """For the way of their target's name, say."""

    async def story(rig: Rig) -> None:
        fan = Fan(rig, AEAD, SIP022)
        fan.turns.draws = [1, 0]
        ways = Ways(parse_acl("[proxy_all]\n[bypass_list]\n192.0.2.0/24", "test.acl"), rig.names)
        direct = DirectBack(rig.datagrams, rig.names, rig.judge, DatagramOptions())
        near = rig.relay(fan.plain, SplitBack(ways, direct, fan.back, rig.datagrams))
        client, target = Client(rig, near, fan.plain.join(), HOST), rig.socket()
        to = Address("target.test", target.getsockname()[1])
        for payload in (b"one", b"two"):
            await client.say(to, payload)
        rig.names.find("target.test", HOST)
        await rig.settle()
        assert [(await heard(target))[0] for _ in range(2)] == [b"one", b"two"]
        assert fan.heard == [0, 2]

    run(story)


def test_time_passes_for_all_of_them() -> None:
    async def story(rig: Rig) -> None:
        backs = [Failing("refused"), Failing("refused")]
        fan = Fan(rig, before=backs)
        await fan.client().say(Address(HOST, 9), b"x")
        assert [back.asked for back in backs] == [1, 1]
        fan.back.tick()
        assert [back.asked for back in backs] == [0, 0]

    run(story)


def test_a_dns_session_ends_its_socket_and_goes_on() -> None:
    async def story(rig: Rig) -> None:
        fan = Fan(rig, SIP022)
        client = fan.client()
        await client.say(Address(HOST, 53), b"q")
        rig.now += DNS_IDLE
        fan.near.sweep()
        [session] = fan.near.sessions.values()
        assert session.outlet is None
        far = session.far
        await client.say(Address(HOST, 53), b"q")
        assert session.far is far, "the same server: the same session with it"
        assert fan.heard == [2]

    run(story)
