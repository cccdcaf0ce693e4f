"""How much of everything is measured, and in which order the systems have their turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

MIB: Final = 1 << 20

WARM_CONNECTIONS: Final = 200
AFTERMATH: Final = 1.2
"""Seconds between the last answer and the second reading of the clock where connections are short: a server that writes
its log lines or frees its connections once a second shall pay for them inside the sample. Costs an idle one nothing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything."""

    rounds: int
    bulk: int
    """Bytes of one bulk sample. CPU clocks tell nanoseconds, so a few tenths of a second are enough."""
    connections: int
    pings: int
    idle: int
    """Connections held open. The issue wants 2,000 or more; a thousandth of their memory is a page or two."""
    memory_rounds: int
    starts: int
    trips: int
    """Datagrams there and back in one sample of the echo."""
    flow: float
    """Seconds of one flow of datagrams."""
    sessions: int
    minute: int
    """Seconds for which each session sends one datagram a second."""
    strangers: int
    """Datagrams of random bytes."""
    crowd: int
    """Connections relayed at the same time by one process."""
    rest: float
    """Seconds for which a server with many ports is watched doing nothing."""
    first_bytes: int
    """Requests through a slow link, each a few round trips of it long."""
    limit: float
    """Seconds after which no new round begins."""


FULL: Final = Plan(5, 512 * MIB, 6000, 2000, 2500, 3, 9, 20000, 1.0, 1000, 60, 1_000_000, 9500, 20.0, 200, 3600)
QUICK: Final = Plan(2, 64 * MIB, 1000, 400, 500, 1, 3, 6000, 0.3, 1000, 5, 20_000, 9500, 5.0, 24, 300)


Item = TypeVar("Item")


def alternate(systems: Sequence[Item], turn: int) -> list[Item]:
    """Every order twice, forwards and backwards, then another one first: nobody always follows the same one."""
    at = turn // 2 % max(1, len(systems))
    order = [*systems[at:], *systems[:at]]
    return order[::-1] if turn % 2 else order
