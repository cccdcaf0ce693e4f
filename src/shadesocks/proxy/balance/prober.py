"""Finds out how servers are: asks something through each of them now and then, and tells their health.

    wanted()            a program asks for a server: who rests begins again
    look(server, way)   connections through it come to nothing: find out now
    watch(looks)        these servers, each for connections or for datagrams, from now on
    owner.learnt(...)   something new is known of one

Nothing waits for a probe. The first ones are spread over two seconds, the others come a fifth sooner or later than
their interval says: many clients of one server do not come to it in step. A server whose traffic shows that it works is
not probed, but every sixth time it is: what became slow works, too. Whoever has not asked for a server for five minutes
sends nothing to anybody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from heapq import heapify, heappop, heappush
from random import Random
from typing import TYPE_CHECKING, Any, Final, Protocol

from ...core.errors import DialError
from ...core.reasons import reason
from .group import TCP
from .member import NOT_THE_SERVERS

if TYPE_CHECKING:
    from ...net.story import Story, Wait
    from .member import Member, Side

JITTER: Final = 0.2
"""Of an interval, either way."""
SPREAD: Final = 2.0
"""Seconds over which the first probes are spread, or an interval, if that is less."""
SKIPPED_MOST: Final = 5
"""Probes in a row that traffic takes the place of."""
REST_AFTER: Final = 300.0
"""Seconds without a request after which nothing is probed: people who read a page come back sooner."""

Probe = Callable[["Member"], Coroutine["Wait", None, None]]
"""A story that asks something through a server, and returns when the answer came; raises DialError."""
Key = tuple["Member", str]
"""A server, and a transport."""


class Owner(Protocol):
    """Whose servers they are; the service's roster."""

    def is_best(self, member: Member, transport: str) -> bool:
        """True for the server that is in use."""

    def learnt(self, member: Member, transport: str) -> None:
        """A probe has come to something."""


class Clock(Protocol):
    """What is needed of an event loop."""

    def time(self) -> float:
        """Return the seconds of a clock that only goes forward."""

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call something then."""


class Timer(Protocol):
    """A call that is to come."""

    def cancel(self) -> None:
        """It is not to come."""


class Stories(Protocol):
    """What is needed of a reactor."""

    def tell(
        self, coro: Coroutine[Wait, None, Any], done: Callable[[Any, BaseException | None], None] | None = None
    ) -> Story:
        """Begin a story."""

    def settle(self) -> None:
        """End a turn."""

    def failed(self, error: BaseException) -> None:
        """Somebody raised what nobody expected."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How often, and how much. Times are seconds."""

    interval: float
    """Between two probes of a server."""
    best_interval: float
    """The same for the one that is in use."""
    most: int
    """Probes under way at a time."""


class _Look:
    """One server for one transport: when it is looked at next, and what was seen the last time."""

    __slots__ = ("heard", "is_gone", "is_under_way", "key", "side", "skipped", "story")

    def __init__(self, key: Key) -> None:
        member, transport = self.key = key
        self.side: Side = member.tcp if transport == TCP else member.udp
        self.heard = heard(key)
        self.skipped = 0
        self.story: Story | None = None
        """The probe that is under way, where it waits for something."""
        self.is_under_way = False
        self.is_gone = False


def heard(key: Key) -> int:
    """Return how much came back from a server so far, in whatever unit: where it grows, the server works."""
    member, transport = key
    if transport == TCP:
        return member.heard
    return 0 if member.back is None else member.back.answers


class Prober:
    """Probes servers. See the head of the file."""

    def __init__(
        self,
        stories: Stories,
        clock: Clock,
        rules: Rules,
        probes: Mapping[str, Probe],
        owner: Owner,
        chance: Random | None = None,
    ) -> None:
        """Make one that rests; `probes` are by transport. `chance` scatters, and hides nothing."""
        self._stories = stories
        self._clock = clock
        self._rules = rules
        self._probes = probes
        self._owner = owner
        self._chance = chance or Random()  # noqa: S311 - see above
        self._looks: dict[Key, _Look] = {}
        self._due: list[tuple[float, int, _Look]] = []
        """A heap; each look that is not under way stands in it once. The number keeps looks from being compared."""
        self._count = 0
        self._under_way = 0
        self._timer: Timer | None = None
        self._wanted_at = -REST_AFTER
        self._is_awake = False
        self._is_closed = False
        self.results: Counter[str] = Counter()
        """What came of probes: `works`, or a reason word."""

    def wanted(self) -> None:
        """A program asks for a server."""
        self._wanted_at = self._clock.time()
        if not self._is_awake and self._looks and not self._is_closed:
            self._is_awake = True
            self._begin(self._looks.values())

    def look(self, key: Key) -> bool:
        """Probe a server now, whatever went through it; False where it is not probed."""
        look = self._looks.get(key)
        if look is None or not self._is_awake:
            return False
        if not look.is_under_way:
            look.skipped = SKIPPED_MOST
            self._due = [entry for entry in self._due if entry[2] is not look]
            heapify(self._due)
            self._put(look, self._clock.time())
            self._wind()
        return True

    def watch(self, keys: Iterable[Key]) -> None:
        """Look at these from now on; those that stay keep their turn."""
        before = self._looks
        self._looks = {key: before.get(key) or _Look(key) for key in keys}
        for key, look in before.items():
            if key not in self._looks:
                self._forget(look)
        if not self._looks:
            self._rest()
        elif self._is_awake:
            self._begin([look for key, look in self._looks.items() if key not in before])

    def close(self) -> None:
        """Probe nothing any more, and end what is under way."""
        self._is_closed = True
        self._rest()
        for look in self._looks.values():
            self._forget(look)
        self._looks = {}

    # -- when ------------------------------------------------------------------------------------

    def _begin(self, looks: Iterable[_Look]) -> None:
        """Give each its first turn, one behind the other."""
        now, looks = self._clock.time(), list(looks)
        step = min(SPREAD, self._rules.interval) / max(1, len(looks))
        for number, look in enumerate(looks):
            look.heard, look.skipped = heard(look.key), 0
            if not look.is_under_way:
                self._put(look, now + step * (number + self._chance.random()))
        self._wind()

    def _put(self, look: _Look, due: float) -> None:
        self._count += 1
        heappush(self._due, (due, self._count, look))

    def _wind(self) -> None:
        """Let the next look be had at its time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._due and self._under_way < self._rules.most:
            self._timer = self._clock.call_at(self._due[0][0], self._on_time)

    def _on_time(self) -> None:
        """Look at those whose turn it is, as many at a time as may be."""
        self._timer = None
        now = self._clock.time()
        if now - self._wanted_at > REST_AFTER:
            self._rest()
            return
        while self._due and self._due[0][0] <= now and self._under_way < self._rules.most:
            look = heappop(self._due)[2]
            if not look.is_gone:
                self._look_at(look, now)
        self._wind()
        self._stories.settle()

    def _again(self, look: _Look) -> None:
        """Let one have its next turn."""
        rules = self._rules
        interval = rules.best_interval if self._owner.is_best(*look.key) else rules.interval
        scatter = 1 + JITTER * (2 * self._chance.random() - 1)
        self._put(look, self._clock.time() + interval * scatter)

    def _rest(self) -> None:
        """Look at nobody before somebody wants a server again."""
        self._is_awake = False
        self._due.clear()
        self._wind()

    def _forget(self, look: _Look) -> None:
        look.is_gone = True
        story, look.story = look.story, None
        if story is not None:
            story.abort()

    # -- a look ----------------------------------------------------------------------------------

    def _look_at(self, look: _Look, now: float) -> None:
        """Probe a server, unless what came through it since the last look says enough."""
        moved = heard(look.key)
        works, look.heard = moved != look.heard, moved
        health = look.side.health
        if works and health.count and not health.failures(now) and look.skipped < SKIPPED_MOST:
            look.skipped += 1
            health.carried(now)
            self._again(look)
            return
        look.skipped = 0
        self._under_way += 1
        look.is_under_way = True
        story = self._stories.tell(self._probe(look), partial(self._probed, look, now))
        if look.is_under_way:
            look.story = story

    async def _probe(self, look: _Look) -> None:
        member, transport = look.key
        await self._probes[transport](member)

    def _probed(self, look: _Look, began_at: float, _result: object, error: BaseException | None) -> None:
        """A probe has come to something."""
        self._under_way -= 1
        look.is_under_way, look.story = False, None
        if look.is_gone:
            self._wind()
            return
        now, health = self._clock.time(), look.side.health
        self.results["works" if error is None else reason(getattr(error, "code", "internal")).word] += 1
        if error is None:
            health.measured(now, now - began_at)
        elif not isinstance(error, DialError):
            if isinstance(error, Exception):
                self._stories.failed(error)
        elif heard(look.key) != look.heard:
            health.succeeded(now)  # what programs hear through it meanwhile is more than what was asked for
        elif error.code not in NOT_THE_SERVERS:
            health.failed(now, error.code)
        if self._is_awake:
            self._again(look)
        self._wind()
        self._owner.learnt(*look.key)
