"""The relay of datagrams: the hot loop of UDP.

One `PacketRelay` for each port that clients write to (the front), one `Session` for each of its clients: an AEAD
or SOCKS5 client is an address, a 2022 client is a session id. What leads on from there is the back: `DirectBack`
for a server, `ShadowBack` for a client or a chain (`net/backs.py`). A datagram passes in this order:

    up     front socket -> host.identify -> session's talk.open -> back.forward -> session's own socket
    down   session's own socket -> back.read -> session's talk.seal -> front socket, to where the client is now

Rules:
 1. A packet that does not authenticate creates nothing: the talk of an unknown key is kept after `open` returned only.
 2. A client moves (2022) after `open` returned, so after the window took the packet: no replay diverts an answer.
 3. One receive for each event, of 32 datagrams at most; what is there beyond comes with the next poll.
 4. What `put` was given is sent by the end of the turn.
 5. Sessions stand in the order of their last use: the first is the one to go, by age or for room.
 6. No error of a datagram, of a name or of a socket ends anything but that datagram.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from ..core.errors import DialError, LimitError, RemoteProtocolError
from ..core.later import later
from ..core.reasons import reason
from ..wire.packet import UnsettledError
from .crowd import Crowd
from .datagrams import group_of
from .listen import PAUSE
from .packet_session import Session
from .poller import READ

if TYPE_CHECKING:
    from socket import SocketType

    from ..wire.packet import PacketHost, Span, Talk
    from .connect import Rights
    from .datagrams import Arena, Datagrams, DatagramSocket, Received
    from .packet_seams import Back, PacketLedger, PacketMeter
    from .reactor import Reactor

_wait: Final = later(__package__, ".unsettled", "wait")
DNS_IDLE: Final = 20.0
"""Seconds after which a socket that only spoke to port 53 is closed: an answer comes within 10, or never."""


class PacketRelay:
    """One front and its sessions."""

    def __init__(
        self,
        reactor: Reactor,
        datagrams: Datagrams,
        sock: SocketType,
        host: PacketHost,
        back: Back,
        crowd: Crowd,
        ledger: PacketLedger,
        wall: Callable[[], int],
        idle: float,
    ) -> None:
        """Begin to serve a bound socket, which is the relay's from now on; `idle` is in seconds."""
        self.reactor = reactor
        self.time = reactor.loop.time
        self.sessions: Final[OrderedDict[Hashable, Session]] = OrderedDict()
        """By key; the one unused for longest comes first."""
        self.dropped: Final[Counter[str]] = Counter()
        """Datagrams that were received and not sent on, by reason word."""
        self.up_packets = self.up_bytes = self.down_packets = self.down_bytes = 0
        """Payload of sessions that are over."""
        self.datagrams = datagrams
        self.front = datagrams.prepare(sock)
        self._host = host
        self.back = back
        self.forward = back.forward
        self._narrowed: WeakValueDictionary[Rights, Back] | None = None
        """What leads on for those who may reach less than the port, while sessions of theirs live."""
        self._crowd = crowd
        self._ledger = ledger
        self.wall = wall
        self.now = wall()
        """Unix time of the last datagram from a client, or of the last sweep: what answers are stamped with."""
        self._idle = idle
        self.meter_of: Callable[[Talk], PacketMeter | None] | None = None
        """Finds whom a new session is counted for, by its talk; None: nobody asks."""
        self.owner: Any = None
        """Whose the sessions are whose talks do not know it; None: nobody's in particular."""
        self._dns: set[Session] = set()
        """Sessions whose socket spoke to port 53 only."""
        crowd.relays.append(self)
        reactor.watch(self.front.fd, READ, self._on_front)

    def crash(self) -> None:
        """A handler raised outside of any datagram, and the reactor took it away: go on after a pause."""
        self.reactor.loop.call_later(PAUSE, self._resume)

    def _resume(self) -> None:
        if self.front.sock.fileno() >= 0:
            self.reactor.watch(self.front.fd, READ, self._on_front)

    # -- up ------------------------------------------------------------------------------------

    def _on_front(self, _events: int) -> None:
        self.take(self.datagrams.receive(self.front), self.datagrams.inward.view)

    def take(self, received: Sequence[Received], inward: memoryview) -> None:
        """Take what clients have sent, and stands in a buffer; those of a front, or one that had to wait."""
        sessions = self.sessions
        identify, room = self._host.identify, self.back.room
        middle = self.datagrams.middle
        out = middle.view
        now, seen_at = self.wall(), self.time()
        self.now = now
        for source, start, end in received:
            packet = inward[start:end]
            at = middle.at + room
            try:
                key = identify(packet, source, out, at)
                session = sessions.get(key)
                if session is None:
                    talk = self._host.meet(key)
                    span = talk.open(packet, out, at, now)
                    session = self._admit(key, source, talk, span)
                else:
                    span = session.talk.open(packet, out, at, now)
                    sessions.move_to_end(key)
                    if session.source != source:
                        session.source = source
                session.seen_at = seen_at
                session.up_wire += end - start
                forward = session.forward
                forward(self, session, span, now)
            except UnsettledError as error:
                _wait(self, error.search)
            except (RemoteProtocolError, DialError, LimitError) as error:
                self.dropped[reason(error.code).word] += 1
            except Exception as error:  # rule 6, and the reactor's second
                self.reactor.failed(error)

    def _admit(self, key: Hashable, source: Hashable, talk: Talk, span: Span) -> Session:
        group = group_of(self.datagrams.name_of(source)[0])
        meter = None if self.meter_of is None else self.meter_of(talk)
        if meter is not None:
            meter.welcome(group)
        self._crowd.enter(self, group)
        session = self.sessions[key] = Session(self, key, source, talk, group)
        if meter is not None:
            session.meter = meter
            meter.met(self, session, span[2] - span[1])
        return session

    def narrow(self, session: Session, rights: Rights | None, make: Callable[[Back, Rights, Arena], Back]) -> None:
        """Let the messages of a session reach what its user may, None: all; `make` makes what knows it, once."""
        if rights is None:
            session.forward = self.forward
            return
        if self._narrowed is None:
            self._narrowed = WeakValueDictionary()
        back = self._narrowed.get(rights)
        if back is None:
            back = self._narrowed[rights] = make(self.back, rights, self.datagrams.middle)
        session.forward = back.forward

    def branch(self, session: Session, back: Back) -> Session:
        """Return the session of the same client that goes another way, with a socket of its own."""
        key = back, session.key
        other = self.sessions.get(key)
        if other is None:
            self._crowd.enter(self, session.group)
            other = self.sessions[key] = Session(self, key, session.source, session.talk, session.group)
            other.back, other.forward = back, back.forward
        else:
            self.sessions.move_to_end(key)
            other.source = session.source
        other.seen_at = session.seen_at
        return other

    def retry(self, session: Session, span: Span, error: BaseException | None) -> None:
        """Forward a message that waited for a name, unless the look-up failed. Called by the event loop."""
        try:
            if error is not None:
                raise error
            session.forward(self, session, span, self.wall())
        except (DialError, LimitError) as failed:
            self.dropped[reason(failed.code).word] += 1
            if error is not None and session.via is not None:
                session.via.failed(failed.code)
        except Exception as failed:  # rule 6
            self.reactor.failed(failed)
        self.reactor.settle()

    # -- down ----------------------------------------------------------------------------------

    def give_outlet(self, session: Session, sock: SocketType) -> DatagramSocket:
        """Let a session have its own socket."""
        outlet = session.outlet = self.datagrams.prepare(sock)
        self.reactor.watch(outlet.fd, READ, session.on_event)
        session.only_dns = True
        self._dns.add(session)
        return outlet

    def spoke_elsewhere(self, session: Session) -> None:
        """A session spoke to a port other than 53: its socket lives as long as it."""
        session.only_dns = False
        self._dns.discard(session)

    # -- ends ----------------------------------------------------------------------------------

    def sweep(self) -> None:
        """End what was unused for too long."""
        self.now = self.wall()
        now = self.time()
        for session in [session for session in self._dns if now - session.seen_at >= DNS_IDLE]:
            self.close_outlet(session)
        while self.sessions:
            session = next(iter(self.sessions.values()))
            if now - session.seen_at < self._idle:
                break
            self.end(session, "idle")
        self.back.tick()
        if self._narrowed is not None:
            for back in self._narrowed.values():
                back.tick()

    def evict(self) -> None:
        """End the session that was unused for longest."""
        self.end(next(iter(self.sessions.values())), "crowded")

    def end(self, session: Session, word: str) -> None:
        """End a session and account for it; nothing happens to one that is over."""
        if self.sessions.get(session.key) is not session:
            return
        del self.sessions[session.key]
        self._crowd.leave(self, session.group)
        self.close_outlet(session)
        if session.via is not None:
            session.via.ended()
        if session.meter is not None:
            session.meter.parted(session)
        self.up_packets += session.up_packets
        self.up_bytes += session.up_bytes
        self.down_packets += session.down_packets
        self.down_bytes += session.down_bytes
        self._ledger.session_ended(self.datagrams.name_of(session.source), session, word)

    def sums(self) -> tuple[int, int, int, int]:
        """Return packets and payload bytes up, and down, of sessions that are over and of live ones."""
        up_packets, up_bytes = self.up_packets, self.up_bytes
        down_packets, down_bytes = self.down_packets, self.down_bytes
        for session in self.sessions.values():
            up_packets += session.up_packets
            up_bytes += session.up_bytes
            down_packets += session.down_packets
            down_bytes += session.down_bytes
        return up_packets, up_bytes, down_packets, down_bytes

    def close_outlet(self, session: Session) -> None:
        """Take a session's socket away; what it sends next gets a new one."""
        self._dns.discard(session)
        if session.outlet is not None:
            self.datagrams.flush()  # what was put for it is sent before its descriptor may be another's
            self.reactor.close(session.outlet.sock)
            session.outlet = None
        on_close, session.on_close = session.on_close, None
        if on_close is not None:
            on_close()

    def close(self, word: str = "stopped") -> None:
        """End every session, and the front."""
        for session in list(self.sessions.values()):
            self.end(session, word)
        self.datagrams.flush()
        if self.reactor.has_slices:
            self.reactor.slices.clear(self)
        self.reactor.close_shared(self.front.sock)
        self._crowd.close(self)
