"""The shape of policies that measure: one server leads, and takes everything, until another is clearly better.

A metric says how good a server is; here stands all that keeps the lead from going back and forth:

 1. Who takes the lead must be better by the margin, by more than anybody notices, and for a while. In the first while
    of all it need not: the first to answer leads, and better ones answer a moment later.
 2. Who failed of late does not take it from one that works.
 3. A server that failed is passed over at once; it loses the lead where it is down, not for one connection of many.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from ...core.address import Address
    from .member import Side

Told = Callable[["Side | None", "Side", str], None]
"""Is told that one server took the place of another, or of none, and why."""

REFRESH: Final = 1.0
"""Seconds after which servers are ranked anew where nothing was learnt: failures fade."""
REIGN: Final = 5.0
"""Seconds for which a lead is not lost to failures: where all servers fail now and then, it would pass on with each."""
UNKNOWN: Final = math.inf


class Metric(Protocol):
    """How good a server is."""

    least: float
    """A difference that nobody notices."""

    def of(self, side: Side) -> float:
        """Return it: less is better; `UNKNOWN` where nothing is known."""

    def words(self, old: Side | None, new: Side) -> str:
        """Say why `new` is better."""


class Latency:
    """The smoothed time of probes: shadowsocks-lite's, measured through the server. A weight divides it."""

    least = 0.005

    def of(self, side: Side) -> float:
        """See `Metric`."""
        latency = side.health.latency
        return UNKNOWN if latency is None else latency / side.share

    def words(self, old: Side | None, new: Side) -> str:
        """See `Metric`."""
        said = f"{new.name} answers in {_latency(new)}"
        return said if old is None else f"{said}, {old.name} in {_latency(old)}"


def _latency(side: Side) -> str:
    latency = side.health.latency
    return ("no known time" if latency is None else f"{latency * 1000:.0f} ms") + _weight(side)


class Score:
    """shadowsocks-rust's score of the last minutes, of 10,000."""

    least = 5.0
    """That is 12 ms where a probe may take 5 s."""

    def of(self, side: Side) -> float:
        """See `Metric`."""
        score = side.health.score(side.share)
        return UNKNOWN if score is None else score

    def words(self, old: Side | None, new: Side) -> str:
        """See `Metric`."""
        said = f"{new.name} scores {_score(new)}"
        return f"{said} (less is better)" if old is None else f"{said}, {old.name} {_score(old)} (less is better)"


def _score(side: Side) -> str:
    score = side.health.score(side.share)
    return ("nothing yet" if score is None else str(score)) + _weight(side)


def _weight(side: Side) -> str:
    return "" if side.share == 1 else f" by weight {side.share:g}"


class Leader:
    """A `Policy`: the leader first, the others as the metric ranks them, and last those that fail."""

    def __init__(self, metric: Metric, margin: float, told: Told) -> None:
        self.leader: Side | None = None
        self._metric = metric
        self._margin = margin
        self._told = told
        self._led_since = 0.0
        self._open_until = 0.0
        self._beaten_since: float | None = None
        """Since when another is better; None: none is."""
        # What the ranking was made of.
        self._sides: Sequence[Side] = ()
        self._revision = -1
        self._ranked_at = 0.0
        self._ranking: Sequence[Side] = ()

    def order(self, sides: Sequence[Side], _target: Address | None, now: float) -> Sequence[Side]:
        """See `Policy`. Ranks only where something was learnt, or `REFRESH` has passed: it runs for each connection."""
        revision = sum([side.health.revision for side in sides])
        if sides is not self._sides or revision != self._revision or now - self._ranked_at >= REFRESH:
            self._sides, self._revision, self._ranked_at = sides, revision, now
            self._ranking = self._rank(sides, now)
        return self._ranking

    def _rank(self, sides: Sequence[Side], now: float) -> Sequence[Side]:
        values = {side: self._metric.of(side) for side in sides}
        fails = {side for side in sides if side.health.failures(now)}
        ranking = sorted(sides, key=lambda side: (side in fails, values[side]))
        self._settle(ranking, values, fails, now)
        leader = self.leader
        if leader is not None and leader not in fails and ranking[0] is not leader:
            ranking.remove(leader)
            ranking.insert(0, leader)
        return ranking

    def _settle(self, ranking: Sequence[Side], values: dict[Side, float], fails: set[Side], now: float) -> None:
        """Let another lead, if one has to."""
        leader, best = self.leader, ranking[0]
        if leader is None or leader not in values:
            self.leader = None
            if values[best] != UNKNOWN and best not in fails:
                self._open_until = now + best.health.a_while
                said = self._metric.words(None, best)
                self._lead(leader, best, said if leader is None else f"{leader.name} is not there any more", now)
        elif leader in fails:
            if best not in fails and now - self._led_since >= REIGN and leader.health.is_down(now):
                self._lead(leader, best, f"{leader.name} failed ({leader.health.last_word})", now)
        else:
            rival = next((side for side in ranking if side not in fails and side.health.is_steady(now)), leader)
            mine, its = values[leader], values[rival]
            if its * (1 + self._margin) >= mine or mine - its < self._metric.least:
                self._beaten_since = None
                return
            if self._beaten_since is None:
                self._beaten_since = now
            if now < self._open_until or now - self._beaten_since >= leader.health.a_while:
                self._lead(leader, rival, self._metric.words(leader, rival), now)

    def _lead(self, old: Side | None, new: Side, why: str, now: float) -> None:
        self.leader = new
        self._led_since, self._beaten_since = now, None
        self._told(old, new, why)
