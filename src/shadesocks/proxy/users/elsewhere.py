"""What one user does in the other processes that serve the same ports, as far as limits ask for it.

`Others` is the seam: a place that all processes see (`service/users/board.py`). An account that has one tells there
what passed, once a second, and looks there at what the others told. Without several processes nothing of this exists.

    quota         what the others counted since the last look counts here, too: what passes in a second is too much
    connections   told when one comes, then the others' are looked at: so two that come at once are not both let in
    sessions      each process holds the limit for itself; once a second whoever has the oldest ends it, if it is one
                  too many of all
    speed         each has a share (`lease.py`)
    addresses     one list for all (`Others.sources`)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from .lease import Want, lease

if TYPE_CHECKING:
    from .bucket import TokenBucket
    from .counts import Counts


SWEEP: Final = 1.0
"""Seconds between two looks."""


class Knocks(Protocol):
    """The addresses of a user: `sources.Sources`, or the list that all processes have."""

    def knock(self, group: bytes, most: int, grace: float, now: float) -> bool:
        """See `Sources`."""

    def excess(self, most: int, grace: float, now: float) -> list[bytes]:
        """See `Sources`; of those that came to this process."""


class Others(Protocol):
    """One user's place among the processes: what is told there, and what the others told."""

    workers: int
    """How many processes serve the same ports."""

    def tell(self, delta: Counts, oldest_at: int) -> None:
        """Add what passed; say at which millisecond the oldest session here was used, 0 where there is none."""

    def count(self, connections: int, sessions: int) -> None:
        """Say how many there are here now."""

    def payload(self) -> int:
        """Return what the others counted since the processes began."""

    def connections(self) -> int:
        """Return how many the others have now."""

    def sessions(self) -> tuple[int, int]:
        """Return how many the others have now, and when the oldest of them was used."""

    def ask(self, wants: Pair, shares: Pair) -> None:
        """Say how much of the speeds this process wants, and how much it has."""

    def asked(self) -> list[tuple[Pair, Pair]]:
        """Return what those of the others want and have where the user is now; a little more, if it is not exact."""

    def since_mark(self) -> int:
        """Return what all counted, this process's place included, since the mark; the first one to ask makes it."""

    def mark(self) -> None:
        """Begin to count anew: the quota was reset."""

    def marked(self) -> int:
        """Return a number that is another one after a reset; 0 where there was never a mark."""

    def sources(self, most: int) -> Knocks | None:
        """Return the list of addresses that all have; None where it has no room for so many."""


class Elsewhere:
    """What an account knows of the others."""

    __slots__ = ("_down", "_is_over", "_marked", "_seen", "_sessions", "_up", "others")

    def __init__(self, others: Others) -> None:
        self.others: Final = others
        self._seen = 0
        """What the others had counted at the last look; from `begin` on, which is where a quota begins."""
        self._marked = 0
        self._up: Want | None = None
        self._down: Want | None = None
        self._sessions = 0
        self._is_over = False

    def begin(self, *, is_lifetime: bool) -> int:
        """Return what a quota that begins here has used already, as far as no store says better."""
        others = self.others
        self._seen = others.payload()
        used = others.since_mark() if is_lifetime else 0
        self._marked = others.marked()
        return used

    def go_on(self, seen: int) -> None:
        """Count of the others from there on: so much of theirs a store had."""
        self._seen = seen

    def mark(self) -> None:
        """Tell of a reset."""
        self.others.mark()
        self._seen = self.others.payload()
        self._marked = self.others.marked()

    def hear(self) -> tuple[bool, int]:
        """Return whether somebody reset the quota, and what the others counted since the last look, or the reset."""
        others = self.others
        marked = others.marked()
        is_reset = marked != self._marked
        self._marked = marked
        seen, self._seen = self._seen, others.payload()
        return is_reset, 0 if is_reset else max(0, self._seen - seen)

    def count(self, connections: int, sessions: int | None = None) -> None:
        """Say how many there are; of sessions as many as at the last look, where they were not counted again."""
        if sessions is not None:
            self._sessions = sessions
        if not self._is_over:
            self.others.count(connections, self._sessions)

    def tell(self, delta: Counts, oldest_at: float) -> None:
        """Say what passed, and how things are."""
        self.others.tell(delta, milliseconds(oldest_at))

    def close(self) -> None:
        """Another account of that name may count from now on; this one tells only what still passed."""
        self.count(0, 0)
        self._is_over = True

    # -- speeds --------------------------------------------------------------------------------

    def look(self, delta: Counts, up: TokenBucket | None, down: TokenBucket | None, speeds: Speeds, now: float) -> None:
        """See what the user wants of both speeds here, after what passed since the last look."""
        self._up = _look(self._up, up, delta.up, speeds[0], now)
        self._down = _look(self._down, down, delta.down, speeds[1], now)

    def wake(self) -> None:
        """Begin with no want: the user was not here for a while."""
        self._up = self._down = None

    def sleep(self) -> None:
        """Have no share, and want none."""
        self.others.ask((0, 0), (0, 0))

    def lend(self, up: TokenBucket | None, down: TokenBucket | None, speeds: Speeds, now: float) -> None:
        """Give both buckets their share of the speeds, and say so."""
        asked, workers = self.others.asked(), self.others.workers
        wants, shares = [0, 0], [0, 0]
        for place, bucket, want in ((0, up, self._up), (1, down, self._down)):
            speed = speeds[place]
            if bucket is not None and speed is not None:
                wants[place] = 0 if want is None else want.size
                others = [(wanted[place], had[place]) for wanted, had in asked]
                shares[place] = lease(speed, None if want is None else want.size, others, workers)
                bucket.change(shares[place], now)
        self.others.ask((wants[0], wants[1]), (shares[0], shares[1]))


Pair = tuple[int, int]
"""Of up and down."""
Speeds = tuple[int | None, int | None]


def milliseconds(instant: float) -> int:
    """Return an instant as it is told."""
    return int(instant * 1000)


def _look(want: Want | None, bucket: TokenBucket | None, passed: int, speed: int | None, now: float) -> Want | None:
    if bucket is None or speed is None:
        return None
    if want is None:
        want = Want(now - SWEEP)  # it began since the last look
    want.look(passed, bucket.rate, speed, now)
    return want
