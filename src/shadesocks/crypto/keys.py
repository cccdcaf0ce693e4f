"""From a password to a key.

Who calls it: `config/` to judge a key's text, `service/` to make a codec. Specification: protocol §3
(EVP_BytesToKey, pre-shared keys). From a key to that of one stream: `subkeys.py`, `subkeys_2022.py`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Final

from ..core.errors import KeyTextError
from .digests import md5
from .methods import Edition, Method

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
