"""Datagrams in clear: method none, and SOCKS5 (RFC 1928 §7), which has three bytes more.

none       address || payload
socks5     00 00 fragment || address || payload
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from ..core.errors import RemoteProtocolError
from .packet import Span, payload_at


class PlainPackets:
    """Shadow, host and every talk in one: nothing is kept for a peer."""

    __slots__ = ("_head", "idle_min")

    def __init__(self, head: bytes = b"") -> None:
        self._head: Final = head
        self.idle_min = 0

    def host(self) -> PlainPackets:
        """See `packet.PacketShadow`."""
        return self

    join = host

    def identify(self, packet: memoryview, source: Hashable, out: memoryview, at: int) -> Hashable:
        """A client is its address."""
        return source

    def meet(self, key: Hashable) -> PlainPackets:
        """See `packet.PacketHost`."""
        return self

    def open(self, packet: memoryview, out: memoryview, at: int, now: int) -> Span:
        """See `packet.Talk`."""
        head = len(self._head)
        end = at + len(packet) - head
        if end <= at:
            raise RemoteProtocolError("truncated_header")
        if head and packet[2]:
            raise RemoteProtocolError("fragment")
        out[at:end] = packet[head:]
        return at, payload_at(out, at, end), end

    def seal(self, source: memoryview, span: Span, out: memoryview, at: int, now: int) -> int:
        """See `packet.Talk`."""
        start, _, stop = span
        body = at + len(self._head)
        end = body + stop - start
        out[at:body] = self._head
        out[body:end] = source[start:stop]
        return end


SOCKS5_PACKETS: Final = PlainPackets(b"\0\0\0")
"""RSV and FRAG before every message; RSV is not looked at, as by no peer (protocol §12.1)."""
