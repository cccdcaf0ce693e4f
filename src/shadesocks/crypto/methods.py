"""The method table: every cipher name of the Shadowsocks family, and its sizes.

The table knows all names from the start, so that a configuration which names
a cipher gets an answer and not a riddle; `is_ready` says which of them
this version can run, `crypto/available.py` whether what they need is here. Who builds
the ciphers is `crypto/aead.py` and `crypto/stream.py`; who frames them is the edition's
file in `wire/`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Edition(Enum):
    """The four generations of the wire format (protocol §1)."""

    PLAIN = "plain"
    """No cipher: address and payload in clear."""
    STREAM = "stream"
    """Stream ciphers without integrity, 2012 (protocol §4)."""
    AEAD = "aead"
    """SIP004 and SIP007, 2017 (protocol §6)."""
    AEAD2022 = "aead2022"
    """SIP022 (protocol §7)."""


@dataclass(frozen=True, slots=True)
class Method:
    """One cipher of the family. Sizes are bytes."""

    name: str
    edition: Edition
    key_size: int
    salt_size: int
    """Of the salt; of the IV for stream ciphers."""
    cipher: str = ""
    """The construction, a key of `crypto.aead.CIPHERS` or `crypto.stream.CIPHERS`; empty where there is none yet."""
    max_payload: int = 0
    """The most payload one chunk may carry; 0 where there are no chunks."""

    nonce_size: int = 12
    """Of the nonce, a little-endian counter."""
    legacy: bool = False
    """True for what only old programs speak: stream ciphers, and what the last Python version alone had."""

    @property
    def has_identities(self) -> bool:
        """True for the methods that have identity headers (SIP023): those of AEAD-2022 with AES."""
        return self.edition is Edition.AEAD2022 and self.cipher.startswith("aes")

    @property
    def is_tried(self) -> bool:
        """True for the methods of which several users of a port are told by trying their keys."""
        return self.edition is Edition.AEAD


AEAD_PAYLOAD_MAX: Final = 0x3FFF
"""SIP004: the two top bits of a chunk's length are reserved."""
AEAD2022_PAYLOAD_MAX: Final = 0xFFFF
"""SIP022 §3.1.2: the whole range of the two length bytes."""


def _aead(name: str, size: int, cipher: str, nonce_size: int = 12, *, legacy: bool = False) -> Method:
    return Method(name, Edition.AEAD, size, size, cipher, AEAD_PAYLOAD_MAX, nonce_size, legacy)


def _aead2022(name: str, size: int, cipher: str) -> Method:
    return Method(name, Edition.AEAD2022, size, size, cipher, AEAD2022_PAYLOAD_MAX)


def _stream(name: str, key_size: int, iv_size: int, cipher: str = "") -> Method:
    return Method(name, Edition.STREAM, key_size, iv_size, cipher or name, legacy=True)


_BITS: Final = (128, 192, 256)
_BLOCKS: Final = ("aes", "camellia")
_BLOCK_MODES: Final = ("cfb", "cfb1", "cfb8", "ofb", "ctr")

_TABLE: Final = (
    _aead2022("2022-blake3-aes-128-gcm", 16, "aes-gcm"),
    _aead2022("2022-blake3-aes-256-gcm", 32, "aes-gcm"),
    _aead2022("2022-blake3-chacha20-poly1305", 32, "chacha20-poly1305"),
    _aead2022("2022-blake3-chacha8-poly1305", 32, ""),
    _aead2022("2022-blake3-chacha12-poly1305", 32, ""),
    _aead("aes-128-gcm", 16, "aes-gcm"),
    _aead("aes-192-gcm", 24, "aes-gcm"),
    _aead("aes-256-gcm", 32, "aes-gcm"),
    _aead("chacha20-ietf-poly1305", 32, "chacha20-poly1305"),
    _aead("xchacha20-ietf-poly1305", 32, "xchacha20-poly1305", 24),
    _aead("chacha20-poly1305", 32, "chacha20-poly1305-old", 8, legacy=True),
    *(_aead(f"aes-{bits}-ocb", bits // 8, "aes-ocb", legacy=True) for bits in _BITS),
    *(_aead(f"aes-{bits}-ccm", bits // 8, "") for bits in (128, 256)),
    *(_aead(f"aes-{bits}-gcm-siv", bits // 8, "") for bits in (128, 256)),
    _aead("sm4-gcm", 16, ""),
    _aead("sm4-ccm", 16, ""),
    Method("none", Edition.PLAIN, 0, 0),
    *(
        _stream(f"{block}-{bits}-{mode}", bits // 8, 16, f"{block}-{mode}")
        for block in _BLOCKS
        for bits in _BITS
        for mode in _BLOCK_MODES
    ),
    _stream("bf-cfb", 16, 8),
    _stream("cast5-cfb", 16, 8),
    _stream("des-cfb", 8, 8),
    _stream("idea-cfb", 16, 8),
    _stream("rc2-cfb", 16, 8),
    _stream("seed-cfb", 16, 16),
    _stream("rc4", 16, 0),
    _stream("rc4-md5", 16, 16),
    _stream("rc4-md5-6", 16, 6),
    _stream("salsa20", 32, 8),
    _stream("salsa20-ctr", 32, 8),
    _stream("chacha20", 32, 8),
    _stream("chacha20-ietf", 32, 12),
    _stream("xchacha20", 32, 24),
    _stream("table", 0, 0),
)

_OF_SODIUM: Final = (
    "aes-256-gcm",
    "chacha20-poly1305",
    "chacha20-ietf-poly1305",
    "xchacha20-ietf-poly1305",
    "salsa20",
    "chacha20",
    "chacha20-ietf",
    "xchacha20",
)

METHODS: Final[dict[str, Method]] = {method.name: method for method in _TABLE}

ALIASES: Final[dict[str, str]] = {
    "plain": "none",
    # SIP004 gives these names beside the common ones.
    "aead_aes_128_gcm": "aes-128-gcm",
    "aead_aes_256_gcm": "aes-256-gcm",
    "aead_chacha20_poly1305": "chacha20-ietf-poly1305",
    # shadowsocks-rust's spelling of full-block feedback.
    **{f"{block}-{bits}-cfb128": f"{block}-{bits}-cfb" for block in _BLOCKS for bits in _BITS},
    # The last Python version's names for the same ciphers out of another library.
    **{f"mbedtls:{block}-{bits}-cfb128": f"{block}-{bits}-cfb" for block in _BLOCKS for bits in _BITS},
    **{f"mbedtls:{name}": name for mode in ("cfb", "ctr", "gcm") for name in (f"aes-{bits}-{mode}" for bits in _BITS)},
    **{f"mbedtls:{name}": name for mode in ("cfb", "ctr") for name in (f"camellia-{bits}-{mode}" for bits in _BITS)},
    **{f"sodium:{name}": name for name in _OF_SODIUM},
}


def find_method(name: str) -> Method:
    """Return the method of that name, in any case, or of that alias.

    Raises:
        KeyError: no member of the family has that name.
    """
    lower = name.lower()
    return METHODS[ALIASES.get(lower, lower)]


def is_ready(method: Method) -> bool:
    """True when this version has the method, and does not only know its name; see `available.missing`."""
    return bool(method.cipher) or method.edition is Edition.PLAIN
