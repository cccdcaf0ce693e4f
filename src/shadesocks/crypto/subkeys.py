"""From a key and a salt to the key of one AEAD stream or datagram: protocol §6, HKDF."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_INFO: Final = b"ss-subkey"
_SHA1: Final = SHA1()  # noqa: S303 - which the protocol names (SIP004); HMAC does not rest on its collisions


def deriver_sha1(key: bytes) -> Callable[[bytes], bytes]:
    """Return what makes subkeys of a key: salt to HKDF-SHA1 with info "ss-subkey", as long as `key` (SIP004, RFC 5869).

    Every AEAD datagram needs a subkey of its own. The library's object costs 4.2 us, written out over `hashlib.sha1`
    one costs 4.0 and loads an OpenSSL of its own, 3.5 MiB (docs/adr/0021).
    """
    size = len(key)

    def derive(salt: bytes) -> bytes:
        return HKDF(_SHA1, size, salt, _INFO).derive(key)

    return derive


def subkey_sha1(key: bytes, salt: bytes) -> bytes:
    """The subkey of one salt; see `deriver_sha1`."""
    return deriver_sha1(key)(salt)
