"""Who does to ports what a manager's commands want: the one process that serves, or all workers of a master.

put      a port as it is to be: all of it, or nothing
remove   a port and its connections
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from ...core.errors import ConfigError, Problems
from .change import Change

if TYPE_CHECKING:
    from ...config.model import Config, ServerConfig
    from ...core.address import Address
    from .manager import Managed

TOGETHER: Final = 64
"""Changes that are done in one go by all workers: 128 sockets, in two messages to each."""

Ask = Callable[[Sequence[Change]], Awaitable[list[Problems]]]
"""Lets the master have changes done by all workers, and returns of each why it could not be; nothing where it is."""


class Hands(Protocol):
    """Who does it."""

    @property
    def at_once(self) -> int:
        """How many changes may be under way."""

    async def put(self, change: Change, servers: Sequence[ServerConfig]) -> None:
        """Serve these in the place of all that listens on their port.

        Raises:
            ConfigError: one cannot be had. All is as before.
        """

    async def remove(self, port: int) -> bool:
        """End those on a port, and their connections; False where there are none."""

    async def close(self) -> None:
        """Nothing is wanted any more."""


class OwnHands:
    """The ports of one process."""

    at_once = 1

    def __init__(self, service: Managed) -> None:
        """Change the ports of a started service."""
        self._service: Final = service

    async def put(self, change: Change, servers: Sequence[ServerConfig]) -> None:
        """See `Hands`."""
        there = [server for server in self._service.servers if server.address.port == change.port]
        done: list[Address] = []
        try:
            for one in servers:
                if there:
                    await self._service.change(one, cuts=change.cuts)
                else:
                    await self._service.add(one)
                done.append(one.address)
        except ConfigError:
            await self._undo(done, there)
            raise
        for old in there:
            if old.address not in done:
                await self._service.remove(old.address)

    async def _undo(self, done: list[Address], there: list[ServerConfig]) -> None:
        """Put what was there back on the addresses that were changed before one could not be."""
        before = {old.address: old for old in there}
        for address in done:
            with suppress(ConfigError):  # it listened there a moment ago
                if address in before:
                    await self._service.change(before[address])
                else:
                    await self._service.remove(address)

    async def remove(self, port: int) -> bool:
        """See `Hands`."""
        return await self._service.remove(port)

    async def close(self) -> None:
        """See `Hands`."""

    async def follow(
        self, changes: Sequence[Change], config: Config, fit: Callable[[list[ServerConfig]], list[ServerConfig]]
    ) -> list[Problems]:
        """Do what all workers do, and return of each change why it could not be done; nothing where it is."""
        outcomes: list[Problems] = []
        for change in changes:
            try:
                servers = fit(change.servers(config))
                if servers:
                    await self.put(change, servers)
                else:
                    await self.remove(change.port)
            except ConfigError as error:
                outcomes.append(tuple(error.problems))
            else:
                outcomes.append(())
        return outcomes


class AllHands:
    """The ports of all workers. What is wanted while something is done gathers, and is done together."""

    at_once = TOGETHER

    def __init__(self, service: Managed, ask: Ask) -> None:
        """Change the ports of all by asking for it; this service is one of them."""
        self._service: Final = service
        self._ask: Final = ask
        self._wanted: list[tuple[Change, asyncio.Future[Problems]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def put(self, change: Change, servers: Sequence[ServerConfig]) -> None:
        """See `Hands`."""
        problems = await self._do(change)
        if problems:
            raise ConfigError(problems)

    async def remove(self, port: int) -> bool:
        """See `Hands`."""
        was_there = any(server.address.port == port for server in self._service.servers)
        await self._do(Change(port))
        return was_there

    async def _do(self, change: Change) -> Problems:
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Problems] = loop.create_future()
        self._wanted.append((change, outcome))
        if self._asking is None:
            self._asking = loop.create_task(self._ask_for_all())
        return await outcome

    async def _ask_for_all(self) -> None:
        """Ask for what is wanted, until nothing is."""
        try:
            await asyncio.sleep(0)  # those who come in this turn come along
            while self._wanted:
                batch, self._wanted = self._wanted[:TOGETHER], self._wanted[TOGETHER:]
                outcomes = await self._ask([change for change, _ in batch])
                for (_, outcome), problems in zip(batch, outcomes, strict=True):
                    if not outcome.done():
                        outcome.set_result(problems)
        finally:
            self._asking = None

    async def close(self) -> None:
        """Wait for no answer any more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait((self._asking,))
