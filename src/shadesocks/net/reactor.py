"""The reactor of the data plane: one poll, one dictionary from descriptor to handler.

asyncio runs the process (names, signals, timers, everything slow); sockets that
carry bytes never pass through it. The reactor owns a back-end (`net/poller.py`)
whose descriptor asyncio watches as a single reader; on each wake-up `turn()` polls
it once and calls `handlers[fd](events)`. Level-triggered: the interest of a socket
says what we want of it now, and changes only when something blocks.

Rules (each has its test in `tests/net/test_reactor.py`):

 1. A handler does one bounded piece of work; polling again is the fairness.
 2. Every handler call is guarded: an exception ends that connection alone, is counted and logged.
 3. Nothing resumes a story from inside another call: wake-ups go to `queue`, emptied when the turn ends.
 4. A descriptor closed in a turn is really closed after it, so its number cannot come back within it.
 5. An event nobody waits for disarms its descriptor: no interest means unregistered, or the loop would spin.
 6. A story waits for one thing; whatever else comes late finds no handler and is dropped.
 7. A deadline throws `TimeoutError` into what its story waits for, and cancels the future waited for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from .lane import Lane
from .poller import Poller, make_poller
from .story import Story, Wait

if TYPE_CHECKING:
    from socket import SocketType

    from .slices import Slices

log = logging.getLogger(__name__)

Handler = Callable[[int], None]


class Reactor:
    """Handlers of descriptors, live stories, lanes of deadlines and the run queue of one event loop.

    Made inside a running loop; `close()` before the loop ends. Not thread-safe.
    """

    def __init__(self, event_model: str = "auto", loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.loop: Final = loop or asyncio.get_running_loop()
        self.poller: Poller = make_poller(event_model, self.loop, self.serve)
        self.handlers: Final[dict[int, Handler | None]] = {}
        self.stories: Final[set[Story]] = set()
        """Every story that has begun and not ended; tests assert that it is empty."""
        self.queue: Final[list[Callable[[], None]]] = []
        """Calls to make when the turn is over."""
        self.current: Story | None = None
        """The story that runs right now."""
        self.errors = 0
        """Handler calls that raised: each is a bug, and cost one connection."""
        self._armed: Final[dict[int, int]] = {}
        self._closing: Final[list[SocketType]] = []
        self._lanes: Final[dict[tuple[float, str], Lane]] = {}
        self._slices: Slices | None = None

    # -- descriptors ---------------------------------------------------------------------------

    def watch(self, fd: int, events: int, handler: Handler) -> None:
        """Call `handler(events)` whenever the descriptor has one of `events` (READ | WRITE); 0 waits for none."""
        self.handlers[fd] = handler
        was = self._armed.get(fd, 0)
        if was != events:
            if not was:
                self.poller.register(fd, events)
            elif events:
                self.poller.modify(fd, events)
            else:
                self.poller.unregister(fd)
            self._armed[fd] = events  # after the call: what the system refused is not armed

    def unwatch(self, fd: int) -> None:
        """Take the handler away. The descriptor stays armed until it has an event, which then disarms it."""
        if fd in self.handlers:
            self.handlers[fd] = None

    def close(self, sock: SocketType) -> None:
        """Forget the socket now and close it when the turn is over."""
        fd = sock.fileno()
        if fd >= 0:
            self.handlers.pop(fd, None)
            if self._armed.pop(fd, 0):
                self.poller.forget(fd)
            self._closing.append(sock)

    def close_shared(self, sock: SocketType) -> None:
        """Close a socket that another process may hold, too: epoll would tell of it as long as anyone has it."""
        fd = sock.fileno()
        if self._armed.get(fd, 0):
            self.poller.unregister(fd)
            self._armed[fd] = 0
        self.close(sock)

    # -- turns ---------------------------------------------------------------------------------

    def serve(self, events: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Serve one turn: the only way events enter the data plane. Return the events of unknown descriptors."""
        handlers = self.handlers
        foreign = []
        for fd, bits in events:
            handler = handlers.get(fd)
            if handler is not None:
                try:
                    handler(bits)
                except Exception as error:  # rule 2: one connection, not the loop
                    self._crashed(fd, error)
            elif fd in self._armed:
                self._disarm(fd)
            else:
                foreign.append((fd, bits))
        if self.queue or self._closing:
            self.settle()
        return foreign

    def settle(self) -> None:
        """End a turn: run what was queued, then really close what was closed."""
        queue = self.queue
        while queue:
            calls = queue[:]
            queue.clear()
            for call in calls:
                self.guard(call)
        for sock in self._closing:
            sock.close()
        self._closing.clear()

    def guard(self, call: Callable[[], object]) -> None:
        """Make one call; an exception of its is logged and counted, and goes no further."""
        try:
            call()
        except Exception as error:  # rule 2
            self.failed(error)

    def failed(self, error: BaseException) -> None:
        """Count and log an exception that nobody expected."""
        self.errors += 1
        log.error("internal error: %r", error, exc_info=error)

    def _crashed(self, fd: int, error: Exception) -> None:
        self.failed(error)
        handler = self.handlers.pop(fd, None)
        self._disarm(fd)
        crash = getattr(getattr(handler, "__self__", None), "crash", None)
        if crash is not None:
            self.guard(crash)

    def _disarm(self, fd: int) -> None:
        if self._armed.pop(fd, 0):
            self.poller.unregister(fd)

    # -- stories and deadlines -----------------------------------------------------------------

    def tell(
        self, coro: Coroutine[Wait, None, Any], done: Callable[[Any, BaseException | None], None] | None = None
    ) -> Story:
        """Begin a story now, and run it to its first wait. `done(result, error)` is called when it ends."""
        story = Story(self, coro, done)
        self.stories.add(story)
        story._step(coro.send, None)
        return story

    def spawn(self, coro: Coroutine[Wait, None, Any]) -> asyncio.Future[Any]:
        """Run a story for code that lives in a task; await the future that is returned."""
        future: asyncio.Future[Any] = self.loop.create_future()

        def done(result: object, error: BaseException | None) -> None:
            if future.cancelled():
                return
            if error is None:
                future.set_result(result)
            elif isinstance(error, asyncio.CancelledError):
                future.cancel()
            else:
                future.set_exception(error)

        story = self.tell(coro, done)

        def cancelled(ended: asyncio.Future[Any]) -> None:
            if ended.cancelled() and story in self.stories:
                story.abort()
                self.settle()

        future.add_done_callback(cancelled)
        self.settle()
        return future

    def lane(self, delay: float, of: str = "") -> Lane:
        """Return the lane of that delay in seconds; callers that name the same `of` share it, and its count."""
        lane = self._lanes.get((delay, of))
        if lane is None:
            lane = self._lanes[delay, of] = Lane(self, delay)
        return lane

    @property
    def has_slices(self) -> bool:
        """True once somebody had long work to do."""
        return self._slices is not None

    @property
    def slices(self) -> Slices:
        """Who does long work, a slice between two turns."""
        if self._slices is None:
            from .slices import Slices  # hardly anybody has such work

            self._slices = Slices(self)
        return self._slices

    def stop(self) -> None:
        """End every story and give the poller back. Sockets that relays own are closed by their owners before."""
        for story in list(self.stories):
            story.abort()
        self.settle()
        for lane in self._lanes.values():
            lane.stop()
        self.poller.close()
