"""Datagrams through one proxy or several: the back of whoever goes through a chain.

A session's way is a socket connected to the first hop, and a talk with each hop, one in another (`packet_layers.py`).
Of a SOCKS5 proxy it must be asked for: an association lives by a TCP connection, which goes through the hops before
that proxy. While a way is opened, messages wait, a few for each session. It ends with its session, with any of its
connections, and with its socket; the next message opens another. A way that failed is not tried again before the next
tick.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from ...core.address import MAPPED_TEXT, Address, pack_ip
from ...core.errors import DialError, LimitError, LocalProtocolError
from ...net.backs import HELD_MOST, connect_outlet, give, hold
from ...net.options import NOW, TcpOptions, apply_late
from ...net.poller import READ
from ...net.story import until
from ...wire.packet import HEADROOM
from ...wire.packet_layers import BUFFER_SIZE, Layer, LayeredTalk
from ...wire.packet_plain import SOCKS5_PACKETS
from .chain import ChainMeans, ConnectTo, Hop, ShadowHop, SocksHop, can_packets, chain_dialer

if TYPE_CHECKING:
    from collections.abc import Coroutine, Hashable
    from socket import SocketType

    from ...net.connect import Names
    from ...net.datagrams import Arena, DatagramOptions, Datagrams, DatagramSocket
    from ...net.end import End
    from ...net.lookup import Found
    from ...net.packet_session import Session
    from ...net.packets import PacketRelay
    from ...net.pipe import Scratch
    from ...net.reactor import Reactor
    from ...net.story import Story, Wait
    from ...wire.packet import Span, Talk

_DNS: Final = b"\0\x35"
_ANYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104 - compared to, not bound
_DISCARD: Final = 4096
_KEEP_ALIVE: Final = TcpOptions()

Opened = tuple["tuple[Found, ...]", int, "Talk"]
"""Where the first hop takes datagrams, its addresses and a port; and the talk with all hops."""


class ChainBack:
    """A `packet_seams.Back` through hops that all take datagrams."""

    room = HEADROOM

    def __init__(
        self,
        datagrams: Datagrams,
        names: Names,
        hops: Sequence[Hop],
        connect_to: ConnectTo,
        means: ChainMeans,
        options: DatagramOptions,
    ) -> None:
        """Make a back; `connect_to` is for the connections that associations live by."""
        assert hops, "without a hop there is `backs.DirectBack`"
        assert can_packets(hops), "every hop takes datagrams"
        self.datagrams = datagrams
        self.means: Final = means
        self._names = names
        self._options = options
        self._buffers = memoryview(bytearray(BUFFER_SIZE)), memoryview(bytearray(BUFFER_SIZE))
        self._hops = [
            (hop, partial(chain_dialer(hops[:number], connect_to, means).dial, hop.address))
            for number, hop in enumerate(hops)
        ]
        """Each with the way to it."""
        self._ways: dict[Session, _Way] = {}
        self._failed: set[Session] = set()

    def forward(self, relay: PacketRelay, session: Session, span: Span, now: int) -> None:
        """See `packet_seams.Back`."""
        outlet = session.outlet
        if outlet is None:
            outlet = self._enter(relay, session, span)
            if outlet is None:
                return
        datagrams, far = self.datagrams, session.far
        assert far is not None, "it came with the socket"
        middle, outward = datagrams.middle, datagrams.outward
        _, payload, end = span
        if session.only_dns and middle.memory[payload - 2 : payload] != _DNS:
            relay.spoke_elsewhere(session)
        at = outward.at
        stop = far.seal(middle.view, span, outward.view, at, now)
        session.up_packets += 1
        session.up_bytes += end - payload
        datagrams.put(outlet, None, outward, at, stop)

    def _enter(self, relay: PacketRelay, session: Session, span: Span) -> DatagramSocket | None:
        """Return the socket of a session that has none, None when its way is opened first; raises DialError."""
        way = self._ways.get(session)
        if way is None:
            way = self._ways[session] = _Way(self, relay, session)
            session.on_close = way.close
            way.begin(self._open(way))
        if not way.opened.done():
            if session.held >= HELD_MOST:
                raise LimitError("limit", "too many messages wait for a way")
            hold(self, relay, session, way.opened, span)
            return None
        error = way.opened.exception()
        if isinstance(error, DialError):
            raise DialError(error.code, str(error))
        found, port, talk = way.opened.result()
        session.far = talk
        return give(relay, session, partial(connect_outlet, self._options, found, port))

    async def _open(self, way: _Way) -> Opened:
        """Open a way, from the nearest hop to the last. Connections are the way's as soon as they stand."""
        layers: list[Layer] = []
        nearest: Address | None = None
        for hop, connect in self._hops:
            address = hop.address
            if isinstance(hop, SocksHop):
                end, bound = await hop.dialer(connect, self.means).associate()
                way.connections.append(_Connection(way, end.sock))
                address = _place(bound, address if layers else _peer(end, address))
                layers.append(Layer(SOCKS5_PACKETS, address.pack(), strict=pack_ip(address.host) is not None))
            elif isinstance(hop, ShadowHop) and hop.packets is not None:
                layers.append(Layer(hop.packets.join(), address.pack(), strict=False))
            nearest = nearest or address
        assert nearest is not None, "there is a hop"
        found = self._names.cached(nearest.host)
        if found is None:
            found = await until(self._names.lookup(nearest.host))
        talk = LayeredTalk(layers, self._buffers) if len(layers) > 1 else layers[0].talk
        return found, nearest.port, talk

    def failed(self, session: Session) -> None:
        """A way could not be opened."""
        self._failed.add(session)

    def forget(self, session: Session) -> None:
        """A way is closed."""
        self._ways.pop(session, None)
        self._failed.discard(session)

    def read(self, session: Session, source: Hashable, start: int, end: int, now: int) -> tuple[Arena, Span]:
        """See `packet_seams.Back`."""
        middle = self.datagrams.middle
        assert session.far is not None, "a session has its outlet for what it sent"
        packet = self.datagrams.inward.view[start:end]
        return middle, session.far.open(packet, middle.view, middle.at + HEADROOM, now)

    def tick(self) -> None:
        """See `packet_seams.Back`."""
        for session in list(self._failed):
            self.forget(session)


class _Way:
    """One session's way: while it is opened a story, then the connections that it lives by."""

    __slots__ = ("_back", "_relay", "_session", "_story", "connections", "opened")

    def __init__(self, back: ChainBack, relay: PacketRelay, session: Session) -> None:
        self._back = back
        self._relay = relay
        self._session = session
        self._story: Story | None = None
        self.connections: list[_Connection] = []
        self.opened: asyncio.Future[Opened] = relay.reactor.loop.create_future()

    @property
    def reactor(self) -> Reactor:
        """The reactor of its session."""
        return self._relay.reactor

    @property
    def scratch(self) -> Scratch:
        """Where what is said on its connections goes."""
        return self._back.means.scratch

    def begin(self, story: Coroutine[Wait, None, Opened]) -> None:
        """Open it."""
        self._story = self.reactor.tell(story, self._done)

    def _done(self, opened: Opened, error: BaseException | None) -> None:
        """The story is over."""
        if self.opened.done():
            return
        if isinstance(error, asyncio.CancelledError):
            self.opened.cancel()
            self._hang_up()
            return
        if error is None:
            for connection in self.connections:
                connection.watch()
            self.opened.set_result(opened)
            return
        self._hang_up()
        if not isinstance(error, DialError):
            if not isinstance(error, LocalProtocolError):
                self.reactor.failed(error)
            error = DialError(getattr(error, "code", "internal"), str(error))
        self._back.failed(self._session)
        self.opened.set_exception(error)
        self.opened.exception()  # told to those who wait; nobody need

    def lost(self) -> None:
        """One of its connections ended: so does its right to send."""
        self._relay.close_outlet(self._session)

    def close(self) -> None:
        """Its session is over, or has lost its socket."""
        self._back.forget(self._session)
        self.opened.cancel()
        if self._story is not None:
            self._story.abort()
        self._hang_up()

    def _hang_up(self) -> None:
        for connection in self.connections:
            connection.close()
        self.connections.clear()


class _Connection:
    """The connection that one association lives by: nothing is said on it any more."""

    __slots__ = ("_sock", "_way")

    def __init__(self, way: _Way, sock: SocketType) -> None:
        self._way = way
        self._sock = sock

    def watch(self) -> None:
        """Look out for its end."""
        apply_late(self._sock, _KEEP_ALIVE)
        self._way.reactor.watch(self._sock.fileno(), READ, self.on_event)

    def on_event(self, _events: int) -> None:
        """Read and forget, up to the end."""
        way = self._way
        try:
            if self._sock.recv_into(way.scratch.inward, _DISCARD, NOW):
                return
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            pass  # reset: an end like another
        way.lost()

    def crash(self) -> None:
        """A handler raised, and the reactor took it away."""
        self._way.lost()

    def close(self) -> None:
        """Hang up."""
        self._way.reactor.close(self._sock)


def _peer(end: End, address: Address) -> Address:
    """Return where the first hop is, as it was connected to: its name may have several addresses; raises DialError."""
    try:
        return Address(end.sock.getpeername()[0].removeprefix(MAPPED_TEXT), address.port)
    except OSError as error:
        raise DialError("bad_hop", f"the connection to the proxy broke: {error.strerror}") from None


def _place(bound: Address, proxy: Address) -> Address:
    """Return where a proxy takes datagrams: all zeros stand for its own address (RFC 1928 §6).

    Raises:
        DialError: nowhere.
    """
    host = bound.host.removeprefix(MAPPED_TEXT)
    if not bound.port:
        raise DialError("bad_hop", "the SOCKS5 proxy takes datagrams at port 0, which is none")
    return Address(proxy.host if host in _ANYWHERE else host, bound.port)
