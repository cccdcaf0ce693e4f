"""What a server has to do with managers: its own, which commands it, and one of others, which it tells what passed.

    open (sockets, names) -> start -> ... -> close (no more commands) -> end (no more is told)

A server without both has none of this.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from ...config.manager import report_place
from ...core.address import Address, pack_ip
from ..given import duplicate
from .kept import KeptPorts
from .report import Reporter, make_reporter
from .socket import ManagerSocket, Rules, open_manager

if TYPE_CHECKING:
    from collections.abc import Mapping
    from socket import SocketType

    from ...config.model import Config
    from ...net.reactor import Reactor
    from ..given import GivenSockets
    from ..siblings import Siblings
    from .manager import Managed


def _of_all(sock: SocketType, service: Managed, reactor: Reactor, siblings: Siblings, rules: Rules) -> ManagerSocket:
    """Return the socket of a manager of all workers."""
    from .figures import AllFigures
    from .hands import AllHands
    from .kept import PassedOn

    desk, path = siblings.desk, service.config.manager_keep
    assert desk is not None, "it has the socket"
    assert desk.ask is not None, "a worker has a line to its master"
    assert siblings.share is not None, "where there is a manager, somebody wants to know what passed"
    kept = PassedOn(path, desk.kept) if path else None
    figures = AllFigures(service, siblings.share)
    hands = AllHands(service, desk.ask)
    return ManagerSocket(sock, service, reactor, keeps=True, kept=kept, rules=rules, hands=hands, figures=figures)


class Management:
    """Both, as far as a configuration has them."""

    def __init__(self, config: Config) -> None:
        """Look at the configuration of a server."""
        self._config: Final = config
        self.is_there: Final = config.manager_listen is not None
        """True where commands add ports."""
        self._tells: Final = config.manager_address is not None
        self._bound: SocketType | None = None
        self._siblings: Siblings | None = None
        self.socket: ManagerSocket | None = None
        """Takes commands; None before the start, after the end, and where there is no manager."""
        self._reporter: Reporter | None = None
        self._telling: asyncio.TimerHandle | None = None

    @property
    def address(self) -> Address | str | None:
        """Where commands come in: a UDP address, or the path of a socket; None where they do not."""
        return None if self.socket is None else self.socket.address

    async def open(self, given: GivenSockets, siblings: Siblings | None) -> None:
        """Bind what is needed. Of workers one has the manager, whose socket is bound; and their master tells others.

        Raises:
            ConfigError: it cannot be had.
        """
        self._siblings = siblings
        if self._tells and siblings is None:
            place = report_place(self._config)
            if isinstance(place, Address) and pack_ip(place.host) is None:  # a name, which takes time
                loop = asyncio.get_running_loop()
                self._reporter = await loop.run_in_executor(None, make_reporter, self._config)
            else:
                self._reporter = make_reporter(self._config)
        if siblings is not None and siblings.desk is not None:
            self._bound = duplicate(siblings.desk.sock)
        elif self.is_there and siblings is None:
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
            rules, keeps = Rules(config), given.lends(bound)
            if self._siblings is None:
                kept = KeptPorts(config.manager_keep) if config.manager_keep else None
                self.socket = ManagerSocket(bound, service, reactor, keeps=keeps, kept=kept, rules=rules)
            else:
                self.socket = _of_all(bound, service, reactor, self._siblings, rules)
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
