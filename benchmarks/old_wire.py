"""The stream ciphers that the ancestors speak, for the load. As `wire.py`: apart from ours, and not for real use.

A stream is an initialisation vector and then one long cipher text, without lengths and without tags.
"""

from __future__ import annotations

from hashlib import md5
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

if TYPE_CHECKING:
    from collections.abc import Callable

OLD: Final = ("aes-256-cfb", "chacha20", "rc4-md5")
"""What is raced: the first is the one that every ancestor has."""


class StreamCipher:
    """What the three have in common. Whole datagrams are sealed and opened as with the newer ciphers, tags aside."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None = None, /) -> bytes:
        return self.sealing(nonce)(data)

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None = None, /) -> bytes:
        return self.opening(nonce)(data)

    def sealing(self, nonce: bytes) -> Callable[[bytes], bytes]:
        """The function that seals a stream piece by piece."""
        return self._cipher(nonce).encryptor().update

    def opening(self, nonce: bytes) -> Callable[[bytes], bytes]:
        return self._cipher(nonce).decryptor().update

    def _cipher(self, nonce: bytes) -> Cipher[Any]:
        raise NotImplementedError


class AesCfb(StreamCipher):
    """aes-*-cfb: each block of 16 bytes hangs on the cipher text of the one before."""

    def _cipher(self, nonce: bytes) -> Cipher[Any]:
        return Cipher(algorithms.AES(self._key), CFB(nonce))


class OldChaCha20(StreamCipher):
    """ChaCha20 as Bernstein wrote it: eight bytes of counter, which starts at zero, and eight of nonce."""

    def _cipher(self, nonce: bytes) -> Cipher[Any]:
        return Cipher(algorithms.ChaCha20(self._key, bytes(8) + nonce), None)


class Rc4Md5(StreamCipher):
    """RC4 under a key of its own for each stream."""

    def _cipher(self, nonce: bytes) -> Cipher[Any]:
        return Cipher(ARC4(md5(self._key + nonce, usedforsecurity=False).digest()), None)
