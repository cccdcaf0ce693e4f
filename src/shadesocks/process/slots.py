"""The sockets of all workers: bound by the master, which keeps them open while workers come and go.

Linux: each worker has a socket of its own for each port, all of them in the group that SO_REUSEPORT makes; a client's
connection or datagram comes to one of them by a hash of the addresses. The group never changes while the master lives:
a worker's follower takes the same sockets over, with whatever waits in them, and every UDP session stays where it is.

Elsewhere, and for sockets that systemd made: one socket for each port. All workers accept from that of TCP; that of UDP
is the first worker's alone, since each datagram would come to any of them.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from socket import SO_REUSEADDR, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET, SocketType
from typing import TYPE_CHECKING, Any, Final

from ..config.model import METRICS_PORT, Mode
from ..core.address import pack_zoned
from ..core.errors import Problem
from ..net.datagrams import bind_socket
from ..net.listen import bind
from ..net.options import LINUX, socket_address, stream_socket
from ..net.steer import Steering
from ..service.ports import not_bound
from ..service.roles.server_port import server_port
from ..service.socket_file import identity
from ..service.sockets import accepted_options, datagram_options

if TYPE_CHECKING:
    from ..config.model import Config, ServerConfig
    from ..core.address import Address
    from ..service.given import GivenSockets

LEAVING: Final = 3.0
"""Seconds in which workers leave a port that the last config did not want, and this one does; they need a turn."""
LOOK: Final = 0.02
"""Seconds between two looks whether they have."""

_Key = tuple[int, "Address"]
"""SOCK_STREAM or SOCK_DGRAM, and what is listened on."""


class Slots:
    """The sockets of a number of workers."""

    def __init__(self, count: int, given: GivenSockets, *, own: bool = LINUX) -> None:
        """Begin without any. With `own` each worker has its own, but for those that were given."""
        self.count: Final = count
        self._given: Final = given
        self._own: Final = own
        self._sockets: dict[_Key, list[SocketType]] = {}
        self.manager: SocketType | None = None
        """Where a manager's commands come in: the first worker has it."""
        self._file: object = None
        """Its file, which goes with it."""
        self._steering: Steering | None = None
        self._dropped: set[_Key] = set()
        """What was given up: workers may be about to do so, too."""
        self._alone: set[Address] = set()
        """Where a socket for datagrams was given."""

    def bind_manager(self, text: str) -> None:
        """Bind where commands come in.

        Raises:
            ConfigError: it cannot be had.
        """
        from ..service.manager.socket import bind_manager

        self.manager = sock = bind_manager(text, self._given)
        name = sock.getsockname()
        self._file = identity(name) if isinstance(name, str) and not self._given.lends(sock) else None

    def bind(self, config: Config) -> tuple[Config, list[Problem]]:
        """Bind what a config wants and is not bound; return it without what cannot be, and why."""
        bound: list[ServerConfig] = []
        problems: list[Problem] = []
        for server in config.servers:
            try:
                self._bind(config, server)
            except OSError as error:
                problems.append(not_bound(server_port(server), error, self._given))
            else:
                bound.append(server)
        return (replace(config, servers=tuple(bound)) if problems else config), problems

    def _bind(self, config: Config, server: ServerConfig) -> None:
        accepted, options = accepted_options(config), datagram_options(config, config.outbound)

        def bind_streams(where: tuple[Any, ...], family: int, *, reuse_port: bool) -> SocketType:
            return bind(where, family, accepted, reuse_port=reuse_port)

        def bind_packets(where: tuple[Any, ...], family: int, *, reuse_port: bool) -> SocketType:
            return bind_socket(where, family, options, reuse_port=reuse_port)

        made: dict[_Key, list[SocketType]] = {}
        try:
            for key in _keys(server):
                if key in self._sockets:
                    continue
                kind, address = key
                family, where = _socket_address(address)
                if kind == SOCK_STREAM:
                    given = self._given.take_streams(where, accepted)
                else:
                    given = self._given.take_packets(where, options)
                if given is not None:
                    made[key] = [given]
                    if kind == SOCK_DGRAM:
                        self._alone.add(address)
                    continue
                make = bind_streams if kind == SOCK_STREAM else bind_packets
                if self._own and not config.reuse_port:
                    _check_free(family, where, kind, LEAVING if key in self._dropped else 0)
                made[key] = self._bind_all(make, family, where, config.reuse_port)
        except OSError:
            for sockets in made.values():
                _close(sockets)
            raise
        self._sockets |= made
        self._dropped -= made.keys()

    def _bind_all(
        self, make: Callable[..., SocketType], family: int, where: tuple[Any, ...], shares: bool
    ) -> list[SocketType]:
        if not self._own:
            return [make(where, family, reuse_port=shares)]
        sockets: list[SocketType] = []
        try:
            sockets.extend(make(where, family, reuse_port=True) for _ in range(self.count))
        except OSError:
            _close(sockets)
            raise
        return sockets

    def of(self, slot: int) -> list[SocketType]:
        """Return the sockets of a worker."""
        return list(self._of(slot, frozenset()))

    def _of(self, slot: int, without: frozenset[_Key]) -> Iterator[SocketType]:
        for key, sockets in self._sockets.items():
            if key in without:
                continue
            if len(sockets) == self.count:
                yield sockets[slot]
            elif key[0] == SOCK_STREAM or not slot:
                yield sockets[0]

    def config_of(self, slot: int, config: Config) -> Config:
        """Return what a worker serves: where a UDP port has one socket, all but the first go without.

        Each has a page of counters of its own, on the next port.
        """
        if not slot:
            return config
        servers = []
        for server in config.servers:
            if not server.mode.udp or (self._own and server.address not in self._alone):
                servers.append(server)
            elif server.mode.tcp:
                servers.append(replace(server, mode=Mode.TCP_ONLY))
        page = config.metrics
        if page is not None:
            page = replace(page, port=(page.port or METRICS_PORT) + slot)
        return replace(config, servers=tuple(servers), metrics=page)

    def steer_away(self) -> None:
        """Let what is new come to whoever has the same ports, from now on and until they are closed."""
        self._steering = steering = Steering()
        for (kind, _), sockets in self._sockets.items():
            if kind == SOCK_STREAM and self._own:
                steering.away(sockets[0], len(sockets))

    def added(self, before: frozenset[_Key], slot: int) -> list[SocketType]:
        """Return the sockets of a worker that were bound since `keys` was looked at."""
        return list(self._of(slot, before))

    @property
    def keys(self) -> frozenset[_Key]:
        """What is bound."""
        return frozenset(self._sockets)

    def drop(self, config: Config) -> None:
        """Close what a config does not want; workers do the same."""
        wanted = {key for server in config.servers for key in _keys(server)}
        for key in self.keys - wanted:
            _close(self._sockets.pop(key))
            self._dropped.add(key)

    def keep(self, slot: int) -> list[SocketType]:
        """Close all but the sockets of one worker, which are returned: called in that worker."""
        own = self.of(slot)
        known = {*own}
        for sockets in self._sockets.values():
            _close([sock for sock in sockets if sock not in known])
        self._sockets.clear()
        if slot and self.manager is not None:
            self.manager.close()
        return own

    def close(self) -> None:
        """Close all of them; those that workers have stay open with them."""
        for (kind, _), sockets in self._sockets.items():
            if kind == SOCK_STREAM and self._steering is not None:
                self._steering.close(sockets)
            else:
                _close(sockets)
        self._sockets.clear()
        self._given.close()
        if self.manager is not None:
            manager, self.manager = self.manager, None
            name = manager.getsockname()
            manager.close()
            if self._file and self._file == identity(name):
                with suppress(OSError):
                    os.unlink(name)


def _keys(server: ServerConfig) -> Iterator[_Key]:
    if server.mode.tcp:
        yield SOCK_STREAM, server.address
    if server.mode.udp:
        yield SOCK_DGRAM, server.address


def _socket_address(address: Address) -> tuple[int, tuple[Any, ...]]:
    """Return the family and socket address to bind; see `service.ports`, which asks for names without waiting."""
    packed = pack_zoned(address.host)
    if packed is not None:
        return (socket.AF_INET if len(packed) == 4 else socket.AF_INET6), socket_address(address.host, address.port)
    found = socket.getaddrinfo(address.host, address.port, type=SOCK_STREAM)
    return found[0][0], found[0][4]


def _check_free(family: int, where: tuple[Any, ...], kind: int, limit: float = 0) -> None:
    """See that nobody has a port, which sockets that share ports would not find out; wait for it so many seconds.

    Raises:
        OSError: somebody has it.
    """
    until = time.monotonic() + limit
    while True:
        try:
            _try_bind(family, where, kind)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() >= until:
                raise
            time.sleep(LOOK)
        else:
            return


def _try_bind(family: int, where: tuple[Any, ...], kind: int) -> None:
    """Bind a socket, and close it."""
    from ..net.datagrams import DatagramOptions, open_socket
    from ..net.options import TcpOptions

    sock = stream_socket(family, TcpOptions()) if kind == SOCK_STREAM else open_socket(DatagramOptions(), family=family)
    try:
        if kind == SOCK_STREAM:
            sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(where)
    finally:
        sock.close()


def _close(sockets: list[SocketType]) -> None:
    for sock in sockets:
        sock.close()
