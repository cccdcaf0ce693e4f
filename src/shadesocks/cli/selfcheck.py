"""1 MiB through a client and a server of a config, inside this process: the proof that key, cipher and relay work.

    program <-> client <-> server <-> target      every <-> is a socket pair, and the target sends back what it gets

No address is involved: the table of special addresses and the process's own listeners stay closed to everybody,
to this check too. Where the server takes datagrams, one more goes through a packet relay, over sockets of loopback:

    client -> server -> target, and back

What this cannot prove is that the world reaches the port; that is the firewall's side.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from socket import AF_INET, SOCK_DGRAM, socket, socketpair
from typing import TYPE_CHECKING, Any, Final

from ..config.model import Config
from ..config.users import clients_of
from ..core.address import Address
from ..core.errors import RemoteProtocolError
from ..core.reasons import reason
from ..crypto.random import draw
from ..crypto.replay_packets import PacketSalts
from ..net.backs import DirectBack
from ..net.crowd import Crowd
from ..net.datagrams import DatagramOptions, PlainDatagrams, bind_socket
from ..net.end import End
from ..net.origin import OriginPolicy
from ..net.packets import PacketRelay
from ..net.pipe import Scratch
from ..net.reactor import Reactor
from ..proxy.flow import Flow
from ..proxy.outbound.shadowsocks import ShadowsocksDialer
from ..proxy.seams import Dialing, First, OneWay, Request
from ..service.journal import Journal
from ..service.names import make_resolver
from ..service.parts import packets_of, shadow_of
from ..service.roles.server_port import shadow_inbound
from ..service.rules import AclShelf
from ..service.shared import Shared, wall
from ..service.state import SaltMemory
from ..service.users.tables import table_of
from ..wire.packet import HEADROOM
from .exits import DIED, Failed

if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import SocketType

    from ..config.model import ServerConfig
    from ..net.lane import Lane

SIZE: Final = 1024 * 1024
"""Bytes moved: enough for many chunks of every edition, and for buffers to fill and drain."""
OLD_SIZE: Final = 64 * 1024
"""Bytes moved by an old method: the slowest of them seal 0.3 MB a second (docs/adr/0015)."""
DATAGRAM_SIZE: Final = 1200
"""Bytes of the datagram: what QUIC begins with."""
_ROOM: Final = 4096
_LOOPBACK: Final = "127.0.0.1"
_LIMIT: Final = 10.0
"""Seconds; it takes some tens of milliseconds, and a check that hangs has failed."""
_TARGET: Final = Address("self-check.invalid", 443)
"""A name that exists nowhere (RFC 6761 §6.4), and that nobody looks up."""


class _Program:
    """The inbound of the client: everybody wants the one target."""

    header_lane: Lane | None = None

    async def handshake(self, sock: SocketType, _client: Any) -> Request:
        return Request(End(sock), _TARGET)

    def release(self, sock: SocketType) -> None:
        sock.close()


class _Target:
    """The dialer of the server: every target is the one socket."""

    def __init__(self, sock: SocketType) -> None:
        self._sock = sock

    async def dial(self, _target: Address, first: First) -> End:
        end = End(self._sock)
        end.tail = bytes(first)
        return end


async def check_server(config: Config, server: ServerConfig) -> None:
    """Move bytes, and a datagram, to a target and back, and compare them: whatever the server's mode has.

    Where it has users, the first of them is the client. Without any, and for a server that only passes on, there is
    nobody who could be one.

    Raises:
        Failed: they did not come back, or not the same.
    """
    if not is_checked(server):
        return
    if server.mode.tcp:
        await _check_stream(config, server)
    if server.mode.udp:
        await _check_datagram(config, server)


def is_checked(server: ServerConfig) -> bool:
    """True for a server that has a client whose part can be taken."""
    return bool(clients_of(server)) and not server.destinations


def size_of(server: ServerConfig) -> tuple[int, str]:
    """Return how many bytes go through a server, and the words for it."""
    return (OLD_SIZE, "64 KiB") if server.method.legacy else (SIZE, "1 MiB")


async def _check_stream(config: Config, server: ServerConfig) -> None:
    size, size_words = size_of(server)
    reactor = Reactor(config.event_model)
    pairs = [_pair() for _ in range(3)]
    (program, inner), (outer, port), (far, target) = pairs
    journal = Journal(show_targets=False)
    scratch = Scratch()
    shared = _shared(config, reactor, scratch, journal)
    try:
        to_server = ShadowsocksDialer(_given(outer), shadow_of(shared, clients_of(server)[0]), scratch, wall, draw)
        inbound = shadow_inbound(shared, replace(server, acl=None), table_of(server))
        Flow(reactor, scratch, inbound, OneWay(_Target(far)), journal).accept(port, None)
        Flow(reactor, scratch, _Program(), OneWay(to_server), journal).accept(inner, None)
        async with asyncio.timeout(_LIMIT):
            await _compare(program, target, size)
    except (TimeoutError, OSError):
        words = "; ".join(reason(word).text for word in journal.reasons)
        raise Failed(
            f"the self-check failed: {size_words} did not come back; {words or 'the bytes got stuck'}", DIED
        ) from None
    finally:
        for relay in list(journal.relays):
            relay.close("stopped")
        reactor.stop()
        await shared.names.close()
        shared.salts.close()
        for sock in (sock for pair in pairs for sock in pair):
            sock.close()


async def _check_datagram(config: Config, server: ServerConfig) -> None:
    reactor = Reactor(config.event_model)
    shared = _shared(config, reactor, Scratch(), Journal(show_targets=False))
    loop = reactor.loop
    options = DatagramOptions()
    front, target, client = bind_socket((_LOOPBACK, 0), AF_INET, options), _datagram_socket(), _datagram_socket()
    server_at, target_at = front.getsockname(), target.getsockname()
    packets = packets_of(shared, server, table_of(server))
    back = DirectBack(shared.datagrams, shared.names, shared.origin, options)
    relay = PacketRelay(
        reactor, shared.datagrams, front, packets.host(), back, shared.crowd, shared.journal, wall, _LIMIT
    )
    talk = packets_of(shared, clients_of(server)[0]).join()
    message, sealed = memoryview(bytearray(_ROOM)), memoryview(bytearray(_ROOM))
    address, sent = Address(*target_at).pack(), os.urandom(DATAGRAM_SIZE)
    payload = HEADROOM + len(address)
    end = payload + len(sent)
    message[HEADROOM:end] = address + sent
    try:
        async with asyncio.timeout(_LIMIT):
            size = talk.seal(message, (HEADROOM, payload, end), sealed, 0, wall())
            await loop.sock_sendto(client, sealed[:size], server_at)
            got, sender = await loop.sock_recvfrom(target, _ROOM)
            await loop.sock_sendto(target, got, sender)
            answer = await loop.sock_recv(client, _ROOM)
            _, start, end = talk.open(memoryview(answer), message, 0, wall())
    except (TimeoutError, OSError, RemoteProtocolError):
        words = "; ".join(reason(word).text for word in relay.dropped)
        raise Failed(
            f"the self-check failed: a datagram did not come back; {words or 'it was lost on the way'}", DIED
        ) from None
    finally:
        relay.close()
        target.close()
        client.close()
        reactor.stop()
        shared.packet_salts.close()
    if bytes(message[start:end]) != sent:
        raise Failed("the self-check failed: the datagram that came back through this server is not the one sent", DIED)


async def _compare(program: socket, target: socket, size: int) -> None:
    sent = os.urandom(size)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(loop.sock_sendall(program, sent))
            group.create_task(_echo(target, size))
            back = group.create_task(_receive(program, size))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    if back.result() != sent:
        raise Failed("the self-check failed: what came back through this server is not what was sent", DIED)


async def _echo(sock: socket, size: int) -> None:
    await asyncio.get_running_loop().sock_sendall(sock, await _receive(sock, size))


async def _receive(sock: socket, size: int) -> bytes:
    loop = asyncio.get_running_loop()
    got = bytearray()
    while len(got) < size:
        piece = await loop.sock_recv(sock, size - len(got))
        if not piece:
            raise ConnectionError
        got += piece
    return bytes(got)


def _pair() -> tuple[socket, socket]:
    left, right = socketpair()
    left.setblocking(False)
    right.setblocking(False)
    return left, right


def _datagram_socket() -> socket:
    sock = socket(AF_INET, SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind((_LOOPBACK, 0))
    return sock


def _given(sock: socket) -> Callable[[First], Dialing]:
    async def connect(first: First) -> End:
        end = End(sock)
        end.tail = bytes(first)
        return end

    return connect


def _shared(config: Config, reactor: Reactor, scratch: Scratch, journal: Journal) -> Shared:
    """What the server's face needs. Nothing is looked up or dialled, and the salts are forgotten afterwards."""
    salts = SaltMemory(None, reactor.loop.time)
    return Shared(
        config,
        reactor,
        scratch,
        journal,
        make_resolver(Config()),
        OriginPolicy(allow_private=True),
        OriginPolicy(allow_private=True),
        AclShelf(Config()),
        salts,
        silent_limit=1,
        datagrams=PlainDatagrams(),
        crowd=Crowd(1, 1, 1),
        packet_salts=PacketSalts(),
    )
