"""Datagrams from anybody, and from somebody with the key: opened or refused, and nothing else ever happens.

`tests/wire/talking.py` watches, whatever the outcome, that nothing is written but where it may be.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shadesocks.core.address import Address
from shadesocks.core.errors import RemoteProtocolError
from shadesocks.wire.packet import PacketShadow
from shadesocks.wire.packet_plain import SOCKS5_PACKETS
from shadesocks.wire.shadow import NO_QUIRKS, Quirks
from tests.fuzz.test_parsers import ADDRESS, is_declared
from tests.fuzz.test_streams import DAMAGE, damaged
from tests.wire.codecs import AEAD, AEAD2022, packets_of
from tests.wire.crafting import craft, down, up
from tests.wire.talking import Client, Heard, Server, sealed

NOW: Final = 1_700_000_000
CLIENT_ID: Final = b"client-1"
TARGET: Final = Address("target.example", 443)

STREAMS: Final = ("aes-256-cfb", "rc4-md5-6", "chacha20", "rc4")
OTA: Final = Quirks(one_time_auth=True)

FORMATS: Final[dict[str, Callable[[], PacketShadow]]] = {
    "socks5": lambda: SOCKS5_PACKETS,
    "none": partial(packets_of, "none"),
    **{name: partial(packets_of, name) for name in (*AEAD, *AEAD2022, *STREAMS)},
    **{f"{name}, one-time auth": partial(packets_of, name, quirks=OTA) for name in STREAMS},
}
OPEN: Final = {"none", "socks5", *STREAMS, *(f"{name}, one-time auth" for name in STREAMS)}
"""Formats in which any bytes may be good by chance."""
formats = pytest.mark.parametrize("name", FORMATS)
sealed_formats = pytest.mark.parametrize("name", [*AEAD, *AEAD2022])

TARGETS: Final = st.builds(
    Address,
    st.sampled_from(["192.0.2.1", "2001:db8::1", "target.example", "x" * 255]),
    st.sampled_from([0, 53, 443, 65535]),
)
PACKETS: Final = st.one_of(
    st.binary(max_size=200),
    st.builds(bytes.__add__, st.just(b"\0\0\0"), ADDRESS),
    st.builds(bytes.__add__, ADDRESS, st.binary(max_size=60)),
)
MESSAGES: Final = st.one_of(st.binary(max_size=60), st.builds(bytes.__add__, ADDRESS, st.binary(max_size=60)))


def heard_by(hears: Callable[[bytes, int], Heard], packet: bytes) -> Heard | None:
    """Return what a packet gives, None when it is refused with a word of the tables."""
    try:
        return hears(packet, NOW)
    except RemoteProtocolError as error:
        assert is_declared(error.code)  # noqa: PT017 - one of two ends
        return None


@formats
@given(packets=st.lists(PACKETS, max_size=5))
@example(packets=[b""])
def test_noise(name: str, packets: list[bytes]) -> None:
    """What is not sealed may be good by chance, and then nothing of it is lost; what is sealed never is."""
    server, client = Server(FORMATS[name]()), Client(FORMATS[name]())
    for packet in packets:
        for hears in (server.hears, client.hears):
            heard = heard_by(hears, packet)
            if heard is not None:
                assert name in OPEN
                if name not in ("none", "socks5"):
                    continue
                assert packet.endswith(heard.address + heard.payload)
                assert len(packet) == len(heard.address + heard.payload) + (3 if name == "socks5" else 0)


@formats
@given(target=TARGETS, payloads=st.lists(st.binary(max_size=300), min_size=1, max_size=4))
def test_good_packets(name: str, target: Address, payloads: list[bytes]) -> None:
    client, server = Client(FORMATS[name]()), Server(FORMATS[name]())
    for payload in payloads:
        heard = server.hears(client.says(target, payload, NOW), NOW)
        assert (heard.target, heard.payload) == (target, payload)
        heard = client.hears(server.says(target, payload, NOW), NOW)
        assert (heard.target, heard.payload) == (target, payload)


@sealed_formats
@given(payload=st.binary(max_size=60), damage=DAMAGE)
def test_damaged_packets_are_refused(name: str, payload: bytes, damage: list[tuple[str, float, bytes]]) -> None:
    """Unless the damage undoes itself; the whole packet then or later is good."""
    client, server = Client(FORMATS[name]()), Server(FORMATS[name]())
    for says, hears in ((client.says, server.hears), (server.says, client.hears)):
        packet = says(TARGET, payload, NOW)
        spoiled = damaged(packet, damage)
        if spoiled != packet:
            assert heard_by(hears, spoiled) is None
        assert hears(packet, NOW).payload == payload


@pytest.mark.parametrize("quirks", [NO_QUIRKS, OTA])
@pytest.mark.parametrize("name", STREAMS)
@given(message=MESSAGES)
def test_stream_ciphers_with_the_key_and_any_plaintext(name: str, message: bytes, quirks: Quirks) -> None:
    """Whatever is heard was said, and only where a hash was not wanted, or is there."""
    packet = sealed(packets_of(name).join(), message, len(message), NOW)
    for hears in (Server(packets_of(name, quirks=quirks)).hears, Client(packets_of(name)).hears):
        heard = heard_by(hears, packet)
        if heard is not None:
            assert heard.address + heard.payload == message


@given(payload=st.binary(max_size=60), damage=DAMAGE)
def test_one_time_auth_of_damaged_packets(payload: bytes, damage: list[tuple[str, float, bytes]]) -> None:
    packets = packets_of("chacha20", quirks=OTA)
    packet = Client(packets).says(TARGET, payload, NOW)
    spoiled = damaged(packet, damage)
    if spoiled != packet:
        assert heard_by(Server(packets).hears, spoiled) is None
    assert Server(packets).hears(packet, NOW).payload == payload


@pytest.mark.parametrize("name", AEAD)
@given(message=MESSAGES)
def test_aead_with_the_key_and_any_plaintext(name: str, message: bytes) -> None:
    packet = sealed(packets_of(name).join(), message, len(message), NOW)
    for hears in (Server(packets_of(name)).hears, Client(packets_of(name)).hears):
        heard = heard_by(hears, packet)
        if heard is not None:
            assert heard.address + heard.payload == message


@pytest.mark.parametrize("name", AEAD2022)
@given(body=st.binary(max_size=80), packet_id=st.integers(0, 2**64 - 1))
def test_aead_2022_with_the_key_and_any_body(name: str, body: bytes, packet_id: int) -> None:
    packet = craft(name, CLIENT_ID, packet_id, body)
    for hears in (Server(packets_of(name)).hears, Client(packets_of(name)).hears):
        assert heard_by(hears, packet) is None, "a time stamp of today by chance"


@pytest.mark.parametrize("name", AEAD2022)
@given(
    kind=st.one_of(st.sampled_from([0, 1]), st.integers(0, 255)),
    stamp=st.one_of(st.integers(NOW - 35, NOW + 35), st.integers(0, 2**64 - 1)),
    announced=st.one_of(st.none(), st.integers(0, 70), st.integers(0, 0xFFFF)),
    padding=st.binary(max_size=20),
    message=MESSAGES,
)
def test_aead_2022_with_the_key_and_any_header(
    name: str, kind: int, stamp: int, announced: int | None, padding: bytes, message: bytes
) -> None:
    client = Client(packets_of(name, lambda size: CLIENT_ID[:size].ljust(size, b"\0")))
    for wanted, session_id, body, hears in (
        (0, CLIENT_ID, up(stamp, message, padding, kind, announced), Server(packets_of(name)).hears),
        (1, b"server-1", down(stamp, CLIENT_ID, message, padding, kind, announced), client.hears),
    ):
        heard = heard_by(hears, craft(name, session_id, 0, body))
        if kind != wanted or abs(stamp - NOW) > 30:
            assert heard is None
        if heard is not None:
            size = len(padding) if announced is None else announced
            assert heard.address + heard.payload == (padding + message)[size:]
