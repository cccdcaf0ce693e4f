"""Long work in slices, one between two turns of the loop, so that nobody waits for it.

All that is under way shares one slice. Who began it has a source: the sources take turns, and of one source the
earliest job goes first, so a hundred jobs of one prober take no more from anybody else than one would.

Where nothing else is to be done, a slice is one step, so that who comes then waits no longer than that. Where there is
other work, that has three quarters of the time, and a slice is 1 ms at most. Who began something and ends it with the
next thing that he says was worth no step: all that is said is heard before the first.

Where more sources come than can be served in time, turns for all would end none of their jobs. So a few are worked on
until they are done, and lots say who is next (`lots.py`). What has its turn keeps its place; of the others a random one
of whoever has most gives way when there is no room, where the /64s of one /48 count as one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable
from secrets import choice, randbelow
from typing import TYPE_CHECKING, Final, Protocol

from .lots import Lots, site_of

if TYPE_CHECKING:
    from .reactor import Reactor

SLICE: Final = 0.001
"""Seconds; and one step of a job more, which is a tenth of that."""
SLICE_MIN: Final = 0.0001
"""Seconds: one step. A turn of the loop costs a quarter of that."""
IDLE: Final = 0.0001
"""Seconds that a turn of the loop takes at most in which nothing was to be done."""
SHARE: Final = 0.25
"""Of the time, where there is other work."""
JOBS_MAX: Final = 1024
"""At once. Each holds what one connection sent at first: a few hundred bytes as a rule (`proxy/inbound/seeking.py`)."""
ACTIVE_MOST: Final = 16
"""Sources that take turns: long searches of 16 (80 ms each) are over in 3 s, before most clients give up."""


class Job(Protocol):
    """Work that is done step by step."""

    def step(self) -> bool:
        """Do some 0.1 ms of it; True when it is done."""

    def done(self) -> None:
        """It is done, or given up for want of room: no step said so then. Called once; it resumes no story itself."""


class Slices:
    """The long work of one reactor."""

    __slots__ = (
        "_active",
        "_clock",
        "_due",
        "_ended_at",
        "_fresh",
        "_is_due",
        "_jobs",
        "_reactor",
        "_sites",
        "_size",
        "_waiting",
        "_was_fresh",
    )

    def __init__(self, reactor: Reactor, clock: Callable[[], float] | None = None) -> None:
        self._reactor = reactor
        self._clock = clock or reactor.loop.time
        self._jobs: Final[dict[Hashable, dict[Job, None]]] = {}
        """By source; of each the earliest first."""
        self._sites: Final[dict[Hashable, dict[Job, Hashable]]] = {}
        """The same by site, with the source of each."""
        self._active: Final[OrderedDict[Hashable, None]] = OrderedDict()
        """The sources that take turns, whose turn comes first. The first job of each has its turn."""
        self._waiting: Final[Lots[dict[Hashable, None]]] = Lots(dict)
        """All other sources, by site."""
        self._fresh: Final[dict[Job, Hashable]] = {}
        """Jobs without a step yet, each the only one of its site when it came."""
        self._was_fresh = False
        """Whether the last step was for one of them."""
        self._size = 0
        self._is_due = False
        self._ended_at = 0.0
        self._due = 0.0
        """Seconds that the next slice may have: what others took is not forgotten."""

    def __len__(self) -> int:
        """How many jobs there are."""
        return self._size

    def of(self, source: Hashable) -> Collection[Job]:
        """Return those of one source, the earliest first."""
        return self._jobs.get(source, ())

    # -- who comes and goes --------------------------------------------------------------------

    def add(self, source: Hashable, job: Job) -> bool:
        """Begin a job; False where there are too many, and lots were drawn that this one gives way."""
        site = site_of(source)
        if self._size >= JOBS_MAX and not self._make_room(site):
            return False
        if site not in self._sites:
            self._fresh[job] = source
        if source not in self._jobs:
            self._waiting.enter(site)[source] = None
        self._jobs.setdefault(source, {})[job] = None
        self._sites.setdefault(site, {})[job] = source
        self._size += 1
        if not self._is_due:
            self._is_due = True
            self._reactor.loop.call_soon(self._begin)
        return True

    def _make_room(self, site: Hashable) -> bool:
        """Give up a random job of those who have most, whoever comes among them; False: it is the one who comes."""
        sites = self._sites
        own = len(sites.get(site, ())) + 1
        most = max(own, *map(len, sites.values()))
        heaviest = [each for each, jobs in sites.items() if len(jobs) == most]
        if own == most:
            heaviest.append(site)
        chosen = choice(heaviest)
        jobs = [(source, job) for job, source in sites.get(chosen, {}).items() if not self._has_turn(source, job)]
        at = randbelow(len(jobs) + 1) if chosen == site or not jobs else randbelow(len(jobs))
        if at == len(jobs):
            return False
        self.drop(*jobs[at])
        self._reactor.guard(jobs[at][1].done)
        return True

    def _has_turn(self, source: Hashable, job: Job) -> bool:
        return source in self._active and next(iter(self._jobs[source])) is job

    def drop(self, source: Hashable, job: Job) -> None:
        """Forget a job; nothing happens to one that is over."""
        jobs = self._jobs.get(source)
        if jobs is None or job not in jobs:
            return
        had_turn = self._has_turn(source, job)
        site = site_of(source)
        del jobs[job], self._sites[site][job]
        self._fresh.pop(job, None)
        self._size -= 1
        if not self._sites[site]:
            del self._sites[site]
        if had_turn:
            del self._active[source]
            if jobs:
                self._waiting.enter(site)[source] = None
        if not jobs:
            del self._jobs[source]
            if not had_turn:
                self._leave(site, source)

    def _leave(self, site: Hashable, source: Hashable) -> None:
        """Take a source out of those that wait."""
        waiting = self._waiting.sites[site]
        del waiting[source]
        if not waiting:
            self._waiting.leave(site)

    def clear(self, source: Hashable) -> None:
        """Forget all jobs of a source."""
        for job in list(self.of(source)):
            self.drop(source, job)

    # -- turns ---------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Let the loop poll once: whoever has ended already is not worked for."""
        self._due = 0.0
        self._ended_at = self._clock()
        self._reactor.loop.call_soon(self._turn)

    def _turn(self) -> None:
        """Do one slice, if it is time for one."""
        now = self._clock()
        taken = now - self._ended_at
        self._due = SLICE_MIN if taken <= IDLE else min(self._due + taken * SHARE / (1 - SHARE), SLICE)
        if self._due >= SLICE_MIN:
            self._slice(now + self._due)
            self._due = 0.0
        self._is_due = bool(self._jobs)
        if self._jobs:
            self._reactor.loop.call_soon(self._turn)
        self._reactor.settle()
        self._ended_at = self._clock()

    def _slice(self, until: float) -> None:
        clock, jobs = self._clock, self._jobs
        while jobs:
            source, job = self._next()
            if self._step(job):
                self.drop(source, job)
                self._reactor.guard(job.done)
            if clock() >= until:
                break

    def _next(self) -> tuple[Hashable, Job]:
        """Return whose turn it is; where many wait, every other is the first step of somebody who came lately.

        That is where most are found whose key was used lately, so these do not wait for long searches.
        """
        active, waiting = self._active, self._waiting
        self._was_fresh = not self._was_fresh
        if self._was_fresh and self._fresh and len(self._jobs) > ACTIVE_MOST:
            job = next(iter(self._fresh))
            return self._fresh.pop(job), job
        while waiting and len(active) < ACTIVE_MOST:
            site = waiting.draw() if len(self._jobs) > ACTIVE_MOST else next(iter(waiting.sites))
            source = next(iter(waiting.sites[site]))
            self._leave(site, source)
            active[source] = None
        source = next(iter(active))
        active.move_to_end(source)
        job = next(iter(self._jobs[source]))
        self._fresh.pop(job, None)
        return source, job

    def _step(self, job: Job) -> bool:
        try:
            return job.step()
        except Exception as error:  # as with a handler: this job, not the loop
            self._reactor.failed(error)
            return True
