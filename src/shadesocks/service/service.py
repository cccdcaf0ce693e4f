"""A service: listeners, what they are made of, and their life.

    Service.server(config) or Service.local(config) -> start -> drain -> stop

Nothing runs before `start`; a start that fails leaves nothing behind. One service owns one reactor
in the running loop; several may live in one process.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections import Counter
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from socket import SocketType
from typing import TYPE_CHECKING, Any, Final

from ..core.address import Address, pack_zoned
from ..core.errors import ConfigError, Problem
from ..crypto.replay_packets import PacketSalts
from ..net.crowd import Crowd, PacketCounts
from ..net.datagrams import bind_socket, make_datagrams
from ..net.listen import Listener, bind
from ..net.options import apply_late, socket_address
from ..net.origin import OriginPolicy
from ..net.pipe import Scratch
from ..net.reactor import Reactor
from .build import Face, Port, local_port, server_port
from .journal import Journal
from .limits import raise_nofile
from .names import make_resolver
from .rules import AclShelf, origin_policy
from .shared import Shared
from .sockets import accepted_options, check_sockets, datagram_options, dialled_options
from .speaker import Speaker
from .state import SaltMemory, state_directory
from .voices import place, voice_of

if TYPE_CHECKING:
    from ..config.model import Config
    from ..net.resolve import Resolver
    from ..net.story import Wait

log = logging.getLogger(__name__)

SWEEP: Final = 1.0
"""Seconds between two flushes of the journal."""
SWEEPS_PER_LOOK: Final = 5
"""Sweeps between two looks at all relays: idle time-outs are minutes, and a look costs 0.2 us a relay."""

SESSIONS_MOST: Final = 16_384
"""UDP sessions of a process, unless a quarter of the descriptors is less: at 8 KiB each, 128 MiB."""
SESSIONS_PER_SOURCE: Final = 1024
"""UDP sessions of one source address: a household's, or a server's that is chained to this one."""
BIND_TRIES: Final = 8
"""Port 0 is one number for TCP and UDP: what the system gave the one may be another's for the other."""

Bound = tuple[SocketType | None, SocketType | None, Port]
"""The TCP socket, the UDP socket, and whose they are."""


class Service:
    """Servers or local listeners of one configuration."""

    def __init__(self, config: Config, ports: Sequence[Port]) -> None:
        self._config = config
        self._ports = ports
        self._listeners: list[Listener] = []
        self._addresses: list[Address] = []
        self._faces: list[Face] = []
        self._own_ports: set[int] = set()
        self._accepted = accepted_options(config)
        self._dialled = dialled_options(config)
        self._sweeper: asyncio.TimerHandle | None = None
        self._sweeps = 0
        self._shared: Shared
        self._crowd: Crowd | None = None
        self._has_packets = any(port.has_packets for port in ports)
        role = "local" if any(port.role != "server" for port in ports) else "server"
        self.speaker = Speaker(voice_of(config.log_style, role), shows_time=not config.log_without_time)
        """Says what the service does, in the words of `log.style`."""
        self.journal = Journal(
            show_targets=config.log_targets,
            show_times=not config.log_without_time,
            speaker=None if config.log_style == "shadesocks" else self.speaker,
        )

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
        return tuple(self._addresses)

    @property
    def totals(self) -> tuple[int, int, int]:
        """Live connections, and payload bytes up and down since the start, in streams and datagrams."""
        live, up, down = self.journal.totals()
        packets = self.packets
        return live, up + packets.up_bytes, down + packets.down_bytes

    @property
    def packets(self) -> PacketCounts:
        """Live UDP sessions, packets and payload bytes up and down since the start, and drops by reason word."""
        if self._crowd is None:
            return PacketCounts(0, 0, 0, 0, 0, {})
        counts = self._crowd.counts()
        return replace(counts, dropped=Counter(counts.dropped) + self._shared.datagrams.dropped)

    async def start(self) -> None:
        """Bind every listener, then accept.

        Raises:
            ConfigError: an address cannot be listened on, an access list cannot be used, or an option, a library
                or a right is missing. Nothing was started.
        """
        config = self._config
        acls, resolver = _prepare(config)
        for warning in acls.warnings:
            log.warning("%s", warning)
        descriptors = raise_nofile(config.nofile)
        bound = await self._bind_all()
        try:
            reactor = Reactor(config.event_model)
        except ValueError as error:
            _close(bound)
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
            SaltMemory(state_directory(config.state_dir), reactor.loop.time),
            config.silent_limit or max(1, descriptors // 4),
            # Without UDP the plain way, which nobody takes: the other has 0.8 MiB of ctypes.
            make_datagrams(reactor, config.udp_io if self._has_packets else "plain"),
            self._crowd,
            PacketSalts(),
        )
        self.speaker.say("model", name=reactor.poller.name)
        for server in config.servers:
            self.speaker.say("next", place=place(server.address.host, server.address.port))
        for streams, packets, port in bound:
            face = port.open(self._shared, packets)
            self._faces.append(face)
            for sock, way, wanted in ((streams, "streams", port.streams), (packets, "packets", port.packets)):
                if sock is not None and wanted is not None:
                    address = Address(*sock.getsockname()[:2])
                    self._own_ports.add(address.port)
                    if address not in self._addresses:
                        self._addresses.append(address)
                    self.speaker.listening(f"{port.role} {way}", wanted, address, port.forward)
            if streams is not None:
                assert face.flow is not None, "a port that listens for streams serves them"
                self._listeners.append(Listener(reactor, streams, face.flow.accept, descriptors))
        if self._shared.crowd.relays:
            self.speaker.say("batches", name=self._shared.datagrams.name)
        self._sweeper = reactor.loop.call_later(SWEEP, self._sweep)

    async def _bind_all(self) -> list[Bound]:
        bound: list[Bound] = []
        problems = []
        for port in self._ports:
            try:
                bound.append(await self._bind(port))
            except OSError as error:
                address = port.streams or port.packets
                text = f"cannot listen on {address}: {error.strerror}"
                if error.errno == errno.EADDRINUSE:
                    text += "; another program, or another instance, has that port"
                problems.append(Problem("config", None, "", text))
        if problems:
            _close(bound)
            raise ConfigError(problems)
        return bound

    async def _bind(self, port: Port) -> Bound:
        """Bind both sockets of a port; where the system chooses the number, one for both."""
        options = datagram_options(self._config, self._config.outbound)
        loop = asyncio.get_running_loop()
        for tries_left in reversed(range(BIND_TRIES)):
            streams = packets = None
            try:
                if port.streams is not None:
                    family, where = await _listen_address(loop, port.streams)
                    streams = bind(where, family, self._accepted)
                if port.packets is not None:
                    family, where = await _listen_address(loop, port.packets)
                    if streams is not None and not where[1]:
                        where = (where[0], streams.getsockname()[1])
                    packets = bind_socket(where, family, options)
            except OSError as error:
                chosen = port.streams is not None and not port.streams.port
                if streams is not None:
                    streams.close()
                if error.errno == errno.EADDRINUSE and chosen and tries_left:
                    continue
                raise
            break
        return streams, packets, port

    def _sweep(self) -> None:
        """Once a second: look at the UDP sessions, write the journal; every few seconds look at all relays."""
        reactor = self._shared.reactor
        self._sweeps += 1
        if self._sweeps % SWEEPS_PER_LOOK == 0:
            now = reactor.loop.time()
            idle, half_closed = self._config.idle_timeout, self._config.half_closed_timeout
            for relay in list(self.journal.relays):
                if relay.seen < 0:
                    # Keep-alive matters to those that live: set here, a short connection never pays for it.
                    with suppress(OSError):  # not every socket has TCP's options
                        apply_late(relay.right.sock, self._dialled)
                relay.sweep(now, idle, half_closed)
            self._shared.salts.tell()
        for packets in self._shared.crowd.relays:
            packets.sweep()
        reactor.settle()
        self.journal.flush()
        self.speaker.beat(self.journal)
        self._sweeper = reactor.loop.call_later(SWEEP, self._sweep)

    async def drain(self, limit: float) -> None:
        """Accept no more, and wait up to `limit` seconds for the live connections to end by themselves."""
        self._close_listeners()
        await self.journal.quiet(limit)

    async def stop(self) -> None:
        """Close everything that is left. The service can be started again."""
        self._close_listeners()
        if self._sweeper is None:
            return
        self._sweeper.cancel()
        self._sweeper = None
        self.speaker.say("stopping")
        shared = self._shared
        for relay in list(self.journal.relays):
            relay.close("stopped")
        for face in self._faces:
            face.close()
        self._faces.clear()
        for packets in list(shared.crowd.relays):
            self.speaker.say("closed packets", port=packets.front.sock.getsockname()[1])
            packets.close()
        shared.reactor.stop()
        await shared.names.close()
        shared.salts.close()
        shared.packet_salts.close()
        self._own_ports.clear()
        self.journal.flush()

    def spawn(self, story: Coroutine[Wait, None, Any]) -> asyncio.Future[Any]:
        """Run a story (`net/story.py`) on the started service's reactor, and await its result from a task."""
        return self._shared.reactor.spawn(story)

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()
            self.speaker.say("closed streams", port=listener.address.port)
        if self._listeners:
            self._shared.reactor.settle()
        self._listeners.clear()
        self._addresses.clear()


def _prepare(config: Config) -> tuple[AclShelf, Resolver]:
    """Return what can be had without a socket; raises ConfigError with all that is missing."""
    problems: list[Problem] = []
    made: list[Any] = []
    for make in (check_sockets, AclShelf, make_resolver):
        try:
            made.append(make(config))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return made[1], made[2]


def _close(bound: Sequence[Bound]) -> None:
    for streams, packets, _ in bound:
        for sock in (streams, packets):
            if sock is not None:
                sock.close()


async def _listen_address(loop: asyncio.AbstractEventLoop, address: Address) -> tuple[int, tuple[Any, ...]]:
    """Return the family and socket address to bind: of a literal at once, of a name by asking the system."""
    packed = pack_zoned(address.host)
    if packed is not None:
        return (socket.AF_INET if len(packed) == 4 else socket.AF_INET6), socket_address(address.host, address.port)
    found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    return found[0][0], found[0][4]
