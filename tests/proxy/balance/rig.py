"""Servers of which the test says what is known."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from shadesocks.proxy.balance.health import Health
from shadesocks.proxy.balance.member import Member, Side

INTERVAL = 10.0
LONGEST = 5.0


def make_side(name: str, weight: float = 1.0, *, serves: bool = True) -> Side:
    return Side(name, Health(INTERVAL, LONGEST), weight, serves=serves)


def make_sides(*weights: float) -> tuple[Side, ...]:
    """Servers a, b, c and so on, of these weights."""
    return tuple(make_side(chr(ord("a") + number), weight) for number, weight in enumerate(weights))


def make_member(
    name: str, tcp: float = 1.0, udp: float = 1.0, group: str = "", time: Callable[[], float] = lambda: 0.0
) -> Member:
    return Member(name, group, make_side(name, tcp), make_side(name, udp), time)


def names(sides: Iterable[Side | Member]) -> str:
    return "".join(side.name for side in sides)


def firsts(order: Callable[[], Sequence[Side]], count: int) -> Counter[str]:
    """How often each was first."""
    return Counter(order()[0].name for _ in range(count))


def is_spread(counts: Mapping[str, int], shares: Mapping[str, float]) -> bool:
    """True where counts are as the shares say, as far as chance goes: chi-square, at one draw of 1,000 or so."""
    every, total = sum(counts.values()), sum(shares.values())
    wanted = {name: every * share / total for name, share in shares.items()}
    assert set(counts) <= set(wanted)
    distance: float = sum((counts.get(name, 0) - want) ** 2 / want for name, want in wanted.items())
    freedom = len(wanted) - 1
    return distance < freedom + 3.1 * math.sqrt(2 * freedom) + 4  # the 99.9th percentile, from above
