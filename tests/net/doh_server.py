"""A name server over HTTPS for tests: as little HTTP as a client of RFC 8484 needs, in version 2 or 1.1.

The names, and how the server misbehaves, are those of a `tests.dns_server.DnsServer`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import h2.config
import h2.connection
import h2.events

from tests.dns_server import HOST, DnsServer


class DohServer:
    """What a test may look at and change."""

    def __init__(self, names: DnsServer) -> None:
        self.names = names
        self.port = 0
        self.connections: list[_Connection] = []
        """All that were ever opened."""
        self.open: set[_Connection] = set()
        self.paths: list[str] = []
        self.authorities: list[str] = []
        self.versions: set[str] = set()
        self.status = 200
        self.age: int | None = None
        self.size = 0
        """Bytes of every body, in place of the answer; 0: the answer."""
        self.drop_next_request = False
        """Close the connection when the next request comes."""

    def hang_up(self) -> None:
        """Close all connections, as servers do with idle ones: what says so is under way when this returns."""
        for connection in self.open:
            connection.transport.close()


class _Connection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, server: DohServer) -> None:
        self._server = server
        self._held = b""
        self._h2: h2.connection.H2Connection | None = None
        self._bodies: dict[int, bytes] = {}
        self._heads: dict[int, dict[str, str]] = {}
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._server.connections.append(self)
        self._server.open.add(self)
        if transport.get_extra_info("ssl_object").selected_alpn_protocol() == "h2":
            self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
            self._h2.initiate_connection()
            self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        self._server.open.discard(self)
        self.lost.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self._h2 is None:
            self._held += data
            self._read_http1()
        else:
            for event in self._h2.receive_data(data):
                self._take(event)
            self._flush()

    def _take(self, event: Any) -> None:
        assert self._h2 is not None
        if isinstance(event, h2.events.RequestReceived):
            self._heads[event.stream_id] = {str(name): str(value) for name, value in event.headers}
            self._bodies[event.stream_id] = b""
        elif isinstance(event, h2.events.DataReceived):
            self._bodies[event.stream_id] += event.data
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            head, number = self._heads.pop(event.stream_id), event.stream_id
            body = self._bodies.pop(event.stream_id)
            self._request(
                "2", head[":path"], head[":authority"], body, lambda answer: self._reply_http2(number, answer)
            )

    def _reply_http2(self, number: int, body: bytes) -> None:
        assert self._h2 is not None
        if self.transport.is_closing() or number not in self._h2.streams:
            return
        headers = [(":status", str(self._server.status)), ("content-type", "application/dns-message")]
        self._h2.send_headers(number, headers + self._age())
        size = self._h2.max_outbound_frame_size
        parts = [body[at : at + size] for at in range(0, len(body), size)]
        for part in parts:
            self._h2.send_data(number, part)
        self._h2.end_stream(number)
        self._flush()

    def _flush(self) -> None:
        assert self._h2 is not None
        self.transport.write(self._h2.data_to_send())

    def _read_http1(self) -> None:
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            first, *lines = self._held[:end].decode("latin-1").split("\r\n")
            head = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            size = int(head["content-length"])
            if len(self._held) < end + 4 + size:
                return
            body, self._held = self._held[end + 4 : end + 4 + size], self._held[end + 4 + size :]
            self._request("1.1", first.split()[1], head["host"], body, self._reply_http1)

    def _reply_http1(self, body: bytes) -> None:
        if not self.transport.is_closing():
            lines = [f"HTTP/1.1 {self._server.status} x", "Content-Type: application/dns-message"]
            lines += [f"{name}: {value}" for name, value in [*self._age(), ("content-length", str(len(body)))]]
            self.transport.write("\r\n".join([*lines, "", ""]).encode() + body)

    def _age(self) -> list[tuple[str, str]]:
        return [] if self._server.age is None else [("age", str(self._server.age))]

    def _request(self, version: str, path: str, authority: str, body: bytes, reply: Any) -> None:
        server = self._server
        if server.drop_next_request:
            server.drop_next_request = False
            self.transport.abort()
            return
        server.versions.add(version)
        server.paths.append(path)
        server.authorities.append(authority)
        size = server.size
        server.names.respond(
            body,
            "https",
            self.transport.get_extra_info("peername")[1],
            (lambda _: reply(b"x" * size)) if size else reply,
        )


@asynccontextmanager
async def doh_server(names: DnsServer, tls: ssl.SSLContext, host: str = HOST) -> AsyncIterator[DohServer]:
    """Serve names over HTTPS. The context's ALPN says which versions of HTTP."""
    server = DohServer(names)
    listener = await asyncio.get_running_loop().create_server(lambda: _Connection(server), host, 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        left = list(server.open)
        for connection in left:
            connection.transport.abort()
        for connection in left:
            await connection.lost
        await listener.wait_closed()
