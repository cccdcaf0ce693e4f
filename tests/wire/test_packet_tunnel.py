"""Datagrams of a tunnel: bare on this side, to one target on the other."""

from __future__ import annotations

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import LocalProtocolError, RemoteProtocolError
from shadesocks.wire.packet import HEADROOM, PACKET_MAX
from shadesocks.wire.packet_tunnel import TunnelPackets

TARGETS = [Address("192.0.2.1", 53), Address("target.example", 443), Address("2001:db8::1", 5353)]
MAPPED = b"\x04" + bytes(10) + b"\xff\xff\xc0\x00\x02\x01"


def opened(tunnel: TunnelPackets, packet: bytes) -> tuple[bytes, bytes]:
    """The address and the payload of what a client sent, with nothing written around them."""
    out = memoryview(bytearray(b"\xee" * (HEADROOM + 300 + PACKET_MAX)))
    assert tunnel.identify(memoryview(packet), "somebody", out, HEADROOM) == "somebody"
    start, payload, end = tunnel.meet("somebody").open(memoryview(packet), out, HEADROOM, 0)
    assert start == HEADROOM
    assert set(out[:start]) | set(out[end:]) == {0xEE}
    return bytes(out[start:payload]), bytes(out[payload:end])


def sealed(tunnel: TunnelPackets, sender: bytes, payload: bytes) -> bytes:
    """What a client gets of a message from that sender."""
    message = memoryview(bytes(HEADROOM) + sender + payload)
    out = memoryview(bytearray(PACKET_MAX + 10))
    body = HEADROOM + len(sender)
    end = tunnel.seal(message, (HEADROOM, body, len(message)), out, 7, 0)
    assert set(out[:7]) | set(out[end:]) == {0}
    return bytes(out[7:end])


@pytest.mark.parametrize("payload", [b"", b"question", b"p" * 65_507], ids=len)
@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_there_and_back(target: Address, payload: bytes) -> None:
    tunnel = TunnelPackets(target)
    assert opened(tunnel, payload) == (target.pack(), payload)
    assert sealed(tunnel, target.pack(), payload) == payload


def test_a_mapped_sender_is_the_address_that_it_means() -> None:
    assert sealed(TunnelPackets(TARGETS[0]), MAPPED + b"\0\x35", b"answer") == b"answer"


def test_any_address_may_be_the_name_s_but_no_other_port() -> None:
    tunnel = TunnelPackets(TARGETS[1])
    assert sealed(tunnel, Address("198.51.100.7", 443).pack(), b"answer") == b"answer"
    with pytest.raises(RemoteProtocolError, match="stray"):
        sealed(tunnel, Address("198.51.100.7", 444).pack(), b"answer")


@pytest.mark.parametrize(
    "sender",
    [Address("192.0.2.1", 54), Address("192.0.2.2", 53), Address("::1", 53), Address("target.example", 53)],
    ids=str,
)
def test_what_another_sent_is_dropped(sender: Address) -> None:
    with pytest.raises(RemoteProtocolError, match="stray"):
        sealed(TunnelPackets(TARGETS[0]), sender.pack(), b"answer")


def test_a_target_without_a_form_on_the_wire_is_told_at_once() -> None:
    with pytest.raises(LocalProtocolError):
        TunnelPackets(Address("a b", 53))
