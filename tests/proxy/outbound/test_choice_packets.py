"""Datagrams through one of several servers, over real sockets: each session has its own."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from shadesocks.core.address import Address
from shadesocks.net.backs import DirectBack
from shadesocks.net.datagrams import DatagramOptions
from shadesocks.net.packets import DNS_IDLE, PacketRelay
from shadesocks.proxy.acl_file import parse_acl
from shadesocks.proxy.outbound.choice import InOrder
from shadesocks.proxy.outbound.choice_packets import ChosenBack
from shadesocks.proxy.outbound.split import SplitBack
from shadesocks.proxy.route import Ways
from tests.net.packet_rig import AEAD, HOST, METHODS, SIP022, Client, Rig, heard, run


class Turns(InOrder):
    """A choice that draws what the test says, and the first when it said nothing."""

    def __init__(self) -> None:
        self.draws: list[int] = []

    def order(self, numbers: Sequence[int]) -> Sequence[int]:
        number = self.draws.pop(0) if self.draws else numbers[0]
        return [number, *(each for each in numbers if each != number)]


class Fan:
    """A client's relay before several servers of different methods."""

    def __init__(self, rig: Rig, *methods: str) -> None:
        self.rig, self.turns = rig, Turns()
        packets = [rig.packets(method) for method in methods]
        self.servers: list[PacketRelay] = [rig.relay(each) for each in packets]
        ways = {n: rig.way_through(relay, packets[n]) for n, relay in enumerate(self.servers)}
        self.back = ChosenBack(ways, self.turns)
        self.plain = rig.packets("none")
        self.near = rig.relay(self.plain, self.back)

    def client(self) -> Client:
        return Client(self.rig, self.near, self.plain.join(), HOST)

    @property
    def heard(self) -> list[int]:
        """How many packets each server got."""
        return [server.sums()[0] for server in self.servers]


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
        assert not fan.turns.draws

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
            [session] = fan.near.sessions.values()
            fan.near.close_outlet(session)

    run(story)


def test_what_waits_for_a_server_s_name_goes_to_that_server() -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(AEAD)
        servers = [rig.relay(packets), rig.relay(packets)]
        turns = Turns()
        turns.draws = [1, 0, 0]
        back = ChosenBack({n: rig.way_through(relay, packets, f"{n}.test") for n, relay in enumerate(servers)}, turns)
        plain = rig.packets("none")
        client, target = Client(rig, rig.relay(plain, back), plain.join(), HOST), rig.socket()
        for payload in (b"one", b"two"):
            await client.say(target, payload)
        assert set(rig.names.waiting) == {"1.test"}
        rig.names.find("1.test", HOST)
        await rig.settle()
        assert [(await heard(target))[0] for _ in range(2)] == [b"one", b"two"]
        assert [server.sums()[0] for server in servers] == [0, 2]
        assert turns.draws == [0, 0]

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
    class Counting:
        room = 3

        def __init__(self) -> None:
            self.ticks = 0

        def tick(self) -> None:
            self.ticks += 1

    backs = {0: Counting(), 1: Counting()}
    back = ChosenBack(backs, InOrder())  # type: ignore[arg-type]  # nothing is sent
    assert back.room == 3
    back.tick()
    assert [each.ticks for each in backs.values()] == [1, 1]


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
