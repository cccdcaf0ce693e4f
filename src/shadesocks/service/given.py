"""Sockets that were bound before the service started: by systemd, by a supervisor, by the process before this one.

A service takes each where it would bind that address, and binds what was not given. What is lent is a duplicate:
whoever closes it, and listens there again after a reload, gets the same socket again, which no one else could bind
meanwhile.
"""

from __future__ import annotations

import os
import socket
from collections import defaultdict
from collections.abc import Container, Iterable
from contextlib import suppress
from dataclasses import dataclass
from socket import AF_INET, AF_INET6, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET, SocketType, inet_pton
from typing import TYPE_CHECKING, Any, Final

from ..core.address import Address
from ..core.networks import unmapped
from ..net.datagrams import FRONT_BUFFER
from ..net.listen import BACKLOG
from ..net.options import apply_listening, split_zone

if TYPE_CHECKING:
    from ..net.datagrams import DatagramOptions
    from ..net.options import TcpOptions

_ANY: Final = (bytes(4), bytes(16))

Place = str | tuple[bytes, int, int]
"""Where a socket is bound, in the one form in which places are compared: a path, or an address, a port and a zone."""


@dataclass(slots=True, eq=False)
class _Given:
    sock: SocketType
    kind: int
    place: Place
    text: str
    lent: SocketType | None = None

    @property
    def is_free(self) -> bool:
        """True while nobody has a duplicate that is open."""
        return self.lent is None or self.lent.fileno() < 0


class GivenSockets:
    """Bound sockets by address and kind, each lent to one at a time."""

    def __init__(self, sockets: Iterable[SocketType] = (), *, shared: bool = False) -> None:
        """Keep sockets, which are ours from now on: of IPv4, IPv6 or Unix, for streams or datagrams."""
        self._given: Final = [_given(sock) for sock in sockets]
        self._places: Final[defaultdict[tuple[int, Place], list[_Given]]] = defaultdict(list)
        """The same by kind and place."""
        self._note(self._given)
        self.shared: Final = shared
        """Whether other processes accept from the same."""

    def add(self, sockets: Iterable[SocketType]) -> None:
        """Keep further ones, for what is listened on from now on."""
        more = [_given(sock) for sock in sockets]
        self._given.extend(more)
        self._note(more)

    def _note(self, more: Iterable[_Given]) -> None:
        for given in more:
            self._places[given.kind, given.place].append(given)

    def beside(self, sockets: Iterable[SocketType]) -> GivenSockets:
        """Return these, and further ones behind them that stay the caller's to close."""
        both = GivenSockets(sockets, shared=self.shared)
        further, both._given[:] = [*both._given], [*self._given, *both._given]
        both._places.clear()
        both._note(self._given)
        both._note(further)
        return both

    def __len__(self) -> int:
        return len(self._given)

    def has(self, address: Address) -> bool:
        """True where a socket for an address is here that nobody took."""
        place = _place((address.host, address.port))
        kinds = (SOCK_STREAM, SOCK_DGRAM)
        return any(given.is_free for kind in kinds for given in self._places.get((kind, place), ()))

    def take(self, where: str | tuple[Any, ...], kind: int) -> SocketType | None:
        """Return the socket that was given for an address (of a socket, or the path of one) and a kind, else None.

        The address itself goes first. A wildcard is served by one of the other family, too: systemd's sockets for a
        bare port number are IPv6 and serve both, and nobody else could bind the port beside them.
        """
        place = _place(where)
        for known in (place, *_other_wildcards(place)):
            for given in self._places.get((kind, known), ()):
                if given.is_free:
                    given.lent = duplicate(given.sock)
                    return given.lent
        return None

    def take_streams(self, where: tuple[Any, ...], options: TcpOptions) -> SocketType | None:
        """Return the listening socket for an address, with as many of the options as it still takes."""
        sock = self.take(where, SOCK_STREAM)
        if sock is not None:
            sock.setblocking(False)
            with suppress(OSError):
                apply_listening(sock, options)
            sock.listen(BACKLOG)
        return sock

    def take_packets(self, where: str | tuple[Any, ...], options: DatagramOptions) -> SocketType | None:
        """Return the datagram socket for an address, with the buffers of the options."""
        sock = self.take(where, SOCK_DGRAM)
        if sock is not None:
            sock.setblocking(False)
            with suppress(OSError):
                sock.setsockopt(SOL_SOCKET, socket.SO_RCVBUF, options.receive_buffer or FRONT_BUFFER)
                if options.send_buffer:
                    sock.setsockopt(SOL_SOCKET, socket.SO_SNDBUF, options.send_buffer)
        return sock

    def lends(self, sock: SocketType) -> bool:
        """True for a socket that was taken here: its file, if it has one, is another's."""
        return any(given.lent is sock for given in self._given)

    def rival(self, address: Address, kind: int) -> str:
        """Return what was given and keeps an address from being bound: `TCP 0.0.0.0:8388`; empty where nothing does."""
        try:
            wanted = _place((address.host, address.port))
        except OSError:  # a name: any of its addresses
            wanted = _ANY[0], address.port, 0
        return next((given.text for given in self._given if given.kind == kind and _meet(wanted, given.place)), "")

    def close_unused(self, keep: Container[SocketType] = ()) -> list[str]:
        """Close those that nobody has, but for some, and return what they were: `TCP 127.0.0.1:8388`."""
        unused = [given for given in self._given if given.is_free and given.sock not in keep]
        for given in unused:
            given.sock.close()
            self._places[given.kind, given.place].remove(given)
        if unused:
            self._given[:] = [given for given in self._given if given.sock.fileno() >= 0]
        return [given.text for given in unused]

    def close(self) -> None:
        """Keep none any more. Those that are lent stay open, as long as who has them likes."""
        for given in self._given:
            given.sock.close()
        self._given.clear()
        self._places.clear()


def _given(sock: SocketType) -> _Given:
    name = sock.getsockname()
    kind = "TCP" if sock.type == SOCK_STREAM else "UDP"
    text = f"{kind} {Address(*name[:2])}" if isinstance(name, tuple) else os.fsdecode(name) or "a socket without name"
    return _Given(sock, sock.type, _place(name), text)


def _place(where: Any) -> Place:
    """Return the one form of an address: an address of IPv4 within IPv6 is itself."""
    if not isinstance(where, tuple):
        path = os.fsdecode(where)
        return os.path.abspath(path) if path and not path.startswith("\0") else path
    host, zone = split_zone(where[0])
    packed = unmapped(inet_pton(AF_INET6 if ":" in host else AF_INET, host))
    return packed, where[1], zone or (where[3] if len(where) > 3 else 0)


def _other_wildcards(place: Place) -> list[Place]:
    """Return the places that are all addresses at the same port, of whichever family and zone, if this is one."""
    if isinstance(place, str) or place[0] not in _ANY:
        return []
    return [(packed, place[1], 0) for packed in _ANY if (packed, place[1], 0) != place]


def _meet(one: Place, other: Place) -> bool:
    """True where only one of both can be bound: one port, and the same address or all of them."""
    if isinstance(one, str) or isinstance(other, str):
        return False
    return one[1] == other[1] and (one[0] == other[0] or one[0] in _ANY or other[0] in _ANY)


def duplicate(sock: SocketType) -> SocketType:
    """Return another descriptor of a socket."""
    return SocketType(sock.family, sock.type, sock.proto, os.dup(sock.fileno()))
