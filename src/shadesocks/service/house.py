"""What a service consists of while it runs: its open ports, and what they share.

    bind_all -> furnish -> open each -> settle, now and then

Used by `service.py` for its life, and by the role and `changes.py` for what comes and goes.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from ..core.errors import ConfigError, Problem
from ..crypto.replay_packets import PacketSalts
from ..net.crowd import Crowd
from ..net.datagrams import make_datagrams
from ..net.listen import Listener
from ..net.origin import OriginPolicy
from ..net.pipe import Scratch
from .given import GivenSockets
from .limits import SESSIONS_MOST, SESSIONS_PER_SOURCE
from .plugins.behind import bind_behind, close_all, put_plugin_before, seats_of
from .plugins.plugins import Plugins
from .ports import OpenPort, Ports, not_bound
from .rules import origin_policy
from .shared import Shared
from .state import SaltMemory, state_directory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..config.model import Config, ServerConfig
    from ..net.reactor import Reactor
    from ..net.resolve import Resolver
    from ..proxy.users.table import UserTable
    from ..proxy.users.user import User
    from .journal import Journal
    from .port import Port
    from .ports import Bound
    from .rules import AclShelf
    from .siblings import Siblings
    from .speaker import Speaker
    from .users.accounting import Accounting


class House:
    """The ports of one service, and all that they share."""

    def __init__(self, config: Config, speaker: Speaker) -> None:
        self.config = config
        """What it serves by: after a reload, with the new servers."""
        self.speaker = speaker
        self.ports = Ports(speaker)
        self.numbers: set[int] = set()
        """Numbers of ports at which this process listens, which its clients do not reach."""
        self.other_numbers: tuple[int, ...] = ()
        """Those among them that belong to no port: a manager's."""
        self.given = GivenSockets()
        self.siblings: Siblings | None = None
        self.descriptors = 0
        self.has_packets = False
        """Whether a port serves datagrams."""
        self.is_up = False
        """True from the end of a start until the stop."""
        self.changing = asyncio.Lock()
        """Held by whoever lets servers come and go."""
        self.accounting: Accounting | None = None
        """Who is served by name; None: nobody has one."""
        self.was_up = False
        """True once it was furnished: what it has shared can be asked."""
        self.shared: Shared

    @property
    def takes_changes(self) -> bool:
        """True while servers may come: it runs, and does not drain."""
        return self.is_up and not self.ports.drains

    async def people(self, config: Config) -> Config:
        """Return a configuration with the users of the store beside those of its file. A worker begins with the
        master's, which has them; what it reads later it gathers itself, for the ports that the master has bound.

        Raises:
            ConfigError: the store cannot be used.
        """
        peopled = await self._people(replace(config, store=self.config.store))  # another one takes a restart
        return replace(peopled, store=config.store)

    @property
    def resets(self) -> tuple[str, ...]:
        """Whose quota begins anew with the people that were gathered last."""
        kept = None if self.accounting is None else self.accounting.kept
        return () if kept is None else kept.resets

    async def _people(self, config: Config) -> Config:
        if self.accounting is None:
            if config.store is None and all(server.users is None for server in config.servers):
                return config
            from .users.accounting import Accounting

            accounting = Accounting(self.siblings)
            await accounting.open(config)
            self.accounting = accounting
        if self.siblings is None:
            return await self.accounting.gather(config)
        gathered = await self.accounting.gather(config, joins=self.is_up)
        named = {server.address for server in config.servers}
        can_be = [
            server
            for server in gathered.servers
            if server.address in named or self.ports.at(server.address) is not None or self.given.has(server.address)
        ]  # who came to the store since the master looked has a reload of his own
        return replace(gathered, servers=tuple(can_be))

    async def follow_users(self, config: Config) -> None:
        """Let who is served already go by the users of a configuration; raises ConfigError as `people`."""
        if self.accounting is not None:
            mine = replace(config, store=self.config.store)
            await self.accounting.follow(await self.accounting.gather(mine))

    async def settle_in(self) -> None:
        """Let the users of the configuration have their accounts, and those that are gone none."""
        accounting = self.accounting
        if accounting is None:
            return
        self._lend(accounting)
        await accounting.follow(self.config)

    async def enrol(self, server: ServerConfig, table: UserTable[User] | None = None) -> None:
        """Let the users of a server that comes beside the configuration have accounts; see `Accounting.enrol`."""
        if self.accounting is None and server.users is not None:
            from .users.accounting import Accounting

            self.accounting = Accounting(self.siblings)
            self._lend(self.accounting)
        if self.accounting is not None:
            await self.accounting.enrol(server, table)

    def _lend(self, accounting: Accounting) -> None:
        if self.shared.accounting is None:
            accounting.furnish(self.shared.reactor)
            self.shared = replace(self.shared, accounting=accounting)

    async def bind_all(self, wanted: Sequence[Port]) -> list[tuple[Port, Bound]]:
        """Bind all ports that are wanted.

        Raises:
            ConfigError: some cannot be had: all of them, and none is bound.
        """
        bound: list[tuple[Port, Bound]] = []
        problems: list[Problem] = []
        for port in wanted:
            try:
                bound.append(await bind_behind(self.config, port, self.given))
            except OSError as error:
                problems.append(not_bound(port, error, self.given))
        if problems:
            close_all(bound)
            raise ConfigError(problems)
        return bound

    def furnish(self, reactor: Reactor, journal: Journal, acls: AclShelf, resolver: Resolver) -> None:
        """Make what the ports share."""
        config, descriptors, siblings = self.config, self.descriptors, self.siblings
        most = min(SESSIONS_MOST, max(1, descriptors // 4))
        crowd = Crowd(most, config.udp_max_associations or most, config.udp_max_per_source or SESSIONS_PER_SOURCE)
        self.shared = Shared(
            config,
            reactor,
            Scratch(),
            journal,
            resolver,
            origin_policy(config, self.numbers),
            OriginPolicy(allow_private=True, own_ports=self.numbers),
            acls,
            SaltMemory(state_directory(config.state_dir), reactor.loop.time, siblings, shared=config.reuse_port),
            config.silent_limit or max(1, descriptors // 4),
            # Without UDP the plain way, which nobody takes: the other has 0.8 MiB of ctypes.
            make_datagrams(reactor, config.udp_io if self.has_packets else "plain"),
            crowd,
            PacketSalts() if siblings is None else siblings.packet_salts,
            siblings,
            plugins=Plugins(crowd),
        )
        self.was_up = True

    def open(self, port: Port, bound: Bound) -> OpenPort:
        """Begin to serve a port that is bound."""
        face = port.open(self.shared, bound[1])
        seats = seats_of(port, bound)
        for seat in seats:
            self.speaker.listening(f"{port.role} {seat.way}", seat.wanted, seat.address, port.forward)
        opened = OpenPort(port, face, tuple(seat.address for seat in seats))
        put_plugin_before(opened, seats, self.shared.plugins)
        self.numbers |= opened.numbers
        if bound[0] is not None:
            assert face.flow is not None, "a port that listens for streams serves them"
            opened.listener = Listener(
                self.shared.reactor, bound[0], face.flow.accept, self.descriptors, shared=self.given.shared
            )
        self.ports.add(opened)
        return opened

    def settle(self) -> None:
        """Really close what was closed, and let go of its numbers."""
        self.shared.reactor.settle()
        self.numbers.clear()
        self.numbers.update(number for port in self.ports for number in port.numbers)
        self.numbers.update(self.other_numbers)
