"""Datagrams on to the next server, for one that stands in front of others (SIP023)."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial
from typing import TYPE_CHECKING

from ...net.backs import connect_outlet, give, hold
from ...wire.relayed import RelayTalk

if TYPE_CHECKING:
    from ...net.connect import Names
    from ...net.datagrams import Arena, DatagramOptions, Datagrams
    from ...net.packet_session import Session
    from ...net.packets import PacketRelay
    from ...wire.packet import Span


class RelayedBack:
    """Each session has a socket that is connected to its next server: what comes from elsewhere does not come in."""

    room = 0

    def __init__(self, datagrams: Datagrams, names: Names, options: DatagramOptions) -> None:
        self.datagrams = datagrams
        self._names = names
        self._options = options

    def forward(self, relay: PacketRelay, session: Session, span: Span, now: int) -> None:
        """See `packet_seams.Back`. The message has no address: where it goes is in the session's talk."""
        _, payload, end = span
        outlet = session.outlet
        if outlet is None:
            talk = session.talk
            assert isinstance(talk, RelayTalk), "this back is behind a host that passes on"
            to = talk.to.address
            found = self._names.cached(to.host)
            if found is None:
                hold(self, relay, session, self._names.lookup(to.host), span)
                return
            outlet = give(relay, session, partial(connect_outlet, self._options, found, to.port))
            relay.spoke_elsewhere(session)  # nobody knows what it asks for
        session.up_packets += 1
        session.up_bytes += end - payload
        self.datagrams.put(outlet, None, self.datagrams.middle, payload, end)

    def read(self, session: Session, source: Hashable, start: int, end: int, now: int) -> tuple[Arena, Span]:
        """See `packet_seams.Back`."""
        return self.datagrams.inward, (start, start, end)

    def tick(self) -> None:
        """See `packet_seams.Back`."""
