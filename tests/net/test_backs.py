"""What leads on: straight to targets that are judged, or through a server; names that are waited for."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from shadesocks.core.address import Address
from shadesocks.net import backs
from shadesocks.net.backs import HELD_MOST, ROUTES_MOST
from shadesocks.net.datagrams import open_outlet
from tests.net.packet_rig import AEAD, HOST, METHODS, SIP022, Rig, heard, nothing, run

if TYPE_CHECKING:
    from shadesocks.net.datagrams import DatagramOptions


def named(name: str, target: socket.socket) -> Address:
    return Address(name, target.getsockname()[1])


# Straight


@pytest.mark.parametrize("host", [HOST, "::1", "::ffff:127.0.0.1"])
def test_a_target_that_is_not_allowed_gets_nothing(host: str) -> None:
    async def story(rig: Rig) -> None:
        rig.judge.refused |= {HOST, "::1", "::ffff:127.0.0.1"}
        packets = rig.packets(SIP022)
        relay = rig.relay(packets)
        client, target = rig.client(relay, packets), rig.socket("::1" if host == "::1" else HOST)
        before = descriptors()
        for _ in range(3):
            await client.say(named(host, target), b"x")
        assert nothing(target)
        assert relay.dropped == {"denied": 3}
        assert rig.judge.asked == 1  # what it said is remembered for a tick
        assert descriptors() == before

    run(story)


def test_a_name_is_judged_by_its_addresses() -> None:
    async def story(rig: Rig) -> None:
        rig.judge.refused.add("::1")
        rig.names.known["both.test"] = ((socket.AF_INET6, "::1"), (socket.AF_INET, HOST))
        rig.names.known["bad.test"] = ((socket.AF_INET6, "::1"),)
        packets = rig.packets(AEAD)
        relay = rig.relay(packets)
        client, target = rig.client(relay, packets), rig.socket()
        await client.say(named("bad.test", target), b"x")
        assert relay.dropped == {"denied": 1}
        await client.say(named("both.test", target), b"the one that is allowed")
        assert (await heard(target))[0] == b"the one that is allowed"

    run(story)


def test_what_was_judged_is_judged_again_after_a_tick() -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(AEAD)
        relay = rig.relay(packets)
        client, target = rig.client(relay, packets), rig.socket()
        await client.say(target, b"one")
        await heard(target)
        rig.judge.refused.add(HOST)
        relay.sweep()
        await client.say(target, b"two")
        assert nothing(target)
        rig.judge.refused.clear()
        relay.sweep()
        await client.say(target, b"three")
        assert (await heard(target))[0] == b"three"

    run(story)


def test_messages_wait_for_a_name_in_their_order() -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(SIP022)
        relay = rig.relay(packets)
        client, target = rig.client(relay, packets), rig.socket()
        for number in range(3):
            await client.say(named("slow.test", target), bytes([number]))
        await client.say(target, b"a literal waits for nobody")
        assert (await heard(target))[0] == b"a literal waits for nobody"
        assert nothing(target)
        rig.names.find("slow.test", HOST)
        assert [(await heard(target))[0] for _ in range(3)] == [bytes([number]) for number in range(3)]
        await client.say(named("slow.test", target), b"known now")
        assert (await heard(target))[0] == b"known now"
        assert rig.crowd.counts().up_packets == 5

    run(story)


def test_no_more_than_a_few_wait() -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(AEAD)
        relay = rig.relay(packets)
        client, target = rig.client(relay, packets), rig.socket()
        for number in range(HELD_MOST + 5):
            await client.say(named("slow.test", target), bytes([number]))
        assert relay.dropped == {"limit": 5}
        rig.names.find("slow.test", HOST)
        await rig.settle()
        assert [(await heard(target))[0][0] for _ in range(HELD_MOST)] == list(range(HELD_MOST))
        await client.say(named("other.test", target), b"there is room again")
        assert relay.dropped == {"limit": 5}

    run(story)


def test_a_name_that_does_not_exist_is_counted() -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(AEAD)
        relay = rig.relay(packets)
        client, target = rig.client(relay, packets), rig.socket()
        await client.say(named("none.test", target), b"x")
        rig.names.find("none.test")
        await rig.settle()
        assert relay.dropped == {"no_name": 1}
        assert len(relay.sessions) == 1

    run(story)


def test_a_session_that_ended_waits_for_nothing() -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(AEAD)
        relay = rig.relay(packets)
        client, target = rig.client(relay, packets), rig.socket()
        await client.say(named("slow.test", target), b"x")
        relay.evict()
        before = descriptors()
        rig.names.find("slow.test", HOST)
        await rig.settle()
        assert nothing(target)
        assert descriptors() == before

    run(story)


def test_a_look_up_that_fails_for_a_session_that_ended_is_no_matter(caplog: pytest.LogCaptureFixture) -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(AEAD)
        relay = rig.relay(packets)
        client, target = rig.client(relay, packets), rig.socket()
        await client.say(named("none.test", target), b"x")
        relay.evict()
        rig.names.find("none.test")
        await rig.settle()
        assert not relay.dropped

    run(story)
    gc.collect()
    assert not caplog.records  # asyncio complains of exceptions that nobody asked for


def test_a_name_is_read_only_once_it_is_whole() -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets("none")
        relay = rig.relay(packets)
        client = rig.client(relay, packets)
        await client.send(b"\3\4\xff\xfe\xfd\xfc\0\x35x")  # not UTF-8
        assert relay.dropped == {"malformed": 1}
        assert not rig.names.waiting

    run(story)


def test_routes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(rig: Rig) -> None:
        monkeypatch.setattr(backs, "ROUTES_MOST", 8)
        packets = rig.packets(AEAD)
        relay = rig.relay(packets)
        client, target = rig.client(relay, packets), rig.socket()
        rig.judge.refused |= {f"192.0.2.{number}" for number in range(100)}
        for number in range(100):
            await client.say(Address(f"192.0.2.{number}", 9), b"x")
            await client.say(Address(f"127.0.0.{number + 1}", target.getsockname()[1]), b"x")
        back: Any = relay.back
        assert len(back._routes) + len(back._refusals) <= 8

    assert ROUTES_MOST > 8
    run(story)


def test_without_a_descriptor_the_oldest_session_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(AEAD)
        relay = rig.relay(packets)
        old, new, target = rig.client(relay, packets), rig.client(relay, packets), rig.socket()
        await old.say(target, b"x")
        await heard(target)
        full = True

        def make(options: DatagramOptions, *, towards: int) -> Any:
            if full:
                raise OSError(errno.EMFILE, "too many open files")
            return open_outlet(options, towards=towards)

        monkeypatch.setattr(backs, "open_outlet", make)
        await new.say(target, b"lost")
        assert relay.dropped == {"limit": 1}
        assert [word for word, *_ in rig.ended] == ["crowded"]
        full = False
        await new.say(target, b"not lost")
        assert (await heard(target))[0] == b"not lost"

    run(story)


# Through a server


@pytest.mark.parametrize("way", ["plain", "auto"])
@pytest.mark.parametrize("far_method", METHODS)
@pytest.mark.parametrize("near_method", [AEAD, SIP022])
def test_a_chain_there_and_back(near_method: str, far_method: str, way: str) -> None:
    async def story(rig: Rig) -> None:
        far_packets, near_packets = rig.packets(far_method), rig.packets(near_method)
        far = rig.relay(far_packets)
        near = rig.relay(near_packets, rig.way_through(far, far_packets))
        client, target = rig.client(near, near_packets), rig.socket()
        for payload in (b"one", b"", os.urandom(1400), os.urandom(9000)):
            await client.say(target, payload)
            got, outlet = await heard(target)
            assert got == payload
            target.sendto(payload[::-1], outlet)
            assert await client.hear() == (Address(*target.getsockname()), payload[::-1])
        assert rig.crowd.counts().dropped == {}

    run(story, way)


def test_each_client_has_a_session_with_the_server() -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(SIP022)
        far = rig.relay(packets)
        near = rig.relay(rig.packets("none"), rig.way_through(far, packets))
        plain, target = rig.packets("none"), rig.socket()
        clients = [rig.client(near, plain) for _ in range(3)]
        for client in clients:
            await client.say(target, b"x")
        outlets = {(await heard(target))[1] for _ in clients}
        assert len(outlets) == len(far.sessions) == len(near.sessions) == 3

    run(story)


def test_a_server_with_a_name_is_looked_up() -> None:
    async def story(rig: Rig) -> None:
        packets, plain = rig.packets(AEAD), rig.packets("none")
        far = rig.relay(packets)
        near = rig.relay(plain, rig.way_through(far, packets, "server.test"))
        client, target = rig.client(near, plain), rig.socket()
        for number in range(3):
            await client.say(target, bytes([number]))
        assert nothing(target)
        rig.names.find("server.test", HOST)
        assert [(await heard(target))[0][0] for _ in range(3)] == [0, 1, 2]

    run(story)


def test_an_answer_of_somebody_else_is_dropped() -> None:
    async def story(rig: Rig) -> None:
        packets, plain = rig.packets(SIP022), rig.packets("none")
        far = rig.relay(packets)
        near = rig.relay(plain, rig.way_through(far, packets))
        client, target = rig.client(near, plain), rig.socket()
        await client.say(target, b"x")
        _, outlet = await heard(target)
        [session] = near.sessions.values()
        assert session.outlet is not None
        forger = rig.socket()
        forger.sendto(b"\1\x7f\0\0\1\0\x35forged", session.outlet.sock.getsockname())
        far.front.sock.sendto(b"not sealed", session.outlet.sock.getsockname())
        await rig.settle()
        assert near.dropped == {"malformed": 1}  # the server's; the forger's never passed the connected socket
        target.sendto(b"the answer", outlet)
        assert (await client.hear())[1] == b"the answer"

    run(story)


def test_a_server_that_is_away_is_no_end() -> None:
    async def story(rig: Rig) -> None:
        packets, plain = rig.packets(AEAD), rig.packets("none")
        far = rig.relay(packets)
        port = far.front.sock.getsockname()
        near = rig.relay(plain, rig.way_through(far, packets))
        client, target = rig.client(near, plain), rig.socket()
        far.close()
        rig.reactor.settle()
        for _ in range(3):
            await client.say(target, b"lost")
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(port)
        sock.setblocking(False)
        await client.say(target, b"x")
        assert len((await heard(sock))[0]) > 16
        sock.close()
        assert len(near.sessions) == 1

    run(story)


def test_a_server_without_a_way_to_it_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(rig: Rig) -> None:
        packets, plain = rig.packets(AEAD), rig.packets("none")
        far = rig.relay(packets)
        near = rig.relay(plain, rig.way_through(far, packets))
        made = []

        def unreachable(options: DatagramOptions, *, towards: int, family: int = 0) -> Any:
            sock = Unreachable(family, socket.SOCK_DGRAM)
            made.append(sock)
            return sock

        monkeypatch.setattr(backs, "open_outlet", unreachable)
        client = rig.client(near, plain)
        await client.say(Address(HOST, 9), b"x")
        assert near.dropped == {"unreachable": 1}
        assert [sock.fileno() for sock in made] == [-1]

    run(story)


class Unreachable(socket.socket):
    """A socket of a host that has no network."""

    def connect_ex(self, _address: Any) -> int:
        return errno.ENETUNREACH


def test_look_ups_that_are_cancelled_are_forgotten() -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(AEAD)
        relay = rig.relay(packets)
        client, target = rig.client(relay, packets), rig.socket()
        await client.say(named("slow.test", target), b"x")
        for future in rig.names.waiting["slow.test"]:
            future.cancel()
        await asyncio.sleep(0)
        [session] = relay.sessions.values()
        assert session.held == 0

    run(story)


def descriptors() -> int:
    """How many this process has open."""
    return len(os.listdir("/proc/self/fd"))
