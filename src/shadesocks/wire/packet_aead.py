"""AEAD datagrams, SIP004 as amended by SIP007 (protocol §6).

    packet     salt || AEAD(nonce 0, address || payload)         a fresh salt, and so a key, for each

Both directions look the same, so a recorded answer is a valid request to whoever the answer came from: a salt is
remembered once it was opened, and ours once they were sent; each is good once. A client and a server of one process
share that memory, and may speak to each other (a chain): what one side knows is marked as its own.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final

from ..core.address import IPV4
from ..core.errors import AuthenticationError, RemoteProtocolError, ReplayError
from ..crypto.aead import CIPHERS, TAG_SIZE, InvalidTag
from ..crypto.methods import Method
from ..crypto.subkeys import deriver_sha1
from .packet import IPV4_SIZE, Span, payload_at
from .shadow import Random

NewSalt = Callable[[bytes], bool]
"""Records a salt; False when it was known. `crypto.replay_packets.PacketSalts.insert`."""


HOST: Final = b"h"
CLIENT: Final = b"c"
"""Behind each salt that is recorded: whose knowledge it is."""


class AeadPackets:
    """An AEAD method with its master key."""

    __slots__ = ("_insert", "_key", "_method", "_random", "idle_min")

    def __init__(self, method: Method, key: bytes, random: Random, insert: NewSalt) -> None:
        self._method = method
        self._key = key
        self._random = random
        self._insert = insert
        self.idle_min = 0

    def host(self) -> AeadSide:
        """See `packet.PacketShadow`."""
        return AeadSide(self._method, self._key, self._random, self._insert, HOST)

    def join(self) -> AeadSide:
        """See `packet.PacketShadow`."""
        return AeadSide(self._method, self._key, self._random, self._insert, CLIENT)


class AeadSide:
    """Host and every talk of one side in one, since nothing is kept for a peer."""

    __slots__ = ("_derive", "_insert", "_make", "_nonce", "_random", "_salt_size", "_side")

    def __init__(self, method: Method, key: bytes, random: Random, insert: NewSalt, side: bytes) -> None:
        self._derive: Final = deriver_sha1(key)
        self._random = random
        self._insert = insert
        self._side = side
        self._make: Final = CIPHERS[method.cipher]
        self._nonce: Final = bytes(method.nonce_size)
        self._salt_size: Final = method.salt_size

    def identify(self, packet: memoryview, source: Hashable, out: memoryview, at: int) -> Hashable:
        """A client is its address."""
        return source

    def meet(self, key: Hashable) -> AeadSide:
        """See `packet.PacketHost`."""
        return self

    def open(self, packet: memoryview, out: memoryview, at: int, now: int) -> Span:
        """See `packet.Talk`."""
        salt_size = self._salt_size
        end = at + len(packet) - salt_size - TAG_SIZE
        if end <= at:
            raise RemoteProtocolError("truncated_header")
        salt = bytes(packet[:salt_size])
        try:
            self._make(self._derive(salt)).decrypt_into(self._nonce, packet[salt_size:], None, out[at:end])
        except InvalidTag:
            raise AuthenticationError from None
        payload = at + IPV4_SIZE if out[at] == IPV4 and end - at >= IPV4_SIZE else payload_at(out, at, end)
        if not self._insert(salt + self._side):
            raise ReplayError
        return at, payload, end

    def seal(self, source: memoryview, span: Span, out: memoryview, at: int, now: int) -> int:
        """See `packet.Talk`."""
        start, _, stop = span
        salt = self._random(self._salt_size)
        self._insert(salt + self._side)
        body = at + self._salt_size
        end = body + stop - start + TAG_SIZE
        out[at:body] = salt
        self._make(self._derive(salt)).encrypt_into(self._nonce, source[start:stop], None, out[body:end])
        return end
