"""Datagrams that go two ways, over real sockets: through a server, or straight, with a socket for each."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

import pytest

from shadesocks.core.address import Address
from shadesocks.net.backs import HELD_MOST, DirectBack
from shadesocks.net.datagrams import DatagramOptions
from shadesocks.proxy.acl_file import parse_acl
from shadesocks.proxy.outbound import split
from shadesocks.proxy.outbound.split import SplitBack
from shadesocks.proxy.route import Ways
from tests.net.packet_rig import AEAD, HOST, METHODS, Client, Judge, Rig, heard, nothing, run

if TYPE_CHECKING:
    from shadesocks.net.packets import PacketRelay

HOME, FAR = "127.0.0.2", HOST
"""What bypasses the server, and what does not."""
LINES: Final = ("[proxy_all]", "[bypass_list]", f"{HOME}/32", "||home.test")


class Fork:
    """A local relay before a server's, the two ways to targets, and a client."""

    def __init__(self, rig: Rig, method: str = AEAD, *lines: str) -> None:
        self.rig = rig
        self.packets = rig.packets(method)
        self.far = rig.relay(self.packets)
        self.judge = Judge()
        """Of what is dialled directly."""
        direct = DirectBack(rig.datagrams, rig.names, self.judge, DatagramOptions())
        proxied = rig.way_through(self.far, self.packets)
        ways = Ways(parse_acl("\n".join(lines or LINES), "test.acl"), rig.names)
        self.back = SplitBack(ways, direct, proxied, rig.datagrams)
        plain = rig.packets("none")
        self.near: PacketRelay = rig.relay(plain, self.back)
        self.client = Client(rig, self.near, plain.join(), HOST)
        self.home, self.away = rig.socket(HOME), rig.socket(FAR)

    @property
    def outlets(self) -> set[int]:
        """The ports of the near relay's own sockets."""
        outlets = [session.outlet for session in self.near.sessions.values()]
        return {outlet.sock.getsockname()[1] for outlet in outlets if outlet is not None}


@pytest.mark.parametrize("way", ["plain", "auto"])
@pytest.mark.parametrize("method", METHODS)
def test_each_goes_its_way_and_its_answer_comes_back(method: str, way: str) -> None:
    async def story(rig: Rig) -> None:
        fork = Fork(rig, method)
        for number in range(3):
            for target in (fork.home, fork.away):
                payload = b"%d" % number
                await fork.client.say(target, payload)
                got, outlet = await heard(target)
                assert got == payload
                target.sendto(payload[::-1], outlet)
                assert await fork.client.hear() == (Address(*target.getsockname()), payload[::-1])
                straight = outlet[1] in fork.outlets
                assert straight == (target is fork.home)
        assert len(fork.near.sessions) == len(fork.outlets) == 2
        assert len(fork.far.sessions) == 1
        assert fork.near.sums()[0] == fork.near.sums()[2] == 6
        assert fork.far.sums()[0] == 3

    run(story, way)


def test_what_bypasses_is_judged() -> None:
    async def story(rig: Rig) -> None:
        fork = Fork(rig)
        fork.judge.refused.add(HOME)
        await fork.client.say(fork.home, b"x")
        assert nothing(fork.home)
        assert fork.near.dropped == {"denied": 1}
        assert not fork.outlets
        await fork.client.say(fork.away, b"x")
        assert (await heard(fork.away))[0] == b"x"

    run(story)


@pytest.mark.parametrize(("ip", "straight"), [(HOME, True), (FAR, False)])
def test_a_name_goes_the_way_of_its_addresses(ip: str, straight: bool) -> None:
    async def story(rig: Rig) -> None:
        fork = Fork(rig)
        target = fork.home if straight else fork.away
        to = Address("other.test", target.getsockname()[1])
        await fork.client.say(to, b"held")
        assert nothing(target)
        rig.names.find("other.test", ip)
        await rig.settle()
        for number in range(2):
            got, outlet = await heard(target)
            assert got == (b"held", b"sent")[number]
            assert (outlet[1] in fork.outlets) == straight
            await fork.client.say(to, b"sent")
        assert not rig.names.waiting

    run(story)


def test_a_name_that_is_not_found_goes_the_default_way() -> None:
    """Where the server is, it may have a meaning."""

    async def story(rig: Rig) -> None:
        fork = Fork(rig)
        await fork.client.say(Address("far.test", fork.away.getsockname()[1]), b"x")
        assert len(rig.names.waiting["far.test"]) == 1
        rig.names.find("far.test")
        await rig.settle()
        assert len(fork.far.sessions) == 1
        assert len(rig.names.waiting["far.test"]) == 1, "the server asks for itself"
        rig.names.find("far.test", FAR)
        await rig.settle()
        assert (await heard(fork.away))[0] == b"x"

    run(story)


def test_a_name_of_the_list_needs_no_look_up_to_find_its_way() -> None:
    async def story(rig: Rig) -> None:
        fork = Fork(rig)
        rig.names.known["nas.home.test"] = ((socket.AF_INET, HOME),)
        await fork.client.say(Address("nas.home.test", fork.home.getsockname()[1]), b"x")
        assert (await heard(fork.home))[0] == b"x"
        assert not fork.far.sessions

    run(story)


def test_only_so_many_wait_for_names() -> None:
    async def story(rig: Rig) -> None:
        fork = Fork(rig)
        for _ in range(HELD_MOST + 3):
            await fork.client.say(Address("other.test", 9), b"x")
        assert fork.near.dropped == {"limit": 3}

    run(story)


def test_the_way_is_asked_for_again_after_a_tick() -> None:
    async def story(rig: Rig) -> None:
        fork = Fork(rig)
        rig.names.known["moving.test"] = ((socket.AF_INET, HOME),)
        for target in (fork.home, fork.away):
            to = Address("moving.test", target.getsockname()[1])
            await fork.client.say(to, b"x")
            assert (await heard(target))[0] == b"x"
            rig.names.known["moving.test"] = ((socket.AF_INET, FAR),)
            fork.near.sweep()
        assert len(fork.far.sessions) == 1

    run(story)


def test_both_sessions_of_a_client_end() -> None:
    async def story(rig: Rig) -> None:
        fork = Fork(rig)
        for target in (fork.home, fork.away):
            await fork.client.say(target, b"x")
            await heard(target)
        assert len(fork.near.sessions) == 2
        rig.now += 1000
        fork.near.sweep()
        assert not fork.near.sessions
        assert [word for word, *_ in rig.ended] == ["idle", "idle"]
        await fork.client.say(fork.home, b"again")
        assert (await heard(fork.home))[0] == b"again"

    run(story)


def test_branches_count_as_sessions() -> None:
    """Two for a client that goes both ways, and never more than the limit."""

    async def story(rig: Rig) -> None:
        fork = Fork(rig)
        plain = rig.packets("none")
        for _ in range(4):
            client = Client(rig, fork.near, plain.join(), HOST)
            for target in (fork.home, fork.away):
                await client.say(target, b"x")
                await heard(target)
        assert len(fork.near.sessions) <= 4
        assert rig.crowd.live == len(fork.near.sessions) + len(fork.far.sessions)

    run(story, limits={"each": 4})


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(rig: Rig) -> None:
        monkeypatch.setattr(split, "ROUTES_MOST", 4)
        fork = Fork(rig)
        for number in range(10):
            await fork.client.say(Address(f"127.0.1.{number}", 9), b"x")
            assert len(fork.back._known) <= 4

    run(story)
