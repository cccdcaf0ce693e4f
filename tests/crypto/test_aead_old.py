"""ChaCha20-Poly1305 with 8-byte nonces: a known answer, and the same from another library."""

from __future__ import annotations

from random import Random

import pytest
from Cryptodome.Cipher import ChaCha20

from shadesocks.crypto.aead import CIPHERS, InvalidTag

RANDOM = Random("old")  # noqa: S311 - data
PRIME = (1 << 130) - 5
CLAMP = 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF


def test_as_libsodium_has_it() -> None:
    """Its test of `crypto_aead_chacha20poly1305`, with additional data."""
    cipher = CIPHERS["chacha20-poly1305-old"](
        bytes.fromhex("4290bcb154173531f314af57f3be3b5006da371ece272afa1b5dbdd1100a1007")
    )
    nonce, data = bytes.fromhex("cd7cf67be39c794a"), bytes.fromhex("87e229d4500845a079c0")
    plain = bytes.fromhex("86d09974840bded2a5ca")
    sealed = bytearray(26)
    assert cipher.encrypt_into(nonce, plain, data, sealed) == 26
    assert sealed.hex() == "e3e446f7ede9a19b62a4677dabf4e3d24b876bb284753896e1d6"
    opened = bytearray(10)
    assert cipher.decrypt_into(nonce, sealed, data, opened) == 10
    assert opened == plain


def poly1305(key: bytes, text: bytes) -> bytes:
    """RFC 8439 §2.5, as arithmetic."""
    r, s = int.from_bytes(key[:16], "little") & CLAMP, int.from_bytes(key[16:], "little")
    total = 0
    for at in range(0, len(text), 16):
        total = (total + int.from_bytes(text[at : at + 16] + b"\1", "little")) * r % PRIME
    return (total + s & (1 << 128) - 1).to_bytes(16, "little")


def second(key: bytes, nonce: bytes, plain: bytes) -> bytes:
    """The construction once more, over another library's ChaCha20."""
    stream = ChaCha20.new(key=key, nonce=nonce)
    tag_key = stream.encrypt(bytes(64))[:32]
    sealed = stream.encrypt(plain)
    return sealed + poly1305(tag_key, bytes(8) + sealed + len(plain).to_bytes(8, "little"))


@pytest.mark.parametrize("size", [0, 1, 2, 15, 16, 17, 63, 64, 65, 0x3FFF])
def test_the_same_from_another_library(size: int) -> None:
    key, nonce, plain = RANDOM.randbytes(32), RANDOM.randbytes(8), RANDOM.randbytes(size)
    cipher, sealed, opened = CIPHERS["chacha20-poly1305-old"](key), bytearray(size + 16), bytearray(size)
    cipher.encrypt_into(nonce, plain, None, sealed)
    assert sealed == second(key, nonce, plain)
    cipher.decrypt_into(nonce, sealed, None, opened)
    assert opened == plain
    for at in {0, size // 2, size, size + 15}:
        spoiled = bytearray(sealed)
        spoiled[at] ^= 1
        with pytest.raises(InvalidTag):
            cipher.decrypt_into(nonce, spoiled, None, opened)
