"""What is kept of users beyond the life of a process: who they are, and what passed for them. For who has a store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from ..shared import wall
from ..store.books import Books
from ..store.choose import open_store
from ..store.roll import NOBODY, Roll, call_roll
from ..store.store import Stored, StoreError
from .gathering import joined, unusable

if TYPE_CHECKING:
    from ...config.model import Config
    from ...config.user import UserConfig
    from ...core.limits import Limits
    from ...proxy.users.accounts import Accounts
    from ...proxy.users.counts import Counts
    from ..store.store import Store
    from .seat import Seat

log = logging.getLogger(__name__)

ASKED: Final = 2.0
"""Seconds that sums are waited for: whoever asks over the control socket waits five."""


async def keep(config: Config, accounts: Accounts, seat: Seat | None) -> Kept:
    """Open the store of a configuration.

    Raises:
        ConfigError: it cannot be used.
    """
    assert config.store is not None, "asked only of those who have one"
    try:
        store = open_store(config.store.reveal())
        books = Books(accounts, store, asyncio.get_running_loop().time, wall, seat, days=config.store_days)
        await books.open()
    except StoreError as error:
        raise unusable(error) from None
    return Kept(books)


class Kept:
    """A store, and what was last seen in it."""

    def __init__(self, books: Books) -> None:
        self._books: Final = books
        self._roll = NOBODY
        """Who stood in it."""
        self._resets: frozenset[str] = frozenset()
        """Who was reset by somebody else since the time before, and is not admitted since."""
        self.silence = ""
        """Why the store did not say the sums when they were asked for last; empty as a rule."""

    async def gather(self, config: Config, *, joins: bool) -> tuple[Config, Mapping[str, UserConfig]]:
        """Return a configuration, if it `joins` with the users of the store, and these; note who was reset since the
        last time. All of it in the store's thread: of ten thousand it takes a while.

        Raises:
            ConfigError: the store does not say who they are.
        """
        before = self._roll
        if before is not NOBODY:
            self._books.clerk.remark = ""  # from now on those are served who stand in what is there

        def read(store: Store) -> tuple[Roll, Config]:
            roll = call_roll(store, before)
            return roll, joined(config, roll) if joins else config

        try:
            self._roll, config = await self._books.clerk.ask(read)
        except StoreError as error:
            raise unusable(error) from None
        self._note(before)
        return config, self._roll.users

    @property
    def resets(self) -> tuple[str, ...]:
        """Who was reset by somebody else, as the last gathering says."""
        return tuple(sorted(self._resets))

    def _note(self, before: Roll) -> None:
        nobody = Stored("")
        self._resets |= {
            name for name, each in self._roll.stored.items() if _reset(each) != _reset(before.stored.get(name, nobody))
        }

    async def admit(self, wanted: Mapping[str, Limits], opened: Callable[[], object] = lambda: None) -> None:
        """Let users have accounts with these limits; what they used before counts, as far as the store can say it.
        `opened` is called once the limits hold, before the store is asked."""
        resets, self._resets = self._resets, frozenset()
        try:
            await self._books.admit(wanted, resets, opened)
        except StoreError as error:
            log.error(
                "what users have used before is not known yet; until it is, their quotas count from now: %s", error
            )

    def sweep(self) -> None:
        """Count what passed, end who may not go on, and write it down."""
        self._books.sweep()

    async def sums(self) -> dict[str, Counts]:
        """Return all that ever passed, by name; empty where the store does not say it, and `silence` is why."""
        try:
            sums = {each.name: each.counts for each in await self._books.users(ASKED)}
        except StoreError as error:
            self.silence = str(error)
            return {}
        self.silence = ""
        return sums

    @property
    def trouble(self) -> str:
        """Why nothing can be written now; empty while all is well."""
        return self._books.trouble

    @property
    def remark(self) -> str:
        """What became of the store since the last reload, if it is another one than it was; empty as a rule."""
        return self._books.clerk.remark

    @property
    def remarks(self) -> int:
        """How often it was another one, since the start."""
        return self._books.clerk.remarks

    @property
    def unwritten(self) -> Counts:
        """What waits to be written."""
        return self._books.flush.unwritten

    async def close(self) -> bool:
        """Write what is left; False where that cannot be done."""
        return await self._books.close()


def _reset(user: Stored) -> tuple[int, Counts]:
    """Return what is another one after a reset, also by a clock that went back, or a second one at once."""
    return user.reset_at, user.reset_counts
