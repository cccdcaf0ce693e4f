"""What a server has to do with managers: its own, which commands it, and one of others, which it tells what passed.

    open (sockets, names) -> start -> ... -> close (no more commands) -> end (no more is told)

A server without both has none of this.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from ...config.manager import report_place
from ...core.address import Address, pack_ip
from .kept import KeptPorts
from .report import Reporter, make_reporter
from .socket import ManagerSocket, Rules, open_manager

if TYPE_CHECKING:
    from collections.abc import Mapping
    from socket import SocketType

    from ...config.model import Config
    from ...net.reactor import Reactor
    from ..given import GivenSockets
    from .manager import Managed


class Management:
    """Both, as far as a configuration has them."""

    def __init__(self, config: Config) -> None:
        """Look at the configuration of a server."""
        self._config: Final = config
        self.is_there: Final = config.manager_listen is not None
        """True where commands add ports."""
        self._tells: Final = config.manager_address is not None
        self._bound: SocketType | None = None
        self.socket: ManagerSocket | None = None
        """Takes commands; None before the start, after the end, and where there is no manager."""
        self._reporter: Reporter | None = None
        self._telling: asyncio.TimerHandle | None = None

    @property
    def address(self) -> Address | str | None:
        """Where commands come in: a UDP address, or the path of a socket; None where they do not."""
        return None if self.socket is None else self.socket.address

    async def open(self, given: GivenSockets, *, tells: bool) -> None:
        """Bind what is needed; a worker does not `tell`: its master does, who knows what passed through all of them.

        Raises:
            ConfigError: it cannot be had.
        """
        if self._tells and tells:
            place = report_place(self._config)
            if isinstance(place, Address) and pack_ip(place.host) is None:  # a name, which takes time
                loop = asyncio.get_running_loop()
                self._reporter = await loop.run_in_executor(None, make_reporter, self._config)
            else:
                self._reporter = make_reporter(self._config)
        if self.is_there:
            self._bound = await open_manager(self._config.manager_listen or "", given)

    def abandon(self) -> None:
        """Close what was opened for a start that failed."""
        for each in (self._bound, self._reporter):
            if each is not None:
                each.close()
        self._bound = self._reporter = None

    def start(self, service: Managed, reactor: Reactor, given: GivenSockets) -> None:
        """Take commands, and tell what passed."""
        config = self._config
        if self._bound is not None:
            bound, self._bound = self._bound, None
            kept = KeptPorts(config.manager_keep) if config.manager_keep else None
            self.socket = ManagerSocket(
                bound, service, reactor, keeps=given.lends(bound), kept=kept, rules=Rules(config)
            )
        if self._reporter is not None:
            self._tell(service, reactor, self._reporter)

    async def restore(self) -> None:
        """Add the ports that were kept, before the first command is done."""
        if self.socket is not None:
            await self.socket.restore()

    def _tell(self, service: Managed, reactor: Reactor, reporter: Reporter) -> None:
        self._telling = reactor.loop.call_later(reporter.interval, self._tell, service, reactor, reporter)
        reactor.guard(lambda: reporter.tell(service.passed()))

    async def close(self) -> None:
        """Take no more commands. What passes is told on: connections may end by themselves."""
        if self.socket is not None:
            closing, self.socket = self.socket, None
            await closing.close()

    def end(self, passed: Mapping[int, int]) -> None:
        """Tell for the last time what passed."""
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
            if self._reporter is not None:
                self._reporter.tell(passed)
        self.abandon()
