"""Connecting: to the first address of a name that answers, within the dial time-out, with errors that say their kind.

A name with one address costs no more than a connect. Of several, the next is tried when the one before it failed, or
did not answer within a quarter of a second (`net/race.py`).
"""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from functools import partial
from os import strerror
from socket import SO_ERROR, SOL_SOCKET, SocketType
from typing import Final, Protocol

from ..core.address import Address
from ..core.errors import DialError
from .end import End
from .lane import Lane
from .lookup import Found
from .options import (
    NOW,
    SYSTEM_ROUTE,
    Route,
    TcpOptions,
    apply_early,
    apply_route,
    defer_connect,
    socket_address,
    stream_socket,
)
from .poller import WRITE
from .race import Begin, Race, interleave
from .reactor import Reactor
from .story import Story, ready, until

PLAIN: Final = TcpOptions()
ATTEMPT_DELAY: Final = 0.25
"""Seconds (RFC 8305 §5: the recommended connection attempt delay)."""


class Names(Protocol):
    """Where names become addresses; `resolve.Resolver`."""

    def cached(self, host: str) -> tuple[Found, ...] | None:
        """Return the addresses of a literal or of a name looked up lately; None where it must be looked up."""

    def lookup(self, host: str) -> asyncio.Future[tuple[Found, ...]]:
        """Return a future of the addresses; it raises DialError `no_name` or `dial_timeout`."""


class Judge(Protocol):
    """Who says which addresses may be dialled; `origin.OriginPolicy`."""

    def refuse_name(self, host: str) -> str | None:
        """Return why nothing of that name may be dialled, or None; the host may be an IP text."""

    def refuse(self, ip: str, port: int, host: str = "") -> str | None:
        """Return why this address, which is one of the host's, may not be dialled, or None."""


class Rights(Protocol):
    """What one of several users may reach; `users/allowed.py`."""

    def narrow(self, judge: Judge) -> Judge:
        """Return a judge that allows what both do."""


class Anywhere:
    """The judge of a client that dials its own servers: they may stand anywhere."""

    def refuse_name(self, _host: str) -> str | None:
        """Allow."""
        return None

    def refuse(self, _ip: str, _port: int, _host: str = "") -> str | None:
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
    """Connects stories to addresses. One for each kind of far end: its judge, its deadline, its way out."""

    __slots__ = ("_deadline", "_defers", "_delay", "_judge", "_names", "_options", "_reactor", "_route", "_tuned")

    def __init__(
        self,
        reactor: Reactor,
        names: Names,
        judge: Judge,
        deadline: Lane,
        options: TcpOptions = PLAIN,
        route: Route = SYSTEM_ROUTE,
        *,
        attempt_delay: float = ATTEMPT_DELAY,
        always_sends: bool = False,
    ) -> None:
        """Make a connector.

        Args:
            reactor: its stories connect.
            names: where names become addresses.
            judge: says which addresses may be dialled.
            deadline: how long all the attempts at one name may take.
            options: of the sockets.
            route: how they leave this machine.
            attempt_delay: seconds between the attempts at two addresses of one name.
            always_sends: whoever connects sends something soon, whatever the far end does: a connect may wait for it.
        """
        self._reactor = reactor
        self._names = names
        self._judge = judge
        self._deadline = deadline
        self._options = options
        self._tuned = options.no_delay or options.send_buffer > 0 or options.receive_buffer > 0
        self._route = None if route == SYSTEM_ROUTE else route
        self._delay = reactor.lane(attempt_delay, of="attempts")
        self._defers = always_sends

    def within(self, rights: Rights) -> Connector:
        """Return one that goes the same ways, for who may reach less."""
        made = Connector.__new__(Connector)
        for name in Connector.__slots__:
            setattr(made, name, getattr(self, name))
        made._judge = rights.narrow(self._judge)
        return made

    async def connect(self, address: Address, first: bytes | bytearray | memoryview = b"") -> End:
        """Resolve once, and connect to the first address that answers: those that are judged are those dialled.

        `first` leaves with the connect; what the socket does not take of it is in the end's tail.

        Raises:
            DialError: of the last address tried, or of the look-up (its stage is then `resolve`).
        """
        host, port = address.host, address.port
        refusal = self._judge.refuse_name(host)
        if refusal is not None:
            raise DialError("denied", f"{address} is not allowed: {refusal}")
        try:
            found = self._names.cached(host)
            if found is None:
                found = await until(self._names.lookup(host))
        except DialError as failed:
            failed.stage = "resolve"
            raise
        waiting = self._allowed(found, address)
        defer = self._options.fast_open and (self._defers or bool(first))
        begin = partial(self._begin, port, defer)
        sock: SocketType | None
        error: DialError | None = None
        while waiting:
            family, ip = waiting.popleft()
            try:
                sock, connected = begin(family, ip)
            except OSError as failed:
                error = dial_error(failed.errno or 0)
                continue
            try:
                if not connected and not (first and ip.startswith(_LOOPBACK)):
                    if waiting and not await self._answers_soon(sock):
                        racing, sock = sock, None
                        sock = await self._race(racing, waiting, begin)
                    elif not waiting:
                        await self._wait(sock)
                return await self._send(sock, first) if first else self._check(sock)
            except DialError as failed:
                error = failed.with_traceback(None)  # which would hold this frame, and it the error
                if sock is not None:
                    self._reactor.close(sock)
            except BaseException:
                if sock is not None:
                    self._reactor.close(sock)
                raise
        try:
            raise error or DialError("no_name", f"{host} has no address")
        finally:
            error = None  # it holds this frame by its traceback: a cycle, if the frame held it too

    def _allowed(self, found: tuple[Found, ...], address: Address) -> deque[Found]:
        """Return the addresses that may be dialled, in the order of their turns; raises DialError where none may."""
        refuse, port, host = self._judge.refuse, address.port, address.host
        if len(found) == 1:
            refusal = refuse(found[0][1], port, host)
            if refusal is None:
                return deque(found)
        else:
            refusals = [refuse(ip, port, host) for _, ip in found]
            allowed = [each for each, refusal in zip(found, refusals, strict=True) if refusal is None]
            if allowed:
                return interleave(allowed)
            refusal = refusals[-1] if refusals else "it has no address"
        raise DialError("denied", f"{address} is not allowed: {refusal}")

    def _begin(self, port: int, defer: bool, family: int, ip: str) -> tuple[SocketType, bool]:
        """Make a socket and start its connect; True when it stands already, or waits for the first send."""
        options, route = self._options, self._route
        sock = stream_socket(family, options)
        try:
            if self._tuned:
                apply_early(sock, options)
            if route is not None:
                apply_route(sock, family, route)
            if defer:
                defer_connect(sock)
            code = sock.connect_ex(socket_address(ip, port) if "%" in ip else (ip, port))
            if code and code not in _IN_PROGRESS:
                raise OSError(code, strerror(code))
        except BaseException:
            sock.close()
            raise
        return sock, not code

    async def _answers_soon(self, sock: SocketType) -> bool:
        """Wait for the connect as long as no other address is tried; False when it is not decided by then."""
        story = self._story()
        self._delay.start(story)
        try:
            await ready(sock.fileno(), WRITE)
        except TimeoutError:
            return False
        finally:
            self._delay.cancel(story)
        return True

    async def _race(self, sock: SocketType, waiting: deque[Found], begin: Begin) -> SocketType:
        """Return the socket of whichever address answers first; all of them are the race's until then."""
        story = self._story()
        self._deadline.start(story)
        try:
            return await Race(self._reactor, begin, self._delay, dial_error).run(sock, waiting)
        except TimeoutError:
            waiting.clear()
            raise dial_error(errno.ETIMEDOUT) from None
        finally:
            self._deadline.cancel(story)

    async def _wait(self, sock: SocketType) -> None:
        """Wait until the connect is decided."""
        story = self._story()
        self._deadline.start(story)
        try:
            await ready(sock.fileno(), WRITE)
        except TimeoutError:
            raise dial_error(errno.ETIMEDOUT) from None
        finally:
            self._deadline.cancel(story)

    def _story(self) -> Story:
        story = self._reactor.current
        assert story is not None, "connecting is done in stories"
        return story

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
