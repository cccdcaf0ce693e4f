"""Datagrams in and out of sockets: the shared buffers, and the plain way to fill and empty them.

One `Datagrams` serves every UDP socket of a reactor. What it receives stands in `inward`, what a relay opens in
`middle`, what it seals in `outward`; `put` takes a piece of the latter two. `net/mmsg.py` is the same with many
datagrams in one system call; which of them it is, is decided once, at start (`make_datagrams`).

    receive(socket) -> [(source, start, end)...]        where they stand in `inward`, each with room before it
    put(socket, to, arena, start, end)                  send, by the end of the turn at the latest
    flush()                                             send now; the arenas are empty then

A source is a token: what the system calls the sender, good as a key and as a `to`. Nobody looks into one but here.
A datagram that cannot be sent is counted in `dropped` by its reason word, and forgotten: that is what UDP is.
"""

from __future__ import annotations

import errno
import logging
import socket
import sys
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from mmap import mmap
from socket import AF_INET, AF_INET6, SOCK_DGRAM, SOL_SOCKET, SocketType, inet_ntop, inet_pton
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..core.address import MAPPED_TEXT
from ..wire.packet import HEADROOM, OVERHEAD_MAX, PACKET_MAX
from .options import NONBLOCK, NOW, SYSTEM_ROUTE, Route, apply_route, split_zone

if TYPE_CHECKING:
    from .reactor import Reactor

log = logging.getLogger(__name__)

SLOTS: Final = 32
"""Datagrams of one receive: beyond 16 a datagram costs no less, and 32 of the dearest kind take a millisecond."""
SLOT_SIZE: Final = HEADROOM + PACKET_MAX + 1
ARENA_SIZE: Final = 512 * 1024
"""Bytes of an arena: what some 350 datagrams of 1,500 bytes fill before they must be sent. Only what is used is
resident."""
FRONT_BUFFER: Final = 1 << 20
"""Bytes of SO_RCVBUF asked for a port that clients write to: 10 ms of 100 MB/s. Linux gives what rmem_max allows."""
ARENA_FULL: Final = ARENA_SIZE - (2 * HEADROOM + PACKET_MAX + 1 + OVERHEAD_MAX)
"""An arena that is filled up to there is flushed before the next message."""

MAPPED: Final = bytes(10) + b"\xff\xff"
"""IPv4 in IPv6, as a socket of both families has it."""

Received = tuple[Hashable, int, int]
"""(source, start, end)"""

DROPS: Final = {
    errno.EAGAIN: "congested",
    errno.EWOULDBLOCK: "congested",
    errno.ENOBUFS: "congested",
    errno.ENOMEM: "congested",
    errno.EMSGSIZE: "too_large",
    errno.ECONNREFUSED: "refused",
    errno.ENETUNREACH: "unreachable",
    errno.EACCES: "denied",
    errno.EPERM: "denied",
}
"""The reason word of a send's error; `host_unreachable` for the others."""

PENDING: Final = frozenset({errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENOPROTOOPT, errno.EPROTO})
"""Errors that an ICMP message left on a connected socket: they say nothing of the datagram at hand, and are gone
once they were told."""


class Arena:
    """A buffer that pieces are put into one after the other, until they are sent."""

    __slots__ = ("at", "base", "memory", "view")

    def __init__(self, size: int = ARENA_SIZE) -> None:
        self.memory: Final = mmap(-1, size)  # no page is resident before it is written
        """A slice of it is a copy: 0.05 us, where `bytes` of a slice of the view is 0.1."""
        self.view: Final = memoryview(self.memory)
        self.at = 0
        """Where there is room: for one message of any size, with its headroom."""
        self.base = 0
        """Its address, where the system is given addresses."""


class DatagramSocket:
    """A UDP socket, and what is asked of it for each datagram."""

    __slots__ = ("fd", "name_size", "sock", "wide")

    def __init__(self, sock: SocketType) -> None:
        self.sock = sock
        self.fd: Final = sock.fileno()
        self.wide: Final = sock.family == AF_INET6
        """True where it takes IPv6, and IPv4 as a part of it."""
        self.name_size: Final = 28 if self.wide else 16
        """Bytes of a sockaddr_in6, of a sockaddr_in."""


@dataclass(frozen=True, slots=True)
class DatagramOptions:
    """Options of UDP sockets. 0 leaves a buffer as the system has it."""

    receive_buffer: int = 0
    """Bytes of SO_RCVBUF; Linux gives twice that, at most net.core.rmem_max."""
    send_buffer: int = 0
    """Bytes of SO_SNDBUF."""
    route: Route = SYSTEM_ROUTE
    """How what is sent to targets and servers leaves this machine."""


class Datagrams(Protocol):
    """The seam; `PlainDatagrams`, `mmsg.BatchedDatagrams`."""

    name: str
    """For the log."""
    inward: Arena
    middle: Arena
    outward: Arena
    dropped: Counter[str]
    """Datagrams that were not sent, by reason word."""

    def prepare(self, sock: SocketType) -> DatagramSocket:
        """Return a socket with what this way of receiving wants of it."""

    def receive(self, source: DatagramSocket) -> Sequence[Received]:
        """Receive what is there, in one bounded turn. What stood in `inward` is gone. Errors of the socket are not."""

    def put(self, through: DatagramSocket, to: Hashable, arena: Arena, start: int, end: int) -> None:
        """Send a piece of an arena, which is its caller's no more until `flush`; `to` is None for a connected one."""

    def flush(self) -> None:
        """Send what was put."""

    def token(self, wide: bool, ip: str, port: int) -> Hashable | None:
        """Return the token of an address for a socket, None if the socket cannot reach it."""

    def name_of(self, token: Any) -> tuple[str, int]:
        """Return IP text and port; IPv4 always as such."""

    def pack(self, token: Any) -> bytes:
        """Return the wire form of a sender (protocol §2)."""


class PlainDatagrams:
    """A system call for each datagram: works everywhere."""

    name = "recvfrom, sendto"

    def __init__(self) -> None:
        self.inward = Arena(SLOT_SIZE * SLOTS)
        self.middle = Arena()
        self.outward = Arena()
        self.dropped: Counter[str] = Counter()
        self._slots = [
            (start, self.inward.view[start : start + PACKET_MAX + 1])
            for start in range(HEADROOM, SLOT_SIZE * SLOTS, SLOT_SIZE)
        ]

    def prepare(self, sock: SocketType) -> DatagramSocket:
        """See `Datagrams`."""
        return DatagramSocket(sock)

    def receive(self, source: DatagramSocket) -> Sequence[Received]:
        """See `Datagrams`."""
        found: list[Received] = []
        receive = source.sock.recvfrom_into
        for start, slot in self._slots:
            try:
                size, sender = receive(slot, 0, NOW)
            except OSError:  # nothing more; or an ICMP error, which is told once
                break
            found.append((sender, start, start + size))
        return found

    def put(self, through: DatagramSocket, to: Hashable, arena: Arena, start: int, end: int) -> None:
        """See `Datagrams`. Sent at once, so the arena stays empty."""
        piece = arena.view[start:end]
        code = self._send(through.sock, to, piece)
        if code in PENDING:
            code = self._send(through.sock, to, piece)
        if code:
            self.dropped[DROPS.get(code, "host_unreachable")] += 1

    def _send(self, sock: SocketType, to: Any, piece: memoryview) -> int:
        try:
            if to is None:
                sock.send(piece, NOW)
            else:
                sock.sendto(piece, NOW, to)
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    def flush(self) -> None:
        """See `Datagrams`. Nothing waits here."""

    def token(self, wide: bool, ip: str, port: int) -> Hashable | None:
        """See `Datagrams`."""
        if ":" in ip:
            try:
                base, scope = split_zone(ip)
            except OSError:
                return None
            return (base, port, 0, scope) if wide else None
        return (f"{MAPPED_TEXT}{ip}", port, 0, 0) if wide else (ip, port)

    def name_of(self, token: Any) -> tuple[str, int]:
        """See `Datagrams`."""
        return token[0].removeprefix(MAPPED_TEXT).partition("%")[0], token[1]

    def pack(self, token: Any) -> bytes:
        """See `Datagrams`."""
        host, port = self.name_of(token)
        if ":" in host:
            return b"\4" + inet_pton(AF_INET6, host) + port.to_bytes(2)
        return b"\1" + inet_pton(AF_INET, host) + port.to_bytes(2)


def make_datagrams(reactor: Reactor, way: str = "auto") -> Datagrams:
    """Return the best way to send and receive that the system has, or `plain` if that is asked for."""
    if way == "auto" and sys.platform == "linux":
        try:
            from .mmsg import BatchedDatagrams

            return BatchedDatagrams(reactor)
        except (ImportError, OSError, AttributeError) as error:
            log.info("datagrams go one by one: %s", error)
    return PlainDatagrams()


def open_socket(options: DatagramOptions, *, family: int = 0) -> SocketType:
    """Return a UDP socket that is not bound: of both families where the system has IPv6, else of IPv4.

    Raises:
        OSError: no descriptor is left.
    """
    if not family:
        try:
            sock = SocketType(AF_INET6, SOCK_DGRAM | NONBLOCK, 0)
        except OSError as error:
            if error.errno != errno.EAFNOSUPPORT:
                raise
            sock = SocketType(AF_INET, SOCK_DGRAM | NONBLOCK, 0)
    else:
        sock = SocketType(family, SOCK_DGRAM | NONBLOCK, 0)
    try:
        if not NONBLOCK:  # pragma: no cover - systems without SOCK_NONBLOCK
            sock.setblocking(False)
        if sock.family == AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if options.receive_buffer:
            sock.setsockopt(SOL_SOCKET, socket.SO_RCVBUF, options.receive_buffer)
        if options.send_buffer:
            sock.setsockopt(SOL_SOCKET, socket.SO_SNDBUF, options.send_buffer)
    except BaseException:
        sock.close()
        raise
    return sock


def open_outlet(options: DatagramOptions, *, towards: int, family: int = 0) -> SocketType:
    """Return a UDP socket that sends by the route of the options, and is else what `open_socket` makes.

    Where the route has a source address, it is of the family that the first target has (`towards`), and what is sent
    to the other family is dropped: a socket has one address.

    Raises:
        OSError: no descriptor is left; or the route is not to be had any more.
    """
    sock = open_socket(options, family=family)
    if options.route != SYSTEM_ROUTE:
        try:
            apply_route(sock, towards, options.route)
        except BaseException:
            sock.close()
            raise
    return sock


def bind_socket(
    address: tuple[Any, ...], family: int, options: DatagramOptions, *, reuse_port: bool = False
) -> SocketType:
    """Return a UDP socket that is bound, with room for bursts: all its clients write to it.

    With `reuse_port` others of this user may have the same port, if they say so, too; each client stays with one.

    Raises:
        OSError: the address cannot be bound; another program may have it.
    """
    sock = open_socket(replace(options, receive_buffer=options.receive_buffer or FRONT_BUFFER), family=family)
    try:
        if reuse_port:
            sock.setsockopt(SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
    except BaseException:
        sock.close()
        raise
    return sock


def group_of(ip: str) -> bytes:
    """Return what counts as one source: an IPv4 address, the /64 of an IPv6 one."""
    return inet_pton(AF_INET6, ip)[:8] if ":" in ip else inet_pton(AF_INET, ip)


def text_of(packed: bytes) -> str:
    """Return the text of 4 or 16 bytes."""
    return inet_ntop(AF_INET if len(packed) == 4 else AF_INET6, packed)
