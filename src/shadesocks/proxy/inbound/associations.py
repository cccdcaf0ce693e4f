"""SOCKS5 UDP ASSOCIATE: who may send datagrams, and for how long (RFC 1928 §4 and §7, protocol §12.1).

An association is a TCP connection that says nothing more: while it stands, its client's address may send datagrams.
All share one socket, on the number of the SOCKS port, because firewalls and containers open just that; or each has
its own. Where they share it, clients are told apart by where they send from, which the request need not say truly
(most say 0.0.0.0:0): so an association that ends takes with it the sessions of the address that it named, and with
the last one of a host go all that are left of it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from socket import SocketType
from typing import TYPE_CHECKING, Any, Final, Protocol

from ...core.address import MAPPED_TEXT, Address
from ...core.errors import LimitError, RemoteProtocolError
from ...net.options import NOW
from ...net.packets import PacketRelay
from ...net.poller import READ
from ...wire.packet_plain import SOCKS5_PACKETS, PlainPackets

if TYPE_CHECKING:
    from ...net.pipe import Scratch
    from ...net.reactor import Reactor

_ANYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104 - compared to, not bound
_DISCARD: Final = 4096


class MakeRelay(Protocol):
    """Makes the packet relay of a bound socket, with this host as its front."""

    def __call__(self, sock: SocketType, host: AssociatedHost) -> PacketRelay:
        """Return the relay; the socket is its own from then on."""


class AssociatedHost:
    """The format of SOCKS5 datagrams, for clients that have an association."""

    __slots__ = ("_admits", "_name_of")

    def __init__(self, admits: Callable[[str], bool], name_of: Callable[[Any], tuple[str, int]]) -> None:
        self._admits = admits
        self._name_of = name_of

    def identify(self, packet: memoryview, source: Hashable, out: memoryview, at: int) -> Hashable:
        """A client is its address."""
        return source

    def meet(self, key: Hashable) -> PlainPackets:
        """Return the talk of a client, if it has an association: a session, once begun, ends with it."""
        if not self._admits(self._name_of(key)[0]):
            raise RemoteProtocolError("no_association")
        return SOCKS5_PACKETS


class Associations:
    """The associations of one SOCKS port, and the relays of their datagrams."""

    def __init__(
        self,
        reactor: Reactor,
        scratch: Scratch,
        name_of: Callable[[Any], tuple[str, int]],
        make: MakeRelay,
        *,
        required: bool,
        answer: Address | None,
    ) -> None:
        """Make a port without a socket yet; see `share` and `bind`.

        Args:
            name_of: takes the token of a sender apart; `net.datagrams.Datagrams`.
            required: datagrams of others are dropped.
            answer: what is answered instead of the address that a client reached; port 0 stands for the socket's own.
        """
        self.reactor: Final = reactor
        self.scratch: Final = scratch
        self.name_of: Final = name_of
        self.required: Final = required
        self.bind: Callable[[], SocketType] | None = None
        """Makes a socket for each association; None where they share one."""
        self.live: Final[dict[str, set[_Association]]] = {}
        """By the host of the client."""
        self._make = make
        self._answer = answer
        self._shared: tuple[PacketRelay, tuple[str, int]] | None = None

    def share(self, sock: SocketType) -> None:
        """Let all associations use this bound socket."""
        name = sock.getsockname()
        host = AssociatedHost(lambda ip: not self.required or ip in self.live, self.name_of)
        self._shared = self._make(sock, host), (name[0], name[1])

    def open(self, sock: SocketType, client: Any, target: Address) -> Address:
        """Begin an association, which owns the connection from now on; return where its datagrams are to be sent.

        Raises:
            LimitError: no socket can be made for it. The connection is still the caller's.
        """
        host = client[0].removeprefix(MAPPED_TEXT).partition("%")[0]
        if self.bind is None:
            assert self._shared is not None, "a port that serves datagrams has a socket for them"
            relay, (bound, port) = self._shared
            own = None
        else:
            try:
                outlet = self.bind()
            except OSError as error:
                raise LimitError("limit", f"no socket for an association: {error.strerror}") from None
            bound, port = outlet.getsockname()[:2]
            relay = own = self._make(outlet, AssociatedHost(lambda ip: not self.required or ip == host, self.name_of))
        association = _Association(self, sock, host, target.port, relay, own)
        self.live.setdefault(host, set()).add(association)
        self.reactor.watch(sock.fileno(), READ, association.on_event)
        if self._answer is not None:
            return Address(self._answer.host, self._answer.port or port)
        if bound in _ANYWHERE:
            bound = sock.getsockname()[0]
        return Address(bound.removeprefix(MAPPED_TEXT).partition("%")[0], port)

    def close(self) -> None:
        """End every association. Their relays are the service's to close."""
        for associations in list(self.live.values()):
            for association in list(associations):
                association.close()


class _Association:
    """One connection that stands for the right to send datagrams."""

    __slots__ = ("_host", "_named", "_own", "_port", "_relay", "_sock")

    def __init__(
        self,
        port: Associations,
        sock: SocketType,
        host: str,
        named: int,
        relay: PacketRelay,
        own: PacketRelay | None,
    ) -> None:
        self._port = port
        self._sock = sock
        self._host = host
        self._named = named
        """The port that the client said it would send from, 0 where it did not say."""
        self._relay = relay
        self._own = own

    def on_event(self, _events: int) -> None:
        """Read and forget; the end of the connection ends the association."""
        try:
            if self._sock.recv_into(self._port.scratch.inward, _DISCARD, NOW):
                return
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            pass  # reset: an end like another
        self.close()

    def close(self) -> None:
        """End the association, and the sessions that stood on it."""
        port = self._port
        port.reactor.close(self._sock)
        others = port.live.get(self._host, set())
        if self not in others:
            return
        others.discard(self)
        if not others:
            del port.live[self._host]
        if self._own is not None:
            self._own.close("done")
            return
        last = port.required and not others
        for session in list(self._relay.sessions.values()):
            host, number = port.name_of(session.source)
            if host == self._host and (last or number == self._named):
                self._relay.end(session, "done")

    crash = close
