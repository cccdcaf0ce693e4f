"""Long work in slices, one between two turns of the loop, so that nobody waits for it.

All that is under way shares one slice. Who began it has a source: the sources take turns, and of one source the
earliest job goes first, so a hundred jobs of one prober take no more from anybody else than one would.

A slice is 1 ms, and no longer than all else took since the last one: where there is other work, that gets half of the
time at least.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from .reactor import Reactor

SLICE: Final = 0.001
"""Seconds; and one step of a job more, which is a tenth of that."""
SLICE_MIN: Final = 0.00025
"""Seconds that it may have if nothing else is to be done: a turn of the loop costs a tenth of that."""
JOBS_MAX: Final = 1024
"""At once. Each holds what one connection sent at first: 64 KiB at most, a few hundred bytes as a rule."""


class Job(Protocol):
    """Work that is done step by step."""

    def step(self) -> bool:
        """Do some 0.1 ms of it; True when it is done."""

    def done(self) -> None:
        """It is done, or given up for want of room. Called once, at the end of its last slice."""


class Slices:
    """The long work of one reactor."""

    __slots__ = ("_clock", "_ended_at", "_is_due", "_jobs", "_reactor", "_size")

    def __init__(self, reactor: Reactor, clock: Callable[[], float] | None = None) -> None:
        self._reactor = reactor
        self._clock = clock or reactor.loop.time
        self._jobs: Final[OrderedDict[Hashable, dict[Job, None]]] = OrderedDict()
        """By source, whose turn comes first; of each source the earliest first."""
        self._size = 0
        self._is_due = False
        self._ended_at = 0.0

    def __len__(self) -> int:
        """How many jobs there are."""
        return self._size

    def of(self, source: Hashable) -> Collection[Job]:
        """Return those of one source, the earliest first."""
        return self._jobs.get(source, ())

    def add(self, source: Hashable, job: Job) -> bool:
        """Begin a job; False where there are too many, and most of them are of that source.

        Where they are another's, the last one of whoever has most is given up.
        """
        if self._size >= JOBS_MAX:
            heaviest = max(self._jobs, key=lambda each: len(self._jobs[each]))
            if len(self._jobs[heaviest]) <= len(self.of(source)) + 1:
                return False
            last = next(reversed(self._jobs[heaviest]))
            self.drop(heaviest, last)
            self._reactor.guard(last.done)
        self._jobs.setdefault(source, {})[job] = None
        self._size += 1
        if not self._is_due:
            self._is_due = True
            self._reactor.loop.call_soon(self._turn)
        return True

    def drop(self, source: Hashable, job: Job) -> None:
        """Forget a job; nothing happens to one that is over."""
        jobs = self._jobs.get(source)
        if jobs is not None and job in jobs:
            del jobs[job]
            self._size -= 1
            if not jobs:
                del self._jobs[source]

    def clear(self, source: Hashable) -> None:
        """Forget all jobs of a source."""
        self._size -= len(self._jobs.pop(source, ()))

    def _turn(self) -> None:
        """Do one slice."""
        clock, jobs = self._clock, self._jobs
        now = clock()
        until = now + min(max(now - self._ended_at, SLICE_MIN), SLICE)
        while jobs:
            source, own = next(iter(jobs.items()))
            jobs.move_to_end(source)
            job = next(iter(own))
            if self._step(job):
                self.drop(source, job)
                self._reactor.guard(job.done)
            if clock() >= until:
                break
        self._is_due = bool(jobs)
        if jobs:
            self._reactor.loop.call_soon(self._turn)
        self._reactor.settle()
        self._ended_at = clock()

    def _step(self, job: Job) -> bool:
        try:
            return job.step()
        except Exception as error:  # as with a handler: this job, not the loop
            self._reactor.failed(error)
            return True
