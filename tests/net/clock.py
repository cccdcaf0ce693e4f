"""A loop whose time is a number: timers, `call_soon` and readers, run when a test says so.

It stands in for asyncio's loop in the tests of `tests/net`: futures and handles are asyncio's own, nothing waits.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVarTuple, cast

if TYPE_CHECKING:
    from contextvars import Context

    from _typeshed import FileDescriptorLike

Args = TypeVarTuple("Args")


class Clock:
    """Virtual time, from 1000 s on."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.readers: dict[int, asyncio.Handle] = {}
        self.writers: dict[int, asyncio.Handle] = {}
        self.troubles: list[dict[str, Any]] = []
        """What asyncio would have logged: callbacks that raised."""
        self.changes = 0
        """Counts calls and readers that came or went; see `Kernel.changes`."""
        self._timers: list[asyncio.TimerHandle] = []
        self._ready: deque[asyncio.Handle] = deque()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """This, as the type that the package takes."""
        return cast("asyncio.AbstractEventLoop", self)

    # -- what asyncio's own classes ask of a loop ------------------------------------------------

    def time(self) -> float:
        return self.now

    def get_debug(self) -> bool:
        return False

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self.loop)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.troubles.append(context)

    def call_soon(
        self, callback: Callable[[*Args], object], *args: *Args, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self.loop, context)
        self.changes += 1
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[[*Args], object], *args: *Args, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Args], object], *args: *Args, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self.loop, context)
        heapq.heappush(self._timers, handle)
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """asyncio's handles tell their loop; `_timers` skips them by themselves."""

    def add_reader(self, fd: FileDescriptorLike, callback: Callable[[*Args], Any], *args: *Args) -> None:
        self._add(self.readers, fd, asyncio.Handle(callback, args, self.loop))

    def add_writer(self, fd: FileDescriptorLike, callback: Callable[[*Args], Any], *args: *Args) -> None:
        self._add(self.writers, fd, asyncio.Handle(callback, args, self.loop))

    def remove_reader(self, fd: FileDescriptorLike) -> bool:
        return self._remove(self.readers, fd)

    def remove_writer(self, fd: FileDescriptorLike) -> bool:
        return self._remove(self.writers, fd)

    def _add(self, table: dict[int, asyncio.Handle], fd: FileDescriptorLike, handle: asyncio.Handle) -> None:
        assert isinstance(fd, int)
        self._remove(table, fd)
        table[fd] = handle
        self.changes += 1

    def _remove(self, table: dict[int, asyncio.Handle], fd: FileDescriptorLike) -> bool:
        assert isinstance(fd, int)
        handle = table.pop(fd, None)
        if handle is not None:
            self.changes += 1
            handle.cancel()  # as asyncio does: a reader that is due already is not called any more
        return handle is not None

    # -- what a test does with it ----------------------------------------------------------------

    @property
    def timers(self) -> list[float]:
        """When each pending timer is due, the earliest first."""
        return sorted(timer.when() for timer in self._timers if not timer.cancelled())

    def due(self, handle: asyncio.Handle) -> None:
        """Put a handle into the queue of this turn, as a selector's event does."""
        self._ready.append(handle)

    def run_ready(self) -> bool:
        """Make the calls that are due now; True when there was one."""
        ran = False
        while self._ready:
            handle = self._ready.popleft()
            if not handle.cancelled():
                handle._run()
                ran = True
        assert not self.troubles, f"a callback of the loop raised: {self.troubles}"
        return ran

    def next_timer(self, until: float) -> bool:
        """Move to the next timer that is due by then and run it; False, at that time, when there is none."""
        while self._timers and self._timers[0].when() <= until:
            timer = heapq.heappop(self._timers)
            if not timer.cancelled():
                self.now = max(self.now, timer.when())
                self._ready.append(timer)
                self.run_ready()
                return True
        self.now = max(self.now, until)
        return False

    def advance(self, seconds: float) -> None:
        """Let time pass, timer by timer."""
        until = self.now + seconds
        self.run_ready()
        while self.next_timer(until):
            pass
