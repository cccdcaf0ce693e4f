"""From a password to a key, and from a key and a salt to the key of one stream.

Who calls it: `config/` to judge a key's text, the codecs of `wire/` for each
stream. Specifications: protocol §3 (EVP_BytesToKey, pre-shared keys), §6 (HKDF),
§7 and §8 (BLAKE3 in derive_key mode).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from hashlib import md5, sha1
from typing import Final

from blake3 import blake3

from ..core.errors import KeyTextError
from .methods import Edition, Method

_SESSION = "shadowsocks 2022 session subkey"  # SIP022 §3.1.1
_IDENTITY = "shadowsocks 2022 identity subkey"  # SIP023

# HMAC (RFC 2104) of SHA-1, which the protocol names (SIP004) and which does not rest on its collisions: the key,
# filled up to a block, with every byte changed one way within and another way around.
_SHA1_SIZE = 20
_BLOCK_SIZE = 64
_INNER, _INNER_FILL = bytes(byte ^ 0x36 for byte in range(256)), b"\x36" * _BLOCK_SIZE
_OUTER, _OUTER_FILL = bytes(byte ^ 0x5C for byte in range(256)), b"\x5c" * _BLOCK_SIZE
_INNER_REST = _INNER_FILL[_SHA1_SIZE:]
_OUTER_REST = _OUTER_FILL[_SHA1_SIZE:]


IDENTITIES_MOST: Final = 16
"""Identity keys of one client: 256 bytes before each datagram, for which `wire/packet.py` has room. Each leads to one
more server in a row; nobody has half as many."""


def evp_bytes_to_key(password: bytes, size: int) -> bytes:
    """OpenSSL's EVP_BytesToKey with MD5, no salt and one round, cut to `size` bytes (protocol §3)."""
    key = block = b""
    while len(key) < size:
        block = md5(block + password, usedforsecurity=False).digest()
        key += block
    return key[:size]


def deriver_sha1(key: bytes) -> Callable[[bytes], bytes]:
    """Return what makes subkeys of a key: salt to HKDF-SHA1 with info "ss-subkey", as long as `key` (SIP004, RFC 5869).

    Salt and key have at most 64 bytes, the key 40. Every AEAD datagram needs a subkey of its own: written out over
    `sha1` one costs 1.9 us, as the library's HKDF object 2.3, with `hmac.digest` 3.6 (docs/adr/0010).
    """
    size = len(key)

    def derive(salt: bytes) -> bytes:
        fill = _BLOCK_SIZE - len(salt)
        inner = sha1(salt.translate(_INNER) + _INNER_FILL[:fill] + key).digest()
        extracted = sha1(salt.translate(_OUTER) + _OUTER_FILL[:fill] + inner).digest()
        inward = extracted.translate(_INNER) + _INNER_REST
        outward = extracted.translate(_OUTER) + _OUTER_REST
        first = sha1(outward + sha1(inward + b"ss-subkey\x01").digest()).digest()
        if size <= _SHA1_SIZE:
            return first[:size]
        return first + sha1(outward + sha1(inward + first + b"ss-subkey\x02").digest()).digest()[: size - _SHA1_SIZE]

    return derive


def subkey_sha1(key: bytes, salt: bytes) -> bytes:
    """The subkey of one salt; see `deriver_sha1`."""
    return deriver_sha1(key)(salt)


def subkey_blake3(key: bytes, salt: bytes) -> bytes:
    """The session subkey of SIP022 §3.1.1; as long as `key`. For UDP the salt is the 8-byte session id."""
    return blake3(key + salt, derive_key_context=_SESSION).digest(len(key))


def identity_subkey(key: bytes, salt: bytes) -> bytes:
    """The key of one identity header (SIP023); as long as `key`."""
    return blake3(key + salt, derive_key_context=_IDENTITY).digest(len(key))


def key_hash(key: bytes) -> bytes:
    """The 16 bytes that name a key in an identity header (SIP023)."""
    return blake3(key).digest(16)


def parse_keys(method: Method, text: str, *, raw: bool = False) -> tuple[bytes, ...]:
    """Turn the password of a configuration into the keys of its method, identity keys first.

    One key, but for AEAD-2022 with identity headers (`iPSK:...:uPSK`); none for method `none`; for `table` the
    password itself. With `raw` the text is no password but the key, in base64 of either alphabet. Whoever composes a
    server asks once for all of its connections: no key is kept here.

    Raises:
        KeyTextError: `bad_base64`, `key_length`, `eih_not_supported` or `too_many_keys`. Never repeats the text.
    """
    if method.edition is Edition.PLAIN:
        return ()
    if method.edition is Edition.STREAM and not method.key_size:
        return (_utf8(text),)
    if raw:
        return (_parse_psk(method, text.translate(_URL_SAFE)),)
    if method.edition is not Edition.AEAD2022:
        return (evp_bytes_to_key(_utf8(text), method.key_size),)
    parts = text.split(":")
    if len(parts) > 1 and not method.has_identities:
        raise KeyTextError("eih_not_supported", f"{method.name} takes one key; identity keys need an AES method")
    if len(parts) > 1 + IDENTITIES_MOST:
        raise KeyTextError("too_many_keys", f"there are {len(parts)} keys; {IDENTITIES_MOST} and the own are the most")
    return tuple(_parse_psk(method, part) for part in parts)


_URL_SAFE: Final = str.maketrans("-_", "+/")
"""The alphabet of RFC 4648 §5, which shadowsocks-libev writes keys in, to that of §4."""


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:  # lone surrogates, of JSON or of argv; the error's args would hold the text
        raise KeyTextError("bad_utf8", "the password is not valid UTF-8") from None


def _parse_psk(method: Method, text: str) -> bytes:
    try:
        key = base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise KeyTextError("bad_base64", f"the key of {method.name} is not base64 (alphabet A-Z a-z 0-9 + /)") from None
    if len(key) != method.key_size:
        raise KeyTextError(
            "key_length", f"the key of {method.name} has {len(key)} bytes, it must have exactly {method.key_size}"
        )
    return key


def make_key_text(method: Method, random: Callable[[int], bytes]) -> str:
    """Return a new random password: the base64 of as many bytes as the method's key has (16 for `none`).

    `random` takes a count of bytes, as `os.urandom` does.
    """
    return base64.b64encode(random(method.key_size or 16)).decode("ascii")
