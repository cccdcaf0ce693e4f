"""Names asked of the system's own resolver: `getaddrinfo` in a bounded pool of daemon threads.

For `dns: system`, and for where aiodns is not installed. It knows all that the system does (search domains, mDNS),
but tells no time to live, cannot be told whom to ask, and cannot be called back: a thread that hangs in it is left
to end by itself, and being a daemon it holds up no exit. asyncio's default executor, which the whole process shares
and which the interpreter waits for at its end, is never used.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Condition, Thread, current_thread
from typing import Final

from ..core.errors import DialError
from .lookup import TTL_EMPTY, Found, Outcome

THREADS: Final = 8
"""Look-ups at once. Each waits some 5 to 30 s when the name servers are dead, a few ms when they are not."""
TTL: Final = 60.0
"""Seconds that an answer is good: the system's resolver does not tell, and few are good for less."""

_NO_SUCH_NAME: Final = tuple(
    getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY") if hasattr(socket, name)
)

log = logging.getLogger(__name__)


def ask_system(name: str) -> tuple[Found, ...]:
    """Ask the system's resolver, and wait for it.

    Raises:
        OSError: it has no answer.
    """
    # As bytes: from a str, CPython makes an IDNA name even of plain ASCII, and refuses what resolvers take.
    found = socket.getaddrinfo(name.encode("ascii"), None, type=socket.SOCK_STREAM)
    return tuple((int(family), str(address[0])) for family, _, _, _, address in found)


class SystemLookup:
    """A `lookup.Lookup`. Threads are started as they are needed, and end with `close`."""

    def __init__(
        self,
        families: Sequence[int] = (socket.AF_INET, socket.AF_INET6),
        *,
        ask: Callable[[str], tuple[Found, ...]] = ask_system,
        threads: int = THREADS,
    ) -> None:
        """Make a look-up; nothing is started yet.

        Args:
            families: addresses of others are left out. The order of the system holds, which knows what it can reach.
            ask: finds the addresses of a name, called in a thread; raises OSError where there are none.
            threads: how many names are looked up at once.
        """
        self._families = frozenset(families)
        self._ask = ask
        self._threads_most = threads
        # Guarded by the condition:
        self._work = Condition()
        self._queue: OrderedDict[asyncio.Future[Outcome], str] = OrderedDict()
        self._threads: list[Thread] = []
        self._busy: set[Thread] = set()
        self._closed = False

    def start(self, name: str) -> asyncio.Future[Outcome]:
        """See `lookup.Lookup`. A look-up that is cancelled before a thread took it is never begun."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        with self._work:
            idle = len(self._threads) - len(self._busy)
            if len(self._queue) >= idle and len(self._threads) < self._threads_most and not self._add_thread():
                future.set_exception(DialError("limit", "no thread can be started to look names up"))
                return future
            self._queue[future] = name
            self._work.notify()
        future.add_done_callback(self._leave)
        return future

    def _add_thread(self) -> bool:
        """Start one more; False where there is none at all then."""
        thread = Thread(target=self._run, name=f"lookup-{len(self._threads)}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system has none to give; those we have will do
            return bool(self._threads)
        self._threads.append(thread)
        return True

    def _leave(self, future: asyncio.Future[Outcome]) -> None:
        with self._work:
            self._queue.pop(future, None)

    async def close(self) -> None:
        """End the threads. One that hangs in the system's resolver is left to end by itself."""
        with self._work:
            self._closed = True
            waiting = list(self._queue)
            idle = [thread for thread in self._threads if thread not in self._busy]
            self._work.notify_all()
        for future in waiting:
            future.cancel()
        for thread in idle:
            thread.join()

    # In the threads

    def _run(self) -> None:
        this = current_thread()
        while True:
            with self._work:
                while not self._queue and not self._closed:
                    self._work.wait()
                if self._closed:
                    return
                future, name = self._queue.popitem(last=False)
                self._busy.add(this)
            found = self._find(name)
            with self._work:
                # Before the loop hears of it: whoever closes us then waits for this thread too.
                self._busy.discard(this)
            with suppress(RuntimeError):  # the loop is closed: nobody is left to tell
                future.get_loop().call_soon_threadsafe(_tell, future, found)
            del future, found

    def _find(self, name: str) -> Outcome | DialError:
        try:
            found = [found for found in self._ask(name) if found[0] in self._families]
        except socket.gaierror as error:
            if error.errno in _NO_SUCH_NAME:
                return Outcome((), TTL_EMPTY)
            return DialError("no_name", f"{name}: {error.strerror}")
        except (OSError, UnicodeError) as error:
            return DialError("no_name", f"{name}: {error}")
        except Exception:  # the top of a thread
            log.exception("looking up a name failed")
            return DialError("no_name", f"{name} could not be looked up")
        return Outcome(tuple(dict.fromkeys(found)), TTL if found else TTL_EMPTY)


def _tell(future: asyncio.Future[Outcome], found: Outcome | DialError) -> None:
    if future.done():
        return
    if isinstance(found, DialError):
        future.set_exception(found)
    else:
        future.set_result(found)
