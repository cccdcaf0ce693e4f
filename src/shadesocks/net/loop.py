"""An asyncio loop whose selector is the reactor's epoll: one poll for both worlds.

Under any other loop the reactor has an epoll of its own, which asyncio watches: then each wake-up
polls twice and passes through asyncio's selector, handle and context for nothing. Here the one poll
calls the handlers of the data plane itself and gives asyncio only what is asyncio's. Measured on one
short connection at a time: 0.83 of the CPU (docs/adr/0001). The commands run on it (`run`); a
program that embeds shadesocks may, and loses nothing but that if it does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import select
import selectors
from collections.abc import Callable, Coroutine, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeVar, TypeVarTuple

if TYPE_CHECKING:
    from contextvars import Context

    from _typeshed import FileDescriptorLike

Result = TypeVar("Result")
Args = TypeVarTuple("Args")
Dispatch = Callable[[list[tuple[int, int]]], list[tuple[int, int]]]
"""Serves the events that are the data plane's, and returns the others."""

EVENTS_MAX: Final = 256
"""Events of one poll: a turn of 256 short handlers takes a few milliseconds, so timers and signals stay prompt."""


class PlaneSelector(selectors.BaseSelector):
    """A selector over epoll that lets a reactor serve its descriptors before asyncio sees the rest."""

    def __init__(self) -> None:
        self.epoll: Final = select.epoll()
        self.dispatch: Dispatch | None = None
        """The reactor that shares the poll, once there is one."""
        self.stirred = False
        """Set by whoever gives asyncio something to do during `select`."""
        self._keys: Final[dict[int, selectors.SelectorKey]] = {}

    def register(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        """See `selectors.BaseSelector`."""
        fd = _fd_of(fileobj)
        if fd in self._keys:
            raise KeyError(f"{fileobj!r} (FD {fd}) is already registered")
        self.epoll.register(fd, _to_epoll(events))
        key = self._keys[fd] = selectors.SelectorKey(fileobj, fd, events, data)
        return key

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        """See `selectors.BaseSelector`."""
        key = self._keys.pop(_fd_of(fileobj))
        with contextlib.suppress(OSError):  # it may be closed already: then the kernel has forgotten it
            self.epoll.unregister(key.fd)
        return key

    def modify(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        """See `selectors.BaseSelector`."""
        old = self._keys[_fd_of(fileobj)]
        if old.events != events:
            self.epoll.modify(old.fd, _to_epoll(events))
        key = self._keys[old.fd] = selectors.SelectorKey(fileobj, old.fd, events, data)
        return key

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Serve the data plane until there is something for asyncio: an event, a call, or the time-out.

        Whatever a handler wants of asyncio it says by `call_soon` or `call_at`, and those set `stirred`.
        """
        wait = None if timeout is None else max(timeout, 0.0)
        until = math.inf if wait is None else monotonic() + wait
        self.stirred = False
        while True:
            try:
                # epoll counts milliseconds: round up, so as never to wake before a timer is due
                events = self.epoll.poll(None if wait is None else math.ceil(wait * 1000) / 1000, EVENTS_MAX)
            except InterruptedError:
                return []
            if self.dispatch is not None and events:
                foreign = self.dispatch(events)
                if not foreign and not self.stirred and (timeout is None or (wait := until - monotonic()) > 0):
                    continue
                events = foreign
            return [self._ready(*event) for event in events if event[0] in self._keys]

    def _ready(self, fd: int, bits: int) -> tuple[selectors.SelectorKey, int]:
        key = self._keys[fd]
        write = selectors.EVENT_WRITE if bits & ~select.EPOLLIN else 0
        read = selectors.EVENT_READ if bits & ~select.EPOLLOUT else 0
        return key, (write | read) & key.events

    def close(self) -> None:
        """See `selectors.BaseSelector`."""
        self.epoll.close()
        self._keys.clear()

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        """See `selectors.BaseSelector`."""
        return {key.fileobj: key for key in self._keys.values()}

    def get_key(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        """See `selectors.BaseSelector`."""
        return self._keys[_fd_of(fileobj)]


class PlaneLoop(asyncio.SelectorEventLoop):
    """The loop of a `PlaneSelector`."""

    time = staticmethod(monotonic)

    def __init__(self) -> None:
        self.plane: Final = PlaneSelector()
        super().__init__(self.plane)

    def call_soon(
        self, callback: Callable[[*Args], object], *args: *Args, context: Context | None = None
    ) -> asyncio.Handle:
        """See `asyncio.loop.call_soon`."""
        self.plane.stirred = True
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Args], object], *args: *Args, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """See `asyncio.loop.call_at`."""
        self.plane.stirred = True
        return super().call_at(when, callback, *args, context=context)

    def stop(self) -> None:
        """See `asyncio.loop.stop`."""
        self.plane.stirred = True
        super().stop()


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine as `asyncio.run` does, on the fastest loop that the system has."""
    factory = PlaneLoop if hasattr(select, "epoll") else None
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


def _fd_of(fileobj: FileDescriptorLike) -> int:
    return fileobj if isinstance(fileobj, int) else fileobj.fileno()


def _to_epoll(events: int) -> int:
    return (events & selectors.EVENT_READ and select.EPOLLIN) | (events & selectors.EVENT_WRITE and select.EPOLLOUT)
