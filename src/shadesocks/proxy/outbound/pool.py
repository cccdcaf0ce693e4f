"""Warm connections: some to one server stand ready, so that a request leaves without waiting for a connect.

    connect     the oldest that is healthy is taken, and replaced at once; without one, a connect as without a pool
    idle        the reactor watches each: one that ends, or says something unasked, is thrown away and replaced
    age         none is older than the server waits for a handshake, by far; ages differ, so none come in step
    failures    a server that refuses is tried by one connect at a time, less and less often
    rest        a pool that nobody has used for a while empties as its connections age, until the next use

Nothing is sealed before it is sent: salts and time stamps are of the request, not of the connection. Of a chain whose
last proxy is a Shadowsocks server, that one's header is sent ahead, so that it connects on to the server.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import partial
from socket import MSG_PEEK, SO_ERROR, SOCK_DGRAM, SOL_SOCKET, socket
from typing import TYPE_CHECKING, Any, Final

from ...core.errors import DialError, ShadesocksError
from ...net.options import NOW
from ...net.poller import READ
from ..seams import First

if TYPE_CHECKING:
    from ...net.end import End
    from ...net.lane import Lane
    from ...net.pipe import Scratch
    from ...net.reactor import Reactor
    from ...net.story import Story
    from ...wire.shadow import WallClock
    from .shadowsocks import Connect

AGE_SHARE: Final = 0.5
"""Of the server's deadline for handshakes: what is taken at that age has as long again to arrive."""
AGE_MOST: Final = 30.0
"""Seconds: routers, NATs and networks change under a connection on which nothing moves."""
AGE_LEAST: Final = 1.0
"""Seconds; a server that waits for less than twice that is better off without a pool."""
AGE_STEPS: Final = 8
AGE_STEP: Final = 0.05
"""Ages are 65 % to 100 % of the greatest: connections that were made together are not replaced together."""
YOUNG: Final = 5.0
"""Seconds; a server that ends a connection sooner does not want it, and is left alone for a while."""
PAUSES: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds without a connect after so many failures in a row."""
PAUSE_SHARES: Final = (0.75, 1.0, 1.25)
"""Of a pause, at random: the clients of one server do not come back together."""
LOOK_EVERY: Final = 1.0
"""Seconds for which an address that this machine had is taken to be still its own."""
REST_AFTER: Final = 300.0
"""Seconds without a request after which nothing is replaced: people who read a page come back sooner."""

_DROPS: Final = frozenset(("limit", "dial_timeout", "unreachable", "host_unreachable"))
"""Words of failures after which none is kept: somebody else needs the descriptors more, or nothing gets there, and what
looks healthy would swallow requests. A server that refuses may be one that ends, and serves those it has."""

Told = Callable[[str, float], None]
"""(reason word, "done" for success; seconds it took): a connect that no request waited for has ended."""
Chance = Callable[[int], int]
"""A random number below its argument; `secrets.randbelow`."""


def age_most(handshake_timeout: float) -> float:
    """Return the greatest age in seconds for a server that waits so long for a handshake; 0: no pool is worth it."""
    age = min(AGE_MOST, handshake_timeout * AGE_SHARE)
    return age if age >= AGE_LEAST else 0.0


class Warm:
    """One connection that is ready."""

    __slots__ = ("_pool", "end", "lane", "made_at", "stamp")

    def __init__(self, pool: WarmPool, end: End, lane: Lane, made_at: float, stamp: int) -> None:
        self._pool = pool
        self.end = end
        self.lane = lane
        self.made_at = made_at
        self.stamp = stamp
        """When it was made, by the clock on the wall: that one goes on while the machine sleeps."""

    def expire(self) -> None:
        """It is old enough."""
        self._pool.aged(self)

    def on_event(self, _events: int) -> None:
        """The server ended it, or spoke first: it is of no use."""
        self._pool.lost(self)

    def crash(self) -> None:
        """A handler raised; the reactor logged it."""
        self._pool.lost(self)


class WarmPool:
    """A `Connect` that keeps connections of another one ready. See the head of the file."""

    def __init__(
        self,
        reactor: Reactor,
        scratch: Scratch,
        connect: Connect,
        prepare: Connect,
        size: int,
        age: float,
        wall: WallClock,
        chance: Chance,
    ) -> None:
        """Make a pool, which is empty until `fill` or the first request.

        Args:
            reactor: its stories and lanes are used.
            scratch: what is sent through a chain is sealed in it.
            connect: for requests that find nothing ready.
            prepare: the same, but it really connects where there is nothing to send yet (no TCP Fast Open).
            size: how many are kept ready, and connects under way.
            age: seconds; none becomes older.
            wall: tells that the machine slept.
            chance: scatters ages and pauses.
        """
        self._reactor = reactor
        self._scratch = scratch
        self._connect = connect
        self._prepare = prepare
        self.size = size
        self._age = age
        self._wall = wall
        self._chance = chance
        self._told: Told = _nobody
        self._lanes = [
            reactor.lane(round(age * (1 - AGE_STEP * step), 3), of="warm connections") for step in range(AGE_STEPS)
        ]
        self._ready: dict[Warm, None] = {}
        """The oldest first."""
        self._dials: set[Story] = set()
        self._failures = 0
        """In a row; while there are any, one connect is under way at most."""
        self._pause: Lane | None = None
        """Where the pool waits for the next try."""
        self._used_at = reactor.loop.time()
        self._source = ""
        """An address of this machine, when it was looked for last."""
        self._looked_at = float("-inf")
        self._is_filling = False
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def under_way(self) -> int:
        """Connects that have not ended."""
        return len(self._dials)

    def listen(self, told: Told) -> None:
        """Tell somebody of each connect that no request waits for."""
        self._told = told

    def fill(self) -> None:
        """Begin to connect: a service that starts expects requests."""
        self._refill()

    async def connect(self, first: First) -> End:
        """Return a connection to the server, with `first` sent or in its tail.

        Raises:
            DialError: there was none ready, and a new one failed.
        """
        self._used_at = self._reactor.loop.time()
        while self._ready:
            end = self._take()
            if end is None:
                continue
            if self._send(end, first):
                self._failures = 0
                self._refill()
                return end
            self._reactor.close(end.sock)
        try:
            end = await self._connect(first)
        except DialError as failed:
            self._fail(failed.code)
            raise
        self._end_pause()
        self._refill()
        return end

    def close(self) -> None:
        """Close what is ready, and keep nothing ready from now on; requests connect as without a pool."""
        self._is_closed = True
        self._end_pause()
        for story in list(self._dials):
            story.abort()
        self._drop_all()

    # -- taking ----------------------------------------------------------------------------------

    def _take(self) -> End | None:
        """Take the oldest out; None where it turns out to be of no use."""
        warm = next(iter(self._ready))
        self._forget(warm)
        end = warm.end
        slept = abs(self._wall() - warm.stamp) > self._age + 1  # stamps are whole seconds
        if not slept and _is_healthy(end) and self._is_from_here(end):
            self._reactor.unwatch(end.fd)
            return end
        self._reactor.close(end.sock)
        return None

    def _is_from_here(self, end: End) -> bool:
        """False where this machine has lost the address that the connection comes from: it changed its network."""
        source, now = end.sock.getsockname(), self._used_at
        if source[0] == self._source and now < self._looked_at + LOOK_EVERY:
            return True
        if not _is_mine(end.sock.family, source):
            return False
        self._source, self._looked_at = source[0], now
        return True

    def _send(self, end: End, first: First) -> bool:
        """Send the first bytes; False where the connection takes nothing any more, so that nothing has left."""
        if not first:
            return True
        data = memoryview(first)
        if end.sealer is not None:
            out = self._scratch.outward
            data = out[: end.sealer.seal(data, len(first), out)]
        try:
            sent = end.sock.send(data, NOW)
        except BlockingIOError:
            sent = 0
        except OSError:
            return False
        if sent < len(data):
            end.tail = bytes(data[sent:])
        return True

    # -- refilling -------------------------------------------------------------------------------

    def _refill(self) -> None:
        """Begin as many connects as are missing, unless the server failed lately or nobody needs them."""
        if self._is_filling or self._reactor.loop.time() - self._used_at > REST_AFTER:
            return
        self._is_filling = True  # a connect that ends at once comes back here
        try:
            while self._may_dial():
                began_at = self._reactor.loop.time()
                self._reactor.tell(self._dial(), partial(self._dialled, began_at))
        finally:
            self._is_filling = False

    def _may_dial(self) -> bool:
        if self._is_closed or self._pause is not None or len(self._ready) + len(self._dials) >= self.size:
            return False
        return not (self._failures and self._dials)

    async def _dial(self) -> End:
        story = self._reactor.current
        assert story is not None, "the reactor tells this story"
        self._dials.add(story)
        try:
            end = await self._prepare(b"")
            sealer = end.sealer
            if sealer is not None and sealer.owes and not self._send_header(end):
                self._reactor.close(end.sock)
                raise DialError("refused", "the proxy before the server ended the connection")
        finally:
            self._dials.discard(story)
        return end

    def _send_header(self, end: End) -> bool:
        """Let the last proxy of a chain connect on; False where its connection does not take so little."""
        out = self._scratch.outward
        assert end.sealer is not None, "it owes a header"
        size = end.sealer.seal(self._scratch.inward, 0, out)
        try:
            return end.sock.send(out[:size], NOW) == size
        except OSError:
            return False

    def _dialled(self, began_at: float, end: End | None, error: BaseException | None) -> None:
        """A connect has ended."""
        seconds = self._reactor.loop.time() - began_at
        if error is None and end is not None:
            self._told("done", seconds)
            self._add(end)
        elif isinstance(error, ShadesocksError):
            self._told(error.code, seconds)
            self._fail(error.code)
        elif isinstance(error, Exception):
            self._reactor.failed(error)
            self._fail("internal")

    def _add(self, end: End) -> None:
        reactor = self._reactor
        if self._is_closed:
            reactor.close(end.sock)
            return
        lane = self._lanes[self._chance(AGE_STEPS)]
        warm = Warm(self, end, lane, reactor.loop.time(), self._wall())
        self._ready[warm] = None
        lane.start(warm)
        try:
            reactor.watch(end.fd, READ, warm.on_event)
        except OSError:  # the system watches no more descriptors (max_user_watches)
            self._drop(warm)
            self._fail("limit")
            return
        if end.held or end.tail:
            self.lost(warm)
        else:
            self._refill()

    # -- the ends of those that are ready --------------------------------------------------------

    def aged(self, warm: Warm) -> None:
        """One is old enough: the server kept it as long as it was wanted."""
        self._failures = 0
        self._drop(warm)
        self._refill()

    def lost(self, warm: Warm) -> None:
        """The server ended one, or spoke before it was asked."""
        self._drop(warm)
        if self._reactor.loop.time() - warm.made_at < YOUNG:
            self._fail("refused")
        else:
            self._refill()

    def _drop(self, warm: Warm) -> None:
        self._forget(warm)
        self._reactor.close(warm.end.sock)

    def _drop_all(self) -> None:
        for warm in list(self._ready):
            self._drop(warm)

    def _forget(self, warm: Warm) -> None:
        self._ready.pop(warm, None)
        warm.lane.cancel(warm)

    # -- failures --------------------------------------------------------------------------------

    def _fail(self, word: str) -> None:
        """Leave the server alone for a while, once for all connects that failed together."""
        if word in _DROPS:
            self._drop_all()
        if self._pause is not None or self._is_closed:
            return
        pause = PAUSES[min(self._failures, len(PAUSES) - 1)]
        self._failures += 1
        pause *= PAUSE_SHARES[self._chance(len(PAUSE_SHARES))]
        self._pause = self._reactor.lane(pause, of="pauses of pools")
        self._pause.start(self)

    def expire(self) -> None:
        """A pause is over."""
        self._pause = None
        self._refill()

    def _end_pause(self) -> None:
        """The server answered somebody: try again."""
        if self._pause is not None:
            self._pause.cancel(self)
            self._pause = None


def _nobody(_word: str, _seconds: float) -> None:
    """Listen to nothing."""


def _is_healthy(end: End) -> bool:
    """True where nothing has happened on a connection: no error, no end of file, no bytes."""
    sock = end.sock
    if sock.getsockopt(SOL_SOCKET, SO_ERROR):
        return False
    try:
        sock.recv(1, MSG_PEEK | NOW)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _is_mine(family: int, source: tuple[Any, ...]) -> bool:
    """True where this machine has that address: a socket can be bound to it."""
    with socket(family, SOCK_DGRAM) as sock:
        try:
            sock.bind((source[0], 0, *source[2:]))
        except OSError as error:
            return error.errno != errno.EADDRNOTAVAIL
    return True
