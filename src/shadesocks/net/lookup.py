"""What a way to ask name servers offers, whatever it asks over: a name in, its addresses and their time to live out.

Called by the cache, which knows names, waiters and ages; a look-up knows none of them and asks each time it is told
to. Whatever fails is a DialError: `no_name` where nobody had an answer (SERVFAIL, REFUSED, no server can be reached),
`dial_timeout` where nobody answered in time. "No such name" and "no such address" are answers, and no errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    import asyncio

Found = tuple[int, str]
"""One address of a name: (address family, IP text)."""

TTL_EMPTY: Final = 5.0
"""Seconds that "no address" is good where no server says for how long."""

TTL_PARTIAL: Final = 30.0
"""Seconds, at the most, that addresses are good where another family's were not known in time."""
RESOLUTION_DELAY: Final = 0.05
"""Seconds that the addresses of one family wait for those of the other (RFC 8305 §3)."""
ADDRESSES_MOST: Final = 32
"""Addresses kept of one family: an answer of 64 kB has 4,000, and nobody tries more than a few."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the servers said of one name."""

    addresses: tuple[Found, ...]
    """IPv4 first. Empty where the name does not exist, or has no address of the families that were asked for."""
    ttl: float
    """Seconds that this is good: the least of all records of the chain; for an empty one the negative time to live
    of the zone (RFC 2308 §5) if it is known, else `TTL_EMPTY`."""


class Lookup(Protocol):
    """Asks for the addresses of names. The families that it asks for are given when it is made."""

    def start(self, name: str) -> asyncio.Future[Outcome]:
        """Ask for the addresses of a name; cancelling the future ends the query.

        The future raises DialError, as said above.
        """
        ...

    async def close(self) -> None:
        """End the queries that are under way, and close all connections."""
        ...
