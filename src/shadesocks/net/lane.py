"""Deadlines: one lane for each delay, one timer of asyncio for each lane."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from math import inf
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .reactor import Reactor


class Expires(Protocol):
    """Whoever can be told that its time is over."""

    def expire(self) -> None:
        """The deadline has come."""


class Lane:
    """All deadlines of one delay, in the order they were set: one asyncio timer on the head serves them all.

    Start and cancel are O(1). Each deadline fires at its own time: closing times carry no common phase.
    """

    __slots__ = ("_due", "_reactor", "_timer", "delay")

    def __init__(self, reactor: Reactor, delay: float) -> None:
        self._reactor = reactor
        self.delay = delay
        self._due: OrderedDict[Expires, float] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._due)

    def start(self, who: Expires) -> None:
        """Call `who.expire()` after the delay, unless it is cancelled before."""
        due = self._reactor.loop.time() + self.delay
        self._due.pop(who, None)
        self._due[who] = due
        if self._timer is None:
            self._timer = self._reactor.loop.call_at(due, self._fire)

    def cancel(self, who: Expires) -> None:
        """Forget the deadline; nothing happens where there is none."""
        self._due.pop(who, None)

    def waiting(self) -> Iterable[Expires]:
        """Return who waits, the earliest deadline first."""
        return self._due.keys()

    def _fire(self) -> None:
        now = self._reactor.loop.time()
        late = []
        for who, due in self._due.items():
            if due > now:
                break
            late.append(who)
        for who in late:
            if self._due.get(who, inf) <= now:  # an earlier one may have cancelled it, or put it off
                del self._due[who]
                self._reactor.guard(who.expire)
        # Armed at the very end: whoever started the lane again meanwhile found a timer that is this one.
        self._timer = None
        if self._due:
            self._timer = self._reactor.loop.call_at(next(iter(self._due.values())), self._fire)
        self._reactor.settle()

    def stop(self) -> None:
        """Drop every deadline without firing it."""
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
