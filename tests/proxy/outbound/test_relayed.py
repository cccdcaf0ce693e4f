"""Datagrams on to the server behind: one socket for each session, connected to the one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

from shadesocks.core.address import Address
from shadesocks.crypto.methods import METHODS
from shadesocks.crypto.subkeys_2022 import key_hash
from shadesocks.net.datagrams import DatagramOptions
from shadesocks.net.packets import DNS_IDLE, PacketRelay
from shadesocks.proxy.outbound.relayed import RelayedBack
from shadesocks.wire.editions import make_packets
from shadesocks.wire.packet import PacketShadow
from shadesocks.wire.relayed import RelayHost
from tests.net.packet_rig import HOST, Client, Rig, heard, nothing, run

METHOD: Final = METHODS["2022-blake3-aes-128-gcm"]
FRONT, NEXT = b"f" * 16, b"n" * 16


@dataclass(frozen=True)
class Place:
    keys: tuple[bytes, ...]
    address: Address


class _Front:
    """Stands in the place of a method: its host alone is asked for."""

    idle_min = 60

    def __init__(self, to: Address) -> None:
        self._to = to

    def host(self) -> RelayHost:
        return RelayHost(FRONT, {key_hash(NEXT): Place((NEXT,), self._to)}.get)


def before(rig: Rig, to: Address) -> PacketRelay:
    """A relay in front of a place."""
    back = RelayedBack(rig.datagrams, rig.names, DatagramOptions())
    return rig.relay(cast("PacketShadow", _Front(to)), back)


def client_of(rig: Rig, relay: PacketRelay) -> Client:
    return rig.client(relay, make_packets(METHOD, [FRONT, NEXT], _draw, lambda _salt: True))


_drawn = iter(range(1, 10_000))


def _draw(size: int) -> bytes:
    return next(_drawn).to_bytes(size)


def test_there_and_back() -> None:
    async def story(rig: Rig) -> None:
        server = rig.relay(make_packets(METHOD, [NEXT], _draw, lambda _salt: True))
        relay = before(rig, Address(*server.front.sock.getsockname()))
        one, other, target = client_of(rig, relay), client_of(rig, relay), rig.socket()
        sources = set()
        for client, said in ((one, b"one"), (other, b"other"), (one, b"again")):
            await client.say(target, said)
            data, source = await heard(target)
            assert data == said
            sources.add(source)
            target.sendto(b"to " + said, source)
            assert (await client.hear())[1] == b"to " + said
        assert len(sources) == len(relay.sessions) == 2
        assert relay.sums() == (3, *relay.sums()[1:2], 3, *relay.sums()[3:])
        assert not relay.dropped

    run(story)


def test_a_name_is_waited_for() -> None:
    async def story(rig: Rig) -> None:
        server = rig.relay(make_packets(METHOD, [NEXT], _draw, lambda _salt: True))
        relay = before(rig, Address("next.test", server.front.sock.getsockname()[1]))
        client, target = client_of(rig, relay), rig.socket()
        await client.say(target, b"one")
        await client.say(target, b"two")
        assert nothing(target)
        rig.names.find("next.test", HOST)
        assert {(await heard(target))[0] for _ in range(2)} == {b"one", b"two"}
        await client.say(target, b"three")
        assert (await heard(target))[0] == b"three"

    run(story)


def test_what_comes_from_elsewhere_does_not_come_in() -> None:
    async def story(rig: Rig) -> None:
        server = rig.socket()
        relay = before(rig, Address(*server.getsockname()))
        client = client_of(rig, relay)
        await client.say(Address("192.0.2.1", 1), b"x")
        _, source = await heard(server)
        rig.socket().sendto(b"forged", source)
        await rig.settle()
        assert nothing(client.sock)
        server.sendto(b"good", source)
        await rig.settle()
        assert client.sock.recv(100) == b"good"

    run(story)


def test_a_socket_lives_as_long_as_its_session() -> None:
    """Nobody can see whether it is names that are asked for."""

    async def story(rig: Rig) -> None:
        server = rig.socket()
        relay = before(rig, Address(*server.getsockname()))
        client = client_of(rig, relay)
        await client.say(Address("192.0.2.1", 53), b"x")
        (session,) = relay.sessions.values()
        rig.now += DNS_IDLE + 1
        relay.sweep()
        assert session.outlet is not None
        rig.now += 400
        relay.sweep()
        assert not relay.sessions
        assert session.outlet is None

    run(story)


def test_a_replay_from_elsewhere_diverts_nothing() -> None:
    async def story(rig: Rig) -> None:
        server = rig.relay(make_packets(METHOD, [NEXT], _draw, lambda _salt: True))
        relay = before(rig, Address(*server.front.sock.getsockname()))
        client, target, spoofer = client_of(rig, relay), rig.socket(), rig.socket()
        packet = await client.say(target, b"once")
        _, source = await heard(target)
        await client.send(packet, spoofer)
        assert nothing(target)
        target.sendto(b"for the client", source)
        assert (await client.hear())[1] == b"for the client"
        assert nothing(spoofer)

    run(story)
