"""The ports of a service: bound, open, and gone.

    bind_port -> OpenPort -> leave (it listens no more, what is under way goes on) or close (all of it ends)

What passed through a port is counted by its flow and its packet relay, for themselves; here it is only summed, when
somebody asks. A port that is gone leaves its sum behind under its number, so that no byte is lost or told twice,
however often a number is opened and closed.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import Counter
from collections.abc import Callable, Container, Iterator
from dataclasses import replace
from socket import SOCK_DGRAM, SOCK_STREAM, SocketType
from typing import TYPE_CHECKING, Any, Final

from ..core.address import Address, pack_zoned
from ..core.errors import Problem
from ..net.datagrams import bind_socket
from ..net.listen import bind
from ..net.options import socket_address
from ..net.steer import Steering
from .given import duplicate
from .sockets import accepted_options, datagram_options

if TYPE_CHECKING:
    from ..config.model import Config, ServerConfig
    from ..net.listen import Listener
    from .given import GivenSockets
    from .port import Face, Port
    from .sessions import Numbers
    from .speaker import Speaker

BIND_TRIES: Final = 8
"""Port 0 is one number for TCP and UDP: what the system gave the one may be another's for the other."""

Bound = tuple[SocketType | None, SocketType | None]
"""The TCP socket and the UDP socket of a port."""


async def bind_port(config: Config, port: Port, given: GivenSockets) -> Bound:
    """Take both sockets of a port from those given, or bind them; where the system chooses the number, one for both.

    Raises:
        OSError: an address cannot be listened on.
    """
    accepted, options = accepted_options(config), datagram_options(config, config.outbound)
    loop = asyncio.get_running_loop()
    for tries_left in reversed(range(BIND_TRIES)):
        streams = packets = None
        try:
            if port.streams is not None:
                family, where = await _listen_address(loop, port.streams)
                streams = given.take_streams(where, accepted) or bind(
                    where, family, accepted, reuse_port=config.reuse_port
                )
            if port.packets is not None:
                family, where = await _listen_address(loop, port.packets)
                if streams is not None and not where[1]:
                    where = (where[0], streams.getsockname()[1])
                packets = given.take_packets(where, options) or bind_socket(
                    where, family, options, reuse_port=config.reuse_port
                )
        except BaseException as error:
            if streams is not None:
                streams.close()
            chosen = port.streams is not None and not port.streams.port
            if isinstance(error, OSError) and error.errno == errno.EADDRINUSE and chosen and tries_left:
                continue
            raise
        break
    return streams, packets


async def _listen_address(loop: asyncio.AbstractEventLoop, address: Address) -> tuple[int, tuple[Any, ...]]:
    """Return the family and socket address to bind: of a literal at once, of a name by asking the system."""
    packed = pack_zoned(address.host)
    if packed is not None:
        return (socket.AF_INET if len(packed) == 4 else socket.AF_INET6), socket_address(address.host, address.port)
    found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    return found[0][0], found[0][4]


def close_sockets(bound: Bound) -> None:
    """Close what was bound and is not needed."""
    for sock in bound:
        if sock is not None:
            sock.close()


def not_bound(port: Port, error: OSError, given: GivenSockets) -> Problem:
    """Return the sentence for a port that cannot be listened on."""
    text = f"cannot listen on {port.streams or port.packets}: {error.strerror}"
    if error.errno == errno.EADDRINUSE:
        wanted = (port.streams, SOCK_STREAM), (port.packets, SOCK_DGRAM)
        text += taken_by(next(filter(None, (given.rival(each, kind) for each, kind in wanted if each)), ""), "port")
    return Problem("config", None, "", text)


def _nothing() -> None:
    """Release what has nothing before it."""


def taken_by(rival: str, what: str) -> str:
    """Say who has a port or an address: what this process was given, or somebody else."""
    if rival:
        return f"; {rival}, which this process was given, is in the way: let config and .socket unit say the same"
    return f"; another program, or another instance, has that {what}"


class OpenPort:
    """A port that serves."""

    __slots__ = ("addresses", "face", "listener", "numbers", "port", "release", "server")

    def __init__(self, port: Port, face: Face, addresses: tuple[Address, ...]) -> None:
        self.port = port
        self.face = face
        self.addresses = addresses
        """Where it listens, or did: TCP first, with the number that the system chose."""
        self.numbers = {address.port for address in addresses}
        """Of all its sockets, and of its plugin's."""
        self.release: Callable[[], None] = _nothing
        """Ends what is before it, a plugin, once nothing comes through any more."""
        self.listener: Listener | None = None
        server = port.server
        if server is not None and server.address.port != self.number:
            server = replace(server, address=Address(server.address.host, self.number))
        self.server: ServerConfig | None = server
        """Its server, with the address at which it listens; None for a listener of a client."""

    @property
    def number(self) -> int:
        """The port's number: of TCP, where it has both."""
        return self.addresses[0].port if self.addresses else 0

    @property
    def passed(self) -> int:
        """Payload bytes, up and down, in streams and datagrams, since it was opened."""
        flow, packets = self.face.flow, self.face.packets
        size = 0 if flow is None else flow.passed
        if packets is not None:
            _, up, _, down = packets.sums()
            size += up + down
        return size

    @property
    def is_idle(self) -> bool:
        """True while no connection is under way; sessions of UDP end with the port."""
        return self.face.flow is None or self.face.flow.is_idle

    def handed_on(self) -> list[SocketType]:
        """Return duplicates of the sockets that it listens on: with them nobody finds the port closed meanwhile."""
        packets = self.face.packets
        socks = [self.listener.sock] if self.listener is not None else []
        socks += [packets.front.sock] if packets is not None and packets.front.sock.fileno() >= 0 else []
        return [duplicate(sock) for sock in socks]

    def steer_away(self, steering: Steering) -> None:
        """Let new connections come to other processes, where some have the same port."""
        if self.listener is not None:
            steering.to_last(self.listener.sock)

    def stop_listening(self, speaker: Speaker) -> None:
        """Accept no more connections; datagrams go on."""
        if self.listener is not None:
            self.listener.close()
            speaker.say("closed streams", port=self.listener.address.port)
            self.listener = None

    def leave(self, speaker: Speaker) -> None:
        """Listen no more. Connections go on; sessions of UDP end, for they are answered through the port."""
        self.stop_listening(speaker)
        packets = self.face.packets
        if packets is not None and packets.front.sock.fileno() >= 0:
            speaker.say("closed packets", port=packets.front.sock.getsockname()[1])
            packets.close()

    def close(self, speaker: Speaker) -> None:
        """End everything at once."""
        self.leave(speaker)
        self.release()
        self.face.evict()
        if self.face.flow is not None:
            self.face.flow.close("stopped")


class Ports:
    """All ports of a service: those that are open, and what is left of others."""

    def __init__(self, speaker: Speaker) -> None:
        self._speaker: Final = speaker
        self._open: list[OpenPort] = []
        self._left: list[OpenPort] = []
        """Those that listen no more; their connections go on."""
        self.drains = False
        """True once they accept no more."""
        self.numbers: Numbers | None = None
        """By which sessions are called over a control socket; None: nobody asked."""
        self._past: Counter[int] = Counter()
        """Bytes that passed through ports that are gone, by number."""

    def __iter__(self) -> Iterator[OpenPort]:
        return iter(self._open)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where they listen, each address once; nowhere while the service drains."""
        if self.drains:
            return ()
        return tuple(dict.fromkeys(address for port in self._open for address in port.addresses))

    @property
    def servers(self) -> tuple[ServerConfig, ...]:
        """The servers that listen, with the numbers that the system chose."""
        return tuple(server for port in self._open if (server := port.server) is not None)

    def at(self, address: Address) -> OpenPort | None:
        """Return the port of the server that listens on an address."""
        for port in self._open:
            server = port.server
            if server is not None and server.address == address:
                return port
        return None

    def rename(self, port: OpenPort, server: ServerConfig) -> None:
        """Let a port be that of a server which differs in nothing that the port goes by."""
        port.port = replace(port.port, server=server)
        port.server = server

    def add(self, port: OpenPort) -> None:
        """Take a port that was opened."""
        self._open.append(port)

    def passed(self) -> dict[int, int]:
        """Return payload bytes, up and down, by port number: of every port that ever was."""
        sums = Counter(self._past)
        for port in (*self._open, *self._left):
            sums[port.number] += port.passed
        return dict(sums)

    def passed_at(self, number: int) -> int:
        """Return the same of one number."""
        return self._past[number] + sum(port.passed for port in self.every if port.number == number)

    def leave(self, port: OpenPort) -> None:
        """Let a port listen no more; its connections go on."""
        self._take(port)
        port.leave(self._speaker)
        self.settle()

    def cut(self, port: OpenPort) -> None:
        """End the connections of a port that listens no more."""
        if port in self._left:
            port.close(self._speaker)
            self.settle()

    def leave_all(self) -> None:
        """Let no port listen any more, and end what is before them: somebody else takes their places."""
        for port in list(self._open):
            self.leave(port)
            port.release()

    def make_room(self, address: Address) -> None:
        """End the plugins at an address that lead to nobody new: another server is to listen there."""
        for port in self._left:
            if address in port.addresses:
                port.release()

    def close(self, which: Container[Address | int]) -> list[Address]:
        """End every port whose number or address is among these, and return where those listened.

        The connections of such that listen no more end, too.
        """
        listening = [port for port in self._open if _is_of(port, which)]
        for port in listening:
            self._take(port)
        for port in self._left:
            if _is_of(port, which):
                port.close(self._speaker)
        self.settle()
        return [port.addresses[0] for port in listening]

    def settle(self) -> None:
        """Let go of ports whose last connection has ended."""
        over = [port for port in self._left if port.is_idle]
        for port in over:
            port.release()
            self._past[port.number] += port.passed
            self._left.remove(port)

    @property
    def every(self) -> tuple[OpenPort, ...]:
        """Those that listen, and those that listen no more."""
        return (*self._open, *self._left)

    @property
    def are_idle(self) -> bool:
        """True while no connection is under way, not even of those that listen no more."""
        return all(port.is_idle for port in self.every)

    def steer_away(self) -> None:
        """Let new connections come to other processes, where some have the same ports."""
        steering = Steering()
        for port in self._open:
            port.steer_away(steering)

    def stop_listening(self) -> None:
        """Accept no more connections anywhere."""
        self.drains = True
        with self._speaker.together():
            for port in self._open:
                port.stop_listening(self._speaker)

    def clear(self) -> None:
        """Forget all of them, after their service has closed what they lived by."""
        for port in (*self._open, *self._left):
            self._past[port.number] += port.passed
        self._open.clear()
        self._left.clear()
        self.drains = False

    def _take(self, port: OpenPort) -> None:
        self._open.remove(port)
        self._left.append(port)


def _is_of(port: OpenPort, which: Container[Address | int]) -> bool:
    server = port.server
    return server is not None and (server.address in which or server.address.port in which)
