"""Datagrams of a tunnel's clients: bare payload, and one target for all of it.

request    payload
answer     payload

Nothing on this side says an address. So what another than the target sent back is dropped: the client could not tell
it from an answer.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final

from ..core.address import IPV4, NAME, Address
from ..core.errors import RemoteProtocolError
from .packet import Span

_MAPPED: Final = b"\x04" + bytes(10) + b"\xff\xff"
"""ATYP, and how an IPv6 address begins that means an IPv4 one: so some servers tell who sent an answer."""


class TunnelPackets:
    """Host and every talk in one: nothing is kept for a client, which is its address."""

    __slots__ = ("_address", "_mapped", "_port")

    def __init__(self, target: Address) -> None:
        """Make the packets of a tunnel to one target; raises LocalProtocolError where it has no form on the wire."""
        self._address: Final = target.pack()
        self._mapped: Final = _MAPPED + self._address[1:] if self._address[0] == IPV4 else self._address
        self._port: Final = self._address[-2:] if self._address[0] == NAME else b""
        """Of a name: which addresses it has is known where it is looked up, and not here. Empty for an address."""

    def identify(self, packet: memoryview, source: Hashable, out: memoryview, at: int) -> Hashable:
        """A client is its address."""
        return source

    def meet(self, key: Hashable) -> TunnelPackets:
        """See `packet.PacketHost`."""
        return self

    def open(self, packet: memoryview, out: memoryview, at: int, now: int) -> Span:
        """Put the target before the payload; see `packet.Talk`."""
        payload = at + len(self._address)
        end = payload + len(packet)
        out[at:payload] = self._address
        out[payload:end] = packet
        return at, payload, end

    def seal(self, source: memoryview, span: Span, out: memoryview, at: int, now: int) -> int:
        """Take the sender's address off; see `packet.Talk`.

        Raises:
            RemoteProtocolError: `stray`, it is not the target's.
        """
        start, payload, stop = span
        sender = source[start:payload]
        if sender != self._address and sender != self._mapped and sender[-2:] != self._port:
            raise RemoteProtocolError("stray")
        end = at + stop - payload
        out[at:end] = source[payload:stop]
        return end
