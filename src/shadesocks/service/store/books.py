"""Accounts and their store as one: what was used before is remembered, and what passes is written, once a second.

    open -> serve (who, with which limits; as often as it changes) -> sweep ... sweep -> close

Nothing in here waits but `open`, `serve`, `reset` and `close`; a sweep goes on whatever the store does.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from ...proxy.users.quota import SLIDING_HOURS, this_month
from .clerk import Clerk
from .estate import Estate
from .flush import Flush
from .history import HOUR, roll_before
from .store import DAYS_AS_HOURS_MIN, HOURS_A_DAY, Stored, StoreError

if TYPE_CHECKING:
    from ...core.limits import Limits, Quota
    from ...proxy.users.accounts import Accounts
    from ..users.seat import Seat
    from .store import Store

log = logging.getLogger(__name__)

PATIENCE: Final = 2.0
"""Seconds that somebody waits for all to be written, where the store fails."""
TRIES: Final = 3
"""How often what was used is looked up, where another process writes meanwhile."""
LOOK: Final = 0.005
"""Seconds between two looks at whether everything is written, where somebody waits for it."""


class Books:
    """The accounts of a service, and the store behind them. Made in a running loop."""

    def __init__(
        self,
        accounts: Accounts,
        store: Store,
        now: Callable[[], float],
        wall: Callable[[], int],
        seat: Seat | None = None,
        *,
        days: int = DAYS_AS_HOURS_MIN,
        alarm: Callable[[str], None] = lambda _text: None,
    ) -> None:
        """`days` is how many days are kept hour by hour; `alarm` is told why nothing can be written, "" when it can.

        `seat` is this process's at the board, where several serve the same ports. It is the caller's to leave:
        `seat.leave(is_clean=await books.close())`.
        """
        self.accounts: Final = accounts
        self.clerk: Final = Clerk(store)
        writer = f"{os.getpid()}-{os.urandom(8).hex()}" if seat is None else seat.writer
        self.flush: Final = Flush(self.clerk, writer, alarm, seat)
        self._seat: Final = seat
        self._estates: list[Estate] = []
        """Of processes that died."""
        self._now = now
        self._wall = wall
        self._days = days
        self._rolled = 0
        """Before which hour hours were made days."""

    async def open(self) -> list[Stored]:
        """Open the store, and return the users it knows; raises StoreError."""
        await self.clerk.open()
        self.flush.begin(self._wall())
        return await self.users()

    async def users(self) -> list[Stored]:
        """Return what the store knows of its users; raises StoreError."""
        return await self.clerk.ask(lambda store: store.users())

    async def serve(self, wanted: Mapping[str, Limits], again: Collection[str] = ()) -> None:
        """Let these users have accounts with these limits, and no others; see `admit`."""
        for name in [account.name for account in self.accounts if account.name not in wanted]:
            self.accounts.close(name)
        await self.admit(wanted, again)

    async def admit(self, wanted: Mapping[str, Limits], again: Collection[str] = ()) -> None:
        """Let these users have accounts with these limits; what they used before counts.

        Who is in `again` was reset by somebody else: nothing is used from now on. What passed until now and was not
        yet written counts in the store after the reset, a second's worth at most.

        Raises:
            StoreError: what they used is not to be had. The limits hold all the same, and count from now.
        """
        if again:
            self.sweep()  # or what passed since the last one would count after the reset
        new: dict[str, Quota] = {}
        now, wall = self._now(), self._wall()
        for name, limits in wanted.items():
            before = self.accounts.find(name)
            quota = limits.quota
            if quota is not None and (before is None or not _same(quota, before.limits.quota)):
                new[name] = quota
            account = self.accounts.open(name, limits, now, wall)
            if before is not None and name in again:
                account.reset(wall)
        if new:
            await self._restore(new)

    async def _restore(self, quotas: Mapping[str, Quota]) -> None:
        """Look up what was used, at a moment when no other process wrote, so that what it counts is counted once.

        If there is no such moment, what was written meanwhile counts twice against the quota, here: of a second.
        """
        seat = self._seat
        for _ in range(1 if seat is None else TRIES):
            await self._write_all()
            stands = None if seat is None else seat.stands()
            elsewhere = {} if seat is None else {name: seat.written_elsewhere(name) for name in quotas}
            await self._look_up(quotas, elsewhere)
            if seat is None or (stands is not None and stands == seat.stands()):
                break

    async def _look_up(self, quotas: Mapping[str, Quota], elsewhere: Mapping[str, int]) -> None:
        wall = self._wall()
        known = {user.name: user for user in await self.users()}
        found: dict[str, list[tuple[int, int]]] = {name: [] for name in quotas}
        first = min((_first_hour(quota, wall) for quota in quotas.values()), default=0)
        for hour in range(first, wall // HOUR + 1, HOURS_A_DAY):  # a day at a time: all of it may be much
            rows = await self.clerk.ask(_hours(hour, min(hour + HOURS_A_DAY, wall // HOUR + 1)))
            for row in rows:
                if row.user in found:
                    found[row.user] += known[row.user].hours_since_reset([row])
        for name in quotas:
            account, user = self.accounts.find(name), known.get(name)
            if account is not None and user is not None:
                account.restore(user.since_reset, found[name], wall, elsewhere.get(name, 0))

    def sweep(self) -> None:
        """Count what passed, end who may not go on, and write it down. Once a second."""
        now, wall = self._now(), self._wall()
        self.flush.add(self.accounts.sweep(now, wall), wall)
        self.flush.tick(now)
        if self._seat is not None:
            self._seat.tend(self._inherit)
            for estate in self._estates:
                estate.tick(now)
                if estate.is_over:
                    estate.leave()
            self._estates = [estate for estate in self._estates if not estate.is_over]
        before = roll_before(wall, self._days)
        if before > self._rolled:
            self._rolled = before
            self.clerk.tell(lambda store: store.roll(before), self._was_rolled)

    def _inherit(self, seat: Seat) -> None:
        self._estates.append(Estate(seat, self.clerk, self._wall()))

    def _was_rolled(self, _count: Any, error: StoreError | None) -> None:
        if error is not None:
            log.warning("hours of long ago are still hours, and will be days tomorrow: %s", error)

    async def reset(self, name: str) -> bool:
        """Let a user's quota count from now on; False where nobody knows such a user. Raises StoreError."""
        await self._write_all()
        wall = self._wall()
        is_known = await self.clerk.ask(lambda store: store.reset(name, wall))
        account = self.accounts.find(name)
        if account is not None:
            account.reset(wall)
        return is_known or account is not None

    async def _write_all(self, limit: float = PATIENCE) -> None:
        """Wait until what passed is written, or for some seconds."""
        loop = asyncio.get_running_loop()
        until = loop.time() + limit
        self.sweep()
        while not self.flush.is_clean and loop.time() < until:
            await asyncio.sleep(LOOK)
            self.flush.tick(self._now())

    async def close(self, limit: float = PATIENCE) -> bool:
        """Write what is left, and close the store; False where that cannot be done within so many seconds."""
        await self._write_all(limit)
        is_whole = self.flush.is_clean
        if not is_whole:
            log.error("users' traffic was not written, and is lost: %d bytes of payload", self.flush.unwritten.payload)
        is_over = await self.clerk.close()  # before seats are left: whoever takes one must find the last batch there
        for estate in self._estates:
            estate.leave()
        return is_over and is_whole


def _same(quota: Quota, other: Quota | None) -> bool:
    return other is not None and (quota.window, quota.day) == (other.window, other.day)


def _first_hour(quota: Quota, wall: int) -> int:
    """Return the first hour that a window looks at; a lifetime looks at none."""
    if quota.window == "month":
        return this_month(wall, quota.day) // HOUR
    return wall // HOUR + 1 - (SLIDING_HOURS if quota.window == "days" else 0)


def _hours(first: int, end: int) -> Callable[[Store], Iterable[Any]]:
    return lambda store: store.hours(first, end)
