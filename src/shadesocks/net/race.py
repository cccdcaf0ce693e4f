"""Several addresses of one name at once: Happy Eyeballs (RFC 8305 §5).

The first attempt is under way already and has not answered in the delay. Another begins with each delay that
passes, and at once when one fails; the first to connect wins, and the others are closed. What is to be sent goes
through the winner only: nothing was sent before.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from socket import SO_ERROR, SOL_SOCKET, SocketType
from typing import TYPE_CHECKING

from ..core.errors import DialError
from .lookup import Found
from .poller import WRITE
from .story import until

if TYPE_CHECKING:
    from .lane import Lane
    from .reactor import Reactor

Begin = Callable[[int, str], tuple[SocketType, bool]]
"""(family, IP text): makes a socket and starts its connect; True when it stands already. Raises OSError."""


def interleave(found: Sequence[Found]) -> deque[Found]:
    """Return addresses with the families in turn, beginning with that of the first (RFC 8305 §4)."""
    mine = [each for each in found if each[0] == found[0][0]]
    others = [each for each in found if each[0] != found[0][0]]
    turns: deque[Found] = deque()
    for at in range(max(len(mine), len(others))):
        turns += mine[at : at + 1] + others[at : at + 1]
    return turns


class Race:
    """The attempts at the addresses of one name. Used in a story, once."""

    def __init__(self, reactor: Reactor, begin: Begin, delay: Lane, error_of: Callable[[int], DialError]) -> None:
        self._reactor = reactor
        self._begin = begin
        self._delay = delay
        self._error_of = error_of
        self._waiting: deque[Found] = deque()
        self._open: set[SocketType] = set()
        self._error: DialError | None = None
        self._winner: asyncio.Future[SocketType] = reactor.loop.create_future()

    async def run(self, first: SocketType, waiting: deque[Found]) -> SocketType:
        """Return the socket that connected first; `first` is under way, and the race's own from now on.

        Raises:
            DialError: of the last that failed.
            TimeoutError: thrown in by whoever bounds the whole.
        """
        self._waiting = waiting
        self._watch(first)
        self.expire()
        try:
            winner: SocketType = await until(self._winner)
        except BaseException:
            # Won in the same turn in which it was given up: nobody takes it.
            if self._winner.done() and not self._winner.cancelled() and not self._winner.exception():
                self._reactor.close(self._winner.result())
            raise
        finally:
            self._delay.cancel(self)
            for sock in self._open:
                self._reactor.close(sock)
            self._open.clear()
            del self._error, self._winner  # an error of theirs holds this frame: a cycle, if the race held it too
        return winner

    def expire(self) -> None:
        """The delay has passed: begin the next attempt that can be begun."""
        while self._waiting and not self._winner.done():
            family, ip = self._waiting.popleft()
            try:
                sock, connected = self._begin(family, ip)
            except OSError as error:
                self._error = self._error_of(error.errno or 0)
                continue
            if connected:
                self._winner.set_result(sock)
                return
            self._watch(sock)
            break
        if self._waiting:
            self._delay.start(self)
        elif not self._open and not self._winner.done():
            self._winner.set_exception(self._error or DialError("host_unreachable"))

    def _watch(self, sock: SocketType) -> None:
        self._open.add(sock)
        self._reactor.watch(sock.fileno(), WRITE, lambda _events: self._decided(sock))

    def _decided(self, sock: SocketType) -> None:
        self._reactor.unwatch(sock.fileno())
        if self._winner.done() or sock not in self._open:
            return
        code = sock.getsockopt(SOL_SOCKET, SO_ERROR)
        self._open.discard(sock)
        if not code:
            self._winner.set_result(sock)
            return
        self._error = self._error_of(code)
        self._reactor.close(sock)
        self.expire()
