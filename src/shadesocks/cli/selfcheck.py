"""1 MiB through a client and a server of a config, inside this process: the proof that key, cipher and relay work.

    program <-> client <-> server <-> target      every <-> is a socket pair, and the target sends back what it gets

No address is involved: the table of special addresses and the process's own listeners stay closed to everybody,
to this check too. What it cannot prove is that the world reaches the port; that is the firewall's side.
"""

from __future__ import annotations

import asyncio
import os
from socket import socketpair
from typing import TYPE_CHECKING, Any, Final

from ..core.address import Address
from ..core.reasons import reason
from ..crypto.random import draw
from ..crypto.replay_packets import PacketSalts
from ..net.connect import Anywhere
from ..net.datagrams import PlainDatagrams
from ..net.end import End
from ..net.packets import Crowd
from ..net.pipe import Scratch
from ..net.reactor import Reactor
from ..net.resolve import Resolver
from ..proxy.flow import Flow
from ..proxy.outbound.shadowsocks import ShadowsocksDialer
from ..proxy.seams import Dialing, First, OneWay, Request
from ..service.build import Shared, shadow_inbound, shadow_of, wall
from ..service.journal import Journal
from ..service.state import SaltMemory
from .exits import DIED, Failed

if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import SocketType, socket

    from ..config.model import Config, ServerConfig
    from ..net.lane import Lane

SIZE: Final = 1024 * 1024
"""Bytes moved: enough for many chunks of every edition, and for buffers to fill and drain."""
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
    """Move the bytes to a target and back, and compare them.

    Raises:
        Failed: they did not come back, or not the same.
    """
    reactor = Reactor(config.event_model)
    pairs = [_pair() for _ in range(3)]
    (program, inner), (outer, port), (far, target) = pairs
    journal = Journal(show_targets=False)
    scratch = Scratch()
    shared = _shared(config, reactor, scratch, journal)
    try:
        to_server = ShadowsocksDialer(_given(outer), shadow_of(server), scratch, wall, draw)
        Flow(reactor, scratch, shadow_inbound(shared, server), OneWay(_Target(far)), journal).accept(port, None)
        Flow(reactor, scratch, _Program(), OneWay(to_server), journal).accept(inner, None)
        async with asyncio.timeout(_LIMIT):
            await _compare(program, target)
    except (TimeoutError, OSError):
        words = "; ".join(reason(word).text for word in journal.reasons)
        raise Failed(
            f"the self-check failed: 1 MiB did not come back; {words or 'the bytes got stuck'}", DIED
        ) from None
    finally:
        for relay in list(journal.relays):
            relay.close("stopped")
        reactor.stop()
        shared.names.close()
        shared.salts.close()
        for sock in (sock for pair in pairs for sock in pair):
            sock.close()


async def _compare(program: socket, target: socket) -> None:
    sent = os.urandom(SIZE)
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(loop.sock_sendall(program, sent))
            group.create_task(_echo(target))
            back = group.create_task(_receive(program))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    if back.result() != sent:
        raise Failed("the self-check failed: what came back through this server is not what was sent", DIED)


async def _echo(sock: socket) -> None:
    await asyncio.get_running_loop().sock_sendall(sock, await _receive(sock))


async def _receive(sock: socket) -> bytes:
    loop = asyncio.get_running_loop()
    got = bytearray()
    while len(got) < SIZE:
        piece = await loop.sock_recv(sock, SIZE - len(got))
        if not piece:
            raise ConnectionError
        got += piece
    return bytes(got)


def _pair() -> tuple[socket, socket]:
    left, right = socketpair()
    left.setblocking(False)
    right.setblocking(False)
    return left, right


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
        Resolver(),
        Anywhere(),
        salts,
        silent_limit=1,
        datagrams=PlainDatagrams(),
        crowd=Crowd(1, 1, 1),
        packet_salts=PacketSalts(),
    )
