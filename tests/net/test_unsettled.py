"""Packets that wait until it is known whose they are: in order, bounded, and nobody else waits with them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from shadesocks.core.address import Address
from shadesocks.crypto.methods import METHODS
from shadesocks.net import unsettled
from shadesocks.net.datagrams import group_of
from shadesocks.net.unsettled import Waiting
from shadesocks.proxy.users.table import UserTable
from shadesocks.proxy.users.user import User
from shadesocks.wire.editions import make_packets, make_tried_packets
from tests.net.packet_rig import AEAD, Client, Rig, heard, nothing, run
from tests.service.rig import until
from tests.wire.keyrings import keyring_of, user_key

if TYPE_CHECKING:
    from collections.abc import Hashable

    from shadesocks.net.packets import PacketRelay
    from shadesocks.wire.packet import PacketShadow

METHOD = METHODS[AEAD]


def group(rig: Rig, source: Any) -> bytes:
    return group_of(rig.datagrams.name_of(source)[0])


def port(rig: Rig, keyring: UserTable[User]) -> PacketRelay:
    """A port of these users."""
    return rig.relay(
        make_tried_packets(METHOD, keyring, os.urandom, rig.salts.insert, lambda source: group(rig, source))
    )


def packets(number: int) -> PacketShadow:
    return make_packets(METHOD, [user_key(AEAD, number)], os.urandom, lambda _salt: True)


def client(rig: Rig, relay: PacketRelay, number: int) -> Client:
    return rig.client(relay, packets(number))


async def settled(rig: Rig) -> None:
    """Until nothing waits any more."""
    await until(lambda: not len(rig.reactor.slices))
    await rig.settle()


def test_each_user_has_a_session_of_his_own() -> None:
    async def story(rig: Rig) -> None:
        relay, target = port(rig, keyring_of(AEAD, 100)), rig.socket()
        for number in (0, 50, 99):
            one = client(rig, relay, number)
            await one.say(target, b"from %d" % number)
            got, outlet = await heard(target)
            assert got == b"from %d" % number
            target.sendto(b"to %d" % number, outlet)
            assert await one.hear() == (Address(*target.getsockname()), b"to %d" % number)
        assert [session.user.name for session in relay.sessions.values()] == ["user 0", "user 50", "user 99"]
        assert not relay.dropped

    run(story)


def test_two_users_behind_one_address_are_not_mixed() -> None:
    """Their packets come from one socket, as through a NAT; each gets answers of his own, from an outlet of his own."""

    async def story(rig: Rig) -> None:
        relay, target = port(rig, keyring_of(AEAD, 100)), rig.socket()
        one, other = client(rig, relay, 3), client(rig, relay, 90)
        other.sock = one.sock
        outlets: dict[Client, Any] = {}
        for turn in range(3):
            for each in (one, other):
                await each.say(target, b"%d" % turn)
                got, outlet = await heard(target)
                assert got == b"%d" % turn
                assert outlets.setdefault(each, outlet) == outlet
                target.sendto(b"answer", outlet)
                assert (await each.hear())[1] == b"answer"
        assert len(relay.sessions) == 2
        assert len(set(outlets.values())) == 2

    run(story)


def test_those_who_are_known_do_not_wait_for_a_search() -> None:
    """Sixteen of an address wait, and each of them takes long."""

    async def story(rig: Rig) -> None:
        relay, target = port(rig, keyring_of(AEAD, 600)), rig.socket()
        known = client(rig, relay, 300)
        await known.say(target, b"first")
        await heard(target)
        for _ in range(16):
            one = client(rig, relay, 5000)
            one.sock.sendto(one.sealed(target, b"of nobody"), one.server)
        await until(lambda: rig.reactor.has_slices and len(rig.reactor.slices) > 0)
        known.sock.sendto(known.sealed(target, b"at once"), known.server)
        assert (await heard(target))[0] == b"at once"
        assert relay.dropped.total() < 8, "most of the others still wait"
        await settled(rig)
        assert relay.dropped == {"auth": 16}
        assert len(relay.sessions) == 1
        assert nothing(target)

    run(story)


def test_all_newcomers_of_one_address_are_found() -> None:
    """A house full of them after a restart. Each datagram is replayed, and comes spoilt, before anybody is known."""

    async def story(rig: Rig) -> None:
        relay, target = port(rig, keyring_of(AEAD, 100)), rig.socket()
        newcomers = [client(rig, relay, 50 + number) for number in range(16)]
        for number, one in enumerate(newcomers):
            packet = one.sealed(target, b"from %d" % number)
            for each in (packet, packet, packet[:-1] + bytes([packet[-1] ^ 1])):
                one.sock.sendto(each, one.server)
        await rig.settle()
        await settled(rig)
        for _ in newcomers:
            _, outlet = await heard(target)
            target.sendto(b"answer", outlet)
        for one in newcomers:
            assert (await one.hear())[1] == b"answer"
        assert len(relay.sessions) == 16
        assert relay.dropped == {"auth": 16, "replay": 16}, "what was spoilt, and what was replayed"

    run(story)


def test_so_many_wait_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsettled, "WAITING_MOST", 3)

    async def story(rig: Rig) -> None:
        relay, target = port(rig, keyring_of(AEAD, 600)), rig.socket()
        for number in range(5):
            one = client(rig, relay, 550 + number)
            one.sock.sendto(one.sealed(target, b"%d" % number), one.server)
        await until(lambda: relay.dropped == {"auth": 2})
        await settled(rig)
        assert relay.dropped == {"auth": 2}, "random ones of them"
        assert len({(await heard(target))[0] for _ in range(3)}) == 3
        assert nothing(target)

    run(story)


def test_a_port_that_closes_forgets_who_waits() -> None:
    async def story(rig: Rig) -> None:
        relay, target = port(rig, keyring_of(AEAD, 600)), rig.socket()
        one = client(rig, relay, 550)
        one.sock.sendto(one.sealed(target, b"too late"), one.server)
        await until(lambda: len(rig.reactor.slices) == 1)
        relay.close()
        assert not len(rig.reactor.slices)
        await rig.settle()
        assert nothing(target)

    run(story)


def test_the_table_changes_while_a_packet_waits() -> None:
    async def story(rig: Rig) -> None:
        keyring = keyring_of(AEAD, 600)
        relay, target = port(rig, keyring), rig.socket()
        gone, stays = client(rig, relay, 550), client(rig, relay, 551)
        for each in (gone, stays):
            each.sock.sendto(each.sealed(target, b"hello"), each.server)
        await until(lambda: len(rig.reactor.slices) == 1)
        keyring.set([User("stays", (user_key(AEAD, 551),))])
        await settled(rig)
        assert (await heard(target))[0] == b"hello"
        assert [session.user.name for session in relay.sessions.values()] == ["stays"]
        assert relay.dropped == {"auth": 1}

    run(story)


def test_a_replay_from_elsewhere_makes_no_session() -> None:
    async def story(rig: Rig) -> None:
        relay, target = port(rig, keyring_of(AEAD, 500)), rig.socket()
        packet = await client(rig, relay, 400).say(target, b"once")
        await settled(rig)
        assert (await heard(target))[0] == b"once"
        await client(rig, relay, 0).send(packet)
        await settled(rig)
        assert relay.dropped == {"replay": 1}
        assert len(relay.sessions) == 1

    run(story)


class Packet:
    """One that is nobody's, and takes so many steps."""

    source: Hashable = None
    packet = b""

    def __init__(self, group: bytes, steps: int = 3) -> None:
        self.group = group
        self.left = steps

    def step(self) -> bool:
        self.left -= 1
        return self.left <= 0

    def settle(self) -> bool:
        return False


def address(number: int) -> bytes:
    return number.to_bytes(4)


def test_beside_noise_of_fifty_addresses_a_newcomer_is_soon_next() -> None:
    """They keep all places full; his packet keeps its own, and his address came last."""

    async def story(rig: Rig) -> None:
        relay = port(rig, keyring_of(AEAD, 1))
        waiting = Waiting(relay)
        for _ in range(20):
            for number in range(50):
                waiting.add(Packet(address(number)))
        assert relay.dropped == {"auth": 1000 - unsettled.WAITING_MOST}
        turns = 0
        mine = None
        while mine is None or mine.left:
            if turns == 500 and mine is None:
                mine = Packet(address(999))
                waiting.add(mine)
            for number in range(50):
                waiting.add(Packet(address(number)))
            waiting.step()
            if waiting._is_over:
                waiting._now, turns = None, turns + 1
        assert turns <= 503

    run(story)


def test_noise_of_any_number_of_addresses_leaves_a_chance_and_ends_no_search() -> None:
    async def story(rig: Rig) -> None:
        relay = port(rig, keyring_of(AEAD, 1))
        waiting = Waiting(relay)
        first = Packet(address(0), 50)
        waiting.add(first)
        waiting.step()
        stayed = 0
        for turn in range(300):
            mine = Packet(address(1))
            waiting.add(mine)
            for number in range(32):
                waiting.add(Packet(address(100 + turn * 32 + number)))
            stayed += any(mine in each for each in waiting._packets.sites.values())
            if turn < 40:
                waiting.step()
        assert first.left == 9, "who has a turn keeps it"
        assert 60 < stayed < 240, "as many as there is room for"

    run(story)


def test_the_64s_of_a_48_have_the_places_of_one() -> None:
    async def story(rig: Rig) -> None:
        relay = port(rig, keyring_of(AEAD, 1))
        waiting = Waiting(relay)
        for number in range(100):
            waiting.add(Packet(b"\x20\x01\x0d\xb8\x00\x01" + number.to_bytes(2)))
        assert relay.dropped == {"auth": 100 - unsettled.WAITING_MOST}
        mine = [Packet(address(1)) for _ in range(unsettled.WAITING_MOST // 2)]
        for each in mine:
            waiting.add(each)
        assert waiting._packets.sites[address(1)] == mine, "none of these gave way"

    run(story)


def test_those_who_are_given_up_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no room for the port among others who search."""
    monkeypatch.setattr("shadesocks.net.slices.Slices.add", lambda *_: False)

    async def story(rig: Rig) -> None:
        relay, target = port(rig, keyring_of(AEAD, 600)), rig.socket()
        one = client(rig, relay, 550)
        one.sock.sendto(one.sealed(target, b"given up"), one.server)
        await until(lambda: relay.dropped == {"auth": 1})
        waiting = Waiting(relay)
        for number in range(5):
            waiting.add(Packet(address(number)))
        waiting.step()
        waiting.done()
        assert relay.dropped == {"auth": 6}

    run(story)
