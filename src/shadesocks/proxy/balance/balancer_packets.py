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
    from ...net.packet_seams import Via
    from ...net.packet_session import Session
    from ...net.packets import PacketRelay
    from ...wire.packet import Span
    from .group import Group


class BalancerBack:
    """A `packet_seams.Back` of a group."""

    room = HEADROOM

    def __init__(self, group: Group, middle: Arena, time: Callable[[], float], wanted: Callable[[], None]) -> None:
        """Make one; the messages of programs are in `middle`. `wanted` is told when a session looks for a server."""
        self._group = group
        self._middle = middle
        self._time = time
        self._wanted = wanted

    def forward(self, relay: PacketRelay, session: Session, span: Span, now: int) -> None:
        """See `packet_seams.Back`."""
        via = session.via
        if via is None or (session.outlet is None and not session.held):  # what waits, waits for the one chosen
            self._choose(relay, session, span, now)
        else:
            via.forward(relay, session, span, now)

    def _choose(self, relay: PacketRelay, session: Session, span: Span, now: int) -> None:
        """Send a message through the first server that can, which is the session's from now on."""
        self._wanted()
        start, payload, _ = span
        target, _ = parse_address(self._middle.view[start:payload])
        error = DialError("no_server", "there is no server yet")
        for member in self._group.order(UDP, target, self._time()):
            via = member.back
            if via is None:
                continue
            if via is not session.via:
                _move(relay, session, via)
            try:
                via.forward(relay, session, span, now)
            except DialError as failed:
                error = failed.with_traceback(None)  # which would hold this frame, and it the error
                via.failed(error.code)
            else:
                return
        try:
            raise error
        finally:
            del error  # it holds this frame by its traceback: a cycle, if the frame held it too

    def read(self, session: Session, source: Hashable, start: int, end: int, now: int) -> tuple[Arena, Span]:
        """See `packet_seams.Back`."""
        assert session.via is not None, "a session has its outlet for what it sent"
        return session.via.read(session, source, start, end, now)

    def tick(self) -> None:
        """See `packet_seams.Back`."""
        for member in self._group.members:
            if member.back is not None:
                member.back.tick()


def _move(relay: PacketRelay, session: Session, via: Via) -> None:
    """Let a session go another way from now on."""
    if session.via is not None:
        relay.close_outlet(session)  # and what the old way lived by beside it
        session.via.ended()
    via.began()
    session.via, session.far = via, None
