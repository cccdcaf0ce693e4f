"""From a key and a salt to the keys of one stream of 2022: protocol §7 and §8, BLAKE3 in derive_key mode."""

from __future__ import annotations

from blake3 import blake3

_SESSION = "shadowsocks 2022 session subkey"  # SIP022 §3.1.1
_IDENTITY = "shadowsocks 2022 identity subkey"  # SIP023


def subkey_blake3(key: bytes, salt: bytes) -> bytes:
    """The session subkey of SIP022 §3.1.1; as long as `key`. For UDP the salt is the 8-byte session id."""
    return blake3(key + salt, derive_key_context=_SESSION).digest(len(key))


def identity_subkey(key: bytes, salt: bytes) -> bytes:
    """The key of one identity header (SIP023); as long as `key`."""
    return blake3(key + salt, derive_key_context=_IDENTITY).digest(len(key))


def key_hash(key: bytes) -> bytes:
    """The 16 bytes that name a key in an identity header (SIP023)."""
    return blake3(key).digest(16)
