"""What the tests of old defects share: services with other parts around them, dead addresses, requests made by hand.

A service runs in the test's own loop (`tests/service/rig.py`), with real sockets on loopback. What a client sends is
made by hand (`tests/probes/craft.py`) where our own client would not send it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import struct
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any, Final

from shadesocks.config.load import load
from shadesocks.config.model import Config, LocalConfig, Mode, ServerConfig
from shadesocks.core.address import Address
from shadesocks.core.nameserver import NameServer, Transport
from shadesocks.service.service import Service
from shadesocks.wire.uri import parse_link
from tests.cli.family.conftest import Start
from tests.dns_server import DnsServer
from tests.probes.craft import Crafter
from tests.probes.craft_udp import UdpCrafter
from tests.service.rig import HOST, server_config, started

AEAD: Final = "aes-128-gcm"
BOTH: Final = Mode.TCP_AND_UDP
GREETING: Final = b"\5\1\0"
"""SOCKS5, one method, no login."""
CONNECT: Final = b"\5\1\0"
"""SOCKS5, CONNECT; the address follows."""
GREETED: Final = b"\5\0"

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def config_of(text: str, role: Any = None, **more: Any) -> Config:
    """Read a configuration as the programs do."""
    return load(text, role=role, read_link=parse_link, **more)


def crafter(method: str = AEAD) -> Crafter:
    """A client of `server_config(method)`, made by hand."""
    return Crafter(method, server_config(method).password.reveal())


def udp_crafter(method: str = AEAD) -> UdpCrafter:
    """The same for datagrams."""
    return UdpCrafter(method, server_config(method).password.reveal())


def behind(start: Start, name: str, words: str) -> Config:
    """Return the configuration that an old program's words make, which must be good."""
    started_ = start(name, words)
    assert started_.config is not None, started_.err + started_.log
    return started_.config


def dns_of(*servers: DnsServer) -> tuple[NameServer, ...]:
    """These name servers, as a configuration has them."""
    return tuple(NameServer(Transport.UDP, server.host, server.port) for server in servers)


@asynccontextmanager
async def serving(
    server: ServerConfig | None = None, *, private: bool = True, **options: Any
) -> AsyncIterator[Service]:
    """A server, over TCP and UDP."""
    server = replace(server or server_config(AEAD), mode=BOTH)
    async with started(Service.server(Config(servers=(server,), allow_private=private, **options))) as far:
        yield far


@asynccontextmanager
async def local_for(servers: Sequence[ServerConfig], *, mode: Mode = BOTH, **options: Any) -> AsyncIterator[Service]:
    """A client in front of these servers; what it probes them for is on this machine."""
    options = {"balancer_probe_url": f"http://{HOST}:9/", "balancer_probe_dns": Address(HOST, 9), **options}
    local = LocalConfig(Address(HOST, 0), mode=mode)
    async with started(Service.local(Config(servers=tuple(servers), locals=(local,), **options))) as near:
        yield near


def entry_for(service: Service, method: str = AEAD) -> ServerConfig:
    """A started server as its clients name it."""
    return replace(server_config(method), address=service.addresses[0], mode=BOTH)


async def connected(service: Service) -> Streams:
    """Connect to a service."""
    address = service.addresses[0]
    return await asyncio.open_connection(address.host, address.port)


async def turns(count: int = 5) -> None:
    """Let the loop turn: what was sent over loopback was read by then, and what follows is a read of its own."""
    for _ in range(count):
        await asyncio.sleep(0)


async def send_pieces(writer: asyncio.StreamWriter, data: bytes, cuts: Iterable[int]) -> None:
    """Send these bytes cut at these places, each piece a read of its own at the other end."""
    edges = [0, *cuts, len(data)]
    for start, end in itertools.pairwise(edges):
        writer.write(data[start:end])
        await turns()


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """Return what comes until the end, whichever way it comes."""
    got = bytearray()
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            got += data
    return bytes(got)


async def left(writer: asyncio.StreamWriter) -> None:
    """Close a connection, and wait until it is closed."""
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection by RST."""
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextmanager
def dead_port() -> Iterator[Address]:
    """An address that refuses: somebody has the port, and nobody listens on it."""
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        yield Address(HOST, sock.getsockname()[1])


@contextmanager
def black_hole() -> Iterator[Address]:
    """An address that never answers: a listener whose queue is full drops every SYN (Linux)."""
    with contextlib.ExitStack() as stack:
        hole = stack.enter_context(socket.socket())
        hole.bind((HOST, 0))
        hole.listen(0)
        address = hole.getsockname()
        stack.enter_context(socket.create_connection(address))
        for _ in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        yield Address(*address)


@contextmanager
def udp_client(host: str = HOST) -> Iterator[socket.socket]:
    """A socket for datagrams that does not block."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        sock.setblocking(False)
        yield sock


async def received(sock: socket.socket) -> bytes:
    """Return the next datagram."""
    return await asyncio.get_running_loop().sock_recv(sock, 70_000)


def wrapped(target: Address, payload: bytes, fragment: int = 0) -> bytes:
    """A SOCKS5 datagram."""
    return bytes((0, 0, fragment)) + target.pack() + payload


def where(service: Service) -> tuple[str, int]:
    """The address of a service, as sockets take it."""
    return service.addresses[0].host, service.addresses[0].port
