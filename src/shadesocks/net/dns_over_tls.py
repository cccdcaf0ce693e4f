"""Messages to one name server over TLS (RFC 7858): one connection, and as many queries on it as there are.

Called by `secure_lookup`, which makes the messages and knows what they say; here they are bytes behind an id. Answers
come in any order (RFC 7766 §6.2.1.1). The connection stays open until the server closes it, or was idle for so long
that something on the way may have forgotten it. It is made by whoever asks first, and all who ask meanwhile wait for
the same one. The certificate is always checked.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from typing import Final, cast

from ..core.nameserver import NameServer

OPEN_MOST: Final = 2.0
"""Seconds that connecting may take, for whoever comes while it does."""
IDLE_MOST: Final = 30.0
"""Seconds of silence after which a new connection is made: what lies between may have dropped the old one."""
QUIET: Final = 1.0
"""Seconds without a byte after which a query that is given up takes its connection along: it may be dead."""

_IDS: Final = 1 << 16
_HEAD_SIZE: Final = 12


def tls_context(context: ssl.SSLContext) -> ssl.SSLContext:
    """Return the context, made ready for `TlsServer`."""
    context.set_alpn_protocols(["dot"])  # RFC 7858 names none, but this one is registered for it
    return context


class TlsServer:
    """One name server."""

    def __init__(self, server: NameServer, context: ssl.SSLContext) -> None:
        """Name a server; nothing is connected yet.

        Args:
            server: its certificate must show `certificate`, or the address where that is empty.
            context: of `tls_context`.
        """
        self._server = server
        self._context = context
        self._stream: _Stream | None = None
        self._opening: asyncio.Task[_Stream] | None = None

    async def ask(self, message: bytes) -> tuple[bytes, float]:
        """Send a message and return what answers it, with the same id; and its age in seconds, which is 0.

        Raises:
            OSError: the server cannot be reached, has not the right certificate, or closed the connection.
        """
        for again in (True, False):
            stream, old = self._stream, True
            if stream is None or not stream.usable:
                stream, old = await self._open(), False
            try:
                return await stream.ask(message), 0.0
            except ConnectionError:
                # A server may close an idle connection just as we write (RFC 7766 §6.2.4): that is no failure.
                if not (old and again):
                    raise
        raise AssertionError

    async def close(self) -> None:
        """End the connection; what waits for an answer gets ConnectionError."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait((self._opening,))
        if self._stream is not None:
            self._stream.transport.abort()
            await self._stream.lost

    async def _open(self) -> _Stream:
        if self._opening is None:
            self._opening = asyncio.get_running_loop().create_task(self._connect())
            self._opening.add_done_callback(self._opened)
        return await asyncio.shield(self._opening)

    def _opened(self, task: asyncio.Task[_Stream]) -> None:
        self._opening = None
        if not task.cancelled() and task.exception() is None:
            old, self._stream = self._stream, task.result()
            if old is not None:
                old.retire()

    async def _connect(self) -> _Stream:
        loop = asyncio.get_running_loop()
        name = self._server.certificate or self._server.host.partition("%")[0]
        family, address = _place(self._server.host, self._server.port)
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            async with asyncio.timeout(OPEN_MOST):
                await loop.sock_connect(sock, address)
                _, stream = await loop.create_connection(_Stream, sock=sock, ssl=self._context, server_hostname=name)
        except BaseException:
            sock.close()
            raise
        return stream


class _Stream(asyncio.Protocol):
    """A connection: each message has its size before it (RFC 1035 §4.2.2)."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._held = bytearray()
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._next = 0
        self._heard = self._loop.time()
        self._retired = False
        self.lost: asyncio.Future[None] = self._loop.create_future()

    @property
    def usable(self) -> bool:
        """Whether another query may be sent: it is open, and busy or not idle for long."""
        if self._retired or self.lost.done() or self.transport.is_closing():
            return False
        return bool(self._waiting) or self._loop.time() - self._heard < IDLE_MOST

    def retire(self) -> None:
        """Close the connection when the last answer has come."""
        self._retired = True
        if not self._waiting:
            self.transport.abort()

    async def ask(self, message: bytes) -> bytes:
        """Send a message under an id of the connection's own, and return the answer under the message's."""
        if self.lost.done():
            raise ConnectionResetError("the connection was closed")
        while self._next in self._waiting:
            self._next = (self._next + 1) % _IDS
        ident, self._next = self._next, (self._next + 1) % _IDS
        answer: asyncio.Future[bytes] = self._loop.create_future()
        self._waiting[ident] = answer
        sent = self._loop.time()
        self.transport.write(len(message).to_bytes(2, "big") + ident.to_bytes(2, "big") + message[2:])
        try:
            return message[:2] + (await answer)[2:]
        except asyncio.CancelledError:
            if self._heard < sent <= self._loop.time() - QUIET:
                self.transport.abort()
            raise
        finally:
            del self._waiting[ident]
            if self._retired:
                self.retire()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        held = self._held
        held += data
        while len(held) >= 2 and len(held) >= (end := 2 + int.from_bytes(held[:2], "big")):
            message = bytes(held[2:end])
            del held[:end]
            if len(message) < _HEAD_SIZE:  # no message, and nobody knows what follows
                self.transport.abort()
                return
            answer = self._waiting.get(int.from_bytes(message[:2], "big"))
            if answer is not None and not answer.done():  # else nobody waits for it any more
                answer.set_result(message)

    def connection_lost(self, error: Exception | None) -> None:
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionResetError(str(error or "the server closed the connection")))
        with suppress(asyncio.InvalidStateError):
            self.lost.set_result(None)


def _place(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]:
    """Return an address as a socket wants it. A zone becomes a number here: asyncio would ask a thread for it."""
    if ":" not in host:
        return socket.AF_INET, (host, port)
    bare, _, zone = host.partition("%")
    scope = int(zone) if zone.isdecimal() else socket.if_nametoindex(zone) if zone else 0
    return socket.AF_INET6, (bare, port, 0, scope)
