"""Identity headers of AEAD-2022 (SIP023, protocol §8): several users on one port, and servers that pass them on.

A client has a chain of keys, `iPSK0 ... iPSKn-1, uPSK`. Each header is one AES block, made with one key of the chain,
and holds the tag of the next key (16 bytes of its BLAKE3 hash). All else is sealed with the last.

    stream    salt || header 0 || ... || AEAD                     header i = AES(identity subkey of iPSKi and salt, tag)
    datagram  AES(iPSK0, separate) || header 0 || ... || AEAD     header i = AES(iPSKi, tag XOR separate)

Whoever holds the first key opens the first header. A server finds its user by the tag, among thousands as fast as
among two: it is a key of a dictionary. A server in front of others finds the next server, and passes on what follows:
a stream without its first header, a datagram without it and with its separate header sealed anew. Answers carry no
header.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final, Protocol

from ..core.errors import AuthenticationError, RemoteProtocolError
from ..crypto.block import BLOCK_SIZE, Block, open_block, seal_block
from ..crypto.subkeys_2022 import identity_subkey, key_hash


class Holder(Protocol):
    """Whoever is known by the tag of a key of his."""

    @property
    def keys(self) -> tuple[bytes, ...]:
        """All of them, one at least."""


ByIdentity = Callable[[bytes], Holder | None]
"""Finds whose tag this is; None: nobody's."""


class StreamIdentities:
    """The headers that a client puts into its streams."""

    __slots__ = ("_pairs", "size")

    def __init__(self, keys: Sequence[bytes]) -> None:
        """`keys` is the whole chain, the user's own last; of one key there is no header."""
        self._pairs = tuple((key, key_hash(following)) for key, following in pairwise(keys))
        self.size: Final = BLOCK_SIZE * len(self._pairs)

    def headers(self, salt: bytes) -> bytes:
        """Return what stands between the salt and the fixed header."""
        return b"".join([seal_block(identity_subkey(key, salt), tag) for key, tag in self._pairs])


def stream_tag(key: bytes, salt: bytes, header: bytes | memoryview) -> bytes:
    """Return the tag in the first header of a stream; noise where it was made with another key."""
    return open_block(identity_subkey(key, salt), bytes(header))


class PacketIdentities:
    """The front of a client's datagrams: the separate header, and the identity headers."""

    __slots__ = ("_pairs", "_seal", "size")

    def __init__(self, keys: Sequence[bytes]) -> None:
        """`keys` is the whole chain, the user's own last."""
        self._seal: Final = Block(keys[0]).seal
        self._pairs = tuple((Block(key).seal, int.from_bytes(key_hash(following))) for key, following in pairwise(keys))
        self.size: Final = BLOCK_SIZE * (1 + len(self._pairs))

    def front(self, separate: bytes) -> bytes:
        """Return all that stands before the sealed body."""
        number = int.from_bytes(separate)
        headers = [seal((tag ^ number).to_bytes(BLOCK_SIZE)) for seal, tag in self._pairs]
        return self._seal(separate) + b"".join(headers)


class PacketDoor:
    """Reads the fronts of datagrams with the key of a server."""

    __slots__ = ("_open",)

    def __init__(self, key: bytes) -> None:
        self._open: Final = Block(key).open

    def read(self, packet: memoryview) -> tuple[bytes, bytes]:
        """Return the separate header and the tag of a packet of two blocks at least."""
        separate = self._open(packet[:BLOCK_SIZE])
        mixed = self._open(packet[BLOCK_SIZE : 2 * BLOCK_SIZE])
        return separate, (int.from_bytes(mixed) ^ int.from_bytes(separate)).to_bytes(BLOCK_SIZE)


def key_of(holder: Holder, tag: bytes) -> bytes:
    """Return the one of his keys that a tag is made of; where none is any more, another."""
    keys = holder.keys
    if len(keys) > 1:
        for key in keys:
            if key_hash(key) == tag:
                return key
    return keys[0]


def unknown_user() -> RemoteProtocolError:
    """Return the error for a tag that is nobody's: a failed handshake as any other."""
    return AuthenticationError("unknown_user")
