"""Datagrams through several proxies: one packet in another, each addressed to the proxy behind.

    us   --1-->   hop 1   --2-->   hop 2   --message-->   target

    packet = sealed for 1 ( address of 2 || sealed for 2 ( address of the target || payload ) )

Each hop takes off its own layer, and puts it back on around what comes back. What the last one says is whole only if
it came from there: a Shadowsocks server shows that by its key; of a SOCKS5 proxy, whose datagrams are in clear, the
hop before it tells the address.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..core.address import ADDRESS_MAX
from ..core.errors import LimitError, RemoteProtocolError
from .packet import HEADROOM, OVERHEAD_MAX, PACKET_MAX, Span, Talk

BUFFER_SIZE: Final = HEADROOM + ADDRESS_MAX + PACKET_MAX + OVERHEAD_MAX
"""Bytes of each of the two buffers between layers."""
_BEGIN: Final = HEADROOM + ADDRESS_MAX


@dataclass(frozen=True, slots=True)
class Layer:
    """The talk with one hop, and where it is."""

    talk: Talk
    address: bytes
    """Its wire form, as the hop before is told it."""
    strict: bool
    """True where what comes from another address is somebody else's."""


class LayeredTalk:
    """The talks with two hops or more, as one. A `packet.Talk`."""

    __slots__ = ("_buffers", "_first", "_rest")

    def __init__(self, layers: Sequence[Layer], buffers: tuple[memoryview, memoryview]) -> None:
        """Make one of the layers, the nearest hop first. Nothing stays in the buffers between two calls."""
        self._first = layers[0].talk
        self._rest = tuple(layers[1:])
        self._buffers = buffers

    def seal(self, source: memoryview, span: Span, out: memoryview, at: int, now: int) -> int:
        """See `packet.Talk`.

        Raises:
            LimitError: `too_large`, for any way there is.
        """
        buffer, other = self._buffers
        for layer in reversed(self._rest):
            end = layer.talk.seal(source, span, buffer, _BEGIN, now)
            start = _BEGIN - len(layer.address)
            if end - start > PACKET_MAX:
                raise LimitError("too_large")
            buffer[start:_BEGIN] = layer.address
            source, span = buffer, (start, _BEGIN, end)
            buffer, other = other, buffer
        return self._first.seal(source, span, out, at, now)

    def open(self, packet: memoryview, out: memoryview, at: int, now: int) -> Span:
        """See `packet.Talk`. What another than the next hop sent is refused as `bad_hop`."""
        buffer, other = self._buffers
        talk = self._first
        for layer in self._rest:
            start, payload, end = talk.open(packet, buffer, 0, now)
            if layer.strict and buffer[start:payload] != layer.address:
                raise RemoteProtocolError("bad_hop")
            packet = buffer[payload:end]
            buffer, other = other, buffer
            talk = layer.talk
        return talk.open(packet, out, at, now)
