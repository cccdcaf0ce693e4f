"""Stream ciphers: their state runs on over pieces of any size, and a second library has the same bytes.

`tests/vectors/stream.json` has known answers for all but salsa20-ctr, which `test_stream_extra.py` computes.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import md5
from random import Random
from typing import Any

import pytest
from Cryptodome.Cipher import AES, ARC4, CAST, DES, Blowfish, ChaCha20

from shadesocks.crypto.methods import METHODS
from shadesocks.crypto.stream import CIPHERS, StreamKey, Update
from tests.wire.codecs import STREAM

DATA = Random("stream").randbytes(6000)  # noqa: S311 - data


def cipher_of(name: str) -> StreamKey:
    return CIPHERS[METHODS[name].cipher](key_of(name))


def key_of(name: str) -> bytes:
    return DATA[-METHODS[name].key_size or -9 :]


def iv_of(name: str) -> bytes:
    return DATA[100 : 100 + METHODS[name].salt_size]


def run(update: Update, data: bytes, seed: int | None = None) -> bytes:
    """Put data through, whole or in pieces of 0 to 300 bytes; nothing is written behind a result."""
    random = Random(seed)  # noqa: S311 - sizes
    made, at = bytearray(), 0
    while at < len(data):
        size = len(data) if seed is None else random.choice((0, 1, 2, 7, 8, 15, 16, 17, random.randint(1, 300)))
        piece = data[at : at + size]
        room = bytearray(b"\xee" * (len(piece) + 9))
        update(memoryview(piece) if random.random() < 0.5 else piece, memoryview(room))
        assert room.endswith(b"\xee" * 9)
        made += room[: len(piece)]
        at += size
    return bytes(made)


@pytest.mark.parametrize("name", STREAM)
def test_pieces_of_any_size(name: str) -> None:
    cipher, iv = cipher_of(name), iv_of(name)
    size = 700 if name.endswith("cfb1") else len(DATA)  # a bit at a time
    data = DATA[:size]
    sealed = run(cipher.seal(iv), data)
    assert len(sealed) == size
    assert sealed != data
    for seed in range(3):
        assert run(cipher.seal(iv), data, seed) == sealed
        assert run(cipher.open(iv), sealed, seed) == data
    assert run(cipher.open(iv), sealed) == data


@pytest.mark.parametrize("name", STREAM)
def test_an_output_of_the_very_size_will_do(name: str) -> None:
    cipher, iv = cipher_of(name), iv_of(name)
    for size in (1, 15, 16, 33):
        sealed, opened = bytearray(size), bytearray(size)
        cipher.seal(iv)(DATA[:size], memoryview(sealed))
        cipher.open(iv)(sealed, memoryview(opened))
        assert opened == DATA[:size]


@pytest.mark.parametrize("name", [name for name in STREAM if METHODS[name].salt_size])
def test_another_iv_is_another_stream(name: str) -> None:
    cipher, iv = cipher_of(name), iv_of(name)
    other = bytes(byte ^ 1 for byte in iv)
    assert run(cipher.seal(iv), DATA[:64]) != run(cipher.seal(other), DATA[:64])


@pytest.mark.parametrize("name", STREAM)
def test_streams_of_one_key_do_not_meet(name: str) -> None:
    """Two at once, in turn: each has a state of its own."""
    cipher, iv = cipher_of(name), iv_of(name)
    whole = run(cipher.seal(iv), DATA[:40])
    one, other = cipher.seal(iv), cipher.seal(iv)
    assert run(one, DATA[:20]) == run(other, DATA[:20])
    assert run(one, DATA[20:40]) == run(other, DATA[20:40]) == whole[20:]


def _cfb(module: Any, segment: int) -> Callable[[bytes, bytes], bytes]:
    return lambda key, iv: bytes(module.new(key, module.MODE_CFB, iv=iv, segment_size=segment).encrypt(DATA))


SECOND: dict[str, Callable[[bytes, bytes], bytes]] = {
    **{f"aes-{bits}-cfb": _cfb(AES, 128) for bits in (128, 192, 256)},
    **{f"aes-{bits}-cfb8": _cfb(AES, 8) for bits in (128, 192, 256)},
    **{f"aes-{bits}-ofb": lambda key, iv: AES.new(key, AES.MODE_OFB, iv=iv).encrypt(DATA) for bits in (128, 192, 256)},
    **{
        f"aes-{bits}-ctr": lambda key, iv: AES.new(key, AES.MODE_CTR, nonce=b"", initial_value=iv).encrypt(DATA)
        for bits in (128, 192, 256)
    },
    "bf-cfb": _cfb(Blowfish, 64),
    "cast5-cfb": _cfb(CAST, 64),
    "des-cfb": _cfb(DES, 64),
    "rc4": lambda key, _iv: ARC4.new(key).encrypt(DATA),
    "rc4-md5": lambda key, iv: ARC4.new(md5(key + iv, usedforsecurity=False).digest()).encrypt(DATA),
    "rc4-md5-6": lambda key, iv: ARC4.new(md5(key + iv, usedforsecurity=False).digest()).encrypt(DATA),
    "chacha20": lambda key, iv: ChaCha20.new(key=key, nonce=iv).encrypt(DATA),
    "chacha20-ietf": lambda key, iv: ChaCha20.new(key=key, nonce=iv).encrypt(DATA),
    # HChaCha20, then a nonce of 8 bytes: the library's has 12, the first four of them zero, which is the same.
    "xchacha20": lambda key, iv: ChaCha20.new(key=key, nonce=iv).encrypt(DATA),
}


@pytest.mark.parametrize("name", SECOND)
def test_another_library_has_the_same_bytes(name: str) -> None:
    assert run(cipher_of(name).seal(iv_of(name)), DATA) == SECOND[name](key_of(name), iv_of(name))


def test_a_key_is_not_shown() -> None:
    assert repr(cipher_of("aes-256-cfb")) == "StreamKey(…)"
