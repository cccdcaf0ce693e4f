"""The covers of AEAD-2022 datagrams: what one seals the other opens, and nothing else."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.core.errors import AuthenticationError, RemoteProtocolError
from shadesocks.crypto.methods import METHODS, Edition, Method
from shadesocks.crypto.random import draw
from shadesocks.wire.packet_aead2022_cover import BODY_MIN, COVERS, ID_SIZE, Cover, Gcm

ALL: Final = [
    pytest.param(method, id=method.name)
    for method in METHODS.values()
    if method.edition is Edition.AEAD2022 and method.cipher in COVERS
]
SEPARATES: Final = st.binary(min_size=16, max_size=16)
BODIES: Final = st.binary(min_size=BODY_MIN, max_size=1500)


def cover(method: Method, letter: bytes = b"k") -> Cover:
    return COVERS[method.cipher](method, letter * method.key_size, draw)


def sealed(one: Cover, separate: bytes, body: bytes) -> bytes:
    out = memoryview(bytearray(2000))
    return bytes(out[: one.seal(one.key(separate[:ID_SIZE]), separate, memoryview(body), out, 0)])


def opened(other: Cover, packet: bytes) -> tuple[bytes, bytes]:
    """Return separate header and body."""
    out, at = memoryview(bytearray(2100)), 50
    session = other.identify(memoryview(packet), None, out, at)
    assert session == other.separate[:ID_SIZE]
    return other.separate, bytes(out[at : other.open(other.key(session), memoryview(packet), out, at)])


@pytest.mark.parametrize("method", ALL)
@given(separate=SEPARATES, body=BODIES)
def test_what_is_sealed_is_opened(method: Method, separate: bytes, body: bytes) -> None:
    packet = sealed(cover(method), separate, body)
    assert len(packet) == len(body) + cover(method).overhead
    assert opened(cover(method), packet) == (separate, body)


@pytest.mark.parametrize("method", ALL)
@given(separate=SEPARATES, body=BODIES, at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_no_bit_may_differ(method: Method, separate: bytes, body: bytes, at: int, bit: int) -> None:
    packet = bytearray(sealed(cover(method), separate, body))
    packet[at % len(packet)] ^= 1 << bit
    with pytest.raises(AuthenticationError):
        opened(cover(method), bytes(packet))


@pytest.mark.parametrize("method", ALL)
def test_another_key_opens_nothing(method: Method) -> None:
    with pytest.raises(AuthenticationError):
        opened(cover(method, b"x"), sealed(cover(method), bytes(16), bytes(100)))


@pytest.mark.parametrize("method", ALL)
def test_what_is_too_short_for_any_body(method: Method) -> None:
    packet = sealed(cover(method), bytes(16), bytes(BODY_MIN))
    assert opened(cover(method), packet) == (bytes(16), bytes(BODY_MIN))
    for size in range(len(packet)):
        with pytest.raises(RemoteProtocolError) as failed:
            opened(cover(method), packet[:size])
        assert failed.value.code == "truncated_header"


def test_identity_headers_stand_before_the_body() -> None:
    method = METHODS["2022-blake3-aes-128-gcm"]
    plain = Gcm(method, b"u" * 16, draw)
    chained = Gcm(method, b"u" * 16, draw, [b"a" * 16, b"b" * 16])
    packet, short = (sealed(one, bytes(16), bytes(100)) for one in (chained, plain))
    assert len(packet) - len(short) == chained.overhead - plain.overhead == 2 * 16
    assert packet[3 * 16 :] == short[16:]
