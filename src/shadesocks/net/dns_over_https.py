"""Messages to one name server over HTTPS (RFC 8484): HTTP/2 where the server speaks it, else HTTP/1.1.

Called by `secure_lookup`, which makes the messages and knows what they say. The HTTP is `httpcore`'s, which comes with
`dnspython[doh]`; it is imported when the first server is made. Connections stay open between queries. The server's
name, if it has one, is looked up by whoever `find` is, when a connection is opened; certificates are always checked,
and neither proxies nor anything else of the environment is heeded.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable
from types import ModuleType
from typing import Any, Final

from ..core.address import pack_zoned
from ..core.nameserver import NameServer

CONNECTIONS_MOST: Final = 4
"""Connections to a server that speaks HTTP/1.1, where each carries one query at a time."""
CONNECT_MOST: Final = 2.0
"""Seconds for connecting to one address."""
IDLE_MOST: Final = 30.0
"""Seconds of silence after which a new connection is made: what lies between may have dropped the old one."""
QUIET: Final = 1.0
"""Seconds without an answer after which a query that is given up takes its connections along: they may be dead."""
SIZE_MOST: Final = 65535
"""Bytes of a message."""

_MEDIA_TYPE: Final = b"application/dns-message"


def https_library() -> ModuleType:
    """Return the HTTP library.

    Raises:
        ImportError: it, or what it needs for HTTP/2, is not installed.
    """
    import anyio  # noqa: F401 - what the library opens connections with
    import h2  # noqa: F401 - what it speaks HTTP/2 with

    try:
        import httpcore2 as library
    except ImportError:  # before dnspython 2.9
        import httpcore as library  # type: ignore[import-not-found, no-redef, unused-ignore]
    return library


class HttpsServer:
    """One name server."""

    def __init__(
        self,
        server: NameServer,
        context: ssl.SSLContext,
        find: Callable[[str], Awaitable[Iterable[str]]],
    ) -> None:
        """Name a server; nothing is connected yet.

        Args:
            server: its certificate must show its host, a name or an address.
            context: what certificates are checked with. It is changed.
            find: returns the addresses of a name; raises what `ask` is to raise.

        Raises:
            ImportError: see `https_library`.
        """
        self._library = https_library()
        self._context = context
        self._find = find
        host = f"[{server.host}]" if ":" in server.host else server.host
        self._url = f"https://{host}:{server.port}{server.path or '/dns-query'}"
        authority = host if server.port == 443 else f"{host}:{server.port}"
        self._headers = [
            (b"host", authority.encode("ascii")),
            (b"accept", _MEDIA_TYPE),
            (b"content-type", _MEDIA_TYPE),
        ]
        self._pool: _Pool | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def ask(self, message: bytes) -> tuple[bytes, float]:
        """Send a message and return what answers it, and how many seconds ago that was true (RFC 8484 §5.1).

        Raises:
            OSError: the server cannot be reached, has not the right certificate, closed the connection, or answered
                with another status than 200.
        """
        for again in (True, False):
            if self._pool is None:
                self._pool = _Pool(self._library, self._context, self._find)
            pool, old = self._pool, self._pool.heard is not None
            try:
                return await self._post(pool, message)
            except self._library.TimeoutException as error:
                raise TimeoutError(str(error)) from None
            except self._library.ConnectError as error:
                raise OSError(str(error) or "the connection failed") from None
            except (self._library.NetworkError, self._library.ProtocolError) as error:
                # A server may close an idle connection just as we write: that is no failure.
                self._retire(pool)
                if not (old and again):
                    raise ConnectionResetError(str(error) or "the server closed the connection") from None
        raise AssertionError

    async def close(self) -> None:
        """End all connections. No query may be under way."""
        if self._pool is not None:
            self._retire(self._pool)
        if self._closing:
            await asyncio.wait(self._closing)

    async def _post(self, pool: _Pool, message: bytes) -> tuple[bytes, float]:
        loop = asyncio.get_running_loop()
        sent = loop.time()
        pool.users += 1
        try:
            async with pool.pool.stream("POST", self._url, headers=self._headers, content=message) as response:
                body = bytearray()
                async for part in response.aiter_stream():
                    body += part
                    if len(body) > SIZE_MOST:
                        raise OSError("the answer is longer than any message")
            pool.heard = loop.time()
            if response.status != 200:
                raise OSError(f"the server answered with status {response.status}")
            return bytes(body), _age(response.headers)
        except asyncio.CancelledError:
            if (pool.heard or 0.0) < sent <= loop.time() - QUIET:
                self._retire(pool)
            raise
        finally:
            pool.users -= 1
            if pool.retired:
                self._retire(pool)

    def _retire(self, pool: _Pool) -> None:
        """Use these connections no more, and close them when the last query on them has ended."""
        pool.retired = True
        if self._pool is pool:
            self._pool = None
        if not pool.users and not pool.closed:
            pool.closed = True
            task = asyncio.get_running_loop().create_task(pool.pool.aclose())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


class _Pool:
    """The connections to a server."""

    def __init__(
        self, library: ModuleType, context: ssl.SSLContext, find: Callable[[str], Awaitable[Iterable[str]]]
    ) -> None:
        self.pool: Any = library.AsyncConnectionPool(
            ssl_context=context,
            max_connections=CONNECTIONS_MOST,
            keepalive_expiry=IDLE_MOST,
            http2=True,
            network_backend=_Network(library, find),
        )
        self.users = 0
        self.heard: float | None = None
        """When the last answer came."""
        self.retired = False
        self.closed = False


class _Network:
    """How the library opens connections: to addresses only, or it would ask asyncio's threads for names."""

    def __init__(self, library: ModuleType, find: Callable[[str], Awaitable[Iterable[str]]]) -> None:
        self._library = library
        self._inner = library.AnyIOBackend()
        self._find = find

    async def connect_tcp(self, host: str, port: int, **_options: object) -> Any:
        """Connect to the first of a host's addresses that takes it."""
        literal = pack_zoned(host) is not None
        error: Exception = self._library.ConnectError(f"{host} has no address")
        for address in [host] if literal else await self._find(host):
            try:
                return await self._inner.connect_tcp(address, port, timeout=CONNECT_MOST)
            except (self._library.NetworkError, self._library.TimeoutException) as failure:
                error = failure
        raise error


def _age(headers: Iterable[tuple[bytes, bytes]]) -> float:
    """Return the seconds that an answer lay in some HTTP cache."""
    for name, value in headers:
        if name.lower() == b"age" and value.isdigit() and len(value) < 10:
            return float(value)
    return 0.0
