"""The server that is quickest to connect to: measured all the time that somebody wants one, and chosen every 5 s.

shadowsocks-lite had this from the system's `ping`, and so nothing at all where that was missing or spoke another
language. Here a server is measured by what its clients need of it: a TCP connection.

Every server is measured as often as any other. What the clients' own connections take is not counted: it would be
known of the chosen one alone. That they fail is: a server that does not answer is left at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from ...core.errors import DialError

if TYPE_CHECKING:
    from ...net.reactor import Reactor
    from ..seams import Dialing

START: Final = 100_000.0
"""Milliseconds that a server begins with, and that a failure counts as. This and the next four are
shadowsocks-lite's."""
OLD_SHARE: Final = 0.8
NEW_SHARE: Final = 0.2
"""What the old score, and what a new measurement, are of the new score."""
CHOOSE_EVERY: Final = 5.0
"""Seconds."""
FORGET_EVERY: Final = 30.0
"""Seconds: a server that was slow an hour ago need not be so now."""
PROBE_EVERY: Final = 2.0
"""Seconds, as its `ping -i 2`."""
PROBE_LIMIT: Final = 2.0
"""Seconds that a measurement may take: slower than that is as bad as dead."""
USED_FOR: Final = 30.0
"""Seconds after the last connection for which servers are measured: an idle client says nothing to anybody."""

Probe = Callable[[], "Dialing"]
"""Connects to a server, and sends nothing; raises DialError."""


class Scores:
    """What is known of the servers, and which is the best. `time` is a clock in seconds."""

    __slots__ = ("_best", "_choose_at", "_forget_at", "_scores", "_time")

    def __init__(self, numbers: Sequence[int], time: Callable[[], float]) -> None:
        self._time = time
        self._scores = dict.fromkeys(numbers, START)
        self._best: list[int] | None = None
        self._choose_at = self._forget_at = 0.0

    def ranking(self) -> Sequence[int]:
        """Return the servers, the chosen one first, then by score, then as in the configuration."""
        now = self._time()
        if self._best is None or now >= self._choose_at:
            chosen = self._best[0] if self._best else None
            # After all was forgotten they are equal: then the chosen one stays.
            self._best = sorted(self._scores, key=lambda number: (self._scores[number], number != chosen))
            self._choose_at = now + CHOOSE_EVERY
        return self._best

    def measured(self, number: int, milliseconds: float) -> None:
        """Take a measurement into account."""
        now = self._time()
        if now >= self._forget_at:
            self._forget_at = now + FORGET_EVERY
            self._scores = dict.fromkeys(self._scores, START)
        self._scores[number] = OLD_SHARE * self._scores[number] + NEW_SHARE * milliseconds

    def failed(self, number: int) -> None:
        """A server does not answer: the good that was known of it is forgotten, and the next best takes its place."""
        self._scores[number] = START
        if self._best is not None and self._best[0] == number:
            self._best = [*self._best[1:], number]
            self._choose_at = 0.0


class Fastest:
    """A `choice.Choice` that measures. It begins when it is first asked, and rests when nobody asks any more."""

    def __init__(self, reactor: Reactor, probes: Mapping[int, Probe]) -> None:
        """Make one of probes by the numbers of their servers."""
        self._reactor = reactor
        self._probes = probes
        self._under_way: set[int] = set()
        self._lane = reactor.lane(PROBE_EVERY, of="probes")
        self._used_at = float("-inf")
        self._awake = False
        self.scores: Final = Scores(tuple(probes), reactor.loop.time)

    def order(self, numbers: Sequence[int]) -> Sequence[int]:
        """See `choice.Choice`."""
        self._used_at = self._reactor.loop.time()
        if not self._awake:
            self._awake = True
            self._measure_all()
        among = frozenset(numbers)
        return [number for number in self.scores.ranking() if number in among]

    def succeeded(self, number: int) -> None:
        """See the head of this file: it is not counted."""

    def failed(self, number: int) -> None:
        """See `choice.Choice`."""
        self.scores.failed(number)

    def expire(self) -> None:
        """Measure every server again, as long as somebody wants one."""
        if self._reactor.loop.time() - self._used_at > USED_FOR:
            self._awake = False
        else:
            self._measure_all()

    def _measure_all(self) -> None:
        self._lane.start(self)
        for number, probe in self._probes.items():
            if number not in self._under_way:
                self._under_way.add(number)
                self._reactor.tell(self._measure(number, probe), partial(self._done, number))

    async def _measure(self, number: int, probe: Probe) -> None:
        """Connect to a server, and hang up."""
        loop = self._reactor.loop
        began_at = loop.time()
        try:
            end = await probe()
        except DialError:
            self.scores.measured(number, START)
            return
        self._reactor.close(end.sock)
        self.scores.measured(number, (loop.time() - began_at) * 1000)

    def _done(self, number: int, _result: object, error: BaseException | None) -> None:
        self._under_way.discard(number)
        if isinstance(error, Exception):
            self._reactor.failed(error)
