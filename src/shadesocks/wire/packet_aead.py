"""AEAD datagrams, SIP004 as amended by SIP007 (protocol §6).

    packet     salt || AEAD(nonce 0, address || payload)         a fresh salt, and so a key, for each

Both directions look the same, so a recorded answer is a valid request to whoever the answer came from: a salt is
remembered once it was opened, and ours once they were sent; each is good once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final

from ..core.errors import AuthenticationError, RemoteProtocolError, ReplayError
from ..crypto.aead import CIPHERS, TAG_SIZE, InvalidTag
from ..crypto.keys import subkey_sha1
from ..crypto.methods import Method
from .packet import Span, payload_at
from .shadow import Random

NewSalt = Callable[[bytes], bool]
"""Records a salt; False when it was known. `crypto.replay_packets.PacketSalts.insert`."""


class AeadPackets:
    """An AEAD method with its master key: shadow, host and every talk in one, since nothing is kept for a peer."""

    __slots__ = ("_insert", "_key", "_make", "_nonce", "_random", "_salt_size", "idle_min")

    def __init__(self, method: Method, key: bytes, random: Random, insert: NewSalt) -> None:
        self._key = key
        self._random = random
        self._insert = insert
        self._make: Final = CIPHERS[method.cipher]
        self._nonce: Final = bytes(method.nonce_size)
        self._salt_size: Final = method.salt_size
        self.idle_min = 0

    def host(self) -> AeadPackets:
        """See `packet.PacketShadow`."""
        return self

    join = host

    def identify(self, packet: memoryview, source: Hashable, out: memoryview, at: int) -> Hashable:
        """A client is its address."""
        return source

    def meet(self, key: Hashable) -> AeadPackets:
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
            self._make(subkey_sha1(self._key, salt)).decrypt_into(self._nonce, packet[salt_size:], None, out[at:end])
        except InvalidTag:
            raise AuthenticationError from None
        payload = payload_at(out, at, end)
        if not self._insert(salt):
            raise ReplayError
        return at, payload, end

    def seal(self, source: memoryview, span: Span, out: memoryview, at: int, now: int) -> int:
        """See `packet.Talk`."""
        start, _, stop = span
        salt = self._random(self._salt_size)
        self._insert(salt)
        body = at + self._salt_size
        end = body + stop - start + TAG_SIZE
        out[at:body] = salt
        self._make(subkey_sha1(self._key, salt)).encrypt_into(self._nonce, source[start:stop], None, out[body:end])
        return end
