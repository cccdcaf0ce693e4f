"""Datagrams in memory: a client's session and a server with its sessions, as the relay keeps them.

Both watch what a format writes: anything outside the places the seam (`wire/packet.py`) gives it is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final

from shadesocks.core.address import Address, parse_address
from shadesocks.core.errors import RemoteProtocolError
from shadesocks.wire.packet import HEADROOM, OVERHEAD_MAX, PacketShadow, Talk

AT: Final = HEADROOM
"""Where a message is opened to, so that it can be sealed from there."""
_FOREIGN: Final = b"\xee"
"""What stands in the buffers beforehand: somebody else's bytes."""
_MARGIN: Final = 64
"""Bytes behind all that may be written."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What came out of a packet."""

    plain: bytes
    """All from where it was opened to, headers and padding included."""
    address: bytes
    payload: bytes

    @property
    def target(self) -> Address:
        """The address, of which nothing is left over."""
        target, size = parse_address(self.address)
        assert size == len(self.address)
        return target


class Client:
    """One session of a client."""

    def __init__(self, shadow: PacketShadow) -> None:
        self.talk = shadow.join()

    def says(self, target: Address, payload: bytes, now: int = 0) -> bytes:
        """Return the packet that carries a payload to its target."""
        return sealed(self.talk, target.pack() + payload, len(target.pack()), now)

    def hears(self, packet: bytes, now: int = 0) -> Heard:
        """Open an answer; raises RemoteProtocolError."""
        return _opened(packet, lambda view, out: self.talk.open(view, out, AT, now))


class Server:
    """A server's sessions: a talk is kept once a packet of it was good."""

    def __init__(self, shadow: PacketShadow) -> None:
        self.host = shadow.host()
        self.talks: dict[Hashable, Talk] = {}
        self.last: Hashable = None
        """Whose packet was the last good one."""

    def hears(self, packet: bytes, now: int = 0, source: Hashable = "client") -> Heard:
        """Open a request; raises RemoteProtocolError."""

        def take(view: memoryview, out: memoryview) -> tuple[int, int, int]:
            key = self.host.identify(view, source, out, AT)
            talk = self.talks.get(key) or self.host.meet(key)
            span = talk.open(view, out, AT, now)
            self.talks[key] = talk
            self.last = key
            return span

        return _opened(packet, take)

    def says(self, sender: Address, payload: bytes, now: int = 0) -> bytes:
        """Return the packet that carries what a sender said to whoever spoke last."""
        return sealed(self.talks[self.last], sender.pack() + payload, len(sender.pack()), now)


def sealed(talk: Talk, message: bytes, payload: int, now: int) -> bytes:
    """Seal a message whose payload begins at `payload`; nothing but `HEADROOM` and the packet's place is written."""
    source = bytearray(_FOREIGN * HEADROOM + message + _FOREIGN * _MARGIN)
    out = bytearray(_FOREIGN * (AT + len(message) + OVERHEAD_MAX + _MARGIN))
    end = HEADROOM + len(message)
    made = talk.seal(memoryview(source), (HEADROOM, HEADROOM + payload, end), memoryview(out), AT, now)
    assert source[HEADROOM:] == message + _FOREIGN * _MARGIN, "the message was changed"
    assert made - AT <= len(message) + OVERHEAD_MAX
    _only_between(out, AT, made)
    return bytes(out[AT:made])


def _opened(packet: bytes, take: Callable[[memoryview, memoryview], tuple[int, int, int]]) -> Heard:
    """Open a packet; what is refused may have been written to its place, but nowhere else."""
    source = bytearray(packet)
    out = bytearray(_FOREIGN * (AT + len(packet) + _MARGIN))
    try:
        start, payload, end = take(memoryview(source), memoryview(out))
    finally:
        _only_between(out, AT, AT + len(packet))
        assert source == packet, "the packet was changed"
    assert AT <= start < payload <= end <= AT + len(packet)
    return Heard(bytes(out[AT:end]), bytes(out[start:payload]), bytes(out[payload:end]))


def _only_between(out: bytearray, at: int, end: int) -> None:
    assert out[:at] == _FOREIGN * at, "bytes before the packet's place were written"
    assert out[end:] == _FOREIGN * (len(out) - end), "bytes behind the packet's place were written"


def word_of(hears: Callable[[bytes, int], Heard], packet: bytes, now: int = 0) -> str:
    """Return why a packet is refused; empty when it is not."""
    try:
        hears(packet, now)
    except RemoteProtocolError as error:
        return error.code
    return ""
