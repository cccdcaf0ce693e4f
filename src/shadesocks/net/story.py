"""Stories: coroutines without a task, driven by the reactor.

A story tells one handshake from top to bottom. It awaits two things only, `ready(fd, events)` and
`until(future)` for a plain asyncio future; anything that needs a task (`asyncio.timeout`, `TaskGroup`,
`wait_for`, anyio) belongs in one, awaited with `until`. Context variables do not follow a story.
When the bytes begin to flow the story ends: a suspended coroutine costs about a kilobyte.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from types import coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .reactor import Reactor

Wait = tuple[int, int] | asyncio.Future[Any]
"""What a story may yield to the reactor: a descriptor with its events, or a future."""


@coroutine
def ready(fd: int, events: int) -> Generator[Wait, None, None]:
    """Wait in a story until the descriptor is ready for READ or WRITE.

    Awaited from a task, asyncio refuses the tuple with a RuntimeError: run such code with `Reactor.spawn`.
    """
    yield fd, events


@coroutine
def until(future: asyncio.Future[Any]) -> Generator[Wait, None, Any]:
    """Wait in a story for a plain asyncio future, and return its result: the one bridge between the two worlds."""
    if not future.done():
        yield future
    return future.result()


class Story:
    """One coroutine driven by the reactor. It ends by returning, raising, or being aborted."""

    __slots__ = ("_coro", "_done", "_fd", "_future", "_reactor")

    def __init__(
        self,
        reactor: Reactor,
        coro: Coroutine[Wait, None, Any],
        done: Callable[[Any, BaseException | None], None] | None,
    ):
        self._reactor = reactor
        self._coro = coro
        self._done = done
        self._fd = -1
        self._future: asyncio.Future[Any] | None = None

    def _step(self, call: Callable[[Any], Wait], value: object) -> None:
        """Run the coroutine to its next wait, and arrange for that wait to resume it."""
        reactor = self._reactor
        outer, reactor.current = reactor.current, self
        try:
            while True:
                wait = call(value)
                try:
                    self._arrange(wait)
                except Exception as error:  # no wait, no waker: the story must hear of it now
                    self._drop_wait()
                    call, value = self._coro.throw, error
                else:
                    return
        except StopIteration as stop:
            self._end(stop.value, None)
        except (Exception, asyncio.CancelledError) as error:  # the top of a story, as of a task
            self._end(None, error)
        finally:
            reactor.current = outer

    def _arrange(self, wait: Wait) -> None:
        if type(wait) is tuple:
            self._fd = wait[0]
            self._reactor.watch(wait[0], wait[1], self._on_ready)
        elif isinstance(wait, asyncio.Future):
            self._future = wait
            wait.add_done_callback(self._on_future)
        else:
            raise RuntimeError(f"a story awaits `ready` and `until` only, not what yields {wait!r}")

    def _on_ready(self, _events: int) -> None:
        self._reactor.handlers[self._fd] = None
        self._fd = -1
        self._step(self._coro.send, None)

    def _on_future(self, future: asyncio.Future[Any]) -> None:
        if self._future is future:
            self._future = None
            self._step(self._coro.send, None)
            self._reactor.settle()

    def _drop_wait(self) -> None:
        """Leave the current wait behind: whatever it brings later finds nobody."""
        if self._fd >= 0:
            self._reactor.unwatch(self._fd)
            self._fd = -1
        future, self._future = self._future, None
        if future is not None:
            future.remove_done_callback(self._on_future)
            future.cancel()

    def expire(self) -> None:
        """Throw TimeoutError into the wait: the deadline has come. Nothing happens to a story that is over."""
        if self not in self._reactor.stories:
            return
        self._drop_wait()
        self._step(self._coro.throw, TimeoutError())

    def abort(self) -> None:
        """End the story now: its `finally` blocks run, its result is nobody's. One that is over stays over."""
        if self not in self._reactor.stories:
            return
        self._drop_wait()
        self._step(self._coro.throw, asyncio.CancelledError())

    def _end(self, result: object, error: BaseException | None) -> None:
        self._reactor.stories.discard(self)
        if self._done is not None:
            self._done(result, error)
        elif error is not None and not isinstance(error, asyncio.CancelledError):
            self._reactor.failed(error)
