"""pycryptodomex's ciphers, against Salsa20 written out and against OpenSSL."""

from __future__ import annotations

from random import Random
from struct import pack, unpack

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4, CAST5, Blowfish, TripleDES
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher

from shadesocks.crypto.stream_extra import SALSA_RUN, SalsaCounter, feedback, rc4, salsa20
from tests.crypto.test_stream import run

RANDOM = Random("extra")  # noqa: S311 - data
KEY, DATA = RANDOM.randbytes(32), RANDOM.randbytes(3 * SALSA_RUN + 100)
QUARTERS = (
    *((0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11)),
    *((0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14)),
)


def salsa_block(key: bytes, nonce: bytes, number: int) -> bytes:
    """One block of Salsa20/20, from Bernstein's specification."""
    k, c = unpack("<8I", key), unpack("<4I", b"expand 32-byte k")
    start = [c[0], *k[:4], c[1], *unpack("<2I", nonce), number & 0xFFFFFFFF, number >> 32, c[2], *k[4:], c[3]]
    x = list(start)
    for _ in range(10):
        for i, j, m, n in QUARTERS:
            for to, one, other, by in ((j, i, n, 7), (m, j, i, 9), (n, m, j, 13), (i, n, m, 18)):
                total = x[one] + x[other] & 0xFFFFFFFF
                x[to] ^= (total << by | total >> 32 - by) & 0xFFFFFFFF
    return pack("<16I", *(now + was & 0xFFFFFFFF for now, was in zip(x, start, strict=True)))


def salsa_stream(nonce: bytes, size: int) -> bytes:
    return b"".join(salsa_block(KEY, nonce, number) for number in range(-(-size // 64)))[:size]


def test_the_core_is_salsas() -> None:
    """The eSTREAM set: 256-bit key 80 00..., nonce 0, the first bytes of the stream."""
    block = salsa_block(b"\x80" + bytes(31), bytes(8), 0)
    assert block[:16].hex() == "e3be8fdd8beca2e3ea8ef9475b29a6e7"


def test_salsa20() -> None:
    nonce = DATA[:8]
    assert run(salsa20(KEY, nonce), bytes(3000), 1) == salsa_stream(nonce, 3000)


@pytest.mark.parametrize("nonce", [1, 0xFF, (1 << 64) - 2])
def test_salsa20_ctr(nonce: int) -> None:
    """Each 16 KiB another nonce, the next number; the counter of blocks begins again."""
    size = 2 * SALSA_RUN + 70
    runs = [((nonce + number) % (1 << 64)).to_bytes(8, "little") for number in range(3)]
    wanted = b"".join(salsa_stream(one, SALSA_RUN) for one in runs)[:size]
    update = SalsaCounter(KEY, runs[0])
    assert (
        run(update, bytes(SALSA_RUN - 1)) + run(update, bytes(2)) + run(update, bytes(size - SALSA_RUN - 1)) == wanted
    )
    assert run(SalsaCounter(KEY, runs[0]), bytes(size)) == wanted
    assert run(SalsaCounter(KEY, runs[0]), bytes(size), 3) == wanted


@pytest.mark.parametrize(
    ("name", "algorithm"), [("Blowfish", Blowfish), ("CAST", CAST5), ("DES", lambda key: TripleDES(key * 3))]
)
def test_what_stands_in_for_openssl_is_the_same(name: str, algorithm: type[BlockCipherAlgorithm]) -> None:
    key, iv = KEY[: 8 if name == "DES" else 16], DATA[:8]
    sealed = Cipher(algorithm(key), CFB(iv)).encryptor().update(DATA)  # type: ignore[call-arg]  # each takes a key
    cipher = feedback(name, key)
    for seed in (None, 1, 2):
        assert run(cipher.seal(iv), DATA, seed) == sealed
        assert run(cipher.open(iv), sealed, seed) == DATA


def test_rc4() -> None:
    assert run(rc4(KEY[:16]), DATA, 1) == Cipher(ARC4(KEY[:16]), None).encryptor().update(DATA)
