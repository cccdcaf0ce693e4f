"""The seam of datagrams: what a relay needs to know of a wire format.

Whatever the format, what it carries is `address || payload` (protocol §2): the target on the way up, the sender on
the way down. That is a message; it is never taken apart further than it must be:

    packet   --open-->   message in a buffer of ours   --seal-->   packet of another format

A `Talk` is one peer's datagrams in both directions. Where a format keeps no state for a peer (AEAD, plain, SOCKS5),
all peers have one and the same. `PacketHost` is the side that is written to by many: it tells them apart.

An edition's file implements these (`packet_aead.py`, `packet_aead2022.py`, `packet_stream.py`, `packet_plain.py`);
`make_packets` in `editions.py` picks one.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Final, Protocol

from ..core.address import CONTROLS, IPV4, IPV6, NAME
from ..core.errors import RemoteProtocolError

if TYPE_CHECKING:
    from .identity import Holder

HEADROOM: Final = 1024
"""Bytes that may be overwritten before a message that is sealed: 19 of a header and 900 of padding (SIP022 §3.2.3)."""
PACKET_MAX: Final = 65_535
"""Bytes of the longest datagram a socket can give (IPv4 stops at 65,507)."""
OVERHEAD_MAX: Final = 1280
"""Bytes that sealing adds at most: salt or separate header, 256 of identity headers, header, padding, tag."""

IPV4_SIZE: Final = 7
"""Bytes of an address with IPv4, which most are: those who count know it without `payload_at`."""

Span = tuple[int, int, int]
"""Where a message stands in its buffer: its address begins, its payload begins, its end."""


class Talk(Protocol):
    """The datagrams of one peer, both ways."""

    def open(self, packet: memoryview, out: memoryview, at: int, now: int) -> Span:
        """Open a packet into `out[at:]`; return where its message stands there. `now` is Unix time in seconds.

        Raises:
            RemoteProtocolError: the packet is to be dropped in silence. `out[at:]` is then anything.
        """

    def seal(self, source: memoryview, span: Span, out: memoryview, at: int, now: int) -> int:
        """Seal the message at `span` of `source` into `out[at:]`, another buffer; return its end there.

        The `HEADROOM` bytes before the message are overwritten.

        Raises:
            RemoteProtocolError: the message is to be dropped in silence: it is from whom this peer did not ask.
        """


class UserTalk(Talk, Protocol):
    """The talk of one of several users of a port, found by a key of his."""

    user: Holder

    def holder(self) -> Holder | None:
        """Return whose the key is now; None: nobody's any more."""


class PacketHost(Protocol):
    """A format on the side that many write to: a server, a SOCKS5 relay."""

    def identify(self, packet: memoryview, source: Hashable, out: memoryview, at: int) -> Hashable:
        """Return whose packet this claims to be: the key of its session. `open` follows at once, if at all.

        Raises:
            RemoteProtocolError: nobody's; as an UnsettledError, if that is not yet certain.
        """

    def meet(self, key: Hashable) -> Talk:
        """Return the talk of a key that has no session yet. It is the caller's to keep, or to forget."""


class Unsettled(Protocol):
    """A packet that may be that of many, while it is tried whose it is."""

    packet: bytes
    source: Hashable
    group: bytes
    """The addresses that count as one with its source."""

    def step(self) -> bool:
        """Try some more; True when that is over."""

    def settle(self) -> bool:
        """Say whether somebody's it is; then `identify` knows whose, if it is given the packet next."""


class UnsettledError(RemoteProtocolError):
    """It takes longer to say whose packet it is; whoever cannot wait drops it."""

    def __init__(self, search: Unsettled) -> None:
        super().__init__("auth_failed")
        self.search = search


class PacketShadow(Protocol):
    """A method with its key, for datagrams."""

    idle_min: int
    """Seconds that a session is remembered at least (protocol §7.7); 0 where nothing is."""

    def host(self) -> PacketHost:
        """Return the side of the server."""

    def join(self) -> Talk:
        """Return a new session of a client."""


def payload_at(buffer: memoryview, start: int, end: int) -> int:
    """Return where the payload begins behind the address at `start`.

    Raises:
        RemoteProtocolError: `truncated_header`, `bad_atyp`, `empty_domain` or `bad_domain`.
    """
    if start >= end:
        raise RemoteProtocolError("truncated_header")
    kind = buffer[start]
    if kind == IPV4:
        at = start + IPV4_SIZE
    elif kind == NAME:
        if end - start < 2:
            raise RemoteProtocolError("truncated_header")
        at = start + 4 + buffer[start + 1]
        if at == start + 4:
            raise RemoteProtocolError("empty_domain")
        name = bytes(buffer[start + 2 : min(at - 2, end)])
        if name.translate(None, CONTROLS) != name:
            raise RemoteProtocolError("bad_domain")
    elif kind == IPV6:
        at = start + 19
    else:
        raise RemoteProtocolError("bad_atyp")
    if at > end:
        raise RemoteProtocolError("truncated_header")
    return at
