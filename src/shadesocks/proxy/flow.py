"""The story of one connection: handshake, who, where, dial, answer; then the relay.

Written once for every role: a server, a client and a chain differ only in the parts they are given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from ..core.address import Address, in_ascii
from ..core.errors import DialError, LimitError, LocalProtocolError, RemoteProtocolError
from ..core.later import later
from ..core.reasons import reason
from ..net.options import NOW
from ..net.relay import Relay

if TYPE_CHECKING:
    from socket import SocketType

    from ..net.pipe import Scratch
    from ..net.reactor import Reactor
    from ..net.story import Story
    from .seams import Inbound, Metering, Request, Router
    from .users.user import User

_FAREWELL_READS: Final = 4
"""Reads before a refused initiator is closed: 256 KiB that would make the kernel send a reset instead of a FIN."""


_narrowed_dialer: Final = later(__package__, ".outbound.guarded", "narrowed_dialer")


class Ledger(Protocol):
    """Who is told what became of connections; the service's journal."""

    relays: set[Relay]
    """Every live relay; the flow adds, `ended` takes away."""

    def ended(self, relay: Relay, word: str) -> None:
        """A relay is over; its label is (client address, target)."""

    def failed(self, client: Any, target: Address | None, stage: str, word: str, user: User | None = None) -> None:
        """A connection ended before its relay began."""

    def dialled(self, word: str, seconds: float) -> None:
        """A target was reached (`done`) or not."""


class Visit:
    """A connection that has not come to its relay: whose it is, and how far it is."""

    __slots__ = ("client", "started_at", "target", "user")

    def __init__(self, client: Any, started_at: float) -> None:
        self.client = client
        self.started_at = started_at
        self.target: Address | None = None
        """What is dialled; None while nobody knows."""
        self.user: User | None = None
        """Whose connection it is; None while nobody knows, and where a port has no users."""


class Flow:
    """What is done with each connection of one listener."""

    __slots__ = ("_inbound", "_ledger", "_reactor", "_router", "_scratch", "dialling", "moved", "relays", "visits")

    def __init__(self, reactor: Reactor, scratch: Scratch, inbound: Inbound, router: Router, ledger: Ledger) -> None:
        self._reactor = reactor
        self._scratch = scratch
        self._inbound = inbound
        self._router = router
        self._ledger = ledger
        self.visits: dict[Story, Visit] = {}
        """Connections that have not come to a relay."""
        self.dialling = 0
        """Those of them whose request is known."""
        self.relays: set[Relay] = set()
        """Live relays; their bytes are not in `moved` yet."""
        self.moved = 0
        """Payload bytes, up and down, of relays that are over."""

    def accept(self, sock: SocketType, client: Any) -> None:
        """Begin the story of a socket that was just accepted."""
        self._reactor.tell(self.serve(sock, client))

    async def serve(self, sock: SocketType, client: Any) -> None:
        """Serve one connection, from its accept to the beginning of its relay."""
        reactor = self._reactor
        story = reactor.current
        assert story is not None, "a connection is served by a story"
        started_at = reactor.loop.time()
        visit = self.visits[story] = Visit(client, started_at)
        request: Request | None = None
        meter: Metering | None = None
        dialled_at: float | None = None
        mine = [sock]
        try:
            request = await self._inbound.handshake(sock, client)
            if request is None:
                mine.clear()
                return
            self.dialling += 1
            meter, visit.user = request.meter, request.user
            if not request.target.host.isascii():
                request.target = in_ascii(request.target)
            visit.target = request.target
            dialer = self._router.pick(request)
            if meter is not None and meter.account.allowed is not None:
                dialer = _narrowed_dialer(dialer, meter.account.allowed)
            if meter is not None and meter.account.up_bucket is not None:
                await meter.turn(len(request.first))
            dialled_at = reactor.loop.time()
            far = await dialer.dial(request.target, request.first)
            self._ledger.dialled("done", reactor.loop.time() - dialled_at)
            mine.append(far.sock)
            if request.answer is not None:
                request.answer("done")
            mine.clear()
            label = (client, request.target)
            relay = Relay(
                reactor, self._scratch, request.end, far, self._ended, self._inbound.release, label, started_at
            )
            relay.user = request.user
            self.relays.add(relay)
            self._ledger.relays.add(relay)
            if meter is not None:
                request.end.via, meter = meter, None
                request.end.via.began(relay)
            if far.via is not None:
                far.via.began(relay)
            relay.begin(self._inbound.header_lane)
        except (DialError, LimitError, LocalProtocolError) as error:
            word = reason(error.code).word
            self._refuse(request, word)
            stage = error.stage if isinstance(error, DialError) else "dial"
            target, user = (None, None) if request is None else (request.target, request.user)
            self._ledger.failed(client, target, stage, word, user)
            if dialled_at is not None:
                self._ledger.dialled(word, reactor.loop.time() - dialled_at)
        except (RemoteProtocolError, TimeoutError, OSError) as error:
            word = reason(error.code).word if isinstance(error, RemoteProtocolError) else "left_early"
            self._ledger.failed(client, None, "handshake", word)
        finally:
            del self.visits[story]
            if meter is not None and request is not None:
                meter.leave(len(request.first))
            if request is not None:
                self.dialling -= 1
            for mine_still in mine:
                reactor.close(mine_still)

    def _ended(self, relay: Relay, word: str) -> None:
        self.relays.discard(relay)
        self.moved += relay.up + relay.down
        if relay.right.via is not None:
            relay.right.via.ended(relay, word)
        if relay.left.via is not None:
            relay.left.via.ended(relay, word)
        self._ledger.ended(relay, word)

    @property
    def passed(self) -> int:
        """Payload bytes, up and down, of all its relays."""
        return self.moved + sum(relay.up + relay.down for relay in self.relays)

    @property
    def is_idle(self) -> bool:
        """True while no connection is under way."""
        return not self.visits and not self.relays

    @property
    def greets(self) -> bool:
        """True while a connection is there whose request is not known yet."""
        return len(self.visits) > self.dialling

    def close(self, word: str) -> None:
        """End all of its connections: their port is gone."""
        for story in list(self.visits):
            story.abort()
        for relay in list(self.relays):
            relay.close(word)

    def _refuse(self, request: Request | None, word: str) -> None:
        """Answer as the initiator's protocol does, and read what is left, so that the close is a FIN."""
        if request is None:
            return
        if request.answer is not None:
            request.answer(word)
        try:
            for _ in range(_FAREWELL_READS):
                if not request.end.sock.recv_into(self._scratch.inward, 0x10000, NOW):
                    break
        except OSError:
            return
