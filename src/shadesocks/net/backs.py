"""What leads on from the front of a packet relay: straight to the targets, or to the next server.

Neither waits for a name: a message whose target, or whose server, is still looked up is held, a few for each session,
and goes its way when the name is known.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Hashable
from functools import partial
from socket import AF_INET, AF_INET6
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..core.address import parse_address
from ..core.errors import DialError, LimitError
from ..wire.packet import HEADROOM
from .connect import dial_error
from .datagrams import Arena, DatagramOptions, Datagrams, DatagramSocket, open_outlet
from .options import socket_address

if TYPE_CHECKING:
    import asyncio
    from socket import SocketType

    from ..core.address import Address
    from ..wire.packet import PacketShadow, Span
    from .connect import Judge, Names, Rights
    from .lookup import Found
    from .packet_session import Session
    from .packets import PacketRelay

HELD_MOST: Final = 16
"""Messages of one session that wait for names: a program sends one, and a few again before the answer is late."""
ROUTES_MOST: Final = 4096
"""Targets, and senders, remembered between two ticks; some 200 bytes each."""
_DNS: Final = b"\0\x35"
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class DirectBack:
    """The back of a server: each session has a socket of both families, so one source port towards every target.

    A target is judged on the address that it is then sent to, and again after each tick: what a name means may
    change, and so may what is allowed. In between, the answer is remembered by the target's wire form.
    """

    room = 0

    def __init__(self, datagrams: Datagrams, names: Names, judge: Judge, options: DatagramOptions) -> None:
        self.datagrams = datagrams
        self._names = names
        self._judge = judge
        self._options = options
        self._routes: dict[bytes, Hashable] = {}
        self._refusals: dict[bytes, str] = {}
        self._senders: dict[Hashable, bytes] = {}

    def forward(self, relay: PacketRelay, session: Session, span: Span, now: int) -> None:
        """See `packet_seams.Back`."""
        middle = self.datagrams.middle
        start, payload, end = span
        address = middle.memory[start:payload]
        to = self._routes.get(address)
        if to is None:
            to = self._find(relay, session, address, span)
            if to is None:
                return
        outlet = session.outlet or self._open(relay, session, self.datagrams.name_of(to)[0])
        if session.only_dns and not address.endswith(_DNS):
            relay.spoke_elsewhere(session)
        session.up_packets += 1
        session.up_bytes += end - payload
        self.datagrams.put(outlet, to, middle, payload, end)

    def within(self, rights: Rights) -> DirectBack:
        """Return one that goes the same ways, for who may reach less: it remembers nothing that others found."""
        return DirectBack(self.datagrams, self._names, rights.narrow(self._judge), self._options)

    def _find(self, relay: PacketRelay, session: Session, address: bytes, span: Span) -> Hashable | None:
        """Return where a target is, None when that is looked up first; raises DialError. No socket if refused."""
        if address in self._refusals:
            raise DialError(self._refusals[address])
        if len(self._routes) + len(self._refusals) >= ROUTES_MOST:
            self.tick()
        target, _ = parse_address(address)
        if self._judge.refuse_name(target.host) is not None:
            self._refusals[address] = "denied"
            raise DialError("denied")
        found = self._names.cached(target.host)
        if found is None:
            hold(self, relay, session, self._names.lookup(target.host), span)
            return None
        word = "no_name"
        for _, ip in found:
            if self._judge.refuse(ip, target.port, target.host) is not None:
                word = "denied"
                continue
            outlet = session.outlet or self._open(relay, session, ip)
            to = self.datagrams.token(outlet.wide, ip, target.port)
            if to is not None:
                self._routes[address] = to
                return to
            word = "unreachable"
        self._refusals[address] = word
        raise DialError(word)

    def _open(self, relay: PacketRelay, session: Session, ip: str) -> DatagramSocket:
        towards = AF_INET6 if ":" in ip else AF_INET
        return give(relay, session, partial(open_outlet, self._options, towards=towards))

    def read(self, session: Session, source: Hashable, start: int, end: int, now: int) -> tuple[Arena, Span]:
        """See `packet_seams.Back`: whoever sent it is put before what was sent."""
        inward = self.datagrams.inward
        address = self._senders.get(source)
        if address is None:
            if len(self._senders) >= ROUTES_MOST:
                self._senders.clear()
            address = self._senders[source] = self.datagrams.pack(source)
        begin = start - len(address)
        inward.view[begin:start] = address
        return inward, (begin, start, end)

    def tick(self) -> None:
        """See `packet_seams.Back`."""
        self._routes.clear()
        self._refusals.clear()


class ClosedBack:
    """A back that leads nowhere: every message is dropped as unreachable."""

    room = 0

    def __init__(self, datagrams: Datagrams) -> None:
        self.datagrams = datagrams

    def forward(self, relay: PacketRelay, session: Session, span: Span, now: int) -> None:
        """See `packet_seams.Back`."""
        raise DialError("unreachable")

    def read(self, session: Session, source: Hashable, start: int, end: int, now: int) -> tuple[Arena, Span]:
        """See `packet_seams.Back`: there is no socket that anything could come from."""
        raise DialError("unreachable")

    def tick(self) -> None:
        """See `packet_seams.Back`."""


class ShadowBack:
    """The back of a client, and of a chain: each session has a socket connected to the server, and a talk with it."""

    room = HEADROOM

    def __init__(
        self,
        datagrams: Datagrams,
        names: Names,
        server: Address,
        packets: PacketShadow,
        options: DatagramOptions,
    ) -> None:
        self.datagrams = datagrams
        self._names = names
        self._server = server
        self._packets = packets
        self._options = options

    def forward(self, relay: PacketRelay, session: Session, span: Span, now: int) -> None:
        """See `packet_seams.Back`."""
        datagrams = self.datagrams
        middle, outward = datagrams.middle, datagrams.outward
        _, payload, end = span
        outlet = session.outlet
        if outlet is None:
            found = self._names.cached(self._server.host)
            if found is None:
                hold(self, relay, session, self._names.lookup(self._server.host), span)
                return
            outlet = give(relay, session, partial(connect_outlet, self._options, found, self._server.port))
        far = session.far
        if far is None:
            far = session.far = self._packets.join()
        if session.only_dns and middle.memory[payload - 2 : payload] != _DNS:
            relay.spoke_elsewhere(session)
        session.up_packets += 1
        session.up_bytes += end - payload
        at = outward.at
        datagrams.put(outlet, None, outward, at, far.seal(middle.view, span, outward.view, at, now))

    def read(self, session: Session, source: Hashable, start: int, end: int, now: int) -> tuple[Arena, Span]:
        """See `packet_seams.Back`."""
        middle = self.datagrams.middle
        assert session.far is not None, "a session has its outlet for what it sent"
        packet = self.datagrams.inward.view[start:end]
        return middle, session.far.open(packet, middle.view, middle.at + HEADROOM, now)

    def tick(self) -> None:
        """See `packet_seams.Back`."""


def connect_outlet(options: DatagramOptions, found: tuple[Found, ...], port: int) -> SocketType:
    """Return a socket connected to the first address of a server that there is a way to; raises DialError, OSError."""
    code = errno.EHOSTUNREACH
    for family, ip in found:
        sock = open_outlet(options, towards=family, family=family)
        code = sock.connect_ex(socket_address(ip, port))
        if not code:
            return sock
        sock.close()
    raise dial_error(code)


def give(relay: PacketRelay, session: Session, make: Callable[[], SocketType]) -> DatagramSocket:
    """Give a session its socket; raises LimitError, DialError."""
    try:
        sock = make()
    except OSError as error:
        if error.errno in _EXHAUSTED:
            relay.evict()  # the next one finds room
        raise LimitError("limit", "no socket can be made") from None
    return relay.give_outlet(session, sock)


class Holds(Protocol):
    """What may hold messages."""

    @property
    def room(self) -> int:
        """Bytes kept free before a message in `middle`."""

    @property
    def datagrams(self) -> Datagrams:
        """Of the reactor."""


def hold(
    back: Holds,
    relay: PacketRelay,
    session: Session,
    lookup: asyncio.Future[Any],
    span: Span,
) -> None:
    """Keep a message until a name is known, or what else is waited for, and forward it then.

    All that wait have 64 MiB at most: the resolver takes 1,024 waiters.
    """
    if session.held >= HELD_MOST:
        lookup.cancel()
        raise LimitError("limit", "too many messages wait for names")
    middle = back.datagrams.middle
    start, payload, end = span
    message = middle.memory[start:end]
    session.held += 1

    def found(lookup: asyncio.Future[Any]) -> None:
        try:
            if lookup.cancelled():
                return
            error = lookup.exception()  # asked for in any case, or the loop would complain that nobody did
            if relay.sessions.get(session.key) is not session:
                return
            begin = middle.at + back.room
            stop = begin + len(message)
            middle.view[begin:stop] = message
            relay.retry(session, (begin, begin + payload - start, stop), error)
        finally:
            session.held -= 1  # not before: whoever is held waits for the server that was chosen

    lookup.add_done_callback(found)
