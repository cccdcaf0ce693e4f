"""AEAD constructions by name, and the bounded set of live cipher contexts.

The hot path is `Keyed.cipher()` and then the `*_into` calls of what it returns,
which `wire/chunks.py` makes on the shared buffers. Rules of those calls: input and
output are separate buffers; what was written is not looked at before the call returned.

An OpenSSL context is 2.8 KB and takes 0.83 us to make from its key (benchmarks,
docs/adr/0007). A connection would keep two of them for its whole life, most of it
idle, so a key keeps its context only while it is among the last `CONTEXTS_MAX` that
were made; whoever is used again makes a new one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from struct import Struct
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESOCB3, ChaCha20Poly1305

from ..core.address import Buffer

TAG_SIZE: Final = 16
"""Bytes every construction here adds to what it seals."""

CONTEXTS_MAX: Final = 512
"""Live contexts of one process: 1.4 MB. More than 256 connections busy in turn cost 0.83 us a call each."""

__all__ = ["CIPHERS", "CONTEXTS_MAX", "TAG_SIZE", "Aead", "InvalidTag", "Keyed"]


class Aead(Protocol):
    """The part of `cryptography`'s AEAD objects that is used here."""

    def encrypt_into(self, nonce: bytes, data: Buffer, associated_data: bytes | None, buf: Buffer) -> int:
        """Seal `data` into `buf`, which has exactly the size of data and tag."""

    def decrypt_into(self, nonce: bytes, data: Buffer, associated_data: bytes | None, buf: Buffer) -> int:
        """Open `data` into `buf`, which has exactly the size of the plaintext; raises InvalidTag."""


_WORDS: Final = Struct("<4I")
_CONSTANTS: Final = _WORDS.unpack(b"expand 32-byte k")


def hchacha20(key: bytes, nonce: bytes) -> bytes:
    """Derive XChaCha20's subkey from 16 bytes of nonce (draft-irtf-cfrg-xchacha-03 §2.2).

    ChaCha20's first block is the same permutation with the initial state added to its result;
    subtracting the words we know, constants and nonce, leaves the ones HChaCha20 returns.
    """
    block = Cipher(algorithms.ChaCha20(key, nonce), None).encryptor().update(bytes(64))
    first = (word - known & 0xFFFFFFFF for word, known in zip(_WORDS.unpack(block[:16]), _CONSTANTS, strict=True))
    last = (
        word - known & 0xFFFFFFFF for word, known in zip(_WORDS.unpack(block[48:]), _WORDS.unpack(nonce), strict=True)
    )
    return _WORDS.pack(*first) + _WORDS.pack(*last)


class XChaCha20Poly1305:
    """XChaCha20-Poly1305 with 24-byte nonces, over the 12-byte one.

    A counter changes the low bytes of the nonce, which are the ones the subkey depends on, so every
    call derives it anew: several times slower than ChaCha20-Poly1305, and only here for old peers.
    """

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def encrypt_into(self, nonce: bytes, data: Buffer, associated_data: bytes | None, buf: Buffer) -> int:
        """Seal; see `Aead`."""
        aead = ChaCha20Poly1305(hchacha20(self._key, nonce[:16]))
        return aead.encrypt_into(b"\0\0\0\0" + nonce[16:], data, associated_data, buf)

    def decrypt_into(self, nonce: bytes, data: Buffer, associated_data: bytes | None, buf: Buffer) -> int:
        """Open; see `Aead`."""
        aead = ChaCha20Poly1305(hchacha20(self._key, nonce[:16]))
        return aead.decrypt_into(b"\0\0\0\0" + nonce[16:], data, associated_data, buf)


def _old_chacha20_poly1305(key: bytes) -> Aead:
    from .aead_old import OldChaCha20Poly1305  # for old peers only: nobody else need load it

    return OldChaCha20Poly1305(key)


CIPHERS: Final[dict[str, Callable[[bytes], Aead]]] = {
    "aes-gcm": AESGCM,
    "chacha20-poly1305": ChaCha20Poly1305,
    "xchacha20-poly1305": XChaCha20Poly1305,
    "aes-ocb": AESOCB3,
    "chacha20-poly1305-old": _old_chacha20_poly1305,
}


class Keyed:
    """A key that makes its cipher context when it is used, and may lose it again."""

    __slots__ = ("_make", "key", "live")

    _ring: Final[deque[Keyed]] = deque()

    def __init__(self, make: Callable[[bytes], Aead], key: bytes) -> None:
        self._make = make
        self.key = key
        self.live: Aead | None = None
        """The context while there is one; `cipher` makes it otherwise."""

    def cipher(self) -> Aead:
        """Return the context; hold it only for the length of one call."""
        live = self.live
        if live is None:
            live = self.live = self._make(self.key)
            ring = self._ring
            ring.append(self)
            if len(ring) > CONTEXTS_MAX:
                ring.popleft().live = None
        return live

    def __repr__(self) -> str:
        return "Keyed(…)"
