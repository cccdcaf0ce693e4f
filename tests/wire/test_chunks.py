"""Chunks: sizes at the edges, what is refused, and what a start owes."""

from __future__ import annotations

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import AuthenticationError, RemoteProtocolError
from shadesocks.crypto.methods import METHODS
from shadesocks.wire.chunks import OVERHEAD, Opener, Sealer, sealed_size

from .codecs import SEALED
from .hearing import say

TARGET = Address("target.example", 443)


def keyed_pair(name: str) -> tuple[Sealer, Opener]:
    """A sealer and an opener of one key, whose start writes nothing."""
    method = METHODS[name]
    key = bytes(method.key_size)

    def start(sealer: Sealer, _source: memoryview, _size: int, _out: memoryview) -> tuple[int, int]:
        sealer.rekey(key)
        return 0, 0

    opener = Opener(method, None)
    opener.rekey(key)
    return Sealer(method, start, owes=False), opener


@pytest.mark.parametrize("name", SEALED)
def test_sizes_at_the_edges_come_back(name: str) -> None:
    most = METHODS[name].max_payload
    sealer, opener = keyed_pair(name)
    for size in (0, 1, 2, most - 1, most, most + 1, 2 * most, 2 * most + 1):
        payload = bytes(range(256)) * (size // 256 + 1)
        stream = say(sealer, [payload[:size]])
        assert len(stream) == sealed_size(METHODS[name], size)
        out = memoryview(bytearray(len(stream)))
        used, made = opener.open(memoryview(stream), len(stream), out)
        assert (used, bytes(out[:made])) == (len(stream), payload[:size])
        assert opener.clean


@pytest.mark.parametrize("name", SEALED)
def test_an_incomplete_chunk_is_left_for_the_next_call(name: str) -> None:
    sealer, opener = keyed_pair(name)
    stream = say(sealer, [b"first", b"second"])
    out = memoryview(bytearray(len(stream)))
    held, got = b"", b""
    for at in range(len(stream)):
        held += stream[at : at + 1]
        used, made = opener.open(memoryview(held), len(held), out)
        held = held[used:]
        got += bytes(out[:made])
    assert (got, held, opener.clean) == (b"firstsecond", b"", True)


def test_a_size_field_alone_is_not_a_clean_end() -> None:
    sealer, opener = keyed_pair("aes-128-gcm")
    stream = say(sealer, [b"payload"])
    opener.open(memoryview(stream), 18, memoryview(bytearray(64)))
    assert not opener.clean


@pytest.mark.parametrize("name", SEALED)
def test_a_flip_anywhere_is_refused(name: str) -> None:
    stream = say(keyed_pair(name)[0], [b"payload"])
    for at in range(len(stream)):
        spoiled = bytearray(stream)
        spoiled[at] ^= 1
        with pytest.raises(AuthenticationError):
            keyed_pair(name)[1].open(memoryview(spoiled), len(spoiled), memoryview(bytearray(64)))


def test_a_size_beyond_the_reserved_bits_is_refused() -> None:
    """SIP004: the two top bits are zero; with a good tag as with a bad one."""
    sealer, opener = keyed_pair("aes-128-gcm")
    say(sealer, [b""])
    out = bytearray(18)
    sealer.put(b"\x40\x00", memoryview(out), 0)
    with pytest.raises(RemoteProtocolError, match="length too large"):
        opener.open(memoryview(out), len(out), memoryview(bytearray(64)))


@pytest.mark.parametrize("crossing", [1 << 16, 1 << 32])
def test_the_nonce_counter_carries(crossing: int) -> None:
    """T5: a counter that wrapped would use a nonce twice; here it goes on, and both sides agree."""
    sealer, opener = keyed_pair("aes-256-gcm")
    say(sealer, [b""])
    sealer._count = opener._count = crossing - 2
    seen = set()
    for turn in range(4):
        stream = say(sealer, [b"same"])
        seen.add(stream)
        out = memoryview(bytearray(64))
        assert opener.open(memoryview(stream), len(stream), out) == (len(stream), 4), turn
    assert len(seen) == 4
    assert sealer._count == crossing + 6


def test_overhead_is_what_a_chunk_adds() -> None:
    assert sealed_size(METHODS["aes-128-gcm"], 1) == 1 + OVERHEAD
