"""Every method this version runs, with a key and fixed salts: what the tests of the codecs share."""

from __future__ import annotations

from shadesocks.crypto.keys import make_key_text, parse_keys
from shadesocks.crypto.methods import METHODS, Edition, is_ready
from shadesocks.wire.editions import make_shadow
from shadesocks.wire.shadow import Shadow

SEALED = tuple(name for name, method in METHODS.items() if is_ready(method) and method.edition is not Edition.PLAIN)
"""The names of all methods with a cipher."""
AEAD = tuple(name for name in SEALED if METHODS[name].edition is Edition.AEAD)
AEAD2022 = tuple(name for name in SEALED if METHODS[name].edition is Edition.AEAD2022)


def shadow_of(name: str) -> Shadow:
    """Return the method with a fixed key."""
    method = METHODS[name]
    return make_shadow(method, parse_keys(method, make_key_text(method, lambda size: b"k" * size)))


def salt_of(name: str, letter: bytes = b"s") -> bytes:
    """Return a fixed salt of the method's size."""
    return letter * METHODS[name].salt_size
