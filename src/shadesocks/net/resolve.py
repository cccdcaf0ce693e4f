"""Names become addresses: a bounded pool of threads around the system's resolver, and a small cache before it.

Called by `connect` in stories, which need not be tasks: `cached` answers at once, `lookup` returns a plain future.
Literals never come near the pool, so dead name servers do not touch them; asyncio's default executor, which the
whole process shares and which the interpreter waits for at its end, is never used. Nothing here judges an address
(`origin` does, after us) and nothing asks twice: the addresses that are judged are the ones that are connected to.

One look-up is under way for a name, whoever waits for it. A waiter gives up after 10 s, or when it is cancelled;
a name that nobody waits for any more leaves the queue. A thread cannot be called back from the system's resolver: what
it brings late is still worth caching, and the threads are daemons, so that it holds up no exit.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import OrderedDict
from contextlib import suppress
from threading import Condition, Thread, current_thread
from time import monotonic
from typing import TYPE_CHECKING, Final

from ..core.address import pack_ip
from ..core.errors import DialError

if TYPE_CHECKING:
    from collections.abc import Callable

Found = tuple[int, str]
"""One address of a name: (address family, IP text)."""
Answer = tuple[Found, ...]
"""All addresses of a name, in the order in which to try them; never empty."""

THREADS: Final = 8
"""Look-ups at once. Each waits some 5 to 30 s when the name servers are dead, a few ms when they are not."""
TIMEOUT: Final = 10.0
"""Seconds that a waiter waits: as long as a dial."""
PENDING_MOST: Final = 1024
"""Waiters at once: what 8 threads work off in 10 s when an answer takes 80 ms."""
CACHE_MOST: Final = 1024
"""Names remembered; about half a kilobyte each."""
CACHE_AGE: Final = 60.0
"""Seconds that an answer is good: the system's resolver does not tell the time to live, and few are shorter."""
CACHE_AGE_NONE: Final = 5.0
"""Seconds that "no such name" is good. A resolver's own trouble is not remembered: it may end at any moment."""

_NO_SUCH_NAME: Final = tuple(
    getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY") if hasattr(socket, name)
)

_log = logging.getLogger(__name__)


def ask_system(host: str) -> Answer:
    """Ask the system's resolver, and wait for it.

    Raises:
        OSError: it has no answer.
        UnicodeError: the name has no form on the wire.
    """
    # As bytes: from a str, CPython makes an IDNA name even of plain ASCII, and refuses what resolvers take.
    name = host.encode("ascii") if host.isascii() else host.encode("idna")
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return tuple((family, str(address[0])) for family, _, _, _, address in found)


def ipv6_first(ask: Callable[[str], Answer]) -> Callable[[str], Answer]:
    """Return the same look-up with the IPv6 addresses of each answer in front; the system's order holds otherwise."""

    def asked(host: str) -> Answer:
        return tuple(sorted(ask(host), key=lambda found: found[0] != socket.AF_INET6))

    return asked


class _Query:
    """A name that is looked up, and who waits for it."""

    __slots__ = ("host", "loop", "waiters")

    def __init__(self, host: str, loop: asyncio.AbstractEventLoop) -> None:
        self.host = host
        self.loop = loop
        self.waiters: dict[asyncio.Future[Answer], asyncio.TimerHandle] = {}
        """Each with what ends its patience."""


class Resolver:
    """Looks names up for one event loop. Threads are started as they are needed, and end with `close`."""

    def __init__(
        self,
        *,
        ask: Callable[[str], Answer] = ask_system,
        threads: int = THREADS,
        timeout: float = TIMEOUT,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Make a resolver; nothing is started yet.

        Args:
            ask: finds the addresses of a name, called in a thread; raises OSError where there are none.
            threads: how many names are looked up at once.
            timeout: seconds that a waiter waits.
            clock: seconds of a monotonic clock, for the ages of answers.
        """
        self._ask = ask
        self._timeout = timeout
        self._clock = clock
        # Only the loop's thread touches these:
        self._cache: OrderedDict[str, tuple[float, Answer | DialError]] = OrderedDict()
        self._queries: dict[str, _Query] = {}
        self._pending = 0
        # Guarded by the condition:
        self._work = Condition()
        self._queue: OrderedDict[str, _Query] = OrderedDict()
        self._threads: list[Thread] = []
        self._threads_most = threads
        self._busy: set[Thread] = set()
        self._closed = False

    def cached(self, host: str) -> Answer | None:
        """Return the addresses of a literal or of a name looked up lately; None where it must be looked up.

        Raises:
            DialError: `no_name`, if that was the answer lately.
        """
        entry = self._cache.get(host)
        if entry is None:
            packed = pack_ip(host)
            if packed is None:
                return None
            return ((socket.AF_INET if len(packed) == 4 else socket.AF_INET6, host),)
        until, answer = entry
        if self._clock() >= until:
            del self._cache[host]
            return None
        self._cache.move_to_end(host)
        if isinstance(answer, DialError):
            raise DialError(answer.code, str(answer))
        return answer

    def lookup(self, host: str) -> asyncio.Future[Answer]:
        """Return a future of the addresses.

        It may be cancelled. It raises DialError: `no_name`, `dial_timeout`, `limit` when too many wait already,
        `stopped` when the resolver is closed.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        try:
            answer = self.cached(host)
            if answer is None:
                self._join(host, future, loop)
            else:
                future.set_result(answer)
        except DialError as error:
            future.set_exception(error)
        return future

    async def resolve(self, host: str) -> Answer:
        """Return the addresses of a host: `cached` or `lookup` in one, where speed is not all."""
        return self.cached(host) or await self.lookup(host)

    def close(self) -> None:
        """End the threads and whoever waits. A thread that hangs in the system's resolver is left to end by itself."""
        with self._work:
            self._closed = True
            self._queue.clear()
            idle = [thread for thread in self._threads if thread not in self._busy]
            self._work.notify_all()
        for query in list(self._queries.values()):
            self._answer(query, DialError("stopped", "the resolver was closed"))
        for thread in idle:
            thread.join()

    # In the thread of the loop

    def _join(self, host: str, future: asyncio.Future[Answer], loop: asyncio.AbstractEventLoop) -> None:
        """Make the future a waiter for the name, the first or one more."""
        if self._closed:
            raise DialError("stopped", "the resolver is closed")
        if self._pending >= PENDING_MOST:
            raise DialError("limit", f"{PENDING_MOST} look-ups are waiting already; {host} is not looked up")
        query = self._queries.get(host)
        if query is None:
            query = _Query(host, loop)
            self._enqueue(query)
            self._queries[host] = query
        self._pending += 1
        query.waiters[future] = loop.call_later(self._timeout, self._give_up, query, future)
        future.add_done_callback(lambda future: self._leave(query, future))

    def _enqueue(self, query: _Query) -> None:
        with self._work:
            idle = len(self._threads) - len(self._busy)
            if len(self._queue) >= idle and len(self._threads) < self._threads_most:
                thread = Thread(target=self._run, name=f"resolve-{len(self._threads)}", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the system has no thread to give; those we have will do
                    if not self._threads:
                        raise DialError("limit", "no thread can be started to look names up") from None
                else:
                    self._threads.append(thread)
            self._queue[query.host] = query
            self._work.notify()

    def _give_up(self, query: _Query, future: asyncio.Future[Answer]) -> None:
        if not future.done():
            future.set_exception(DialError("dial_timeout", f"{query.host} was not found in {self._timeout:g} s"))

    def _leave(self, query: _Query, future: asyncio.Future[Answer]) -> None:
        """A waiter has its answer, or gave up, or was cancelled."""
        query.waiters.pop(future).cancel()
        self._pending -= 1
        if query.waiters:
            return
        with self._work:
            if self._queue.get(query.host) is query:
                del self._queue[query.host]
                del self._queries[query.host]

    def _arrive(self, query: _Query, answer: Answer | DialError, age: float) -> None:
        """Take what a thread brought."""
        if age and not self._closed:
            self._cache[query.host] = (self._clock() + age, answer)
            self._cache.move_to_end(query.host)
            if len(self._cache) > CACHE_MOST:
                self._cache.popitem(last=False)
        self._answer(query, answer)

    def _answer(self, query: _Query, answer: Answer | DialError) -> None:
        if self._queries.get(query.host) is query:
            del self._queries[query.host]
        for future in query.waiters:
            if future.done() or query.loop.is_closed():
                continue
            if isinstance(answer, DialError):
                future.set_exception(DialError(answer.code, str(answer)))
            else:
                future.set_result(answer)

    # In the threads

    def _run(self) -> None:
        this = current_thread()
        while True:
            with self._work:
                while not self._queue and not self._closed:
                    self._work.wait()
                if self._closed:
                    return
                _, query = self._queue.popitem(last=False)
                self._busy.add(this)
            answer, age = self._find(query.host)
            with self._work:
                # Before the loop hears of it: whoever closes us then waits for this thread too.
                self._busy.discard(this)
            with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
                query.loop.call_soon_threadsafe(self._arrive, query, answer, age)

    def _find(self, host: str) -> tuple[Answer | DialError, float]:
        """Return the answer, and for how long it is good."""
        try:
            found = self._ask(host)
        except socket.gaierror as error:
            text = f"{host}: {error.strerror}"
            return DialError("no_name", text), CACHE_AGE_NONE if error.errno in _NO_SUCH_NAME else 0
        except UnicodeError:
            return DialError("no_name", f"{host} cannot be a host's name"), CACHE_AGE_NONE
        except OSError as error:
            return DialError("no_name", f"{host}: {error}"), 0
        except Exception:  # the top of a thread
            _log.exception("looking up a name failed")
            return DialError("no_name", f"{host} could not be looked up"), 0
        if not found:
            return DialError("no_name", f"{host} has no address"), CACHE_AGE_NONE
        return found, CACHE_AGE
