"""The back-ends of the reactor: epoll (Linux), kqueue (macOS, BSD), portable (anywhere, over asyncio).

All speak one language: READ and WRITE are epoll's numbers, and every event that is
not plain writability also says READ, because an error or a hang-up is found out by
reading (rule 5 of design §4: HUP means read on to the end, ERR means drain, then reset).
"""

from __future__ import annotations

import asyncio
import select
import sys
from collections.abc import Callable
from typing import Final, Protocol

from .loop import EVENTS_MAX, PlaneLoop

READ: Final = 0x2001
"""EPOLLIN and EPOLLRDHUP: there is something to read, an end of file or an error among it."""
WRITE: Final = 4
"""EPOLLOUT: there is room to write."""
READABLE: Final = 1
"""EPOLLIN alone: what the other back-ends report."""
READ_ALONE: Final = READABLE | getattr(select, "EPOLLEXCLUSIVE", 0)
"""READ of a socket that other processes wait for, too: one of them is woken, where the system can (Linux)."""
ENDED: Final = 0x2000
"""EPOLLRDHUP: the end of file has come too, so a read after this one finds it. Only epoll tells."""

Serve = Callable[[list[tuple[int, int]]], list[tuple[int, int]]]
"""Takes pairs of descriptor and events; `Reactor.serve`. Returns those it does not know."""


class Poller(Protocol):
    """What the reactor needs of a system: it calls `serve` with what is ready.

    A descriptor is registered only while it has an interest.
    """

    name: str

    def register(self, fd: int, events: int) -> None:
        """Begin to watch."""

    def modify(self, fd: int, events: int) -> None:
        """Change the interest of a registered descriptor."""

    def unregister(self, fd: int) -> None:
        """Stop watching a descriptor that stays open."""

    def forget(self, fd: int) -> None:
        """Stop watching a descriptor that is about to be closed."""

    def close(self) -> None:
        """Give everything back."""


class EpollPoller:
    """Level-triggered epoll. Closing a descriptor forgets it: the kernel does."""

    name = "epoll"

    def __init__(self, loop: asyncio.AbstractEventLoop, serve: Serve) -> None:
        self._loop: Final = loop
        self._serve: Final = serve
        self._plane = loop.plane if isinstance(loop, PlaneLoop) and loop.plane.dispatch is None else None
        if self._plane is not None:
            self._epoll = self._plane.epoll
            self._plane.dispatch = serve
        else:
            self._epoll = select.epoll()
            loop.add_reader(self._epoll.fileno(), self._poll)
        self.register = self._epoll.register
        self.modify = self._epoll.modify
        self.unregister = self._epoll.unregister

    def forget(self, fd: int) -> None:
        """Nothing to do: our sockets are close-on-exec, so no child holds them open."""

    def _poll(self) -> None:
        """The nested epoll is readable: serve what is ready. EPOLLERR and EPOLLHUP come as they are."""
        self._serve(self._epoll.poll(0, EVENTS_MAX))

    def close(self) -> None:
        """Give the epoll back, to the loop or to the system."""
        if self._plane is not None:
            self._plane.dispatch = None
        else:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()


class PortablePoller:
    """asyncio's own readers and writers, for systems without epoll and kqueue (the selector loop of Windows)."""

    name = "portable"

    def __init__(self, loop: asyncio.AbstractEventLoop, serve: Serve) -> None:
        self._loop: Final = loop
        self._serve: Final = serve
        self._interest: Final[dict[int, int]] = {}

    def register(self, fd: int, events: int) -> None:
        """Begin to watch."""
        self.modify(fd, events)

    def modify(self, fd: int, events: int) -> None:
        """Add and remove asyncio's readers and writers so that they match."""
        was = self._interest.get(fd, 0)
        self._interest[fd] = events
        if events & READ and not was & READ:
            self._loop.add_reader(fd, self._serve, [(fd, READABLE)])
        elif was & READ and not events & READ:
            self._loop.remove_reader(fd)
        if events & WRITE and not was & WRITE:
            self._loop.add_writer(fd, self._serve, [(fd, WRITE)])
        elif was & WRITE and not events & WRITE:
            self._loop.remove_writer(fd)

    def unregister(self, fd: int) -> None:
        """Stop watching."""
        self.modify(fd, 0)
        del self._interest[fd]

    def forget(self, fd: int) -> None:
        """Stop watching before the number can come back."""
        self.unregister(fd)

    def close(self) -> None:
        """Forget every descriptor that is still watched."""
        for fd in list(self._interest):
            self.unregister(fd)


if sys.platform != "linux" and sys.platform != "win32":  # pragma: no cover - macOS and the BSDs

    class KqueuePoller:
        """Level-triggered kqueue: one filter for each direction."""

        name = "kqueue"

        def __init__(self, loop: asyncio.AbstractEventLoop, serve: Serve) -> None:
            self._loop: Final = loop
            self._serve: Final = serve
            self._kqueue: Final = select.kqueue()
            self._interest: Final[dict[int, int]] = {}
            loop.add_reader(self._kqueue.fileno(), self._poll)

        def register(self, fd: int, events: int) -> None:
            """Begin to watch."""
            self.modify(fd, events)

        def modify(self, fd: int, events: int) -> None:
            """Add and delete the filters that changed."""
            was = self._interest.get(fd, 0)
            self._interest[fd] = events
            changes = [
                select.kevent(fd, kind, select.KQ_EV_ADD if events & bit else select.KQ_EV_DELETE)
                for bit, kind in ((READ, select.KQ_FILTER_READ), (WRITE, select.KQ_FILTER_WRITE))
                if (was ^ events) & bit
            ]
            if changes:
                self._kqueue.control(changes, 0)

        def unregister(self, fd: int) -> None:
            """Stop watching."""
            self.modify(fd, 0)
            del self._interest[fd]

        def forget(self, fd: int) -> None:
            """The kernel drops the filters of a closed descriptor; we drop our note of it."""
            self._interest.pop(fd, None)

        def _poll(self) -> None:
            """The kqueue is readable: the two filters of one descriptor come as two events."""
            self._serve(
                [
                    (event.ident, WRITE if event.filter == select.KQ_FILTER_WRITE else READABLE)
                    for event in self._kqueue.control(None, EVENTS_MAX, 0)
                ]
            )

        def close(self) -> None:
            """Give the kqueue back."""
            self._loop.remove_reader(self._kqueue.fileno())
            self._kqueue.close()


def event_models() -> tuple[str, ...]:
    """Name the back-ends that this system has, the best first."""
    names = [name for name in ("epoll", "kqueue") if hasattr(select, name)]
    return (*names, "portable")


def make_poller(model: str, loop: asyncio.AbstractEventLoop, serve: Serve) -> Poller:
    """Make the back-end of that name; `auto` is the best one here.

    Raises:
        ValueError: this system has no such back-end.
    """
    models = event_models()
    if model == "auto":
        model = models[0]
    if model not in models:
        raise ValueError(f"event model {model!r} is not available here; this system has {', '.join(models)}")
    if model == "epoll":
        return EpollPoller(loop, serve)
    if model == "portable":
        return PortablePoller(loop, serve)
    if sys.platform != "linux" and sys.platform != "win32":  # pragma: no cover - macOS and the BSDs
        return KqueuePoller(loop, serve)
    raise AssertionError(f"no back-end is made for {model!r}")
