"""A service: listeners, what they are made of, and their life.

    Service.server(config) or Service.local(config) -> start -> drain -> stop
                                                      add, remove, change, reload: the servers of a started one

Nothing runs before `start`; a start that fails leaves nothing behind. One service owns one reactor
in the running loop; several may live in one process. What it is, a server or a client, is its role (`roles/`); what
it consists of is its house (`house.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ..core.errors import ConfigError, Problem
from ..net.crowd import PacketCounts
from ..net.reactor import Reactor
from .house import House
from .journal import Journal
from .limits import raise_nofile
from .needs import prepare
from .plugins.behind import close_all
from .roles import ROLES
from .sockets import dialled_options
from .speaker import Speaker
from .voices import place, voice_of

if TYPE_CHECKING:
    from ..config.model import Config, ServerConfig
    from ..core.address import Address
    from ..net.resolve import Resolver
    from ..net.story import Wait
    from .control.socket import Commands
    from .given import GivenSockets
    from .ports import Ports
    from .reloaded import Reloaded
    from .shared import Shared
    from .siblings import Siblings
    from .users.accounting import Accounting

log = logging.getLogger(__name__)

SWEEP: Final = 1.0
"""Seconds between two flushes of the journal."""
SWEEPS_PER_LOOK: Final = 5
"""Sweeps between two looks at all relays: idle time-outs are minutes, and a look costs 0.2 us a relay."""

LAST_LOOK: Final = 0.25
"""Seconds between two looks at whether the last connection has ended."""


class Service:
    """Servers or local listeners of one configuration."""

    def __init__(self, config: Config, role: str) -> None:
        self._sweeper: asyncio.TimerHandle | None = None
        self._sweeps = 0
        self.role = role
        """`server` or `local`."""
        self.speaker = Speaker(voice_of(config.log_style, role), shows_time=not config.log_without_time)
        """Says what the service does, in the words of `log.style`."""
        self.journal = Journal(
            show_targets=config.log_targets,
            show_times=not config.log_without_time,
            speaker=None if config.log_style == "shadesocks" else self.speaker,
        )
        self.reloaded: Reloaded | None = None
        """What came of the last reload."""
        self.reread: Callable[[], Awaitable[dict[str, Any]]] | None = None
        """Lets its process read the configuration again; None: there is none to read."""
        self._house = House(config, self.speaker)
        self._role = ROLES[role](self, self._house)

    @classmethod
    def server(cls, config: Config) -> Service:
        """The servers of a configuration: what `shadesocks server` runs."""
        return cls(config, "server")

    @classmethod
    def local(cls, config: Config) -> Service:
        """The local listeners of a configuration: what `shadesocks local` runs."""
        return cls(config, "local")

    @property
    def ports(self) -> Ports:
        """Those that it listens on, and those that it left."""
        return self._house.ports

    @property
    def _shared(self) -> Shared:
        return self._house.shared

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where the service listens, with the ports the system chose where 0 was asked for."""
        return self.ports.addresses

    @property
    def manager_address(self) -> Address | str | None:
        """Where the manager takes commands: a UDP address, or the path of a socket; None where there is none."""
        return self._role.manager_address

    @property
    def config(self) -> Config:
        """What it serves by: after a reload, with the new servers."""
        return self._house.config

    @property
    def servers(self) -> tuple[ServerConfig, ...]:
        """The servers that listen, with the ports the system chose where 0 was asked for; those of a client."""
        return self._role.servers

    @property
    def commands(self) -> Commands:
        """What may be asked of it, while it runs, over a control socket."""
        from .control.commands import commands_of

        return commands_of(self, self._shared, self.ports)

    @property
    def accounting(self) -> Accounting | None:
        """Who is served by name; None: nobody has one."""
        return self._house.accounting

    def passed(self) -> dict[int, int]:
        """Return payload bytes, up and down, by the number of the server's port; also of those that are gone."""
        return self.ports.passed()

    @property
    def names(self) -> Resolver:
        """Who looks names up, once it was started."""
        return self._shared.names

    @property
    def probes(self) -> Counter[str]:
        """What came of questions through servers, by word: `works`, or a reason."""
        return sum((Counter(roster.probes) for roster in self._shared.rosters), Counter())

    def passed_at(self, port: int) -> int:
        """Return payload bytes of one port number."""
        return self.ports.passed_at(port)

    @property
    def totals(self) -> tuple[int, int, int]:
        """Live connections, and payload bytes up and down since the start, in streams and datagrams."""
        (live, up, down), packets = self.journal.totals(), self.packets
        return live, up + packets.up_bytes, down + packets.down_bytes

    @property
    def packets(self) -> PacketCounts:
        """Live UDP sessions, packets and payload bytes up and down since the start, and drops by reason word."""
        if not self._house.was_up:
            return PacketCounts(0, 0, 0, 0, 0, {})
        counts = self._shared.crowd.counts()
        return replace(counts, dropped=Counter(counts.dropped) + self._shared.datagrams.dropped)

    async def start(self, given: GivenSockets | None = None, siblings: Siblings | None = None) -> None:
        """Bind every listener that was not given, then accept. What is given is ours; what fits nowhere is closed.

        With `siblings` other processes serve the same ports, and were given the same.

        Raises:
            ConfigError: an address cannot be listened on, an access list cannot be used, or an option, a library
                or a right is missing. Nothing was started.
        """
        house = self._house
        if given is not None:
            house.given = given
        house.siblings = siblings
        self.speaker.is_silent = siblings is not None and not siblings.speaks
        try:
            await self._start()
        except BaseException:
            house.given.close()
            await self._forget_users()
            raise
        for text in house.given.close_unused():
            log.warning("%s was given to this process, and the config does not listen there; it is closed", text)

    async def _start(self) -> None:
        house, role = self._house, self._role
        if role.has_users:
            house.config = await house.people(house.config)
        config = house.config
        acls, resolver = prepare(config)
        for warning in acls.warnings:
            log.warning("%s", warning)
        house.descriptors = raise_nofile(config.nofile)
        wanted = role.ports(config)
        house.has_packets = role.has_packets or any(port.has_packets for port in wanted)
        bound = await house.bind_all(wanted)
        try:
            await role.bind()
            reactor = Reactor(config.event_model)
        except BaseException as error:
            close_all(bound)
            role.unbind()
            if not isinstance(error, ValueError):
                raise
            raise ConfigError([Problem("config", None, "event_model", str(error))]) from None
        house.furnish(reactor, self.journal, acls, resolver)
        await house.settle_in()
        self.speaker.say("model", name=reactor.poller.name)
        for server in config.servers:
            self.speaker.say("next", place=place(server.address.host, server.address.port))
        with self.speaker.together():
            for port, sockets in bound:
                house.open(port, sockets)
        if self._shared.crowd.relays:
            self.speaker.say("batches", name=self._shared.datagrams.name)
        role.begin()
        self._sweeper = reactor.loop.call_later(SWEEP, self._sweep)
        house.is_up = True
        await role.restore()

    # -- servers that come and go ------------------------------------------------------------------

    async def add(self, server: ServerConfig) -> Address:
        """Serve one more server from now on, and return where it listens. Until `stop`: a new start knows none of it.

        Raises:
            ConfigError: it cannot listen, its access list cannot be used, or its options cannot be had. Nothing
                changed.
        """
        from . import changes

        async with self._house.changing:
            return await changes.add(self._house, server)

    async def remove(self, which: Address | int) -> bool:
        """End the server on an address, or all on ports of that number, with all of their connections.

        Return False where none listens there.
        """
        from . import changes

        async with self._house.changing:
            return changes.remove(self._house, which)

    async def change(self, server: ServerConfig, *, cuts: bool = False) -> None:
        """Serve a server in the place of the one on its address. Its UDP sessions end, with `cuts` all it has.

        Raises:
            ConfigError: as `add`. The old one serves on, but for its sessions.
        """
        from . import changes

        async with self._house.changing:
            await changes.change(self._house, server, cuts=cuts)

    async def reload(self, config: Config) -> tuple[Problem, ...]:
        """Serve the servers that a changed configuration names, and return what could not be done.

        One that is as before is left alone. One that is gone or is another listens no more, while its connections go
        on; its UDP sessions end. What was added beside the configuration stays. What of the rest is in force at once,
        and what needs a restart, says the log, and `reloaded`. A client's listeners stay, and use the servers that it
        names. An access list with mistakes, or an option that cannot be had, lets all be as it was.
        """
        from . import changes

        async with self._house.changing:
            self.reloaded, problems = await changes.reload(self._house, self._role, config)
        return problems

    # -- the rest of its life ----------------------------------------------------------------------

    def _sweep(self) -> None:
        """Once a second: look at the UDP sessions, write the journal; every few seconds look at all relays.

        What fails keeps nothing else from being done, nor itself the next time: limits hold by it, too.
        """
        reactor = self._shared.reactor
        self._sweeper = reactor.loop.call_later(SWEEP, self._sweep)
        self._sweeps += 1
        if self._sweeps % SWEEPS_PER_LOOK == 0:
            reactor.guard(self._look)
        for part in self._swept():
            reactor.guard(part)

    def _look(self) -> None:
        self.journal.sweep(self._shared.reactor.loop.time(), self.config, dialled_options(self.config))
        self._shared.salts.tell()

    def _swept(self) -> Iterator[Callable[[], object]]:
        shared = self._shared
        yield shared.crowd.sweep
        yield self._role.settle
        if shared.accounting is not None:
            yield shared.accounting.sweep
        yield shared.reactor.settle
        yield self.ports.settle
        yield self.journal.flush
        yield partial(self.speaker.beat, self.journal)

    async def drain(self, limit: float) -> None:
        """Accept no more; wait up to `limit` seconds for the live connections to end, also of who came last."""
        from .farewell import last_requests

        await self._close_listeners()
        await self.journal.quiet(await last_requests(self.ports.every, limit))

    async def quit(self, left: Callable[[], object] = lambda: None) -> None:
        """Give up every port at once, call `left`, and wait until the last connection has ended by itself.

        Sessions of UDP end then: whoever has the port next takes what their clients send. With `reuse_port` a port is
        given up when all that is new comes to another process, which takes a second and loses no connection.
        """
        if self.config.reuse_port:
            if self._house.siblings is None:  # of workers, their master does it
                self.ports.steer_away()
            from ..net.steer import SETTLING

            await asyncio.sleep(SETTLING)
        self._shared.salts.leave()
        await self._close_listeners()
        self.ports.leave_all()
        await self._shared.plugins.settle()
        for packets in list(self._shared.crowd.relays):  # a client's; those of associations have numbers of their own
            if packets.front.sock.getsockname()[1] in self._house.numbers:
                self.speaker.say("closed packets", port=packets.front.sock.getsockname()[1])
                packets.close()
        self._house.settle()
        left()
        while not self.ports.are_idle:  # noqa: ASYNC110 - connections tell nobody of their end
            await asyncio.sleep(LAST_LOOK)

    async def stop(self) -> None:
        """Close everything that is left. The service can be started again."""
        await self._close_listeners()
        if self._sweeper is None:
            return
        self._sweeper.cancel()
        self._sweeper = None
        self._house.is_up = False
        self.speaker.say("stopping")
        shared = self._shared
        for relay in list(self.journal.relays):
            relay.close("stopped")
        for port in self.ports.every:
            port.face.close()
            port.face.evict()
        with self.speaker.together():
            for packets in list(shared.crowd.relays):
                self.speaker.say("closed packets", port=packets.front.sock.getsockname()[1])
                packets.close()
        self._role.close()
        await shared.plugins.stop()
        await self._forget_users()
        shared.reactor.stop()
        await shared.names.close()
        shared.salts.close()
        (shared.packet_salts if shared.siblings is None else shared.siblings).close()
        self.ports.clear()
        self._house.numbers.clear()
        self.journal.flush()

    async def _forget_users(self) -> None:
        """Write down what passed for them, and let go of them."""
        accounting, self._house.accounting = self._house.accounting, None
        if accounting is not None:
            await accounting.close()

    def spawn(self, story: Coroutine[Wait, None, Any]) -> asyncio.Future[Any]:
        """Run a story (`net/story.py`) on the started service's reactor, and await its result from a task."""
        return self._shared.reactor.spawn(story)

    async def _close_listeners(self) -> None:
        await self._role.leave()
        self._house.given.close()
        if self._sweeper is not None:
            self.ports.stop_listening()
            self._role.rest()
            self._shared.reactor.settle()
