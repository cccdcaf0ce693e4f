"""Whose key opens what: one sealed message, and many keys that it may have been sealed with (AEAD, protocol §6).

A key costs what a datagram costs: a subkey and a cipher of its own, some 8 us, of which nothing can be made beforehand,
since the salt is the sender's. Ways of deriving by hand, with copied states of SHA-1, are no faster than the library's
(docs/adr/0025-tried-keys.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ..core.address import Buffer
from .aead import CIPHERS, TAG_SIZE, InvalidTag
from .methods import Method
from .subkeys import subkey_sha1

_PEEKABLE: Final = frozenset({"aes-gcm", "chacha20-poly1305", "xchacha20-poly1305"})
"""Ciphers that seal by adding a key stream: to seal what is sealed opens it, whatever its tag."""
_PEEK_FROM: Final = 256
"""Bytes from which on a look at the first of them pays: the tag of 64 KiB takes 25 us, the look 1."""
_SIZE_MAX: Final = 0x10000

_scratch: Final = memoryview(bytearray(_SIZE_MAX))
"""Where messages are opened to; nobody reads it."""


class Trial:
    """A message under nonce 0 of the subkey of a salt."""

    __slots__ = ("_begins", "_make", "_nonce", "_salt", "_sealed")

    def __init__(self, method: Method, salt: bytes, sealed: Buffer, begins: bytes = b"") -> None:
        """`begins` are the bytes one of which it begins with, where that is known."""
        self._make: Final = CIPHERS[method.cipher]
        self._nonce: Final = bytes(method.nonce_size)
        self._salt = salt
        self._sealed = sealed
        self._begins = begins if len(sealed) >= _PEEK_FROM and method.cipher in _PEEKABLE else b""

    def find(self, keys: Iterable[bytes]) -> bytes | None:
        """Return the first key that opens it, None where none does."""
        make, nonce, salt, sealed, begins = self._make, self._nonce, self._salt, self._sealed, self._begins
        head, out = sealed[:1], _scratch[: len(sealed) - TAG_SIZE]
        peeked = _scratch[: 1 + TAG_SIZE]
        for key in keys:
            aead = make(subkey_sha1(key, salt))
            if begins:
                aead.encrypt_into(nonce, head, None, peeked)
                if peeked[0] not in begins:
                    continue
            try:
                aead.decrypt_into(nonce, sealed, None, out)
            except InvalidTag:
                continue
            return key
        return None
