"""What comes down to a session, and what is counted for it."""

from __future__ import annotations

import pytest

from shadesocks.core.address import Address
from shadesocks.net.crowd import PacketCounts
from shadesocks.wire.packet_tunnel import TunnelPackets
from tests.net.packet_rig import AEAD, SIP022, Rig, heard, nothing, run


def test_an_answer_that_its_client_did_not_ask_for_is_dropped_alone() -> None:
    """A tunnel's clients see no addresses: only their target may answer."""

    async def story(rig: Rig) -> None:
        there, stranger, client = rig.socket(), rig.socket(), rig.socket()

        class Tunnel:
            """As a method of Shadowsocks looks to a rig."""

            idle_min = 0

            def host(self) -> TunnelPackets:
                return TunnelPackets(Address(*there.getsockname()))

        relay = rig.relay(Tunnel())  # type: ignore[arg-type]  # nobody joins it
        client.sendto(b"question", relay.front.sock.getsockname())
        got, outlet = await heard(there)
        assert got == b"question"
        stranger.sendto(b"forged", outlet)
        there.sendto(b"answer", outlet)
        assert (await heard(client))[0] == b"answer"
        await rig.settle()
        assert nothing(client)
        assert relay.dropped == {"stray": 1}
        assert relay.sums() == (1, 8, 1, 6)

    run(story)


def test_an_answer_keeps_a_session() -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(AEAD)
        relay = rig.relay(packets, idle=100)
        client, target = rig.client(relay, packets), rig.socket()
        await client.say(target, b"x")
        _, outlet = await heard(target)
        rig.now += 99
        target.sendto(b"late", outlet)
        assert (await client.hear())[1] == b"late"
        rig.now += 99
        relay.sweep()
        assert len(relay.sessions) == 1

    run(story)


def test_the_account_of_a_session_is_exact() -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(SIP022)
        relay = rig.relay(packets)
        client, target = rig.client(relay, packets), rig.socket()
        for size in (10, 20, 0):
            await client.say(target, bytes(size))
            _, outlet = await heard(target)
        await client.send(b"noise")
        for size in (1, 2):
            target.sendto(bytes(size), outlet)
            await client.hear()
        relay.close()
        assert rig.ended == [("stopped", 3, 30, 2, 3)]
        assert rig.crowd.counts() == PacketCounts(0, 3, 30, 2, 3, {"malformed": 1})

    run(story)


def test_a_crash_ends_its_session_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(AEAD)
        relay = rig.relay(packets)
        one, two, target = rig.client(relay, packets), rig.client(relay, packets), rig.socket()
        for client in (one, two):
            await client.say(target, b"x")
        outlets = [(await heard(target))[1] for _ in range(2)]
        monkeypatch.setattr(next(iter(relay.sessions.values())), "talk", None)
        for outlet in outlets:
            target.sendto(b"answer", outlet)
        assert (await two.hear())[1] == b"answer"
        await rig.settle()
        assert [word for word, *_ in rig.ended] == ["internal"]
        assert rig.reactor.errors == 1
        rig.reactor.errors = 0

    run(story)
