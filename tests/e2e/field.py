"""What the attackers' tests share: a name server that lies, a hosts file, a trap, and a watch over all of it.

Everything that is asked of a service is made by hand (`tests/probes/craft.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from shadesocks.config.model import Config, LocalConfig, Mode
from shadesocks.core.address import Address
from shadesocks.core.nameserver import NameServer, Transport
from shadesocks.net.loop import run as run_plane
from shadesocks.service.service import Service
from tests.dns_server import DnsServer, dns_server_thread
from tests.probes.craft import Crafter
from tests.probes.craft_udp import UdpCrafter
from tests.service.rig import HOST, server_config

from .spellings import HOSTS, LOST, Spelling, zone
from .trap import Trap, Watch, has_ipv6, local_addresses, trap, watching

LIMIT: Final = 60.0
"""Seconds after which a test that waits has failed."""
AEAD, SIP022 = "aes-128-gcm", "2022-blake3-aes-128-gcm"


class Field:
    """A name server with forbidden answers, a hosts file, a trap, and a watch over all of it."""

    def __init__(self, dns: DnsServer, there: Trap, watch: Watch, state: Path) -> None:
        self.dns, self.trap, self.watch = dns, there, watch
        self._state = str(state)
        self._session = os.urandom(8)
        self._packets = 0

    def config(self, **options: Any) -> Config:
        """Names are asked of the name server here, and a failed handshake ends at once."""
        asked = NameServer(Transport.UDP, self.dns.host, self.dns.port)
        return Config(dns=(asked,), bad_handshake="fin", state_dir=self._state, **options)

    @asynccontextmanager
    async def up(self, service: Service) -> AsyncIterator[Service]:
        """Start a service, which binds; and stop it whatever happens."""
        with self.watch.mine():
            await service.start()
        try:
            yield service
        finally:
            await service.stop()

    def server(self, method: str = AEAD, host: str = HOST, **options: Any) -> Service:
        server = replace(server_config(method), address=Address(host, 0), mode=Mode.TCP_AND_UDP)
        return Service.server(self.config(servers=(server,), **options))

    @asynccontextmanager
    async def pair(self, *, acl: str | None = None, **options: Any) -> AsyncIterator[tuple[Service, Service]]:
        """A server, and a client in front of it that may have rules."""
        async with self.up(self.server()) as far:
            there = replace(server_config(AEAD), address=far.addresses[0], mode=Mode.TCP_AND_UDP)
            local = LocalConfig(Address(HOST, 0), mode=Mode.TCP_AND_UDP, acl=acl)
            async with self.up(Service.local(self.config(servers=(there,), locals=(local,), **options))) as near:
                yield far, near

    def connect(self, service: Service) -> socket.socket:
        """A connection of the test's own; on loopback it stands at once."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        with self.watch.mine():
            sock.connect((HOST, service.addresses[0].port))
        sock.setblocking(False)
        return sock

    def wire(self, spelling: Spelling, port: int = 0) -> bytes:
        return spelling.wire + (port or self.trap.port).to_bytes(2)

    async def stream(self, service: Service, target: bytes, method: str = AEAD) -> bytes:
        """Ask a server for a target with a handshake made by hand; return what comes until the end."""
        with self.connect(service) as sock:
            sock.send(Crafter(method, key_of(method)).good(target, b"GET / HTTP/1.0\r\n\r\n"))
            return await rest_of(sock)

    def datagram(self, service: Service, target: bytes, method: str = AEAD, payload: bytes = b"x") -> None:
        """Ask a server to send to a target."""
        self._packets += 1
        packet = UdpCrafter(method, key_of(method)).request(target, payload, self._session, self._packets)
        self.send(packet, (HOST, service.addresses[0].port))

    def send(self, packet: bytes, to: tuple[str, int]) -> None:
        with self.watch.mine(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(packet, to)

    async def socks(self, service: Service, target: bytes, command: int = 1) -> tuple[int, bytes]:
        """Ask a client for a target; return the REP field of its reply, 255 for none, and what comes until the end."""
        with self.connect(service) as sock:
            sock.send(b"\5\1\0" + b"\5" + bytes((command, 0)) + target + b"GET / HTTP/1.0\r\n\r\n")
            answer = (await rest_of(sock)).removeprefix(b"\5\0")
            return (answer[1], answer[10:]) if answer else (255, b"")

    def assert_nobody_was_dialled(self) -> None:
        assert self.watch.seen == []
        assert self.trap.sprung() == 0


def key_of(method: str) -> str:
    return server_config(method).password.reveal()


async def rest_of(sock: socket.socket) -> bytes:
    """Return what comes until the end of a connection; a reset is an end."""
    loop = asyncio.get_running_loop()
    got = bytearray()
    with contextlib.suppress(ConnectionError):
        while data := await loop.sock_recv(sock, 65536):
            got += data
    return bytes(got)


def ip_spelling(ip: str, words: frozenset[str] = frozenset({"denied"})) -> Spelling:
    return name_spelling(ip, words) if "%" in ip else Spelling(ip, Address(ip, 0).pack()[:-2], words)


def name_spelling(name: str, words: frozenset[str] = frozenset({"denied"})) -> Spelling:
    raw = name.encode()
    return Spelling(name, b"\3" + bytes((len(raw),)) + raw, words)


def outlets(service: Service) -> int:
    """How many sockets towards targets its sessions have."""
    crowd = service._shared.crowd
    assert crowd is not None
    return sum(session.outlet is not None for relay in crowd.relays for session in relay.sessions.values())


def drops(service: Service) -> int:
    return sum(service.packets.dropped.values())


@pytest.fixture
def field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Field]:
    hosts = tmp_path / "hosts"
    hosts.write_text(HOSTS)
    monkeypatch.setattr("shadesocks.service.names.hosts_path", lambda: str(hosts))
    local_addresses()  # asks for ways, which a watch would see
    with dns_server_thread() as dns, trap() as there, watching() as watch:
        dns.zone |= zone() | LOST
        yield Field(dns, there, watch, tmp_path)


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(LIMIT):
            await story()

    run_plane(limited())


def open_spellings() -> list[Spelling]:
    """Ways to the trap that work where they are allowed: what is refused above is refused for a reason."""
    ips = ["127.0.0.1", "127.0.0.2", "0.0.0.0", "::ffff:127.0.0.1", *(("::1", "::") if has_ipv6() else ())]
    return [*map(ip_spelling, ips), name_spelling("both.test"), name_spelling("localhost"), name_spelling("alias.test")]
