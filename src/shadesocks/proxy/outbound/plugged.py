"""Through a plugin: it listens on this machine, and leads to the server.

Where it listens may change when it is started again, so it is asked each time. Who dials while it starts waits for it
within the dial time-out; while it is down, at once the word is `plugin_down`, and another server may be tried.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from ...core.errors import DialError
from ...net.story import until
from ...wire.packet import HEADROOM

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Hashable

    from ...core.address import Address
    from ...net.connect import Connector
    from ...net.datagrams import Arena
    from ...net.end import End
    from ...net.lane import Lane
    from ...net.packet_seams import Back
    from ...net.packet_session import Session
    from ...net.packets import PacketRelay
    from ...net.reactor import Reactor
    from ...wire.packet import Span
    from ..seams import First


class Carrier(Protocol):
    """What leads to a server; `service.plugin.Plugin`."""

    @property
    def address(self) -> Address | None:
        """Where it is to be reached now; None while it is not up."""

    def waiting(self) -> asyncio.Future[Address]:
        """Return a future of that, for one who waits; it raises DialError, as this does where it is down."""


class PluggedConnect:
    """A `shadowsocks.Connect` to a server behind a plugin."""

    __slots__ = ("_carrier", "_connector", "_deadline", "_reactor")

    def __init__(self, reactor: Reactor, carrier: Carrier, connector: Connector, deadline: Lane) -> None:
        self._reactor = reactor
        self._carrier = carrier
        self._connector = connector
        self._deadline = deadline

    async def __call__(self, first: First) -> End:
        """Connect, and send these bytes first."""
        address = self._carrier.address
        if address is None:
            address = await self._wait()
        return await self._connector.connect(address, first)

    async def _wait(self) -> Address:
        story = self._reactor.current
        assert story is not None, "connecting is done in stories"
        self._deadline.start(story)
        try:
            address: Address = await until(self._carrier.waiting())
        except TimeoutError:
            raise DialError("plugin_down", "the plugin of the server did not start in time") from None
        finally:
            self._deadline.cancel(story)
        return address


class PluggedBack:
    """A `packet_seams.Back` to a server behind a plugin that carries datagrams. None waits: what is lost is lost."""

    room = HEADROOM

    def __init__(self, carrier: Carrier, make: Callable[[Address], Back]) -> None:
        """Make one; `make` returns the back that leads to an address."""
        self._carrier = carrier
        self._make = make
        self._at: Address | None = None
        self._back: Back | None = None

    def forward(self, relay: PacketRelay, session: Session, span: Span, now: int) -> None:
        """See `packet_seams.Back`. A socket to where the plugin was is closed by whoever it told of its move."""
        address = self._carrier.address
        if address is None:
            raise DialError("plugin_down")
        back = self._back
        if back is None or address != self._at:
            self._at = address
            back = self._back = self._make(address)
        back.forward(relay, session, span, now)

    def read(self, session: Session, source: Hashable, start: int, end: int, now: int) -> tuple[Arena, Span]:
        """See `packet_seams.Back`."""
        assert self._back is not None, "a session has its outlet for what it sent"
        return self._back.read(session, source, start, end, now)

    def tick(self) -> None:
        """See `packet_seams.Back`."""
        if self._back is not None:
            self._back.tick()
