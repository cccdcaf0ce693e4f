"""How one of several servers is chosen: a small class for each policy, over the same records of health.

    random              any, by weight
    ordered             the first; one that failed is seldom tried before the others (shadowsocks-go)
    round-robin         each in turn, as often as its weight
    least-connections   the one with the fewest connections for its weight
    sticky              always the same one for a target, by weight
    fastest             the least smoothed latency (shadowsocks-lite)
    score               the best score of the last minutes (shadowsocks-rust)

A policy orders servers that could all be tried: the first is taken, and the next where that one cannot be dialled.
Those that live by probes are in `leader.py`. The others learn of failures from the connections of programs alone, so
that one that failed has to be tried again now and then: `willing_first`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from math import log
from random import Random
from typing import TYPE_CHECKING, Final, Protocol

from ...crypto.digests import blake2b
from .leader import Latency, Leader, Score, Told

if TYPE_CHECKING:
    from ...core.address import Address
    from .member import Side

SKIP_BASE: Final = 20
"""One that failed n times is tried in its turn with a chance of 1 in n + 20: 1 in 21 at first, 1 in 50 at last. Both
numbers are shadowsocks-go's."""
_BITS: Final = 30
"""Of each of the two numbers that a name is hashed to: what Python multiplies fastest, and fine enough for a draw."""
_MASK: Final = (1 << _BITS) - 1
_UNIT: Final = 2.0**-_BITS
TARGETS_MOST: Final = 1024
"""Targets whose hashes are kept: a page asks for some tens of hosts, again and again."""
TIE: Final = 2.0**-30
"""Of a load, what a draw between equals adds at most: less than one connection among a million makes."""


class Policy(Protocol):
    """Orders servers."""

    leader: Side | None
    """The one that is preferred to all others until another is better; None where the policy knows no such thing."""

    def order(self, sides: Sequence[Side], target: Address | None, now: float) -> Sequence[Side]:
        """Return all of these, of which there are two at least, in the order in which they are tried."""


def willing_first(sides: Sequence[Side], now: float, chance: Random) -> tuple[list[Side], list[Side]]:
    """Return who takes its turn, and who failed and is tried after them: but for a small chance to show its mending."""
    willing: list[Side] = []
    failed: list[Side] = []
    for side in sides:
        failures = side.health.failures(now)
        skipped = failures and chance.randrange(failures + SKIP_BASE)
        (failed if skipped else willing).append(side)
    return willing, failed


def _ranked(sides: Sequence[Side], now: float, chance: Random, rank: Callable[[Side], float]) -> list[Side]:
    """Return who takes its turn, the least rank first, and behind them who failed, likewise."""
    willing, failed = willing_first(sides, now, chance)
    willing.sort(key=rank)
    failed.sort(key=rank)
    return willing + failed


class Ordered:
    """The order of the configuration."""

    leader: Side | None = None

    def __init__(self, chance: Random) -> None:
        self._chance = chance

    def order(self, sides: Sequence[Side], _target: Address | None, now: float) -> Sequence[Side]:
        """See `Policy`. Whoever is skipped is the last resort, not left out."""
        willing, failed = willing_first(sides, now, self._chance)
        return willing + failed


class AtRandom:
    """A draw of its own for each connection and each session: a race, in which a server is as fast as its weight."""

    leader: Side | None = None

    def __init__(self, chance: Random) -> None:
        self._chance = chance

    def order(self, sides: Sequence[Side], _target: Address | None, now: float) -> Sequence[Side]:
        """See `Policy`. The first one is drawn by weight, the second from those that are left, and so on."""
        draw = self._chance.random
        return _ranked(sides, now, self._chance, lambda side: -log(1.0 - draw()) / side.share)


class RoundRobin:
    """Each in turn, a heavy one spread among the others: each earns its weight each time, and who has most pays all."""

    leader: Side | None = None

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._credit: dict[Side, float] = {}

    def order(self, sides: Sequence[Side], _target: Address | None, now: float) -> Sequence[Side]:
        """See `Policy`. Who is skipped earns nothing meanwhile: it does not come back to a row of turns."""
        willing, failed = willing_first(sides, now, self._chance)
        credit, total = self._credit, 0.0
        turns = willing or failed
        for side in turns:
            total += side.share
            credit[side] = credit.get(side, 0.0) + side.share
        turns.sort(key=credit.__getitem__, reverse=True)
        credit[turns[0]] -= total
        if len(credit) > len(sides):
            self._credit = {side: credit[side] for side in sides if side in credit}
        return willing + failed


class LeastConnections:
    """The one that would have the fewest connections for its weight with this one; of equals, any."""

    leader: Side | None = None

    def __init__(self, chance: Random) -> None:
        self._chance = chance

    def order(self, sides: Sequence[Side], _target: Address | None, now: float) -> Sequence[Side]:
        """See `Policy`."""
        draw = self._chance.random
        return _ranked(sides, now, self._chance, lambda side: (side.live + 1) / side.share * (1.0 + TIE * draw()))


class Sticky:
    """The same race for each target, whatever its port: who is added or lost moves its own share of targets alone.

    Its luck comes from the names of both, so it is the same after a restart, and in each process.
    """

    leader: Side | None = None

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._sides: Sequence[Side] = ()
        self._hashes: dict[Side, tuple[int, int]] = {}

    def order(self, sides: Sequence[Side], target: Address | None, now: float) -> Sequence[Side]:
        """See `Policy`. The targets of a server that failed go each to the next in its own order, and come back."""
        if sides is not self._sides:
            self._sides, self._hashes = sides, {side: _hash(side.name) for side in sides}
        hashes = self._hashes
        left, right = _hash_of_target("" if target is None else target.host)

        def time(side: Side) -> float:
            mine, its = hashes[side]
            luck = ((left ^ mine) * (right ^ its)) >> (_BITS // 2) & _MASK  # all bits of both are in the middle ones
            return -log((luck + 1) * _UNIT) / side.share

        return _ranked(sides, now, self._chance, time)


def _hash(text: str) -> tuple[int, int]:
    """Return two numbers that are the same everywhere, which Python's own hash is not."""
    number = int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())
    return number >> _BITS & _MASK, number & _MASK


@lru_cache(TARGETS_MOST)
def _hash_of_target(host: str) -> tuple[int, int]:
    return _hash(host.lower().removesuffix("."))


Make = Callable[[float, Random, Told], Policy]
"""Makes a policy: the margin, who draws, and who is told of another leader."""

POLICIES: Final[Mapping[str, Make]] = {
    "random": lambda _margin, chance, _told: AtRandom(chance),
    "ordered": lambda _margin, chance, _told: Ordered(chance),
    "round-robin": lambda _margin, chance, _told: RoundRobin(chance),
    "least-connections": lambda _margin, chance, _told: LeastConnections(chance),
    "sticky": lambda _margin, chance, _told: Sticky(chance),
    "fastest": lambda margin, _chance, told: Leader(Latency(), margin, told),
    "score": lambda margin, _chance, told: Leader(Score(), margin, told),
}
"""By their words in the configuration."""
PROBED: Final = frozenset(("score", "fastest"))
"""Those that live by probes."""
