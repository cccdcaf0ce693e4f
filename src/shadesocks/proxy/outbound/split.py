"""Datagrams of a client that go two ways: through the server, or straight to their targets, as an access list says."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import TYPE_CHECKING

from ...core.address import parse_address
from ...core.errors import DialError
from ...net.backs import ROUTES_MOST, hold
from ..acl import Way

if TYPE_CHECKING:
    from ...net.datagrams import Arena, Datagrams
    from ...net.lookup import Found
    from ...net.packet_seams import Back
    from ...net.packet_session import Session
    from ...net.packets import PacketRelay
    from ...wire.packet import Span
    from ..route import Ways


class SplitBack:
    """A `packet_seams.Back` over two others. What bypasses the server does so as a session with a socket of its own.

    Which way a target goes is remembered by its wire form until the next tick, as a direct target's address is.
    """

    def __init__(self, ways: Ways, direct: Back, proxied: Back, datagrams: Datagrams) -> None:
        self.room = max(direct.room, proxied.room)
        self.datagrams = datagrams
        self._ways = ways
        self._direct = direct
        self._proxied = proxied
        self._known: dict[bytes, Way] = {}

    def forward(self, relay: PacketRelay, session: Session, span: Span, now: int) -> None:
        """See `packet_seams.Back`."""
        address = self.datagrams.middle.memory[span[0] : span[1]]
        way = self._known.get(address) or self._find(relay, session, address, span)
        if way is Way.PROXY:
            self._proxied.forward(relay, session, span, now)
        elif way is Way.BYPASS:
            self._direct.forward(relay, relay.branch(session, self._direct), span, now)

    def _find(self, relay: PacketRelay, session: Session, address: bytes, span: Span) -> Way | None:
        """Return the way of a target, None when its name is looked up first: the message is held."""
        target, _ = parse_address(address)
        way = self._ways.of(target.host)
        if way is None:
            try:
                found = self._ways.names.cached(target.host)
            except DialError:
                found = ()
            if found is None:
                lookup = self._ways.names.lookup(target.host)
                hold(self, relay, session, self._settled(address, lookup), span)
                return None
            way = self._ways.of_addresses(found)
        self._learn(address, way)
        return way

    def _settled(self, address: bytes, lookup: asyncio.Future[tuple[Found, ...]]) -> asyncio.Future[tuple[Found, ...]]:
        """Return a future that is done when the way is known; it does not fail, for then the default way is taken."""
        settled: asyncio.Future[tuple[Found, ...]] = asyncio.get_running_loop().create_future()

        def done(lookup: asyncio.Future[tuple[Found, ...]]) -> None:
            found = () if lookup.cancelled() or lookup.exception() else lookup.result()
            self._learn(address, self._ways.of_addresses(found))
            if not settled.done():
                settled.set_result(found)

        lookup.add_done_callback(done)
        return settled

    def _learn(self, address: bytes, way: Way) -> None:
        if len(self._known) >= ROUTES_MOST:
            self._known.clear()
        self._known[address] = way

    def read(self, session: Session, source: Hashable, start: int, end: int, now: int) -> tuple[Arena, Span]:
        """See `packet_seams.Back`. What bypasses is read by its own back."""
        return self._proxied.read(session, source, start, end, now)

    def tick(self) -> None:
        """See `packet_seams.Back`."""
        self._known.clear()
        self._direct.tick()
        self._proxied.tick()
