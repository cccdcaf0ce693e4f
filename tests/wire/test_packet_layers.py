"""Datagrams in datagrams: what each hop sees, what comes back, and from whom."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Final

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import LimitError, RemoteProtocolError
from shadesocks.wire.packet import HEADROOM, PACKET_MAX, Talk
from shadesocks.wire.packet_layers import BUFFER_SIZE, Layer, LayeredTalk
from shadesocks.wire.packet_plain import SOCKS5_PACKETS
from tests.wire.codecs import packets_of

if TYPE_CHECKING:
    from shadesocks.wire.packet import PacketHost

NOW: Final = 1_700_000_000
KINDS: Final = ("socks5", "none", "aes-256-gcm", "2022-blake3-aes-128-gcm", "2022-blake3-chacha20-poly1305")
CHAINS: Final = (*itertools.product(KINDS, repeat=2), *itertools.permutations(KINDS, 3))
TARGET: Final = Address("target.example", 53)
HOPS: Final = (Address("192.0.2.1", 1), Address("2001:db8::2", 2), Address("192.0.2.3", 3))


class Hop:
    """One hop: takes its layer off, and puts it on again."""

    def __init__(self, kind: str) -> None:
        packets = SOCKS5_PACKETS if kind == "socks5" else packets_of(kind)
        self.join = packets.join
        self.host: PacketHost = packets.host()
        self.talk: Talk | None = None

    def up(self, packet: bytes) -> tuple[bytes, bytes]:
        """Return the address and the payload of a packet."""
        out = buffer()
        key = self.host.identify(memoryview(packet), "us", out, HEADROOM)
        self.talk = self.talk or self.host.meet(key)
        start, payload, end = self.talk.open(memoryview(packet), out, HEADROOM, NOW)
        return bytes(out[start:payload]), bytes(out[payload:end])

    def down(self, address: bytes, payload: bytes) -> bytes:
        assert self.talk is not None
        return seal(self.talk, address, payload)


def buffer() -> memoryview:
    return memoryview(bytearray(BUFFER_SIZE + HEADROOM))


def seal(talk: Talk, address: bytes, payload: bytes) -> bytes:
    source, out = buffer(), buffer()
    begin = HEADROOM + len(address)
    end = begin + len(payload)
    source[HEADROOM:end] = address + payload
    return bytes(out[: talk.seal(source, (HEADROOM, begin, end), out, 0, NOW)])


def hear(talk: Talk, packet: bytes) -> tuple[bytes, bytes]:
    out = buffer()
    start, payload, end = talk.open(memoryview(packet), out, HEADROOM, NOW)
    return bytes(out[start:payload]), bytes(out[payload:end])


def layered(hops: list[Hop], *, strict: bool = True) -> LayeredTalk:
    buffers = memoryview(bytearray(BUFFER_SIZE)), memoryview(bytearray(BUFFER_SIZE))
    layers = [Layer(hop.join(), to.pack(), strict) for hop, to in zip(hops, HOPS, strict=False)]
    return LayeredTalk(layers, buffers)


@pytest.mark.parametrize(
    "kinds", [*itertools.product(KINDS, repeat=2), *itertools.permutations(KINDS, 3)], ids="+".join
)
def test_there_and_back(kinds: tuple[str, ...]) -> None:
    hops = [Hop(kind) for kind in kinds]
    talk = layered(hops)
    for payload in (b"query", b"", os.urandom(9000)):
        packet = seal(talk, TARGET.pack(), payload)
        for number, hop in enumerate(hops):
            address, packet = hop.up(packet)
            assert address == ([*HOPS[: len(hops)], TARGET][number + 1]).pack()
        assert packet == payload
        sender, answer = TARGET.pack(), payload[::-1]
        for number, hop in reversed(list(enumerate(hops))):
            answer = hop.down(sender, answer)
            sender = HOPS[number].pack()
        assert hear(talk, answer) == (TARGET.pack(), payload[::-1])


def test_what_another_than_the_next_hop_sends_is_refused() -> None:
    """A SOCKS5 proxy proves nothing but its address, which the hop before it tells."""
    hops = [Hop("aes-256-gcm"), Hop("socks5")]
    talk = layered(hops)
    for hop, packet in zip(hops, (seal(talk, TARGET.pack(), b"x"), b"\0\0\0" + TARGET.pack()), strict=True):
        hop.up(packet)
    answer = hops[1].down(TARGET.pack(), b"forged")
    for other in (Address("192.0.2.66", 2), Address("2001:db8::2", 3)):
        with pytest.raises(RemoteProtocolError) as refused:
            hear(talk, hops[0].down(other.pack(), answer))
        assert refused.value.code == "bad_hop"
    assert hear(talk, hops[0].down(HOPS[1].pack(), answer)) == (TARGET.pack(), b"forged")
    lenient = layered(hops, strict=False)
    assert hear(lenient, hops[0].down(TARGET.pack(), answer))[1] == b"forged"


def test_what_cannot_be_sent_is_too_large() -> None:
    talk = layered([Hop("socks5"), Hop("2022-blake3-aes-128-gcm"), Hop("aes-256-gcm")])
    most = PACKET_MAX - 200
    assert len(seal(talk, TARGET.pack(), bytes(most))) < PACKET_MAX
    for size in (PACKET_MAX - 60, PACKET_MAX - len(TARGET.pack())):
        with pytest.raises(LimitError) as refused:
            seal(talk, TARGET.pack(), bytes(size))
        assert refused.value.code == "too_large"
