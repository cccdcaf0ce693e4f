"""Connecting: one address at a time, within the dial time-out, with errors that say which kind they are."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from os import strerror
from socket import IPPROTO_TCP, SO_ERROR, SOCK_STREAM, SOL_SOCKET, TCP_NODELAY, SocketType
from typing import Final, Protocol

from ..core.address import Address
from ..core.errors import DialError
from .lane import Lane
from .options import NONBLOCK
from .poller import WRITE
from .reactor import Reactor
from .story import ready, until

Found = tuple[int, str]
"""One address of a name: (address family, IP text)."""


class Names(Protocol):
    """Where names become addresses; `resolve.Resolver`."""

    def cached(self, host: str) -> tuple[Found, ...] | None:
        """Return the addresses of a literal or of a name looked up lately; None where it must be looked up."""

    def lookup(self, host: str) -> object:
        """Return an asyncio future of the addresses; it raises DialError `no_name` or `dial_timeout`."""


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

_IN_PROGRESS: Final = (0, errno.EINPROGRESS, errno.EWOULDBLOCK)


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

    async def connect(self, address: Address) -> SocketType:
        """Resolve once, and try the addresses in turn: the one that is judged is the one that is connected to.

        Raises:
            DialError: of the last address tried, or of the look-up.
        """
        found = self._names.cached(address.host)
        if found is None:
            found = await until(self._names.lookup(address.host))  # type: ignore[arg-type]  # floor 3 awaits, the seam names no class
        return await self._first_of(found, address)

    async def _first_of(self, found: Iterable[Found], address: Address) -> SocketType:
        error = DialError("no_name", f"{address.host} has no address")
        for family, ip in found:
            refusal = self._judge.refuse(ip, address.port)
            if refusal is not None:
                error = DialError("denied", f"{address} is not allowed: {refusal}")
                continue
            try:
                return await self._dial(family, ip, address.port)
            except DialError as failed:
                error = failed
        raise error

    async def _dial(self, family: int, ip: str, port: int) -> SocketType:
        try:
            sock = SocketType(family, SOCK_STREAM | NONBLOCK, 0)
        except OSError as failed:
            raise dial_error(failed.errno or 0) from None
        try:
            if self._no_delay:
                sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
            code = sock.connect_ex((ip, port))
            if code in _IN_PROGRESS:
                story = self._reactor.current
                assert story is not None, "connecting is done in stories"
                self._deadline.start(story)
                try:
                    await ready(sock.fileno(), WRITE)
                finally:
                    self._deadline.cancel(story)
                code = sock.getsockopt(SOL_SOCKET, SO_ERROR)
            if code:
                raise dial_error(code)
        except TimeoutError:
            self._reactor.close(sock)
            raise dial_error(errno.ETIMEDOUT) from None
        except BaseException:
            self._reactor.close(sock)
            raise
        return sock
