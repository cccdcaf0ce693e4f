"""Stream ciphers by name (protocol §4): a key and an IV to what seals or opens a stream. For old peers only.

None of them authenticates anything. Loaded when a server with one of them is made. The hot path is an `Update`, called
on the shared buffers: most are OpenSSL's own, and keep their place inside a block between two calls. What OpenSSL has
not is built on its single blocks in `stream_modes.py`, or comes from pycryptodomex in `stream_extra.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4, CAST5, IDEA, SEED, Blowfish, Camellia, TripleDES
from cryptography.hazmat.decrepit.ciphers.modes import CFB, CFB8, OFB
from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES, ChaCha20
from cryptography.hazmat.primitives.ciphers.modes import CTR, ECB

from ..core.address import Buffer
from .aead import hchacha20
from .digests import md5
from .stream_modes import Cfb1Opener, Cfb1Sealer, Cfb8Opener, Cfb8Sealer, Counter, Encrypt
from .table import table_of

Update = Callable[[Buffer, memoryview], object]
"""(data, out): the next bytes of a stream, to the front of `out`: another buffer, with room for as many bytes."""
Begin = Callable[[bytes], Update]
"""The IV of a stream to what seals it, or opens it."""


@dataclass(frozen=True, slots=True)
class StreamKey:
    """A stream cipher with its key."""

    seal: Begin
    open: Begin
    read_max: int = 1 << 30
    """Bytes that are to be sealed or opened in one go, for a cipher so slow that others would wait for it."""

    def __repr__(self) -> str:
        return "StreamKey(…)"


Make = Callable[[bytes], StreamKey]
"""A key to its cipher.

Raises:
    UnsupportedAlgorithm: this build of OpenSSL has it not, nor has anything else.
    ImportError: it needs pycryptodomex.
"""


def _both(begin: Begin) -> StreamKey:
    """Of a cipher that adds a stream of key bytes: sealing and opening are one."""
    return StreamKey(begin, begin)


def _block(
    algorithm: Callable[[bytes], BlockCipherAlgorithm], mode: Callable[[bytes], CFB | CFB8 | OFB | CTR], spare: str = ""
) -> Make:
    """A block cipher in one of OpenSSL's own modes; `spare` is its name in pycryptodomex, where it may be instead."""

    def make(key: bytes) -> StreamKey:
        cipher = algorithm(key)
        try:
            Cipher(cipher, mode(bytes(cipher.block_size // 8))).encryptor()
        except UnsupportedAlgorithm:
            if not spare:
                raise
            from . import stream_extra

            return stream_extra.feedback(spare, key)
        return StreamKey(
            lambda iv: Cipher(cipher, mode(iv)).encryptor().update_into,
            lambda iv: Cipher(cipher, mode(iv)).decryptor().update_into,
        )

    return make


def _built(
    algorithm: Callable[[bytes], BlockCipherAlgorithm],
    sealer: Callable[[Encrypt, bytes], Update],
    opener: Callable[[Encrypt, bytes], Update],
    **limits: int,
) -> Make:
    """A block cipher in a mode that OpenSSL has not for it."""

    def make(key: bytes) -> StreamKey:
        # In ECB no block depends on another, so one context serves every stream of the key.
        encrypt = Cipher(algorithm(key), ECB()).encryptor().update  # noqa: S305 - the mode is built above it
        return StreamKey(lambda iv: sealer(encrypt, iv), lambda iv: opener(encrypt, iv), **limits)

    return make


def _rc4(key: bytes) -> Update:
    try:
        return Cipher(ARC4(key), None).encryptor().update_into
    except UnsupportedAlgorithm:
        from . import stream_extra

        return stream_extra.rc4(key)


def _make_rc4(key: bytes) -> StreamKey:
    _rc4(key)
    return _both(lambda _iv: _rc4(key))


def _make_rc4_md5(key: bytes) -> StreamKey:
    _rc4(key)
    return _both(lambda iv: _rc4(rc4_md5_key(key, iv)))


def rc4_md5_key(key: bytes, iv: bytes) -> bytes:
    """The RC4 key of one stream."""
    return md5(key + iv, usedforsecurity=False).digest()


def _chacha20(key: bytes, counter_and_nonce: bytes) -> Update:
    return Cipher(ChaCha20(key, counter_and_nonce), None).encryptor().update_into


def _make_chacha20(counter_size: int) -> Make:
    """The counter begins at 0 and fills what the nonce leaves of 16 bytes."""
    return lambda key: _both(lambda iv: _chacha20(key, bytes(counter_size) + iv))


def _make_xchacha20(key: bytes) -> StreamKey:
    return _both(lambda iv: _chacha20(hchacha20(key, iv[:16]), bytes(8) + iv[16:]))


def _make_rc2(key: bytes) -> StreamKey:
    from . import stream_extra

    return stream_extra.feedback("ARC2", key, effective_keylen=128)


def _make_salsa20(key: bytes) -> StreamKey:
    from . import stream_extra

    return _both(lambda iv: stream_extra.salsa20(key, iv))


def _make_salsa20_ctr(key: bytes) -> StreamKey:
    from . import stream_extra

    return _both(lambda iv: stream_extra.SalsaCounter(key, iv))


def _make_table(password: bytes) -> StreamKey:
    sealed, opened = table_of(password)

    def translate(data: Buffer, out: memoryview, table: bytes) -> None:
        out[: len(data)] = bytes(data).translate(table)

    return StreamKey(
        lambda _iv: lambda data, out: translate(data, out, sealed),
        lambda _iv: lambda data, out: translate(data, out, opened),
    )


def _des(key: bytes) -> BlockCipherAlgorithm:
    return TripleDES(key * 3)  # which with three times one key is DES


_BY_BYTES: Final = 64 * 1024
_BY_BITS: Final = 8 * 1024
"""Bytes that CFB8 and CFB1 seal in some 50 ms; a whole read of 1 MiB would take them 0.9 s and 7 s."""

CIPHERS: Final[dict[str, Make]] = {
    "aes-cfb": _block(AES, CFB),
    "aes-cfb1": _built(AES, Cfb1Sealer, Cfb1Opener, read_max=_BY_BITS),
    "aes-cfb8": _block(AES, CFB8),
    "aes-ofb": _block(AES, OFB),
    "aes-ctr": _block(AES, CTR),
    "camellia-cfb": _block(Camellia, CFB),
    "camellia-cfb1": _built(Camellia, Cfb1Sealer, Cfb1Opener, read_max=_BY_BITS),
    "camellia-cfb8": _built(Camellia, Cfb8Sealer, Cfb8Opener, read_max=_BY_BYTES),
    "camellia-ofb": _block(Camellia, OFB),
    "camellia-ctr": _built(Camellia, Counter, Counter),
    "bf-cfb": _block(Blowfish, CFB, "Blowfish"),
    "cast5-cfb": _block(CAST5, CFB, "CAST"),
    "des-cfb": _block(_des, CFB, "DES"),
    "idea-cfb": _block(IDEA, CFB),
    "rc2-cfb": _make_rc2,
    "seed-cfb": _block(SEED, CFB),
    "rc4": _make_rc4,
    "rc4-md5": _make_rc4_md5,
    "rc4-md5-6": _make_rc4_md5,
    "salsa20": _make_salsa20,
    "salsa20-ctr": _make_salsa20_ctr,
    "chacha20": _make_chacha20(8),
    "chacha20-ietf": _make_chacha20(4),
    "xchacha20": _make_xchacha20,
    "table": _make_table,
}
