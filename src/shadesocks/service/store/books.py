"""Accounts and their store as one: what was used before is remembered, and what passes is written, once a second.

    open -> serve (who, with which limits; as often as it changes) -> sweep ... sweep -> close

Nothing in here waits but `open`, `serve`, `reset` and `close`; a sweep goes on whatever the store does.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ...proxy.users.quota import HOUR
from .clerk import Clerk
from .estate import Estate
from .flush import Flush
from .history import roll_before
from .roll import look_up
from .store import DAYS_AS_HOURS_MIN, Stored, StoreError

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
AT_ONCE: Final = 500
"""Users whose past is looked up in one call: half a second for the store's thread, where all have every hour."""
PIECE: Final = 0.004
"""Seconds of work between two turns of the loop."""
JUMP: Final = 60.0
"""Seconds by which the wall clock parts from the other one when somebody sets it, and does not only mend it."""
LOOK_AGAIN: Final = 60.0
"""Seconds between two looks at whether the store is still where it was, where nothing passes that is to be written."""
STEADY: Final = 3600.0
"""Seconds for which a clock that jumped is not believed as far as to make days of hours."""

Thing = TypeVar("Thing")


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
    ) -> None:
        """`days` is how many days are kept hour by hour.

        `seat` is this process's at the board, where several serve the same ports. It is the caller's to leave:
        `seat.leave(is_clean=await books.close())`.
        """
        self.accounts: Final = accounts
        self.clerk: Final = Clerk(store)
        writer = f"{os.getpid()}-{os.urandom(8).hex()}" if seat is None else seat.writer
        self.flush: Final = Flush(self.clerk, writer, seat)
        self._seat: Final = seat
        self._estates: list[Estate] = []
        """Of processes that died."""
        self._now = now
        self._wall = wall
        self._days = days
        self._rolled = 0
        """Before which hour hours were made days."""
        self._apart = wall() - now()
        """Seconds between the two clocks."""
        self._steady_at = 0.0
        """From when on the wall clock is believed."""
        self._stale: dict[str, Quota] = {}
        """Whose windows are to be filled, once the store answers: it did not, or the wall clock jumped."""
        self._refilling: asyncio.Task[None] | None = None
        self._looks_at = now() + LOOK_AGAIN
        self._look_failed = ""

    async def open(self) -> list[Stored]:
        """Open the store, and return the users it knows; raises StoreError."""
        await self.clerk.open()
        self.flush.begin(self._wall())
        return await self.users()

    async def users(self, patience: float | None = None) -> list[Stored]:
        """Return what the store knows of its users; raises StoreError, after so many seconds at most."""
        return await self.clerk.ask(lambda store: store.users(), patience)

    async def serve(self, wanted: Mapping[str, Limits], again: Collection[str] = ()) -> None:
        """Let these users have accounts with these limits, and no others; see `admit`."""
        for name in [account.name for account in self.accounts if account.name not in wanted]:
            self.accounts.close(name)
        await self.admit(wanted, again)

    async def admit(
        self, wanted: Mapping[str, Limits], again: Collection[str] = (), opened: Callable[[], object] = lambda: None
    ) -> None:
        """Let these users have accounts with these limits; what they used before counts. `opened` is called once the
        limits hold, before the store is asked.

        Who is in `again` was reset by somebody else: nothing is used from now on. What passed until now and was not
        yet written counts in the store after the reset, a second's worth at most.

        Raises:
            StoreError: what they used is not to be had now. The limits hold all the same, and count from now until a
                sweep finds that the store answers.
        """
        if again:
            self.sweep()  # or what passed since the last one would count after the reset
        new: dict[str, Quota] = {}
        now, wall = self._now(), self._wall()
        for name, limits in wanted.items():  # at once: whoever comes meanwhile gets an account, and that is not filled
            account, quota = self.accounts.find(name), limits.quota
            if quota is not None and (account is None or not quota.has_window_of(account.limits.quota)):
                new[name] = quota
            if account is not None and name in again:
                account.reset(wall)
        async for name in _in_pieces(wanted):
            self.accounts.open(name, wanted[name], now, wall)
        opened()
        await self._restore(new)

    async def _restore(self, quotas: Mapping[str, Quota]) -> None:
        """Fill windows with what the store knows, some at a time; what cannot be filled now is stale."""
        if quotas:
            self.sweep()
        names = iter(quotas)
        while some := {name: quotas[name] for name in islice(names, AT_ONCE)}:
            try:
                await self._restore_some(some)
            except StoreError:
                self._stale |= some
                self._stale |= {name: quotas[name] for name in names}
                raise

    async def _restore_some(self, quotas: Mapping[str, Quota]) -> None:
        """Look up what was used, at a moment when no other process wrote, so that what it counts is counted once.

        If there is no such moment, what was written meanwhile counts twice against the quota, here: of a second. What
        this process counts while it waits for the answer is told apart by `Account.counts`.
        """
        seat = self._seat
        for _ in range(1 if seat is None else TRIES):
            stands = None if seat is None else seat.stands()
            elsewhere: dict[str, int] = {}
            if seat is not None:
                async for name in _in_pieces(quotas):
                    elsewhere[name] = seat.written_elsewhere(name)
            await self._settled(0.0 if self.flush.trouble else PATIENCE)
            unwritten = {} if self.flush.is_clean else self.flush.payload_of(quotas)
            accounts = [account for name in quotas if (account := self.accounts.find(name)) is not None]
            before = [(each, each.resets, each.counts.payload - unwritten.get(each.name, 0)) for each in accounts]
            wall = self._wall()
            past = await self.clerk.ask(partial(look_up, quotas=quotas, wall=wall))
            is_sure = seat is None or (stands is not None and stands == seat.stands())
            async for account, resets, here in _in_pieces(before):
                name = account.name
                is_same = account is self.accounts.find(name) and quotas[name].has_window_of(account.limits.quota)
                if is_same and account.resets == resets and name in past:
                    account.restore(*past[name], wall, elsewhere.get(name, 0), here)
            if is_sure:
                break

    def _look_at_clocks(self, now: float, wall: int) -> None:
        """See whether the wall clock was set; then windows of time are not what they were."""
        parted = wall - now - self._apart
        if abs(parted) > JUMP:
            log.warning("the clock jumped by %+d seconds; what users have used is looked up again", round(parted))
            self._apart, self._steady_at, self._rolled = wall - now, now + STEADY, 0
            self._stale |= {
                account.name: account.limits.quota
                for account in self.accounts
                if account.limits.quota is not None and account.limits.quota.window != "lifetime"
            }
        if self._stale and self._refilling is None:
            quotas, self._stale = self._stale, {}
            self._refilling = asyncio.get_running_loop().create_task(self._refill(quotas))

    async def _refill(self, quotas: Mapping[str, Quota]) -> None:
        try:
            with suppress(StoreError):  # then they are stale still
                await self._restore(quotas)
        finally:
            self._refilling = None

    def sweep(self) -> None:
        """Count what passed, end who may not go on, and write it down. Once a second."""
        now, wall = self._now(), self._wall()
        self._look_at_clocks(now, wall)
        self.flush.add(self.accounts.sweep(now, wall), wall)
        self.flush.tick(now)
        if now >= self._looks_at:
            self._looks_at = now + LOOK_AGAIN
            self.clerk.tell(lambda store: store.look(), self._looked)
            self._stale |= self._of_others()
        if self._seat is not None:
            self._seat.tend(self._inherit)
            for estate in self._estates:
                estate.tick(now)
                if estate.is_over:
                    estate.leave()
            self._estates = [estate for estate in self._estates if not estate.is_over]
        if roll_before(wall, self._days) > self._rolled and now >= self._steady_at:
            self._rolled = roll_before(wall, self._days)
            self.clerk.tell(lambda store: _roll(store, wall, self._days), self._was_rolled)

    def _of_others(self) -> dict[str, Quota]:
        """Return the quotas of who is here now: another machine with the same store may have counted for them."""
        return {
            account.name: account.limits.quota
            for account in self.accounts
            if account.limits.quota is not None and not account.is_asleep
        }

    def _looked(self, _nothing: Any, error: StoreError | None) -> None:
        text = "" if error is None else str(error)
        if text and text not in (self._look_failed, self.flush.trouble):
            log.error("the store cannot be used now; what passes is kept in memory: %s", text)
        self._look_failed = text

    @property
    def trouble(self) -> str:
        """Why nothing can be written now, as far as somebody tried; empty while all is well."""
        return self.flush.trouble or self._look_failed

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
        self.sweep()
        await self._settled(limit)

    async def _settled(self, limit: float = PATIENCE) -> None:
        """Wait until what was swept is written, or for some seconds."""
        loop = asyncio.get_running_loop()
        until = loop.time() + limit
        while not self.flush.is_clean and loop.time() < until:
            await asyncio.sleep(LOOK)
            self.flush.tick(self._now())

    async def close(self, limit: float = PATIENCE) -> bool:
        """Write what is left, and close the store; False where that cannot be done within so many seconds."""
        await self._write_all(limit)
        if self._refilling is not None:
            self._refilling.cancel()
            await asyncio.wait((self._refilling,))
        is_whole = self.flush.is_clean
        if not is_whole:
            log.error("users' traffic was not written, and is lost: %d bytes of payload", self.flush.unwritten.payload)
        is_over = await self.clerk.close()  # before seats are left: whoever takes one must find the last batch there
        for estate in self._estates:
            estate.leave()
        return is_over and is_whole


def _roll(store: Store, wall: int, days: int) -> int:
    """Make days of hours of long ago, as the clock has it, and the last hour in which anything passed."""
    newest = store.newest()
    return 0 if newest is None else store.roll(max(0, roll_before(min(wall, newest * HOUR), days)))


async def _in_pieces(things: Iterable[Thing]) -> AsyncIterator[Thing]:
    """Yield them, and let the loop do other things every few milliseconds."""
    clock = asyncio.get_running_loop().time
    until = clock() + PIECE
    for thing in things:
        yield thing
        if clock() >= until:
            await asyncio.sleep(0)
            until = clock() + PIECE
