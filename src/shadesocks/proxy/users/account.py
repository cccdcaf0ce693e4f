"""The account of one user: what passes for it now, what has passed, and whether it may go on.

    admit -> began -> (bytes pass) -> ended -> leave          a connection
    welcome -> began -> (bytes pass) -> ended                 a session of datagrams

What carries bytes counts for itself, as it does without any user: an `End` its `moved`, a `Session` its bytes. The
account has references to what is live, and once a second `sweep` looks at their sums, so that nothing is looked up or
added for a chunk. What a sweep found passed is a delta: it counts against the quota, and goes to the store. What ends
between two sweeps leaves its sums behind.

Where a quota or a speed is, somebody looks at each chunk as it passes (`meter.py`) and takes it off `left`.

It has no clock: `now` is seconds of a clock that does not go back, `wall` Unix seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from ...core.limits import FREE, MOST, Limits
from .allowed import Allowed, allowed_of
from .bucket import TokenBucket
from .counts import NOTHING, Counts
from .elsewhere import Elsewhere, milliseconds
from .quota import Window, window_of
from .sources import Sources, group_at

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .elsewhere import Knocks, Others


class Carries(Protocol):
    """What carries bytes of a user: a relay, a session."""

    def carried(self) -> Counts | tuple[int, int, int, int]:
        """Return what passed through it so far."""


def _seen_at(session: Carries) -> float:
    """Return when a session was used last."""
    return getattr(session, "seen_at", 0.0)


UNLIMITED: Final = MOST
"""More bytes than will pass between two sweeps."""
_NONE_SEEN: Final[dict[Carries, int]] = {}
"""Never changed."""


class Account:
    """One user's. It lives as long as the user is known to this process, and its counts never go back."""

    __slots__ = (
        "_awake",
        "_elsewhere",
        "_gone",
        "_is_open",
        "_live",
        "_meet",
        "_seen",
        "_sessions",
        "_sources",
        "_window",
        "allowed",
        "connections",
        "counts",
        "down_bucket",
        "left",
        "limits",
        "name",
        "owed",
        "refusals",
        "resets",
        "up_bucket",
    )

    def __init__(
        self,
        name: str,
        limits: Limits = FREE,
        awake: dict[Account, None] | None = None,
        meet: Callable[[str], Others | None] | None = None,
    ) -> None:
        """Begin with nothing; what is `awake` is swept: the account puts itself there.

        `meet` returns the user's place among several processes, by name.
        """
        self.name: Final = name
        self.limits = FREE
        self.allowed: Allowed | None = None
        """Which targets; None: all that its port reaches."""
        self.connections = 0
        """From their admission to their end."""
        self.counts = NOTHING
        """All that had passed at the last sweep."""
        self.refusals: Counter[str] | None = None
        """How often a connection or a datagram was refused, by word; None: never."""
        self.up_bucket: TokenBucket | None = None
        self.down_bucket: TokenBucket | None = None
        self._awake = awake
        self._live: dict[Carries, tuple[Any, Callable[[str], None], bool]] = {}
        """What carries bytes now: from where, how it is ended, and whether it is a session."""
        self._sessions: dict[Carries, None] | None = None
        """Those of them that are sessions, where their number is limited."""
        self._gone = [0, 0, 0, 0]
        """What has passed through all that is over."""
        self._is_open = True
        """True where no limit is asked about when somebody comes: nearly always, so it must cost nothing."""
        self._sources: Knocks | None = None
        self._seen = _NONE_SEEN
        """Payload of each at the last sweep, where the addresses are counted."""
        self._window: Window | None = None
        self.left = UNLIMITED
        """Payload bytes that the quota leaves. Whoever looks at each chunk takes them off; a sweep sets it right."""
        self.owed = 0
        """Payload that came with requests whose targets are dialled: it passes with them."""
        self.resets = 0
        """How often the quota was reset: what a store said before that is void."""
        self._meet = meet
        """Asked once, when the place is needed first."""
        self._elsewhere: Elsewhere | None = None
        if limits is not FREE:
            self.limit(limits, 0.0, 0)

    def __repr__(self) -> str:
        return f"<Account {self.name}>"

    # -- limits --------------------------------------------------------------------------------

    def limit(self, limits: Limits, now: float, wall: int) -> None:
        """Give it other limits, which hold at once for what is to come, and for what is live from the next sweep on.

        What was used of a quota stays used, if its window is the same; of another kind of window it is for the caller
        to `restore`.
        """
        before, self.limits = self.limits, limits
        quota = limits.quota
        elsewhere = self._elsewhere if limits is FREE else self._look_elsewhere()
        self._is_open = limits.enabled and not ({limits.expires, quota, limits.connections, limits.sources} - {None})
        if quota is None:
            self._window = None
            self.left = UNLIMITED
        elif not quota.has_window_of(before.quota):
            self._window = window_of(quota)
            if elsewhere is not None:
                self._window.add(elsewhere.begin(is_lifetime=quota.window == "lifetime"), wall)
        self.allowed = allowed_of(limits)
        self.up_bucket = _bucket(self.up_bucket, limits.up_speed, now)
        self.down_bucket = _bucket(self.down_bucket, limits.down_speed, now)
        if elsewhere is not None:  # what was told under other limits may be long ago
            elsewhere.count(self.connections, self.live_sessions)
            elsewhere.sleep()
        if elsewhere is not None and self._live:
            elsewhere.lend(self.up_bucket, self.down_bucket, (limits.up_speed, limits.down_speed), now)
        if limits.sources is None:
            self._sources = None
            self._seen = _NONE_SEEN
        elif self._sources is None or limits.sources != before.sources:
            shared = None if elsewhere is None else elsewhere.others.sources(limits.sources)
            if shared is not None or not isinstance(self._sources, Sources):
                self._sources = shared or Sources()
        if limits.sessions is None:
            self._sessions = None
        elif self._sessions is None:
            self._sessions = {what: None for what, (_, _, is_session) in self._live.items() if is_session}
        self._settle(wall)
        if self._live and self._awake is not None:
            self._awake[self] = None

    def restore(
        self, total: int, hours: Iterable[tuple[int, int]], wall: int, elsewhere: int = 0, here: int | None = None
    ) -> None:
        """Take from a store what was used of the quota before this process, or by a wrong clock; see `quota.Window`.

        Of what the other processes counted, `elsewhere` is in that; of what this account counted, `here`, or all.
        """
        if self._window is not None:
            self._window.restore(total, hours, wall)
            if here is not None:
                self._window.add(self.counts.payload - here, wall)
            if self._elsewhere is not None:
                self._elsewhere.go_on(elsewhere)
            self._settle(wall)

    def reset(self, wall: int) -> None:
        """Let nothing of the quota be used."""
        self.resets += 1
        if self._window is not None:
            self._window.reset(wall)
            if self._elsewhere is not None:
                self._elsewhere.mark()
            self._settle(wall)

    def used(self, wall: int) -> int:
        """Return the payload bytes that count against the quota; 0 where there is none."""
        if self._window is None:
            return 0
        self._hear(wall)
        return self._window.used(wall)

    def _look_elsewhere(self) -> Elsewhere | None:
        """Return what is known of other processes; None where there are none."""
        if self._meet is not None:
            others, self._meet = self._meet(self.name), None
            if others is not None:
                self._elsewhere = Elsewhere(others)
        return self._elsewhere

    def _hear(self, wall: int) -> None:
        """Count what other processes counted."""
        window, elsewhere = self._window, self._elsewhere
        if window is not None and elsewhere is not None:
            is_reset, size = elsewhere.hear()
            if is_reset:
                self.resets += 1
                window.reset(wall)
            elif size:
                window.add(size, wall)
            else:
                return
            self._settle(wall)

    def _settle(self, wall: int) -> None:
        quota, window = self.limits.quota, self._window
        if quota is not None and window is not None:
            self.left = quota.size - window.used(wall) - self._passed().minus(self.counts).payload

    def _passed(self) -> Counts:
        """Return what has passed until now."""
        up, down, wire_up, wire_down = self._gone
        for what in self._live:
            sums = what.carried()
            up += sums[0]
            down += sums[1]
            wire_up += sums[2]
            wire_down += sums[3]
        return Counts(up, down, wire_up, wire_down)

    # -- coming and going ----------------------------------------------------------------------

    def refuse(self, wall: int) -> str | None:
        """Return the word for why the user is not served now, None if it is: what is asked of each connection."""
        word = self.limits.refuse(wall)
        self._hear(wall)
        if word is None and self.left <= 0:
            if not self._live:  # it may have been renewed since the last sweep
                self._settle(wall)
            if self.left <= 0:
                return "quota"
        return word

    def admit(self, source: Any, now: Callable[[], float], wall: Callable[[], int]) -> str | None:
        """Count a connection in that has authenticated, and return None; or return the word for why it is refused.

        `source` is the client's address as a socket has it, or its group.
        """
        if self._is_open:
            self.connections += 1
            return None
        word = self.refuse(wall())
        if word is not None:
            return word
        limits = self.limits
        if limits.connections is not None and self.connections >= limits.connections:
            return "connections"
        if limits.sources is not None and not self._knock(source, now()):
            return "sources"
        self.connections += 1
        elsewhere = self._elsewhere
        if elsewhere is not None and limits.connections is not None:
            elsewhere.count(self.connections)  # before the look: of two that come at once, both are seen
            if self.connections + elsewhere.others.connections() > limits.connections:
                self.leave()
                return "connections"
        return None

    def refused(self, word: str) -> None:
        """Somebody was refused: it is counted, and that is all."""
        if self.refusals is None:
            self.refusals = Counter()
        self.refusals[word] += 1

    def leave(self) -> None:
        """A connection that was admitted is over, whatever came of it."""
        self.connections -= 1
        if self._elsewhere is not None and self.limits.connections is not None:
            self._elsewhere.count(self.connections)

    def welcome(self, source: Any, now: Callable[[], float], wall: Callable[[], int]) -> str | None:
        """Return the word for why a session is refused, or None; where it is one too many, the oldest makes room."""
        if self._is_open and self._sessions is None:
            return None
        word = self.refuse(wall())
        if word is not None:
            return word
        limits = self.limits
        if limits.sessions == 0:
            return "connections"
        if limits.sources is not None and not self._knock(source, now()):
            return "sources"
        sessions = self._sessions
        if limits.sessions is not None and sessions is not None:
            while len(sessions) >= limits.sessions:
                oldest = min(sessions, key=_seen_at)
                self._live[oldest][1]("crowded")
                sessions.pop(oldest, None)
        return None

    def _knock(self, source: Any, now: float) -> bool:
        limits, sources = self.limits, self._sources
        assert sources is not None, "asked only where sources are counted"
        return sources.knock(group_at(source), limits.sources or 0, limits.source_grace, now)

    def began(self, what: Carries, source: Any, end: Callable[[str], None], *, is_session: bool = False) -> None:
        """Bytes begin to pass; `end` ends it with a reason word."""
        if self._elsewhere is not None and not self._live:
            self._wake(self._elsewhere, is_session=is_session)
        self._live[what] = source, end, is_session
        if is_session and self._sessions is not None:
            self._sessions[what] = None
        if self._awake is not None:
            self._awake[self] = None

    def ended(self, what: Carries) -> None:
        """No more bytes pass. What passed stays counted."""
        if self._live.pop(what, None) is not None:
            gone, sums = self._gone, what.carried()
            gone[0] += sums[0]
            gone[1] += sums[1]
            gone[2] += sums[2]
            gone[3] += sums[3]
            if self._sessions is not None:
                self._sessions.pop(what, None)

    @property
    def live(self) -> int:
        """Relays and sessions that carry bytes now."""
        return len(self._live)

    @property
    def live_sessions(self) -> int:
        """Sessions of datagrams that live now."""
        return sum(is_session for _, _, is_session in self._live.values())

    @property
    def live_sources(self) -> int:
        """Addresses that something lives of now."""
        return len({group_at(source) for source, _, _ in self._live.values()})

    # -- once a second -------------------------------------------------------------------------

    def sweep(self, now: float, wall: int) -> Counts:
        """Return what passed since the last sweep, count it, and end what may not go on."""
        counts = self._passed()
        delta = counts.minus(self.counts)
        self.counts = counts
        window = self._window
        if window is not None:
            if delta.payload:
                window.add(delta.payload, wall)
            self._settle(wall)
        word = self.refuse(wall)
        if word is not None:
            self.end_all(word)
        elif self._sources is not None:
            self._look_at_sources(self._sources, now)
        if self._elsewhere is not None or self._meet is not None:
            self._share(self._look_elsewhere(), delta, now)
        return delta

    # -- other processes -----------------------------------------------------------------------

    def _wake(self, elsewhere: Elsewhere, *, is_session: bool) -> None:
        """Somebody is there again: begin with the least share of a speed."""
        limits = self.limits
        if limits.up_speed is not None or limits.down_speed is not None:
            elsewhere.wake()
            elsewhere.count(self.connections, int(is_session))
            elsewhere.lend(self.up_bucket, self.down_bucket, (limits.up_speed, limits.down_speed), 0.0)

    def _share(self, elsewhere: Elsewhere | None, delta: Counts, now: float) -> None:
        """Tell what passed here, and take a share of the speeds."""
        if elsewhere is None:
            return
        limits, up, down = self.limits, self.up_bucket, self.down_bucket
        if self._is_open and self._sessions is None and up is None and down is None:  # nobody asks for more
            if delta != NOTHING:
                elsewhere.tell(delta, 0.0)
            return
        speeds = limits.up_speed, limits.down_speed
        if limits.sessions is not None:
            self._make_room(elsewhere, limits.sessions)
        oldest_at = min(map(_seen_at, self._sessions)) if self._sessions else 0.0
        if not self._live:  # nobody looks here again before somebody comes
            elsewhere.tell(delta, 0.0)
            elsewhere.sleep()
            elsewhere.count(0 if limits.connections is None else self.connections, 0)
            return
        elsewhere.tell(delta, oldest_at)
        elsewhere.count(self.connections, self.live_sessions)
        if up is not None or down is not None:
            elsewhere.look(delta, up, down, speeds, now)
            elsewhere.lend(up, down, speeds, now)

    def _make_room(self, elsewhere: Elsewhere, most: int) -> None:
        """End the oldest sessions, where all processes together have too many, and the oldest are here."""
        count, oldest_at = elsewhere.others.sessions()
        sessions = self._sessions or {}
        for _ in range(len(sessions) + count - most):
            oldest = min(sessions, key=_seen_at, default=None)
            if oldest is None or (count and milliseconds(_seen_at(oldest)) > oldest_at):
                return
            self._live[oldest][1]("crowded")
            sessions.pop(oldest, None)

    def close(self) -> None:
        """Another account of that name may begin: this one tells only what still passed."""
        if self._elsewhere is not None:
            self._elsewhere.close()

    def _look_at_sources(self, sources: Knocks, now: float) -> None:
        """See which addresses moved bytes, and end what is live of those that are too many."""
        limits = self.limits
        most, grace = limits.sources or 0, limits.source_grace
        seen, self._seen = self._seen, {}
        for what, (source, _, _) in self._live.items():
            payload = Counts(*what.carried()).payload
            if payload != seen.get(what, 0):
                sources.knock(group_at(source), most, grace, now)
            self._seen[what] = payload
        refused = set(sources.excess(most, grace, now))
        if refused:
            self._end([end for source, end, _ in self._live.values() if group_at(source) in refused], "sources")

    def end_all(self, word: str) -> None:
        """End everything that is live: with `quota`, `expired`, `disabled`; or because an operator says so."""
        self._end([end for _, end, _ in self._live.values()], word)

    def _end(self, ends: list[Callable[[str], None]], word: str) -> None:
        for end in ends:
            end(word)

    @property
    def is_asleep(self) -> bool:
        """True while nothing is live, and all that passed was told: no sweep would find anything."""
        return not self._live and (*self._gone,) == self.counts


def _bucket(bucket: TokenBucket | None, speed: int | None, now: float) -> TokenBucket | None:
    """Return the bucket for a speed: the same one at another rate, so that a change gives nobody a full bucket."""
    if speed is None:
        return None
    if bucket is None:
        return TokenBucket(speed, now)
    bucket.change(speed, now)
    return bucket
