"""Listeners: sockets that are accepted from, and the pause when the process has no descriptor left."""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Callable
from socket import SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET, SocketType
from typing import Any, Final

from ..core.address import Address
from .options import NOW, TcpOptions, apply_listening, stream_socket
from .poller import READ, READ_ALONE
from .reactor import Reactor

log = logging.getLogger(__name__)

BACKLOG: Final = 4096
"""Connections the kernel keeps for us; Linux cuts it to net.core.somaxconn, which is 4096 since 5.4."""
RESERVE: Final = 10
"""One part in ten of the descriptors is kept for the far ends of those that are in: accepting stops before."""
RESERVE_MOST: Final = 512
"""That part at most: those whose far end is not open yet are few among many, and 20,000 descriptors carry 9,700."""
PAUSE: Final = 0.2
"""Seconds of a pause at the descriptor limit: under 2 % CPU, and accepting again within a second of relief."""
COMPLAINT_INTERVAL: Final = 10.0
"""Seconds between two log lines about it."""

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

Accept = Callable[[SocketType, Any], None]
"""(socket, client address): takes a socket that was just accepted."""


def bind(address: tuple[Any, ...], family: int, options: TcpOptions, *, reuse_port: bool = False) -> SocketType:
    """Return a listening socket. Accepted sockets inherit the options from it (Linux), which costs them no call.

    With `reuse_port` others of this user may listen on the same port, if they say so, too: SO_REUSEPORT.

    Raises:
        OSError: the address cannot be bound; another program may have it.
    """
    sock = stream_socket(family, options)
    try:
        if os.name == "posix":
            sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            # A wildcard of IPv6 serves IPv4 too, as everywhere else in the family.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        apply_listening(sock, options)
        sock.bind(address)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


class Listener:
    """One listening socket, and who takes what it accepts."""

    __slots__ = ("_accept", "_ceiling", "_complained_at", "_interest", "_paused", "_reactor", "address", "sock")

    def __init__(
        self, reactor: Reactor, sock: SocketType, accept: Accept, descriptors: int, *, shared: bool = False
    ) -> None:
        """Begin to accept; `descriptors` is the limit of the process. A `shared` socket others accept from, too."""
        self._reactor = reactor
        self.sock: Final = sock
        self._accept = accept
        self._ceiling = descriptors - max(1, min(RESERVE_MOST, descriptors // RESERVE))
        self._complained_at = float("-inf")
        self._paused = False
        self._interest = READ_ALONE if shared else READ
        name = sock.getsockname()
        self.address = Address(name[0], name[1])
        """Where it listens, with the port the system chose if it was asked to."""
        reactor.watch(sock.fileno(), self._interest, self._on_event)

    def _on_event(self, _events: int) -> None:
        self._accept_one()

    def _accept_one(self) -> bool:
        """Accept one connection; False where nobody waits."""
        sock = self.sock
        try:
            fd, client = sock._accept()  # type: ignore[attr-defined]  # the C method under accept(), which wraps twice
        except (ConnectionAbortedError, InterruptedError):
            return True
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                raise
            self._pause(error.strerror or str(error))
            return False
        accepted = SocketType(sock.family, SOCK_STREAM, 0, fd)
        if not NOW:  # pragma: no cover - systems without MSG_DONTWAIT
            accepted.setblocking(False)
        try:
            self._accept(accepted, client)
        except Exception as error:  # reactor rule 2: that connection alone
            self._reactor.failed(error)
            self._reactor.close(accepted)
        if fd >= self._ceiling:  # the system gives the lowest free number: so many are in use
            self._pause(f"{fd} descriptors are in use")
        return True

    def _pause(self, why: str) -> None:
        """Stop accepting until descriptors may be free again: level-triggered readiness would spin."""
        loop = self._reactor.loop
        if loop.time() - self._complained_at >= COMPLAINT_INTERVAL:
            self._complained_at = loop.time()
            log.warning(
                "%s: cannot accept: %s; pausing. Raise the descriptor limit (nofile) if this repeats",
                self.address,
                why,
            )
        self._paused = True
        self._reactor.watch(self.sock.fileno(), 0, self._on_event)
        loop.call_later(PAUSE, self._resume)

    def _resume(self) -> None:
        if not self._paused or self.sock.fileno() < 0:
            return
        if self._is_full():
            self._reactor.loop.call_later(PAUSE, self._resume)
            return
        self._paused = False
        self._reactor.watch(self.sock.fileno(), self._interest, self._on_event)

    def _is_full(self) -> bool:
        try:
            fd = os.dup(self.sock.fileno())
        except OSError:
            return True
        os.close(fd)
        return fd >= self._ceiling

    def crash(self) -> None:
        """A handler raised, and the reactor took it away: accept on, after a pause."""
        self._paused = True
        self._reactor.loop.call_later(PAUSE, self._resume)

    def close(self) -> None:
        """Accept no more, but who is connected already: the system would reset those that wait."""
        if self.sock.fileno() >= 0:
            waiting = BACKLOG
            while waiting and not self._paused and self._accept_one():
                waiting -= 1
        self._paused = False
        self._reactor.close_shared(self.sock)
