"""Datagrams through one of several servers, over real sockets: each session has its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import DialError
from shadesocks.net.backs import DirectBack
from shadesocks.net.datagrams import DatagramOptions
from shadesocks.net.packets import DNS_IDLE, PacketRelay
from shadesocks.proxy.acl_file import parse_acl
from shadesocks.proxy.balance.balancer_packets import BalancerBack
from shadesocks.proxy.balance.group import UDP, Group
from shadesocks.proxy.balance.member import Member, MemberBack
from shadesocks.proxy.outbound.split import SplitBack
from shadesocks.proxy.route import Ways
from tests.net.packet_rig import AEAD, HOST, METHODS, SIP022, Client, Rig, heard, nothing, run
from tests.proxy.balance.rig import make_member


class Turns(Group):
    """A group that draws what the test says, and goes by the policy when it said nothing."""

    def __init__(self) -> None:
        super().__init__("", "ordered", 0.2)
        self.draws: list[int] = []
        self.asked: list[Address | None] = []

    def order(self, transport: str, target: Address | None, now: float) -> Sequence[Member]:
        assert transport == UDP
        self.asked.append(target)
        order = super().order(transport, target, now)
        if not self.draws:
            return order
        first = self.members[self.draws.pop(0)]
        return [first, *(each for each in order if each is not first)]


class Fan:
    """A client's relay before several servers of different methods."""

    def __init__(self, rig: Rig, *methods: str, hosts: Sequence[str] = ()) -> None:
        self.rig, self.turns, self.wanted = rig, Turns(), 0
        packets = [rig.packets(method) for method in methods]
        self.servers: list[PacketRelay] = [rig.relay(each) for each in packets]
        self.members = [make_member(f"{number}") for number in range(len(methods))]
        names = hosts or [""] * len(methods)
        for member, relay, each, host in zip(self.members, self.servers, packets, names, strict=True):
            member.back = MemberBack(member, rig.way_through(relay, each, host), lambda: rig.now)
        self.turns.take(self.members)
        self.back = BalancerBack(self.turns, rig.datagrams.middle, lambda: rig.now, self._want)
        self.plain = rig.packets("none")
        self.near = rig.relay(self.plain, self.back)

    def _want(self) -> None:
        self.wanted += 1

    def client(self) -> Client:
        return Client(self.rig, self.near, self.plain.join(), HOST)

    @property
    def heard(self) -> list[int]:
        """How many packets each server got."""
        return [server.sums()[0] for server in self.servers]

    @property
    def live(self) -> list[int]:
        """How many sessions go through each server."""
        return [member.udp.live for member in self.members]


@pytest.mark.parametrize("way", ["plain", "auto"])
def test_each_session_keeps_its_server(way: str) -> None:
    """Old Python drew one for each datagram."""

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
        assert (fan.heard, fan.live, fan.wanted) == ([3, 3, 3], [1, 1, 1], 3)
        assert fan.turns.asked == [Address(*target.getsockname())] * 3, "once for each session"
        assert [member.back.answers for member in fan.members if member.back is not None] == [3, 3, 3]
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
        fan = Fan(rig, AEAD, AEAD, hosts=("0.test", "1.test"))
        fan.turns.draws = [1, 0, 0]
        client, target = fan.client(), rig.socket()
        for payload in (b"one", b"two"):
            await client.say(target, payload)
        assert set(rig.names.waiting) == {"1.test"}
        rig.names.find("1.test", HOST)
        await rig.settle()
        assert [(await heard(target))[0] for _ in range(2)] == [b"one", b"two"]
        assert fan.heard == [0, 2]
        assert fan.turns.draws == [0, 0]

    run(story)


def test_a_server_whose_name_is_not_found_is_left() -> None:
    async def story(rig: Rig) -> None:
        fan = Fan(rig, AEAD, AEAD, hosts=("0.test", ""))
        client, target = fan.client(), rig.socket()
        await client.say(target, b"one")
        rig.names.find("0.test")
        await rig.settle()
        health = fan.members[0].udp.health
        assert (health.failures(rig.now), health.last_word) == (1, "no_name")
        client = fan.client()
        for _ in range(40):
            await client.say(target, b"two")
        assert (await heard(target))[0] in (b"one", b"two")
        assert fan.heard[0] == 0
        assert fan.heard[1] > 30

    run(story)


class Broken:
    """A back that cannot send."""

    room = 0

    def __init__(self, word: str) -> None:
        self.word, self.asked = word, 0

    def forward(self, *_: Any) -> None:
        self.asked += 1
        raise DialError(self.word)

    def read(self, *_: Any) -> Any:
        raise AssertionError

    def tick(self) -> None:
        """Nothing ages here."""


@pytest.mark.parametrize(("word", "failures"), [("unreachable", 1), ("limit", 0)])
def test_a_datagram_that_cannot_be_sent_goes_to_the_next_server(word: str, failures: int) -> None:
    async def story(rig: Rig) -> None:
        fan = Fan(rig, AEAD, SIP022)
        broken = Broken(word)
        fan.members[0].back = MemberBack(fan.members[0], broken, lambda: rig.now)
        client, target = fan.client(), rig.socket()
        await client.say(target, b"one")
        assert (await heard(target))[0] == b"one"
        assert (fan.heard, fan.live, broken.asked) == ([0, 1], [0, 1], 1)
        assert fan.members[0].udp.health.failures(rig.now) == failures
        assert not fan.near.dropped

    run(story)


def test_where_no_server_can_send_it_is_dropped() -> None:
    async def story(rig: Rig) -> None:
        fan = Fan(rig, AEAD, AEAD)
        for member in fan.members:
            member.back = MemberBack(member, Broken("unreachable"), lambda: rig.now)
        client, target = fan.client(), rig.socket()
        await client.say(target, b"one")
        assert nothing(target)
        assert fan.near.dropped == {"unreachable": 1}
        assert sum(fan.live) == 1
        fan.turns.take([])
        await fan.client().say(target, b"one")
        assert fan.near.dropped == {"unreachable": 1, "no_server": 1}

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
    class Counting(Broken):
        ticks = 0

        def tick(self) -> None:
            self.ticks += 1

    group, backs = Group("", "ordered", 0.2), [Counting(""), Counting("")]
    members = [make_member("a"), make_member("b"), make_member("c")]
    for member, back in zip(members, backs, strict=False):
        member.back = MemberBack(member, back, lambda: 0.0)
    group.take(members)
    middle: Any = None
    BalancerBack(group, middle, lambda: 0.0, lambda: None).tick()
    assert [each.ticks for each in backs] == [1, 1]


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
        assert (fan.heard, fan.live) == ([2], [1])

    run(story)
