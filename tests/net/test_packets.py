"""The relay of datagrams: sessions that begin, move, are limited, and end."""

from __future__ import annotations

import os

import pytest

from shadesocks.core.address import Address
from shadesocks.net.crowd import PacketCounts
from shadesocks.net.packets import DNS_IDLE
from tests.net.packet_rig import AEAD, METHODS, SIP022, Rig, heard, nothing, run


@pytest.mark.parametrize("way", ["plain", "auto"])
@pytest.mark.parametrize("method", METHODS)
def test_there_and_back(method: str, way: str) -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(method)
        relay = rig.relay(packets)
        client, target = rig.client(relay, packets), rig.socket()
        for payload in (b"one", b"", os.urandom(1400), os.urandom(9000)):
            await client.say(target, payload)
            got, outlet = await heard(target)
            assert got == payload
            target.sendto(payload[::-1], outlet)
            assert await client.hear() == (Address(*target.getsockname()), payload[::-1])
        size = 3 + 1400 + 9000
        assert rig.crowd.counts() == PacketCounts(1, 4, size, 4, size, {})

    run(story, way)


def test_noise_makes_nothing() -> None:
    async def story(rig: Rig) -> None:
        for method in METHODS[:-1]:
            packets = rig.packets(method)
            relay = rig.relay(packets)
            client = rig.client(relay, packets)
            for size in (0, 1, 15, 16, 31, 32, 43, 59, 100, 1400):
                await client.send(os.urandom(size))
            await client.send(rig.client(relay, rig.packets(method)).sealed(Address("192.0.2.1", 1), b"another key"))
            assert not relay.sessions
            assert sum(relay.dropped.values()) == 11
            assert set(relay.dropped) <= {"auth", "malformed"}
            assert nothing(client.sock)

    run(story)


def test_one_bad_datagram_stops_no_other() -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(AEAD)
        relay = rig.relay(packets)
        client, target = rig.client(relay, packets), rig.socket()
        for packet in (b"noise", client.sealed(target, b"one"), b"", client.sealed(target, b"two"), b"noise"):
            client.sock.sendto(packet, client.server)
        await rig.settle()
        assert [(await heard(target))[0], (await heard(target))[0]] == [b"one", b"two"]
        assert relay.dropped == {"malformed": 3}

    run(story)


def test_a_bug_costs_one_datagram(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(AEAD)
        relay = rig.relay(packets)
        client, target = rig.client(relay, packets), rig.socket()
        real = relay.forward
        monkeypatch.setattr(relay, "forward", lambda *_: 1 / 0)
        await client.say(target, b"one")
        (session,) = relay.sessions.values()
        session.forward = real
        await client.say(target, b"two")
        assert (await heard(target))[0] == b"two"
        assert rig.reactor.errors == 1
        rig.reactor.errors = 0

    run(story)


def test_a_bug_in_receiving_is_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(AEAD)
        relay = rig.relay(packets)
        client, target = rig.client(relay, packets), rig.socket()
        real = rig.datagrams.receive
        monkeypatch.setattr(rig.datagrams, "receive", lambda _source: 1 / 0)
        await client.say(target, b"waits")
        monkeypatch.setattr(rig.datagrams, "receive", real)
        assert (await heard(target))[0] == b"waits"
        assert rig.reactor.errors == 1
        rig.reactor.errors = 0

    run(story, "plain")


def test_aead_clients_are_addresses() -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(AEAD)
        relay = rig.relay(packets)
        one, two, target = rig.client(relay, packets), rig.client(relay, packets), rig.socket()
        for client in (one, two, one):
            await client.say(target, b"x")
        first, second, third = [(await heard(target))[1] for _ in range(3)]
        assert first == third != second
        assert len(relay.sessions) == 2

    run(story)


def test_one_source_port_towards_every_target() -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(SIP022)
        relay = rig.relay(packets)
        client, one, two, six = rig.client(relay, packets), rig.socket(), rig.socket(), rig.socket("::1")
        for target in (one, two, six):
            await client.say(target, b"x")
        outlets = [(await heard(target))[1] for target in (one, two, six)]
        assert len({outlet[1] for outlet in outlets}) == 1
        stranger = rig.socket()
        stranger.sendto(b"from a third party", outlets[0])
        assert await client.hear() == (Address(*stranger.getsockname()), b"from a third party")
        six.sendto(b"six", outlets[2])
        assert await client.hear() == (Address("::1", six.getsockname()[1]), b"six")

    run(story)


def test_a_client_of_2022_moves_with_fresh_packets_only() -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(SIP022)
        relay = rig.relay(packets)
        client, target, elsewhere = rig.client(relay, packets), rig.socket(), rig.socket()
        old = await client.say(target, b"one")
        _, outlet = await heard(target)
        await client.send(old, elsewhere)  # replayed from elsewhere
        late = client.sealed(target, b"of yesterday")
        rig.unix += 31
        await client.send(late, elsewhere)
        assert relay.dropped == {"replay": 1, "stale": 1}
        target.sendto(b"to the old place", outlet)
        assert (await client.hear())[1] == b"to the old place"
        await client.send(client.sealed(target, b"moved"), elsewhere)
        target.sendto(b"to the new place", outlet)
        await rig.settle()
        assert nothing(client.sock)
        client.sock = elsewhere
        assert (await client.hear())[1] == b"to the new place"
        assert len(relay.sessions) == 1

    run(story)


def test_a_replayed_aead_packet_reaches_nobody() -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(AEAD)
        relay = rig.relay(packets)
        client, target = rig.client(relay, packets), rig.socket()
        packet = await client.say(target, b"one")
        await heard(target)
        await client.send(packet)
        await client.send(packet, rig.socket())
        assert nothing(target)
        assert relay.dropped == {"replay": 2}
        assert len(relay.sessions) == 1

    run(story)


@pytest.mark.parametrize("limit", ["most", "each", "per_source"])
def test_beyond_a_limit_the_one_unused_for_longest_goes(limit: str) -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(AEAD)
        relay = rig.relay(packets)
        clients, target = [rig.client(relay, packets) for _ in range(4)], rig.socket()
        for client in (clients[0], clients[1], clients[2], clients[0], clients[3]):  # so the second is the oldest
            await client.say(target, b"x")
        assert [word for word, *_ in rig.ended] == ["crowded"]
        alive = {session.source for session in relay.sessions.values()}
        names = {rig.datagrams.name_of(source) for source in alive}
        assert names == {clients[index].sock.getsockname() for index in (0, 2, 3)}
        assert rig.crowd.live == 3

    run(story, limits={limit: 3})


def test_other_sources_are_not_touched_by_one() -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(AEAD)
        relay = rig.relay(packets)
        target = rig.socket()
        other = rig.client(relay, packets, "127.0.0.2")
        await other.say(target, b"x")
        for _ in range(5):
            await rig.client(relay, packets).say(target, b"x")
        assert len(relay.sessions) == 3
        await other.say(target, b"still there")
        assert len(relay.sessions) == 3

    run(story, limits={"per_source": 2})


def test_a_source_that_is_full_can_use_another_port() -> None:
    """Those who come there from the same address do not end each other's sessions while older ones stand elsewhere."""

    async def story(rig: Rig) -> None:
        packets = rig.packets(AEAD)
        full, other = rig.relay(packets), rig.relay(packets)
        target = rig.socket()
        for _ in range(4):
            await rig.client(full, packets).say(target, b"x")
            await heard(target)
        rig.now += 1
        clients = [rig.client(other, packets) for _ in range(3)]
        outlets = []
        for client in clients:
            await client.say(target, b"question")
            outlets.append((await heard(target))[1])
        for client, outlet in zip(clients, outlets, strict=True):
            target.sendto(b"answer", outlet)
            assert (await client.hear())[1] == b"answer"
        assert (len(full.sessions), len(other.sessions)) == (1, 3)

    run(story, limits={"per_source": 4})


def test_the_fullest_port_gives_way_to_another() -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(AEAD)
        full, other = rig.relay(packets), rig.relay(packets)
        target = rig.socket()
        for _ in range(3):
            await rig.client(full, packets).say(target, b"x")
        await rig.client(other, packets).say(target, b"x")
        assert (len(full.sessions), len(other.sessions), rig.crowd.live) == (2, 1, 3)

    run(story, limits={"most": 3})


def test_idle_sessions_end_and_busy_ones_stay() -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(AEAD)
        relay = rig.relay(packets, idle=100)
        quiet, busy, target = rig.client(relay, packets), rig.client(relay, packets), rig.socket()
        await quiet.say(target, b"four")
        await busy.say(target, b"x")
        rig.now += 99
        await busy.say(target, b"x")
        relay.sweep()
        assert len(relay.sessions) == 2
        rig.now += 1
        relay.sweep()
        assert rig.ended == [("idle", 1, 4, 0, 0)]
        assert len(relay.sessions) == 1

    run(story)


def test_2022_remembers_for_a_minute_at_least() -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(SIP022)
        relay = rig.relay(packets, idle=10)
        client, target = rig.client(relay, packets), rig.socket()
        await client.say(target, b"x")
        rig.now += 59
        relay.sweep()
        assert len(relay.sessions) == 1
        rig.now += 1
        relay.sweep()
        assert not relay.sessions

    run(story)


@pytest.mark.parametrize("method", [AEAD, SIP022])
def test_a_socket_that_only_asked_for_names_goes_early(method: str) -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(method)
        relay = rig.relay(packets)
        client, target = rig.client(relay, packets), rig.socket()
        packet = await client.say(Address("127.0.0.1", 53), b"who is it?")
        before = descriptors()
        rig.now += DNS_IDLE - 1
        relay.sweep()
        rig.reactor.settle()
        assert descriptors() == before
        rig.now += 1
        relay.sweep()
        rig.reactor.settle()
        assert descriptors() == before - 1
        assert len(relay.sessions) == 1
        await client.send(packet)  # what was seen is remembered
        assert relay.dropped == {"replay": 1}
        await client.say(target, b"and now something else")
        assert (await heard(target))[0] == b"and now something else"
        rig.now += DNS_IDLE
        relay.sweep()
        rig.reactor.settle()
        assert descriptors() == before

    run(story)


def test_a_session_that_ends_leaves_no_socket() -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(AEAD)
        relay = rig.relay(packets)
        client, target = rig.client(relay, packets), rig.socket()
        before = descriptors()
        await client.say(target, b"x")
        _, outlet = await heard(target)
        relay.evict()
        target.sendto(b"too late", outlet)
        rig.reactor.settle()
        await rig.settle()
        assert descriptors() == before
        assert nothing(client.sock)

    run(story)


def descriptors() -> int:
    """How many this process has open."""
    return len(os.listdir("/proc/self/fd"))
