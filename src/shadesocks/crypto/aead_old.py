"""ChaCha20-Poly1305 as it was before RFC 8439 (draft-agl-tls-chacha20poly1305): the last Python version spoke it.

    block 0 of ChaCha20 (64-bit nonce, 64-bit counter)    32 bytes of it are the key of Poly1305
    block 1 and on                                        over the payload
    Poly1305 of    data || le64(size of data) || sealed || le64(size of sealed)      without any padding

Loaded when a server of that method is made; see `aead.CIPHERS`.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms
from cryptography.hazmat.primitives.poly1305 import Poly1305

from ..core.address import Buffer

_COUNTER: Final = bytes(8)
_BLOCK: Final = bytes(64)
_KEY_SIZE: Final = 32
_TAG_SIZE: Final = 16


class OldChaCha20Poly1305:
    """The construction with one key; see `aead.Aead`."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def encrypt_into(self, nonce: bytes, data: Buffer, associated_data: bytes | None, buf: Buffer) -> int:
        """Seal; see `aead.Aead`."""
        out = memoryview(buf)
        size = len(data)
        stream, tag = self._begin(nonce)
        stream.update_into(data, out[:size])
        _hash(tag, associated_data or b"", out[:size])
        out[size:] = tag.finalize()
        return size + _TAG_SIZE

    def decrypt_into(self, nonce: bytes, data: Buffer, associated_data: bytes | None, buf: Buffer) -> int:
        """Open; see `aead.Aead`."""
        sealed = memoryview(data)
        size = len(sealed) - _TAG_SIZE
        stream, tag = self._begin(nonce)
        _hash(tag, associated_data or b"", sealed[:size])
        try:
            tag.verify(bytes(sealed[size:]))
        except InvalidSignature:
            raise InvalidTag from None
        return stream.update_into(sealed[:size], buf)

    def _begin(self, nonce: bytes) -> tuple[CipherContext, Poly1305]:
        stream = Cipher(algorithms.ChaCha20(self._key, _COUNTER + nonce), None).encryptor()
        return stream, Poly1305(stream.update(_BLOCK)[:_KEY_SIZE])


def _hash(tag: Poly1305, data: bytes, sealed: memoryview) -> None:
    for part in (data, sealed):
        tag.update(part)
        tag.update(len(part).to_bytes(8, "little"))
