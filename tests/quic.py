"""QUIC through a SOCKS5 proxy: a transfer that is exact or fails, over datagrams that are counted.

aioquic has no notion of a proxy: here its client speaks over an association, each of its datagrams with a SOCKS5
header, so that nothing can go past the proxy unseen.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from socket import inet_aton
from typing import TYPE_CHECKING, Any, Final

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import QuicServer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from socket import socket

ALPN: Final = ["echo"]
LIMIT: Final = 90.0
"""Seconds of a transfer: through the worst weather it takes ten."""
Endpoint = tuple[str, int]


@dataclass(slots=True)
class Counts:
    """Datagrams that passed the proxy."""

    sent: int = 0
    received: int = 0


@contextlib.asynccontextmanager
async def quic_server(sock: socket) -> AsyncIterator[Endpoint]:
    """Serve QUIC on a bound UDP socket: every stream's bytes come back once it has ended."""
    loop = asyncio.get_running_loop()
    configuration = QuicConfiguration(alpn_protocols=ALPN, is_client=False)
    configuration.certificate, configuration.private_key = _certificate()
    tasks: set[asyncio.Task[None]] = set()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(await reader.read())
            writer.write_eof()

    def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = loop.create_task(echo(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    _, server = await loop.create_datagram_endpoint(
        lambda: QuicServer(configuration=configuration, stream_handler=stream), sock=sock
    )
    try:
        host, port = sock.getsockname()[:2]
        yield host, port
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # the transport closes its socket in the loop


async def transfer(
    proxy: Endpoint, target: Endpoint, size: int, make: Callable[[int, int], socket], counts: Counts
) -> None:
    """Send `size` random bytes to the target through the proxy, and compare what comes back.

    Args:
        proxy: where SOCKS5 is spoken.
        make: makes a socket of a family and kind, in the network that the proxy is in.
        counts: filled with the datagrams that passed.
    """
    async with asyncio.timeout(LIMIT), _association(proxy, make) as relay:
        configuration = QuicConfiguration(alpn_protocols=ALPN, is_client=True, verify_mode=ssl.CERT_NONE)
        client = QuicConnectionProtocol(QuicConnection(configuration=configuration))
        loop = asyncio.get_running_loop()
        sock = make(2, 2)
        sock.setblocking(False)
        sock.connect(relay)
        transport, _ = await loop.create_datagram_endpoint(partial(_Wrapped, client, target, counts), sock=sock)
        client.connect(target)
        try:
            await client.wait_connected()
            sent = os.urandom(size)
            reader, writer = await client.create_stream()
            writer.write(sent)
            writer.write_eof()
            came = await reader.read()
            assert len(came) == size
            assert hashlib.sha256(came).digest() == hashlib.sha256(sent).digest()
        finally:
            client.close()
            await client.wait_closed()
            transport.close()
            await asyncio.sleep(0)


class _Wrapped(asyncio.DatagramProtocol):
    """Between the association's socket and aioquic: puts the SOCKS5 header on, takes it off."""

    def __init__(self, inner: QuicConnectionProtocol, target: Endpoint, counts: Counts) -> None:
        self._inner = inner
        self._target = target
        self._header = b"\0\0\0\1" + inet_aton(target[0]) + target[1].to_bytes(2)
        self._counts = counts
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._inner.connection_made(self)  # type: ignore[arg-type]  # the part of a transport that it calls

    def datagram_received(self, data: bytes, _addr: Any) -> None:
        assert data.startswith(self._header), "the answer's sender is the target"
        self._counts.received += 1
        self._inner.datagram_received(data[len(self._header) :], self._target)

    def error_received(self, _error: Exception) -> None:
        """An ICMP error is a loss like another."""

    def sendto(self, data: bytes, _addr: Any = None) -> None:
        self._counts.sent += 1
        self._transport.sendto(self._header + data)

    def close(self) -> None:
        """Of the transport's owner, not of aioquic."""


@contextlib.asynccontextmanager
async def _association(proxy: Endpoint, make: Callable[[int, int], socket]) -> AsyncIterator[Endpoint]:
    loop = asyncio.get_running_loop()
    with make(2, 1) as control:
        control.setblocking(False)
        await loop.sock_connect(control, proxy)
        await loop.sock_sendall(control, b"\5\1\0")
        assert await loop.sock_recv(control, 2) == b"\5\0"
        await loop.sock_sendall(control, b"\5\3\0\1" + bytes(6))
        reply = await loop.sock_recv(control, 300)
        assert reply[:4] == b"\5\0\0\1"
        host = ".".join(map(str, reply[4:8]))
        yield (proxy[0] if host == "0.0.0.0" else host), int.from_bytes(reply[8:10])


def _certificate() -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "quic.test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return certificate, key
