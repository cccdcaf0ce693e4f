"""How one of several servers is chosen: a small class for each policy, over the same records of health.

    random              any, by weight
    ordered             the first; one that failed is seldom tried before the others (shadowsocks-go)
    round-robin         each in turn, as often as its weight
    least-connections   the one with the fewest connections for its weight
    sticky              always the same one for a target, by weight
    fastest             the least smoothed latency (shadowsocks-lite)
    score               the best score of the last minutes (shadowsocks-rust)

A policy orders servers that could all be tried: the first is taken, and the next where that one cannot be dialled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from ...core.address import Address
    from .member import Side

Below = Callable[[int], int]
"""A random number from 0 up to, and not with, the one given; `secrets.randbelow`."""
Told = Callable[["Side", "Side", str], None]
"""Is told that one server took the place of another, and why."""

SKIP_BASE: Final = 20
"""One that failed n times is tried in its turn with a chance of 1 in n + 20: 1 in 21 at first, 1 in 50 at last. Both
numbers are shadowsocks-go's."""


class Policy(Protocol):
    """Orders servers."""

    leader: Side | None
    """The one that is preferred to all others until another is better; None where the policy knows no such thing."""

    def order(self, sides: Sequence[Side], target: Address | None, now: float) -> list[Side]:
        """Return all of these, of which there are two at least, in the order in which they are tried."""


class Ordered:
    """The order of the configuration, where a server that failed is seldom tried before the others."""

    leader: Side | None = None

    def __init__(self, _margin: float, below: Below, _told: Told) -> None:
        self._below = below

    def order(self, sides: Sequence[Side], _target: Address | None, now: float) -> list[Side]:
        """See `Policy`. Whoever is skipped is the last resort, not left out."""
        return willing_first(sides, now, self._below)


def willing_first(sides: Sequence[Side], now: float, below: Below) -> list[Side]:
    """Return servers that failed behind the others, but for a small chance to show that they work again."""
    willing: list[Side] = []
    failed: list[Side] = []
    for side in sides:
        failures = side.health.failures(now)
        (failed if failures and below(failures + SKIP_BASE) else willing).append(side)
    return willing + failed


Make = Callable[[float, Below, Told], Policy]

_WORDS: Final = ("ordered", "random", "round-robin", "least-connections", "sticky", "fastest", "score")
POLICIES: Final[Mapping[str, Make]] = dict.fromkeys(_WORDS, Ordered)
"""By their words in the configuration."""
PROBED: Final = frozenset(("score", "fastest"))
"""Those that live by probes."""
