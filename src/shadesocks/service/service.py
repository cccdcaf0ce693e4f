"""A service: listeners, what they are made of, and their life.

    Service.server(config) or Service.local(config) -> start -> drain -> stop
                                                      add, remove, change, reload: the servers of a started one

Nothing runs before `start`; a start that fails leaves nothing behind. One service owns one reactor
in the running loop; several may live in one process.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ..config.model import Config
from ..core.address import Address
from ..core.errors import ConfigError, Problem
from ..crypto.replay_packets import PacketSalts
from ..net.crowd import Crowd, PacketCounts
from ..net.datagrams import make_datagrams
from ..net.listen import Listener
from ..net.origin import OriginPolicy
from ..net.pipe import Scratch
from ..net.reactor import Reactor
from ..net.steer import SETTLING
from .build import Port, local_port, server_port
from .farewell import last_requests
from .follow import OF_PORTS, differ, follow, usable
from .given import GivenSockets
from .journal import Journal
from .limits import SESSIONS_MOST, SESSIONS_PER_SOURCE, raise_nofile
from .manager.management import Management
from .needs import prepare
from .plugins.behind import bind_all, bind_behind, close_all, put_plugin_before, seats_of
from .plugins.plugins import Plugins, check_plugin
from .ports import Bound, OpenPort, Ports, close_sockets, not_bound
from .reloaded import Reloaded, compare, refused, tell
from .renew import renew
from .rules import origin_policy
from .shared import Shared
from .sockets import check_sockets, dialled_options
from .speaker import Speaker
from .state import SaltMemory, state_directory
from .subscriptions.online import Online
from .voices import place, voice_of

if TYPE_CHECKING:
    from ..config.model import ServerConfig
    from ..net.story import Wait
    from .control.socket import Commands
    from .siblings import Siblings

log = logging.getLogger(__name__)

SWEEP: Final = 1.0
"""Seconds between two flushes of the journal."""
SWEEPS_PER_LOOK: Final = 5
"""Sweeps between two looks at all relays: idle time-outs are minutes, and a look costs 0.2 us a relay."""

LAST_LOOK: Final = 0.25
"""Seconds between two looks at whether the last connection has ended."""


class Service:
    """Servers or local listeners of one configuration."""

    def __init__(self, config: Config, ports: Sequence[Port]) -> None:
        self._config = config
        self._wanted = ports
        self._own_ports: set[int] = set()
        self._descriptors = 0
        self._changing = asyncio.Lock()
        self._online = Online()
        self._given = GivenSockets()
        self._siblings: Siblings | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._sweeps = 0
        self._shared: Shared
        self._crowd: Crowd | None = None
        self.role = role = "local" if any(port.role != "server" for port in ports) else "server"
        self._management = Management(config, role)
        self._has_packets = self._management.is_there or any(port.has_packets for port in ports)
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
        self._ports = Ports(self.speaker)

    @classmethod
    def server(cls, config: Config) -> Service:
        """The servers of a configuration: what `shadesocks server` runs."""
        return cls(config, [server_port(server) for server in config.servers])

    @classmethod
    def local(cls, config: Config) -> Service:
        """The local listeners of a configuration: what `shadesocks local` runs."""
        return cls(config, [local_port(local) for local in config.locals])

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where the service listens, with the ports the system chose where 0 was asked for."""
        return self._ports.addresses

    @property
    def manager_address(self) -> Address | str | None:
        """Where the manager takes commands: a UDP address, or the path of a socket; None where there is none."""
        return self._management.address

    @property
    def config(self) -> Config:
        """What it serves by: after a reload, with the new servers."""
        return self._config

    @property
    def servers(self) -> tuple[ServerConfig, ...]:
        """The servers that listen, with the ports the system chose where 0 was asked for; those of a client."""
        if self.role == "server":
            return self._ports.servers
        return tuple(server for roster in self._shared.rosters for server in roster.members)

    @property
    def commands(self) -> Commands:
        """What may be asked of it, while it runs, over a control socket."""
        from .control.commands import commands_of

        return commands_of(self, self._shared, self._ports)

    @property
    def ports(self) -> Ports:
        """Those that it listens on, and those that it left."""
        return self._ports

    def passed(self) -> dict[int, int]:
        """Return payload bytes, up and down, by the number of the server's port; also of those that are gone."""
        return self._ports.passed()

    @property
    def totals(self) -> tuple[int, int, int]:
        """Live connections, and payload bytes up and down since the start, in streams and datagrams."""
        (live, up, down), packets = self.journal.totals(), self.packets
        return live, up + packets.up_bytes, down + packets.down_bytes

    @property
    def packets(self) -> PacketCounts:
        """Live UDP sessions, packets and payload bytes up and down since the start, and drops by reason word."""
        if self._crowd is None:
            return PacketCounts(0, 0, 0, 0, 0, {})
        counts = self._crowd.counts()
        return replace(counts, dropped=Counter(counts.dropped) + self._shared.datagrams.dropped)

    async def start(self, given: GivenSockets | None = None, siblings: Siblings | None = None) -> None:
        """Bind every listener that was not given, then accept. What is given is ours; what fits nowhere is closed.

        With `siblings` other processes serve the same ports, and were given the same.

        Raises:
            ConfigError: an address cannot be listened on, an access list cannot be used, or an option, a library
                or a right is missing. Nothing was started.
        """
        if given is not None:
            self._given = given
        self._siblings = siblings
        self.speaker.is_silent = siblings is not None and not siblings.speaks
        try:
            await self._start()
        except BaseException:
            self._given.close()
            raise
        for text in self._given.close_unused():
            log.warning("%s was given to this process, and the config does not listen there; it is closed", text)

    async def _start(self) -> None:
        config = self._config
        acls, resolver = prepare(config)
        for warning in acls.warnings:
            log.warning("%s", warning)
        self._descriptors = descriptors = raise_nofile(config.nofile)
        bound = await bind_all(config, self._wanted, self._given)
        management = self._management
        try:
            await management.open(self._given, tells=self._siblings is None)
            reactor = Reactor(config.event_model)
        except BaseException as error:
            close_all(bound)
            management.abandon()
            if not isinstance(error, ValueError):
                raise
            raise ConfigError([Problem("config", None, "event_model", str(error))]) from None
        scratch = Scratch()
        most = min(SESSIONS_MOST, max(1, descriptors // 4))
        per_source = config.udp_max_per_source or SESSIONS_PER_SOURCE
        self._crowd = Crowd(most, config.udp_max_associations or most, per_source)
        self._shared = Shared(
            config,
            reactor,
            scratch,
            self.journal,
            resolver,
            origin_policy(config, self._own_ports),
            OriginPolicy(allow_private=True, own_ports=self._own_ports),
            acls,
            SaltMemory(state_directory(config.state_dir), reactor.loop.time, self._siblings, shared=config.reuse_port),
            config.silent_limit or max(1, descriptors // 4),
            # Without UDP the plain way, which nobody takes: the other has 0.8 MiB of ctypes.
            make_datagrams(reactor, config.udp_io if self._has_packets else "plain"),
            self._crowd,
            PacketSalts() if self._siblings is None else self._siblings.packet_salts,
            self._siblings,
            plugins=Plugins(self._crowd),
        )
        self.speaker.say("model", name=reactor.poller.name)
        for server in config.servers:
            self.speaker.say("next", place=place(server.address.host, server.address.port))
        with self.speaker.together():
            for port, sockets in bound:
                self._open(port, sockets)
        management.start(self, reactor, self._given)
        if management.address is not None:
            self._settle_ports()
            self.speaker.say("manager", place=str(management.address))
        if self._shared.crowd.relays:
            self.speaker.say("batches", name=self._shared.datagrams.name)
        self._online.start(self._shared, config)
        self._sweeper = reactor.loop.call_later(SWEEP, self._sweep)
        await management.restore()

    def _open(self, port: Port, bound: Bound) -> OpenPort:
        """Begin to serve a port that is bound."""
        face = port.open(self._shared, bound[1])
        seats = seats_of(port, bound)
        for seat in seats:
            self.speaker.listening(f"{port.role} {seat.way}", seat.wanted, seat.address, port.forward)
        opened = OpenPort(port, face, tuple(seat.address for seat in seats))
        put_plugin_before(opened, seats, self._shared.plugins)
        self._own_ports |= opened.numbers
        if bound[0] is not None:
            assert face.flow is not None, "a port that listens for streams serves them"
            opened.listener = Listener(
                self._shared.reactor, bound[0], face.flow.accept, self._descriptors, shared=self._given.shared
            )
        self._ports.add(opened)
        return opened

    # -- servers that come and go ------------------------------------------------------------------

    async def add(self, server: ServerConfig) -> Address:
        """Serve one more server from now on, and return where it listens. Until `stop`: a new start knows none of it.

        Raises:
            ConfigError: it cannot listen, its access list cannot be used, or its options cannot be had. Nothing
                changed.
        """
        async with self._changing:
            self._check_server(server)
            wanted = server.address
            self.speaker.say("adding", place=place(wanted.host, wanted.port), port=wanted.port)
            return await self._add(server)

    async def remove(self, which: Address | int) -> bool:
        """End the server on an address, or all on ports of that number, with all of their connections.

        Return False where none listens there.
        """
        async with self._changing:
            if self._sweeper is None:
                return False
            gone = self._ports.close((which,))
            self._settle_ports()
            for address in gone:
                self.speaker.say("removing", place=place(address.host, address.port), port=address.port)
        return bool(gone)

    async def change(self, server: ServerConfig, *, cuts: bool = False) -> None:
        """Serve a server in the place of the one on its address. Its UDP sessions end, with `cuts` all it has.

        Raises:
            ConfigError: as `add`. The old one serves on, but for its sessions.
        """
        async with self._changing:
            self._check_server(server)
            before = self._ports.at(server.address)
            await self._change(server)
            if before is not None and cuts:
                self._ports.cut(before)

    async def reload(self, config: Config) -> tuple[Problem, ...]:
        """Serve the servers that a changed configuration names, and return what could not be done.

        One that is as before is left alone. One that is gone or is another listens no more, while its connections go
        on; its UDP sessions end. What was added beside the configuration stays. What of the rest is in force at once,
        and what needs a restart, says the log, and `reloaded`. A client's listeners stay, and use the servers that it
        names. An access list with mistakes, or an option that cannot be had, lets all be as it was.
        """
        async with self._changing:
            before = self._config
            goes_by, _ = follow(before, config, self.role)
            try:
                self._shared, lists = await renew(self._shared, before, goes_by, self._own_ports)
            except ConfigError as error:
                self.reloaded = refused(error.problems)
                return tuple(error.problems)
            self._config = goes_by
            reload = self._reload_client if self.role == "local" else self._reload_server
            problems = await reload(before, anew=bool(differ(before, goes_by, OF_PORTS)))
            self.reloaded = compare(before, goes_by, config, lists, problems)
            if not self.speaker.is_silent:
                tell(self.reloaded)
        return problems

    async def _reload_server(self, before: Config, *, anew: bool) -> tuple[Problem, ...]:
        config, problems = self._config, list[Problem]()
        old = {port.port.server: port for port in self._ports if port.port.server is not None}
        taken = {server.address for server in config.servers if server.address.port}
        for server in {*before.servers} - {*config.servers}:
            if server in old and server.address not in taken:
                self._ports.leave(old[server])
        self._settle_ports()
        beside = [server for server in old if server not in before.servers] if anew else []
        for server in (*config.servers, *beside):
            port = old.get(server)
            if port is not None and port in self._ports and not (anew and server.address.port):
                continue
            try:
                self._check_server(server)
                await self._change(server, anew=anew)
            except ConfigError as error:
                problems += error.problems
        self._wanted = [server_port(server) for server in config.servers]
        return tuple(problems)

    async def _reload_client(self, _before: Config, *, anew: bool) -> tuple[Problem, ...]:
        servers, refused = usable(self._config.servers, self.servers, self._check_server)
        for roster in self._shared.rosters:
            roster.update(servers)
        await self._online.follow(self._shared, self._config)
        return refused

    def _check_server(self, server: ServerConfig) -> None:
        if self._sweeper is None or self._ports.drains:
            raise RuntimeError("the service does not run, or is about to stop")
        self._shared.acls.fetch(server.acl)
        check_plugin(server, alone=self._siblings is None)
        if server.outbound != self._config.outbound:
            check_sockets(replace(self._config, servers=(server,)))

    async def _add(self, server: ServerConfig, given: GivenSockets | None = None) -> Address:
        port = server_port(server)
        self._ports.make_room(server.address)
        await self._shared.plugins.settle()
        try:
            port, bound = await bind_behind(self._config, port, given or self._given)
        except OSError as error:
            raise ConfigError([not_bound(port, error, self._given)]) from None
        if self._sweeper is None or self._ports.drains:
            close_sockets(bound)
            raise RuntimeError("the service was stopped meanwhile")
        if port.has_packets and not self._has_packets:
            self._has_packets = True
            self._shared = replace(self._shared, datagrams=make_datagrams(self._shared.reactor, self._config.udp_io))
        try:
            return self._open(port, bound).addresses[0]
        except BaseException:
            close_sockets(bound)
            raise

    async def _change(self, server: ServerConfig, *, anew: bool = False) -> None:
        before = self._ports.at(server.address)
        if before is None:
            await self._add(server)
            return
        was = before.server
        assert was is not None, "what stands on a server's address is a server"
        if was == server and not (anew and was.plugin is None):  # a plugin would take its connections along
            return
        handed_on = [] if server.plugin else before.handed_on()  # else nobody finds the port closed meanwhile
        try:
            self._ports.leave(before)
            self._shared.reactor.settle()  # the numbers are soon taken again: no need to gather all there are
            await self._add(server, self._given.beside(handed_on))
        except ConfigError:
            self._settle_ports()
            with suppress(ConfigError):
                await self._add(was, self._given.beside(handed_on))
            raise
        finally:
            for sock in handed_on:
                sock.close()

    def _settle_ports(self) -> None:
        """Really close what was closed, and let go of its numbers."""
        self._shared.reactor.settle()
        self._own_ports.clear()
        self._own_ports.update(number for port in self._ports for number in port.numbers)
        if isinstance(self.manager_address, Address):
            self._own_ports.add(self.manager_address.port)

    # -- the rest of its life ----------------------------------------------------------------------

    def _sweep(self) -> None:
        """Once a second: look at the UDP sessions, write the journal; every few seconds look at all relays."""
        reactor = self._shared.reactor
        self._sweeps += 1
        if self._sweeps % SWEEPS_PER_LOOK == 0:
            self.journal.sweep(reactor.loop.time(), self._config, dialled_options(self._config))
            self._shared.salts.tell()
        self._shared.crowd.sweep()
        for roster in self._shared.rosters:
            roster.settle()
        reactor.settle()
        self._ports.settle()
        self.journal.flush()
        self.speaker.beat(self.journal)
        self._sweeper = reactor.loop.call_later(SWEEP, self._sweep)

    async def drain(self, limit: float) -> None:
        """Accept no more; wait up to `limit` seconds for the live connections to end, also of who came last."""
        await self._close_listeners()
        await self.journal.quiet(await last_requests(self._ports.every, limit))

    async def quit(self, left: Callable[[], object] = lambda: None) -> None:
        """Give up every port at once, call `left`, and wait until the last connection has ended by itself.

        Sessions of UDP end then: whoever has the port next takes what their clients send. With `reuse_port` a port is
        given up when all that is new comes to another process, which takes a second and loses no connection.
        """
        if self._config.reuse_port:
            if self._siblings is None:  # of workers, their master does it
                self._ports.steer_away()
            await asyncio.sleep(SETTLING)
        self._shared.salts.leave()
        await self._close_listeners()
        self._ports.leave_all()
        await self._shared.plugins.settle()
        for packets in list(self._shared.crowd.relays):  # a client's; those of associations have numbers of their own
            if packets.front.sock.getsockname()[1] in self._own_ports:
                self.speaker.say("closed packets", port=packets.front.sock.getsockname()[1])
                packets.close()
        self._settle_ports()
        left()
        while not self._ports.are_idle:  # noqa: ASYNC110 - connections tell nobody of their end
            await asyncio.sleep(LAST_LOOK)

    async def stop(self) -> None:
        """Close everything that is left. The service can be started again."""
        await self._close_listeners()
        if self._sweeper is None:
            return
        self._sweeper.cancel()
        self._sweeper = None
        self.speaker.say("stopping")
        shared = self._shared
        for relay in list(self.journal.relays):
            relay.close("stopped")
        for port in self._ports.every:
            port.face.close()
            port.face.evict()
        with self.speaker.together():
            for packets in list(shared.crowd.relays):
                self.speaker.say("closed packets", port=packets.front.sock.getsockname()[1])
                packets.close()
        for roster in shared.rosters:
            roster.close()
        await shared.plugins.stop()
        shared.reactor.stop()
        await shared.names.close()
        shared.salts.close()
        (shared.packet_salts if shared.siblings is None else shared.siblings).close()
        self._management.end(self.passed())
        self._ports.clear()
        self._own_ports.clear()
        self.journal.flush()

    def spawn(self, story: Coroutine[Wait, None, Any]) -> asyncio.Future[Any]:
        """Run a story (`net/story.py`) on the started service's reactor, and await its result from a task."""
        return self._shared.reactor.spawn(story)

    async def _close_listeners(self) -> None:
        await self._online.close()
        await self._management.close()
        self._given.close()
        if self._sweeper is not None:
            self._ports.stop_listening()
            for roster in self._shared.rosters:
                roster.rest()
            self._shared.reactor.settle()
