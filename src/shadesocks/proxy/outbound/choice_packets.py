"""Datagrams through one of several servers: each session has its own, as long as it has its socket.

Old Python drew a server for each datagram. That cannot be kept: a session of AEAD-2022 is known to one server, an
answer comes from the one that was asked, and a target would see one client at several addresses. A datagram that
gets lost tells nobody, so what is chosen for a session is what the connections have found out of the servers.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...net.datagrams import Arena
    from ...net.packets import Back, PacketRelay, Session
    from ...wire.packet import Span
    from .choice import Choice


class ChosenBack:
    """A `packets.Back` over several, by the numbers of their servers."""

    def __init__(self, backs: Mapping[int, Back], choice: Choice) -> None:
        self.room = max(back.room for back in backs.values())
        self._backs = backs
        self._numbers = tuple(backs)
        self._choice = choice

    def forward(self, relay: PacketRelay, session: Session, span: Span, now: int) -> None:
        """See `packets.Back`."""
        via = session.via
        if via is None or (session.outlet is None and not session.held):  # what waits, waits for the one chosen
            via = self._backs[self._choice.order(self._numbers)[0]]
            if via is not session.via:
                session.via, session.far = via, None
        via.forward(relay, session, span, now)

    def read(self, session: Session, source: Hashable, start: int, end: int, now: int) -> tuple[Arena, Span]:
        """See `packets.Back`."""
        assert session.via is not None, "a session has its outlet for what it sent"
        return session.via.read(session, source, start, end, now)

    def tick(self) -> None:
        """See `packets.Back`."""
        for back in self._backs.values():
            back.tick()
