"""Several servers: which of them takes a connection, and who is tried when it does not answer.

    in_order   the first; the next where it cannot be reached
    random     any, and another where that one cannot be reached
    circuit    the first; but one that failed is skipped, most of the time, until all others failed too
    fastest    the one that was quickest to connect to of late (`fastest.py`)

A `Choice` only orders the servers' numbers and hears what became of them. `ChosenDialer` does the dialling, and
`choice_packets.py` the same for sessions of datagrams. Each attempt is bounded by its server's own dial time-out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from ...core.errors import DialError

if TYPE_CHECKING:
    from ...core.address import Address
    from ...net.end import End
    from ..seams import Dialer, First

Below = Callable[[int], int]
"""A random number from 0 up to, and not with, the one given; `secrets.randbelow`."""

TRIES_MOST: Final = 3
"""Servers that `random` tries for one connection: at 10 s each, a program has long given up by then."""
FAILURES_MOST: Final = 30
SKIP_BASE: Final = 20
"""One that failed n times is tried in its turn with a chance of 1 in n + 20: 1 in 21 at first, 1 in 50 at last. Both
numbers are shadowsocks-go's."""
_OURS: Final = "limit"
"""The word of a failure that says nothing of the server: we have no descriptors."""


class Choice(Protocol):
    """Which servers are tried, by their numbers in the configuration."""

    def order(self, numbers: Sequence[int]) -> Sequence[int]:
        """Return those of these that are tried for one connection, in their order; one at least of one or more."""

    def succeeded(self, number: int) -> None:
        """A connection stands, or a server could be asked."""

    def failed(self, number: int) -> None:
        """A server could not be reached."""


class InOrder:
    """The order of the configuration."""

    __slots__ = ()

    def order(self, numbers: Sequence[int]) -> Sequence[int]:
        """See `Choice`."""
        return numbers

    def succeeded(self, number: int) -> None:
        """Change nothing."""

    def failed(self, number: int) -> None:
        """Change nothing."""


class AtRandom(InOrder):
    """Any server, for each connection anew. The old programs told the error of the one that they drew."""

    __slots__ = ("_below",)

    def __init__(self, below: Below) -> None:
        self._below = below

    def order(self, numbers: Sequence[int]) -> Sequence[int]:
        """See `Choice`."""
        left = list(numbers)
        return [left.pop(self._below(len(left))) for _ in range(min(TRIES_MOST, len(left)))]


class Circuit:
    """The order of the configuration, where a server that failed is seldom tried before the others."""

    __slots__ = ("_below", "_failures")

    def __init__(self, below: Below) -> None:
        self._below = below
        self._failures: Counter[int] = Counter()

    def order(self, numbers: Sequence[int]) -> Sequence[int]:
        """See `Choice`. Whoever is skipped is the last resort, not left out."""
        now: list[int] = []
        later: list[int] = []
        for number in numbers:
            failures = self._failures[number]
            (later if failures and self._below(failures + SKIP_BASE) else now).append(number)
        return now + later

    def succeeded(self, number: int) -> None:
        """A server that answers is as good as one that never failed."""
        self._failures[number] = 0

    def failed(self, number: int) -> None:
        """Count, up to a limit."""
        self._failures[number] = min(self._failures[number] + 1, FAILURES_MOST)


class ChosenDialer:
    """A `seams.Dialer` of several."""

    __slots__ = ("_choice", "_dialers", "_numbers")

    def __init__(self, dialers: Mapping[int, Dialer], choice: Choice) -> None:
        """Make one of dialers by the numbers of their servers."""
        self._dialers = dialers
        self._numbers = tuple(dialers)
        self._choice = choice

    async def dial(self, target: Address, first: First) -> End:
        """Dial through the first that can, as the choice orders them; the error of the last where none can."""
        choice = self._choice
        error = DialError("unreachable", "there is no server")
        for number in choice.order(self._numbers):
            try:
                end = await self._dialers[number].dial(target, first)
            except DialError as failed:
                error = failed.with_traceback(None)  # which would hold this frame, and it the error
                if error.code == _OURS:
                    break
                choice.failed(number)
            else:
                choice.succeeded(number)
                return end
        try:
            raise error
        finally:
            del error  # it holds this frame by its traceback: a cycle, if the frame held it too
