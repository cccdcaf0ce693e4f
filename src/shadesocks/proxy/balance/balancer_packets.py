"""Datagrams through one of several servers: each session has its own, as long as it has its socket.

Old Python drew a server for each datagram. That cannot be kept: a session of AEAD-2022 is known to one server, an
answer comes from the one that was asked, and a target would see one client at several addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

from ...core.address import parse_address
from ...core.errors import DialError
from ...wire.packet import HEADROOM
from .group import UDP

if TYPE_CHECKING:
    from ...net.datagrams import Arena
    from ...net.packets import PacketRelay, Session, Via
    from ...wire.packet import Span
    from .group import Group


class BalancerBack:
    """A `packets.Back` of a group."""

    room = HEADROOM

    def __init__(self, group: Group, middle: Arena, time: Callable[[], float]) -> None:
        """Make one; the messages of programs are in `middle`."""
        self._group = group
        self._middle = middle
        self._time = time

    def forward(self, relay: PacketRelay, session: Session, span: Span, now: int) -> None:
        """See `packets.Back`."""
        via = session.via
        if via is None or (session.outlet is None and not session.held):  # what waits, waits for the one chosen
            via = self._choose(span)
            if via is not session.via:
                if session.via is not None:
                    session.via.ended()
                via.began()
                session.via, session.far = via, None
        via.forward(relay, session, span, now)

    def _choose(self, span: Span) -> Via:
        """Return the back of the server that a session takes for the target of its first datagram."""
        start, payload, _ = span
        target, _ = parse_address(self._middle.view[start:payload])
        members = self._group.order(UDP, target, self._time())
        if not members or members[0].back is None:
            raise DialError("no_server", "there is no server yet")
        return members[0].back

    def read(self, session: Session, source: Hashable, start: int, end: int, now: int) -> tuple[Arena, Span]:
        """See `packets.Back`."""
        assert session.via is not None, "a session has its outlet for what it sent"
        return session.via.read(session, source, start, end, now)

    def tick(self) -> None:
        """See `packets.Back`."""
        for member in self._group.members:
            if member.back is not None:
                member.back.tick()
