"""Datagrams of stream ciphers (protocol §4, §5), which nothing protects.

    packet     IV || E(address || payload)                  a fresh IV, and so a fresh state, for each
    request    IV || E(flagged address || payload || hash)  with one-time auth

An answer with the flag is taken too: an old Go server sent such.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from ..core.address import IPV4
from ..core.errors import RemoteProtocolError, ReplayError
from ..crypto.methods import Method
from ..crypto.stream import CIPHERS, StreamKey
from . import ota
from .packet import IPV4_SIZE, Span, payload_at
from .packet_aead import NewSalt
from .shadow import Quirks, Random

_HOST: Final = b"h"
_CLIENT: Final = b"c"
"""Behind each IV that is recorded: whose knowledge it is. See `packet_aead.py`."""


class StreamPackets:
    """A stream method with its key."""

    __slots__ = ("_client", "_host", "idle_min")

    def __init__(self, method: Method, key: bytes, random: Random, insert: NewSalt, quirks: Quirks) -> None:
        cipher = CIPHERS[method.cipher](key)
        remember = insert if quirks.refuse_repeats and method.salt_size else None
        sides = [
            StreamSide(cipher, key, method.salt_size, random, remember, side, wants=wants, sends=sends)
            for side, wants, sends in ((_HOST, quirks.one_time_auth, False), (_CLIENT, False, quirks.one_time_auth))
        ]
        self._host, self._client = sides
        self.idle_min = 0

    def host(self) -> StreamSide:
        """See `packet.PacketShadow`."""
        return self._host

    def join(self) -> StreamSide:
        """See `packet.PacketShadow`."""
        return self._client


class StreamSide:
    """Host and every talk of one side in one, since nothing is kept for a peer."""

    __slots__ = ("_cipher", "_insert", "_iv_size", "_key", "_random", "_sends", "_side", "_wants")

    def __init__(
        self,
        cipher: StreamKey,
        key: bytes,
        iv_size: int,
        random: Random,
        insert: NewSalt | None,
        side: bytes,
        *,
        wants: bool,
        sends: bool,
    ) -> None:
        self._cipher: Final = cipher
        self._key = key
        self._iv_size: Final = iv_size
        self._random = random
        self._insert = insert
        """None where IVs are not remembered."""
        self._side = side
        self._wants = wants
        """What comes must have one-time auth."""
        self._sends = sends
        """What goes has it."""

    def identify(self, packet: memoryview, source: Hashable, out: memoryview, at: int) -> Hashable:
        """A client is its address."""
        return source

    def meet(self, key: Hashable) -> StreamSide:
        """See `packet.PacketHost`."""
        return self

    def open(self, packet: memoryview, out: memoryview, at: int, now: int) -> Span:
        """See `packet.Talk`."""
        iv_size = self._iv_size
        end = at + len(packet) - iv_size
        if end <= at:
            raise RemoteProtocolError("truncated_header")
        iv = bytes(packet[:iv_size])
        self._cipher.open(iv)(packet[iv_size:], out[at:end])
        if out[at] & ota.FLAG:
            end -= ota.HASH_SIZE
            if end <= at:
                raise RemoteProtocolError("truncated_header")
            ota.check(iv + self._key, out[at:end], out[end : end + ota.HASH_SIZE], "ota_header_hmac")
            out[at] ^= ota.FLAG
        elif self._wants:
            raise RemoteProtocolError("ota_required")
        payload = at + IPV4_SIZE if out[at] == IPV4 and end - at >= IPV4_SIZE else payload_at(out, at, end)
        if self._insert is not None and not self._insert(iv + self._side):
            raise ReplayError
        return at, payload, end

    def seal(self, source: memoryview, span: Span, out: memoryview, at: int, now: int) -> int:
        """See `packet.Talk`."""
        start, _, stop = span
        iv = self._random(self._iv_size)
        if self._insert is not None:
            self._insert(iv + self._side)
        body = at + self._iv_size
        out[at:body] = iv
        message = source[start:stop]
        if self._sends:
            plain = bytearray(message)
            plain[0] |= ota.FLAG
            message = memoryview(plain + ota.hash_of(iv + self._key, plain))
        end = body + len(message)
        self._cipher.seal(iv)(message, out[body:end])
        return end
