"""Who is served by name, and what passes for them: the users of a running service, their accounts and tables.

    open (the store's users join those of the file) -> furnish -> follow -> sweep ... sweep -> close
                                     gather -> follow: at every reload, of the file or of the store
                                     enrol, dismiss: a server that comes and goes beside the configuration

A service where nobody has a name has none of this. A name is one user, however many ports know it. What changes does so
in place: tables that ports look users up in, limits of accounts that live. What is kept beyond the process is in
`kept.py`, which only those load who have a store.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from ...core.errors import ConfigError, Problem
from ...core.later import later
from ...core.limits import FREE, Limits
from ...proxy.users.account import Account
from ...proxy.users.accounts import Accounts
from ...proxy.users.meter import Meter
from ...proxy.users.table import UserTable
from ...proxy.users.user import User
from ..shared import wall
from .tables import next_turn, users_of

if TYPE_CHECKING:
    from ...config.model import Config, ServerConfig
    from ...config.user import UserConfig
    from ...core.address import Address
    from ...net.reactor import Reactor
    from ...proxy.users.counts import Counts
    from ..siblings import Siblings
    from .kept import Kept

_keep: Final = later(__package__, ".kept", "keep")
_named: Final = later(__package__, "...config.stored", "named")
log = logging.getLogger(__name__)

AGAIN: Final = 5.0
"""Seconds until a store that could not be opened is tried again."""
_GONE: Final = Limits(enabled=False)
"""Of whoever is no user any more, and comes through a door that was open a moment ago."""
_NEVER: Final = float("inf")
PIECE: Final = 500
"""Rows of a table between two turns of the loop: 4 ms."""


class Accounting:
    """The users of one service. Made in a running loop."""

    def __init__(self, siblings: Siblings | None = None) -> None:
        """With `siblings` other processes serve the same ports: limits hold for all of them together."""
        self._seat: Final = None if siblings is None or siblings.board is None else siblings.board.sit(siblings.slot)
        self.accounts: Final = Accounts(None if self._seat is None else self._seat.meet)
        self.kept: Kept | None = None
        """What is kept of them; None: nothing."""
        self.users: Final[dict[str, UserConfig]] = {}
        """All of them, by name."""
        self._servers: Mapping[Address, ServerConfig] = {}
        """Those of the configuration."""
        self._beside: dict[Address, ServerConfig] = {}
        """Those that came beside it."""
        self._known: Mapping[str, UserConfig] = {}
        """Those whom the store defines."""
        self._leaving: set[str] = set()
        """Who is no user any more, and has connections."""
        self._meters: dict[str, Meter] = {}
        """Of users who were here."""
        self._tables: WeakKeyDictionary[UserTable[User], ServerConfig] = WeakKeyDictionary()
        """Of ports that are open, or have connections left."""
        self._filled: WeakKeyDictionary[UserTable[User], ServerConfig] = WeakKeyDictionary()
        """Whose users they hold: of thousands hardly any table changes."""
        self._turn_at = _NEVER
        """When a key begins or ceases to be valid."""
        self._looked_at = wall()
        """Up to when that was heeded."""
        self._opening: asyncio.Task[None] | None = None
        """Tries the store again."""
        self._turning: asyncio.Task[None] | None = None
        self._filling: Final = asyncio.Lock()
        """Held by who fills the tables: what was true when the one began must not come after what the other says."""
        self._reactor: Reactor | None = None

    # -- the beginning ---------------------------------------------------------------------------------

    async def open(self, config: Config) -> None:
        """Open the store of a configuration, if it has one.

        One of several processes begins without it, where it has to: its master had the users, what passes waits at
        the board, and it is tried again.

        Raises:
            ConfigError: it cannot be used.
        """
        if config.store is None:
            return
        try:
            self.kept = await _keep(config, self.accounts, self._seat)
        except ConfigError as error:
            if self._seat is None:
                raise
            for problem in error.problems:
                log.error("%s; what passes is kept in memory until it can be used", problem)
            self._opening = asyncio.create_task(self._open_later(config))  # noqa: TID251 - kept, and ended in `close`

    async def _open_later(self, config: Config) -> None:
        """Try again until the store can be used; then what was counted is written, and what was used before counts."""
        while self.kept is None:
            await asyncio.sleep(AGAIN)
            with suppress(ConfigError):
                self.kept = await _keep(config, self.accounts, self._seat)
        log.warning("the store can be used now; what passed meanwhile is not lost")
        await self.kept.gather(config, joins=False)
        await self.kept.admit(self._with_quotas(self.users))

    async def gather(self, config: Config, *, joins: bool = True) -> Config:
        """Return a configuration with the users of the store, if they `join`; who is left out is told.

        Raises:
            ConfigError: the store does not say who they are.
        """
        if self.kept is None:
            if joins and config.store is not None:
                raise ConfigError([Problem("config", None, "store", "it could not be opened yet")])
            return config
        gathered, self._known = await self.kept.gather(config, joins=joins)
        return gathered

    def named(self, server: ServerConfig) -> ServerConfig:
        """Return a server that comes beside the configuration: where there is a store, its port has a user."""
        return server if self.kept is None else _named(server, self._known)

    def furnish(self, reactor: Reactor) -> None:
        """Let what lives be ended and paced in this reactor."""
        self._reactor = reactor

    # -- users that come, change and go ----------------------------------------------------------------

    async def follow(self, config: Config) -> None:
        """Let the users of a gathered configuration be served, with their limits.

        What lives goes on, by the new limits; also of who is gone, until it ends: whoever is to go at once is disabled.
        """
        self._servers = {server.address: server for server in config.servers}
        self._beside = {at: self.named(server) for at, server in self._beside.items() if at not in self._servers}
        await self._admit((*config.servers, *self._beside.values()))
        await asyncio.sleep(0)  # each part takes some milliseconds with ten thousand
        self._prune()

    async def enrol(self, server: ServerConfig, table: UserTable[User] | None = None) -> None:
        """Let the users of one more server be served, or of one in the place of another, whose `table` it takes."""
        if table is not None:
            self._tables[table] = server
        if self._servers.get(server.address) != server:
            self._beside[server.address] = server
            await self._admit((server,))

    def found(self, wanted: Address, address: Address) -> None:
        """The system chose where a server listens that was enrolled."""
        if wanted in self._beside and wanted != address:
            self._beside[address] = replace(self._beside.pop(wanted), address=address)

    def dismiss(self, addresses: Iterable[Address]) -> None:
        """Servers are gone: whoever was only there is no user any more."""
        for address in addresses:
            self._beside.pop(address, None)
        self._prune()

    def _with_quotas(self, users: Mapping[str, UserConfig]) -> dict[str, Limits]:
        """Return the limits of those who have an account already, or are to have one before they come."""
        return {
            name: user.limits
            for name, user in users.items()
            if user.limits.quota is not None or self.accounts.find(name) is not None
        }

    async def _admit(self, servers: Iterable[ServerConfig]) -> None:
        """Open accounts, with the limits that stand with the name first."""
        found: dict[str, UserConfig] = {}
        for server in servers:
            for user in server.users or ():
                if user.name not in found or found[user.name].limits is FREE:
                    found[user.name] = user
        before = {name: self.users[name].limits for name in self._meters if name in self.users}
        new = {name: user for name, user in found.items() if name not in self.users}
        self.users.update((name, user) for name, user in found.items() if name not in new)
        self._leaving.difference_update(new)  # who is back keeps his account
        # Whoever has no quota has an account once he comes: of ten thousand users hardly any is there.
        wanted = self._with_quotas(found)

        def change() -> None:
            """Let new limits hold for what lives."""
            for name, meter in list(self._meters.items()):
                if name in wanted and before.get(name) != wanted[name]:
                    meter.change(wanted[name])

        if self.kept is None:
            now, at = self._now(), wall()
            for name, limits in wanted.items():
                self.accounts.open(name, limits, now, at)
            change()
        else:
            await self.kept.admit(wanted, change)
        # Whoever is new comes last: if he has used up his quota, he gets nothing through.
        async with self._filling:
            await asyncio.sleep(0)
            await self._fill({server.address: server for server in servers if server.address.port}, new)
            await asyncio.sleep(0)
        self._look_for_turn()

    def _prune(self) -> None:
        """Let whoever is at no server be no user any more."""
        here = {user.name for server in self._all() for user in server.users or ()}
        gone = [name for name in self.users if name not in here]
        for name in gone:
            del self.users[name]
        self._leaving.update(gone)
        self._part()
        self._look_for_turn()

    def _part(self) -> None:
        """Forget those who are no users any more, and of whom nothing lives."""
        for name in list(self._leaving):
            account = self.accounts.find(name)
            if name in self.users or account is None or (account.is_asleep and not account.connections):
                self._leaving.discard(name)
                if name not in self.users:
                    self._meters.pop(name, None)
                    self.accounts.close(name)

    def _all(self) -> Collection[ServerConfig]:
        return (*self._servers.values(), *self._beside.values())

    def _look_for_turn(self) -> None:
        self._turn_at = min((next_turn(server, self._looked_at) for server in self._all()), default=_NEVER)

    async def _turn(self) -> None:
        """Let the tables hold the keys that are valid now."""
        async with self._filling:
            since, at = self._looked_at, wall()
            for table, server in list(self._tables.items()):
                if at < since or next_turn(server, since) <= at:
                    self._filled.pop(table, None)
            self._looked_at = at
            await self._fill({}, {})
        self._look_for_turn()

    async def _fill(self, others: Mapping[Address, ServerConfig], new: Mapping[str, UserConfig]) -> None:
        """Let the tables hold the users of their servers, or of those in their places; these are new."""
        for table, before in list(self._tables.items()):
            server = self._tables[table] = others.get(before.address, before)
            filled = self._filled.get(table)
            if filled is not None and filled.users is server.users and filled.method is server.method:
                continue
            users: list[User] = []
            for user in users_of(server, wall(), table):
                users.append(user)
                if not len(users) % PIECE:
                    await asyncio.sleep(0)
            self._filled[table] = server
            self.users.update(new)  # before a table has their keys, or they would be nobody
            self._review(table.set(users))
        self.users.update(new)

    def _review(self, users: Iterable[User]) -> None:
        """End the sessions of users by keys that are not theirs any more: no datagram of theirs would pass."""
        for name in {user.name for user in users}:
            meter = self._meters.get(name)
            if meter is not None:
                meter.review()

    # -- what a port asks for --------------------------------------------------------------------------

    def table(self, server: ServerConfig) -> UserTable[User] | None:
        """Return those who share a server, None where nobody does. It follows what changes."""
        if not server.is_shared:
            return None
        table = UserTable(users_of(server, wall()))
        self._tables[table] = self._filled[table] = server
        return table

    def owner(self, server: ServerConfig) -> User | None:
        """Return who has a port's own password, None where nobody in particular has."""
        return None if server.owner is None else User(server.owner.name, ())

    def meter_of(self, server: ServerConfig) -> Callable[[User | None], Meter | None] | None:
        """Return what finds whom a connection to a server is counted for; None: nobody is counted there."""
        return None if server.users is None else self._meter_of

    def _meter_of(self, user: User | None) -> Meter | None:
        return None if user is None else self.meter(user.name)

    def meter(self, name: str) -> Meter:
        """Return the meter of a user; it is made when it is first needed."""
        meter = self._meters.get(name)
        if meter is None:
            assert self._reactor is not None, "ports open after it is known"
            account, user = self.accounts.find(name), self.users.get(name)
            if account is None and user is None:  # gone since the key was found: nobody is let in
                return Meter(self._reactor, Accounts().open(name, _GONE, self._now(), wall()), wall)
            if account is None and user is not None:
                account = self.accounts.open(name, user.limits, self._now(), wall())
            assert account is not None, "one of them is there"
            meter = self._meters[name] = Meter(self._reactor, account, wall)
        return meter

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    # -- once a second ---------------------------------------------------------------------------------

    def sweep(self) -> None:
        """Count what passed, end who may not go on, write it down; let keys come and go."""
        at = wall()
        if (at >= self._turn_at or at < self._looked_at) and (self._turning is None or self._turning.done()):
            self._turning = asyncio.create_task(self._turn())  # noqa: TID251 - kept, and ended in `close`
        if self._leaving:
            self._part()
        if self.kept is not None:
            self.kept.sweep()
            return
        self.accounts.sweep(self._now(), at)
        if self._seat is not None:
            self._seat.tend()

    async def close(self) -> None:
        """Write what is left."""
        if self._turning is not None:
            self._turning.cancel()
            await asyncio.wait([self._turning])
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        is_clean = self._opening is None or self.kept is not None
        if self.kept is not None:
            kept, self.kept = self.kept, None
            is_clean = await kept.close()
        if self._seat is not None:
            self._seat.leave(is_clean=is_clean)

    # -- what is told ----------------------------------------------------------------------------------

    def refused(self) -> Counter[str]:
        """Return how many are refused now, by the word for why."""
        at = wall()
        accounts = ((user, self.accounts.find(name)) for name, user in self.users.items())
        words = (user.limits.refuse(at) if account is None else account.refuse(at) for user, account in accounts)
        return Counter(word for word in words if word is not None)

    def lived(self, name: str) -> float:
        """Return the seconds that connections and sessions of a user have lived."""
        meter = self._meters.get(name)
        return 0.0 if meter is None else meter.lived

    async def rows(self, name: str | None = None) -> list[dict[str, Any]]:
        """Return what is to be told of each user, or of one; bytes are all that ever passed, if that is known."""
        sums = {} if self.kept is None else await self.kept.sums()
        ports: dict[str, list[int]] = {}
        for server in self._all():
            for user in server.users or ():
                ports.setdefault(user.name, []).append(server.address.port)
        rows: list[dict[str, Any]] = []
        for user in list(self.users.values()):
            if name in (None, user.name):
                row = _row(user, self.accounts.find(user.name), sums.get(user.name), wall())
                rows.append({**row, "ports": ports.get(user.name, [])})
                if not len(rows) % PIECE:
                    await asyncio.sleep(0)
        return rows


def _row(user: UserConfig, account: Account | None, counts: Counts | None, at: int) -> dict[str, Any]:
    account = account or Account(user.name, user.limits)  # he was not here since the start
    counts, quota, used = counts or account.counts, user.limits.quota, account.used(at)
    return {
        "name": user.name,
        "note": user.note,
        "enabled": user.limits.enabled,
        "refused": account.refuse(at),
        "connections": account.connections,
        "sessions": account.live_sessions,
        "sources": account.live_sources,
        **counts._asdict(),
        "used": None if quota is None else used,
        "quota": None if quota is None else quota.size,
        "left": None if quota is None else max(0, quota.size - used),
        "expires": user.limits.expires,
    }
