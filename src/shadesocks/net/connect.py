"""Connecting: one address at a time, within the dial time-out, with errors that say which kind they are."""

from __future__ import annotations

import asyncio
import errno
from os import strerror
from socket import IPPROTO_TCP, SO_ERROR, SOCK_STREAM, SOL_SOCKET, TCP_NODELAY, SocketType
from typing import Final, Protocol

from ..core.address import Address
from ..core.errors import DialError
from .end import End
from .lane import Lane
from .options import NONBLOCK, NOW
from .poller import WRITE
from .reactor import Reactor
from .story import ready, until

Found = tuple[int, str]
"""One address of a name: (address family, IP text)."""


class Names(Protocol):
    """Where names become addresses; `resolve.Resolver`."""

    def cached(self, host: str) -> tuple[Found, ...] | None:
        """Return the addresses of a literal or of a name looked up lately; None where it must be looked up."""

    def lookup(self, host: str) -> asyncio.Future[tuple[Found, ...]]:
        """Return a future of the addresses; it raises DialError `no_name` or `dial_timeout`."""


class Judge(Protocol):
    """Who says which addresses may be dialled; `origin.OriginPolicy`."""

    def refuse(self, ip: str, port: int) -> str | None:
        """Return why not, or None."""


class Anywhere:
    """The judge of a client that dials its own servers: they may stand anywhere."""

    def refuse(self, _ip: str, _port: int) -> str | None:
        """Allow."""
        return None


_WORDS: Final = {
    errno.ECONNREFUSED: "refused",
    errno.ENETUNREACH: "unreachable",
    errno.EHOSTUNREACH: "host_unreachable",
    errno.ETIMEDOUT: "dial_timeout",
    errno.EACCES: "denied",
    errno.EPERM: "denied",
    errno.EMFILE: "limit",
    errno.ENFILE: "limit",
    errno.EADDRNOTAVAIL: "unreachable",
}
"""The reason word of a connect's error; `host_unreachable` for the others."""

_IN_PROGRESS: Final = (errno.EINPROGRESS, errno.EWOULDBLOCK)
_NOT_YET: Final = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOTCONN)
"""A send on a socket that still connects: the first two on Linux, the last elsewhere."""
_LOOPBACK: Final = ("127.", "::1")


def dial_error(code: int) -> DialError:
    """Return the error for a code of `connect`."""
    return DialError(_WORDS.get(code, "host_unreachable"), strerror(code))


class Connector:
    """Connects stories to addresses. One for each kind of far end: its judge, its deadline."""

    __slots__ = ("_deadline", "_judge", "_names", "_no_delay", "_reactor")

    def __init__(self, reactor: Reactor, names: Names, judge: Judge, deadline: Lane, *, no_delay: bool) -> None:
        self._reactor = reactor
        self._names = names
        self._judge = judge
        self._deadline = deadline
        self._no_delay = no_delay

    async def connect(self, address: Address, first: bytes | bytearray | memoryview = b"") -> End:
        """Resolve once, and try the addresses in turn: the one that is judged is the one that is connected to.

        `first` leaves with the connect; what the socket does not take of it is in the end's tail.

        Raises:
            DialError: of the last address tried, or of the look-up (its stage is then `resolve`).
        """
        try:
            found = self._names.cached(address.host)
            if found is None:
                found = await until(self._names.lookup(address.host))
        except DialError as failed:
            failed.stage = "resolve"
            raise
        error: DialError | None = None
        for family, ip in found:
            refusal = self._judge.refuse(ip, address.port)
            if refusal is not None:
                error = DialError("denied", f"{address} is not allowed: {refusal}")
                continue
            try:
                sock, connected = self._begin(family, ip, address.port)
            except OSError as failed:
                error = dial_error(failed.errno or 0)
                continue
            try:
                if not connected and not (first and ip.startswith(_LOOPBACK)):
                    await self._wait(sock)
                return await self._send(sock, first) if first else self._check(sock)
            except DialError as failed:
                error = failed
                self._reactor.close(sock)
            except BaseException:
                self._reactor.close(sock)
                raise
        try:
            raise error or DialError("no_name", f"{address.host} has no address")
        finally:
            error = None  # it holds this frame by its traceback: a cycle, if the frame held it too

    def _begin(self, family: int, ip: str, port: int) -> tuple[SocketType, bool]:
        """Make a socket and start its connect; True when it stands already."""
        sock = SocketType(family, SOCK_STREAM | NONBLOCK, 0)
        try:
            if not NONBLOCK:  # pragma: no cover - systems without SOCK_NONBLOCK
                sock.setblocking(False)
            if self._no_delay:
                sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
            code = sock.connect_ex((ip, port))
            if code and code not in _IN_PROGRESS:
                raise OSError(code, strerror(code))
        except BaseException:
            sock.close()
            raise
        return sock, not code

    async def _wait(self, sock: SocketType) -> None:
        """Wait until the connect is decided."""
        story = self._reactor.current
        assert story is not None, "connecting is done in stories"
        self._deadline.start(story)
        try:
            await ready(sock.fileno(), WRITE)
        except TimeoutError:
            raise dial_error(errno.ETIMEDOUT) from None
        finally:
            self._deadline.cancel(story)

    async def _send(self, sock: SocketType, first: bytes | bytearray | memoryview) -> End:
        """Send the first payload, which also tells whether the connect succeeded.

        On loopback the whole handshake runs inside `connect`, so it is sent without waiting (a service on the
        same host, a plugin, a chain): a poll less. Where it was not done after all, the socket takes nothing yet.
        """
        try:
            sent = sock.send(first, NOW)
        except OSError as failed:
            if failed.errno not in _NOT_YET:
                raise dial_error(failed.errno or 0) from None
            await self._wait(sock)
            self._check(sock)
            sent = 0
        end = End(sock)
        if sent < len(first):
            end.tail = bytes(first[sent:])
        return end

    def _check(self, sock: SocketType) -> End:
        """Return the end of a connect that succeeded; SO_ERROR says so."""
        code = sock.getsockopt(SOL_SOCKET, SO_ERROR)
        if code:
            raise dial_error(code)
        return End(sock)
