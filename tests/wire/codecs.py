"""Every method this version runs, with a key and fixed salts: what the tests of the codecs share."""

from __future__ import annotations

from functools import cache
from os import urandom

from shadesocks.crypto.keys import make_key_text, parse_keys
from shadesocks.crypto.methods import METHODS, Edition, is_ready
from shadesocks.wire.editions import make_packets, make_shadow
from shadesocks.wire.packet import PacketShadow
from shadesocks.wire.packet_aead import NewSalt
from shadesocks.wire.shadow import NO_QUIRKS, Quirks, Random, Shadow

READY = tuple(name for name, method in METHODS.items() if is_ready(method))
STREAM = tuple(name for name in READY if METHODS[name].edition is Edition.STREAM)
"""The names of all methods whose cipher authenticates nothing."""
SEALED = tuple(name for name in READY if name not in STREAM and METHODS[name].edition is not Edition.PLAIN)
"""The names of all methods with a cipher that authenticates."""
AEAD = tuple(name for name in SEALED if METHODS[name].edition is Edition.AEAD)
AEAD2022 = tuple(name for name in SEALED if METHODS[name].edition is Edition.AEAD2022)


@cache
def shadow_of(name: str, quirks: Quirks = NO_QUIRKS) -> Shadow:
    """Return the method with a fixed key: one for all, as all connections of a server share one."""
    method = METHODS[name]
    return make_shadow(method, parse_keys(method, make_key_text(method, lambda size: b"k" * size)), quirks)


def salt_of(name: str, letter: bytes = b"s") -> bytes:
    """Return a fixed salt of the method's size."""
    return letter * METHODS[name].salt_size


def key_of(name: str) -> bytes:
    """Return the fixed key; empty for method none."""
    method = METHODS[name]
    return b"".join(parse_keys(method, make_key_text(method, lambda size: b"k" * size)))


def packets_of(
    name: str, random: Random = urandom, insert: NewSalt | None = None, quirks: Quirks = NO_QUIRKS
) -> PacketShadow:
    """Return the method with a fixed key, for datagrams, and with a memory of salts of its own."""
    method = METHODS[name]
    keys = [] if method.edition is Edition.PLAIN else [key_of(name)]
    return make_packets(method, keys, random, insert or SaltSet().insert, quirks)


class SaltSet:
    """Every salt there was: what the real memory of datagrams only comes near to."""

    def __init__(self) -> None:
        self.salts: set[bytes] = set()

    def insert(self, salt: bytes) -> bool:
        """Record a salt; False when it was known."""
        known = salt in self.salts
        self.salts.add(salt)
        return not known
