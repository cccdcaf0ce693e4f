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
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from socket import SocketType
from typing import TYPE_CHECKING, Any, Final

from ..core.address import Address, pack_ip
from ..core.errors import ConfigError, Problem
from ..net.listen import Listener, bind
from ..net.options import TcpOptions, apply_options
from ..net.origin import OriginPolicy
from ..net.pipe import Scratch
from ..net.reactor import Reactor
from ..net.resolve import Resolver, ask_system, ipv6_first
from .build import Shared, local_flow, server_flow
from .journal import Journal
from .limits import raise_nofile
from .state import SaltMemory, state_directory

if TYPE_CHECKING:
    from ..config.model import Config
    from ..net.story import Wait
    from ..proxy.flow import Flow

log = logging.getLogger(__name__)

SWEEP: Final = 1.0
"""Seconds between two flushes of the journal."""
SWEEPS_PER_LOOK: Final = 5
"""Sweeps between two looks at all relays: idle time-outs are minutes, and a look costs 0.2 us a relay."""

Port = tuple[Address, Callable[[Shared], "Flow"]]
"""Where to listen, and what to do there."""


class Service:
    """Servers or local listeners of one configuration."""

    def __init__(self, config: Config, ports: Sequence[Port]) -> None:
        self._config = config
        self._ports = ports
        self._listeners: list[Listener] = []
        self._own_ports: set[int] = set()
        self._options = TcpOptions(config.keep_alive, config.user_timeout, config.no_delay)
        self._sweeper: asyncio.TimerHandle | None = None
        self._sweeps = 0
        self._shared: Shared
        self.journal = Journal(show_targets=config.log_targets, show_times=not config.log_without_time)

    @classmethod
    def server(cls, config: Config) -> Service:
        """The servers of a configuration: what `shadesocks server` runs."""
        return cls(config, [(server.address, partial(server_flow, server=server)) for server in config.servers])

    @classmethod
    def local(cls, config: Config) -> Service:
        """The local listeners of a configuration: what `shadesocks local` runs."""
        return cls(config, [(local.address, partial(local_flow, local=local)) for local in config.locals])

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where the service listens, with the ports the system chose where 0 was asked for."""
        return tuple(listener.address for listener in self._listeners)

    @property
    def totals(self) -> tuple[int, int, int]:
        """Live connections, and payload bytes up and down since the start."""
        return self.journal.totals()

    async def start(self) -> None:
        """Bind every listener, then accept.

        Raises:
            ConfigError: an address cannot be listened on. Nothing was started.
        """
        config = self._config
        descriptors = raise_nofile(config.nofile)
        bound = await self._bind_all()
        try:
            reactor = Reactor(config.event_model)
        except ValueError as error:
            for sock, _ in bound:
                sock.close()
            raise ConfigError([Problem("config", None, "event_model", str(error))]) from None
        scratch = Scratch()
        self._shared = Shared(
            config,
            reactor,
            scratch,
            self.journal,
            Resolver(ask=ipv6_first(ask_system) if config.ipv6_first else ask_system),
            OriginPolicy(allow_private=config.allow_private, own_ports=self._own_ports),
            SaltMemory(state_directory(config.state_dir), reactor.loop.time),
            config.silent_limit or max(1, descriptors // 4),
        )
        log.info("using event model: %s", reactor.poller.name)
        for sock, build in bound:
            listener = Listener(reactor, sock, build(self._shared).accept, descriptors)
            self._listeners.append(listener)
            self._own_ports.add(listener.address.port)
            log.info("listening on %s", listener.address)
        self._sweeper = reactor.loop.call_later(SWEEP, self._sweep)

    async def _bind_all(self) -> list[tuple[SocketType, Callable[[Shared], Flow]]]:
        bound: list[tuple[SocketType, Callable[[Shared], Flow]]] = []
        problems = []
        loop = asyncio.get_running_loop()
        for address, build in self._ports:
            try:
                family, where = await _listen_address(loop, address)
                bound.append((bind(where, family, self._options), build))
            except OSError as error:
                text = f"cannot listen on {address}: {error.strerror}"
                if error.errno == errno.EADDRINUSE:
                    text += "; another program, or another instance, has that port"
                problems.append(Problem("config", None, "", text))
        if problems:
            for sock, _ in bound:
                sock.close()
            raise ConfigError(problems)
        return bound

    def _sweep(self) -> None:
        """Once a second: write the journal; every few seconds look at all relays."""
        reactor = self._shared.reactor
        self._sweeps += 1
        if self._sweeps % SWEEPS_PER_LOOK == 0:
            now = reactor.loop.time()
            idle, half_closed = self._config.idle_timeout, self._config.half_closed_timeout
            for relay in list(self.journal.relays):
                if relay.seen < 0:
                    # Keep-alive matters to those that live: set here, a short connection never pays for it.
                    apply_options(relay.right.sock, self._options)
                relay.sweep(now, idle, half_closed)
            reactor.settle()
            self._shared.salts.tell()
        self.journal.flush()
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
        shared = self._shared
        for relay in list(self.journal.relays):
            relay.close("stopped")
        shared.reactor.stop()
        shared.names.close()
        shared.salts.close()
        self._own_ports.clear()
        self.journal.flush()

    def spawn(self, story: Coroutine[Wait, None, Any]) -> asyncio.Future[Any]:
        """Run a story (`net/story.py`) on the started service's reactor, and await its result from a task."""
        return self._shared.reactor.spawn(story)

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()
        if self._listeners:
            self._shared.reactor.settle()
        self._listeners.clear()


async def _listen_address(loop: asyncio.AbstractEventLoop, address: Address) -> tuple[int, tuple[Any, ...]]:
    """Return the family and socket address to bind: of a literal at once, of a name by asking the system."""
    packed = pack_ip(address.host)
    if packed is not None:
        return (socket.AF_INET if len(packed) == 4 else socket.AF_INET6), (address.host, address.port)
    found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    return found[0][0], found[0][4]
