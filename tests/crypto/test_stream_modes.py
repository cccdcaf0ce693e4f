"""Modes built on single blocks: against OpenSSL's own where it has them, and against their definition."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from cryptography.hazmat.decrepit.ciphers.modes import CFB8
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR, ECB

from shadesocks.core.address import Buffer
from shadesocks.crypto.stream_modes import Cfb1Opener, Cfb1Sealer, Cfb8Opener, Cfb8Sealer, Counter, xor

RANDOM = Random("modes")  # noqa: S311 - data
KEY, IV, DATA = RANDOM.randbytes(16), RANDOM.randbytes(16), RANDOM.randbytes(9000)
SIZES = (1, 15, 16, 17, 255, 256, 257, 4095, 4096, 4097, 9000)


def encrypt(blocks: Buffer) -> bytes:
    return Cipher(AES(KEY), ECB()).encryptor().update(blocks)  # noqa: S305 - one block


def put(mode: Callable[[Buffer, memoryview], None], data: bytes) -> bytes:
    out = bytearray(len(data))
    mode(data, memoryview(out))
    return bytes(out)


@pytest.mark.parametrize("iv", [IV, b"\xff" * 16, b"\xff" * 15 + b"\x01", b"\0" * 15 + b"\xff"], ids=bytes.hex)
def test_ctr_is_openssls(iv: bytes) -> None:
    """The counter is one number of 16 bytes, which begins again at 0 behind its highest."""
    for size in SIZES:
        native = Cipher(AES(KEY), CTR(iv)).encryptor().update(DATA[:size])
        assert put(Counter(encrypt, iv), DATA[:size]) == native
    mode = Counter(encrypt, iv)
    whole = Cipher(AES(KEY), CTR(iv)).encryptor().update(DATA)
    assert put(mode, DATA[:5]) + put(mode, DATA[5:4500]) + put(mode, DATA[4500:]) == whole


def test_cfb8_is_openssls() -> None:
    for size in SIZES[:8]:
        sealed = Cipher(AES(KEY), CFB8(IV)).encryptor().update(DATA[:size])
        assert put(Cfb8Sealer(encrypt, IV), DATA[:size]) == sealed
        assert put(Cfb8Opener(encrypt, IV), sealed) == DATA[:size]


def test_cfb1_as_nist_has_it() -> None:
    """SP 800-38A §F.3.1, CFB1-AES128: 16 bits."""
    cipher = Cipher(AES(bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")), ECB()).encryptor()  # noqa: S305 - one block
    iv, plain, sealed = bytes(range(16)), bytes.fromhex("6bc1"), bytes.fromhex("68b3")
    assert put(Cfb1Sealer(cipher.update, iv), plain) == sealed
    assert put(Cfb1Opener(cipher.update, iv), sealed) == plain


def cfb1(data: bytes) -> bytes:
    """Bit for bit, with texts of 0 and 1."""
    register = "".join(f"{byte:08b}" for byte in IV)
    sealed = ""
    for bit in "".join(f"{byte:08b}" for byte in data):
        key = encrypt(bytes(int(register[at : at + 8], 2) for at in range(0, 128, 8)))[0] >> 7
        sealed += str(int(bit) ^ key)
        register = register[1:] + sealed[-1]
    return bytes(int(sealed[at : at + 8], 2) for at in range(0, len(sealed), 8))


@pytest.mark.parametrize("size", [1, 16, 17, 40])
def test_cfb1_as_it_is_defined(size: int) -> None:
    sealed = cfb1(DATA[:size])
    assert put(Cfb1Sealer(encrypt, IV), DATA[:size]) == sealed
    assert put(Cfb1Opener(encrypt, IV), sealed) == DATA[:size]


def test_xor() -> None:
    assert xor(b"\x0f\xf0\0", b"\xff\0\0") == b"\xf0\xf0\0"
    assert xor(b"", b"") == b""
