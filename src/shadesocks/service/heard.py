"""What stands before an inbound or a back where the voice speaks of each request, and nowhere else.

Our own voice speaks of connections when they are over; for it nothing here is made, and nothing is asked on the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.address import parse_address

if TYPE_CHECKING:
    from collections.abc import Hashable
    from socket import SocketType

    from ..net.datagrams import Arena, Datagrams
    from ..net.packet_seams import Back
    from ..net.packet_session import Session
    from ..net.packets import PacketRelay
    from ..proxy.seams import Inbound, Request
    from ..proxy.users.allowed import Allowed
    from ..wire.packet import Span
    from .journal import Journal


class HeardInbound:
    """An inbound whose requests are noted when they are known, before anything is dialled."""

    __slots__ = ("_inbound", "_journal", "header_lane")

    def __init__(self, inbound: Inbound, journal: Journal) -> None:
        self._inbound = inbound
        self._journal = journal
        self.header_lane = inbound.header_lane

    async def handshake(self, sock: SocketType, client: Any) -> Request | None:
        """See `seams.Inbound`."""
        request = await self._inbound.handshake(sock, client)
        if request is not None:
            self._journal.connecting(client, request.target)
        return request

    def release(self, sock: SocketType) -> None:
        """See `seams.Inbound`."""
        self._inbound.release(sock)


class HeardBack:
    """A back whose messages are noted, once a second for each client and target: a line each was a flood."""

    def __init__(self, back: Back, datagrams: Datagrams, journal: Journal) -> None:
        self._back = back
        self._datagrams = datagrams
        self._journal = journal
        self.room = back.room

    def forward(self, relay: PacketRelay, session: Session, span: Span, now: int) -> None:
        """See `packet_seams.Back`."""
        start, payload, _ = span
        address = bytes(self._datagrams.middle.view[start:payload])
        # What is passed on to a server behind this one has no address that could be read here.
        if address and self._journal.is_new(session.source, address):
            self._journal.datagram(self._datagrams.name_of(session.source), parse_address(address)[0])
        self._back.forward(relay, session, span, now)

    def within(self, allowed: Allowed) -> HeardBack:
        """See `guarded.narrowed_back`."""
        from ..proxy.outbound.guarded import narrowed_back  # for users with such limits alone

        return HeardBack(narrowed_back(self._back, allowed, self._datagrams.middle), self._datagrams, self._journal)

    def read(self, session: Session, source: Hashable, start: int, end: int, now: int) -> tuple[Arena, Span]:
        """See `packet_seams.Back`."""
        return self._back.read(session, source, start, end, now)

    def tick(self) -> None:
        """See `packet_seams.Back`."""
        self._back.tick()


def heard(inbound: Inbound, journal: Journal) -> Inbound:
    """Return an inbound whose requests are noted, where the journal speaks of them; else the same."""
    return HeardInbound(inbound, journal) if journal.is_spoken else inbound


def heard_back(back: Back, datagrams: Datagrams, journal: Journal) -> Back:
    """Return a back whose messages are noted, where the journal speaks of them; else the same."""
    return HeardBack(back, datagrams, journal) if journal.is_spoken else back
