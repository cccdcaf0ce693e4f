"""Datagrams in clear: method none, and SOCKS5 with its three bytes more."""

from __future__ import annotations

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import RemoteProtocolError
from shadesocks.wire.packet import PACKET_MAX
from shadesocks.wire.packet_plain import SOCKS5_PACKETS, PlainPackets

from .codecs import packets_of
from .talking import Client, Server, word_of

TARGETS = [Address("192.0.2.1", 53), Address("target.example", 443), Address("2001:db8::1", 5353)]
FORMATS = {"none": PlainPackets(), "socks5": SOCKS5_PACKETS}
HEADS = {"none": b"", "socks5": b"\0\0\0"}


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize("name", FORMATS)
def test_both_ways(name: str, target: Address) -> None:
    client, server = Client(FORMATS[name]), Server(FORMATS[name])
    request = client.says(target, b"question")
    assert request == HEADS[name] + target.pack() + b"question"
    heard = server.hears(request)
    assert (heard.target, heard.payload) == (target, b"question")
    answer = server.says(target, b"answer")
    assert answer == HEADS[name] + target.pack() + b"answer"
    heard = client.hears(answer)
    assert (heard.target, heard.payload) == (target, b"answer")


@pytest.mark.parametrize("size", [0, 1, PACKET_MAX - 7 - 3])
@pytest.mark.parametrize("name", FORMATS)
def test_sizes_at_the_edges(name: str, size: int) -> None:
    client, server = Client(FORMATS[name]), Server(FORMATS[name])
    packet = client.says(TARGETS[0], b"p" * size)
    assert len(packet) <= PACKET_MAX
    assert server.hears(packet).payload == b"p" * size
    assert client.hears(server.says(TARGETS[0], b"p" * size)).payload == b"p" * size


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize("name", FORMATS)
def test_a_packet_that_ends_in_its_address_is_refused(name: str, target: Address) -> None:
    client, server = Client(FORMATS[name]), Server(FORMATS[name])
    head = HEADS[name] + target.pack()
    for size in range(len(head)):
        assert word_of(server.hears, head[:size]) == word_of(client.hears, head[:size]) == "truncated_header", size
    assert server.hears(head).payload == client.hears(head).payload == b""


@pytest.mark.parametrize("address", [b"\x02\x01\x01\x01\x01\0\x50", b"\x03\x00\0\x50", b"\x11" + bytes(6)])
@pytest.mark.parametrize("name", FORMATS)
def test_a_bad_address_is_refused(name: str, address: bytes) -> None:
    assert word_of(Server(FORMATS[name]).hears, HEADS[name] + address) in ("bad_atyp", "empty_domain")


@pytest.mark.parametrize("fragment", range(1, 256))
def test_a_fragment_is_refused(fragment: int) -> None:
    packet = b"\0\0" + bytes((fragment,)) + TARGETS[0].pack() + b"payload"
    assert word_of(Server(SOCKS5_PACKETS).hears, packet) == "fragment"


def test_reserved_bytes_are_not_looked_at() -> None:
    heard = Server(SOCKS5_PACKETS).hears(b"\xff\x01\0" + TARGETS[1].pack() + b"payload")
    assert (heard.target, heard.payload) == (TARGETS[1], b"payload")


def test_nothing_is_kept() -> None:
    """The same packet twice is two packets, and who sent it is its address."""
    packets = packets_of("none")
    server = Server(packets)
    packet = Client(packets).says(TARGETS[0], b"p")
    for source in ("a", "b", "a"):
        server.hears(packet, source=source)
        assert server.last == source
    assert set(server.talks) == {"a", "b"}
    assert packets.idle_min == 0


def test_a_refused_packet_harms_no_later_one() -> None:
    client, server = Client(SOCKS5_PACKETS), Server(SOCKS5_PACKETS)
    packet = client.says(TARGETS[1], b"payload")
    for bad in (b"", packet[:9], b"\0\0\1" + packet[3:], b"\0\0\0\7" + packet[4:]):
        with pytest.raises(RemoteProtocolError):
            server.hears(bad)
    assert not server.talks
    assert server.hears(packet).payload == b"payload"
