"""The page with the counters of a service: a small HTTP responder in the service's own loop.

No thread reads what the loop writes: the page is made between two turns, in a millisecond or two, and the lines of
many users between some more. Who asks gets one answer, and the connection is closed; it has some seconds, and there
are few of them at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from ...config.hosts import is_loopback
from ...config.model import METRICS_PORT
from ..histogram import LAGS, Histogram

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from ...core.address import Address
    from ..service import Service

log = logging.getLogger(__name__)

HEAD_MOST: Final = 8192
"""Bytes of a request: Prometheus sends three hundred."""
LIMIT: Final = 5.0
"""Seconds for a request and its answer."""
CLIENTS_MOST: Final = 8
"""Who may read at a time: two Prometheus beside each other, a person and a test or two; each page takes some memory."""
AGAIN: Final = 5.0
"""Seconds until an address that somebody has is tried again: a worker's place is taken before it has gone."""
EVERY: Final = 1.0
"""Seconds between two looks at how late the loop is."""


class MetricsPage:
    """The page of one service; it is there from `open` to `close`."""

    def __init__(self, address: Address | None, service: Service) -> None:
        """Take where it is to be; None: nowhere, and nothing happens."""
        self._address: Final = address
        self._service: Final = service
        self._lags: Final = Histogram(LAGS)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._timers: list[asyncio.TimerHandle] = []
        self._opening: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """Where it listens; 0 while it does not."""
        return 0 if self._server is None else int(self._server.sockets[0].getsockname()[1])

    async def open(self) -> None:
        """Listen, now or as soon as the place is free."""
        address = self._address
        if address is None:
            return
        loop = asyncio.get_running_loop()
        if not is_loopback(address.host):
            log.warning("metrics: whoever reaches %s can read the counters of this service", address)
        self._look(loop.time())
        if not await self._listen(address):
            self._opening = loop.create_task(self._keep_trying(address))

    async def _listen(self, address: Address) -> bool:
        try:
            self._server = await asyncio.start_server(
                self._answer, address.host, address.port or METRICS_PORT, limit=HEAD_MOST, reuse_address=True
            )
        except OSError as error:
            if self._opening is None:
                log.error("metrics: cannot listen on %s: %s; tried again and again", address, error.strerror or error)
            return False
        log.info("metrics: http://%s/metrics", address)
        return True

    async def _keep_trying(self, address: Address) -> None:
        while True:
            await asyncio.sleep(AGAIN)
            if await self._listen(address):
                return

    def _look(self, due: float) -> None:
        """Note how late the loop is."""
        loop = asyncio.get_running_loop()
        self._lags.add(max(0.0, loop.time() - due))
        at = loop.time() + EVERY
        self._timers = [loop.call_at(at, partial(self._look, at))]

    async def close(self) -> None:
        """Be nowhere any more, and hang up on whoever reads; nothing happens where that is so."""
        for timer in self._timers:
            timer.cancel()
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait((self._opening,))
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        while self._writers:  # noqa: ASYNC110 - each is gone within a turn or two
            await asyncio.sleep(0)
        await server.wait_closed()

    # -- whoever comes -----------------------------------------------------------------------------

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with suppress(TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                async with asyncio.timeout(LIMIT):
                    if len(self._writers) <= CLIENTS_MOST:
                        writer.write(await self._page(await reader.readuntil(b"\r\n\r\n")))
                        await writer.drain()
                        writer.close()
                        await writer.wait_closed()
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _page(self, head: bytes) -> bytes:
        """Return the answer to a request."""
        words = head.partition(b"\r\n")[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return _reply("400 Bad Request", b"this is no request of HTTP/1.1\n")
        method, path, _ = words
        if path.partition(b"?")[0] != b"/metrics":
            return _reply("404 Not Found", b"the counters are at /metrics\n")
        if method not in (b"GET", b"HEAD"):
            return _reply("405 Method Not Allowed", b"GET reads the counters\n", "Allow: GET, HEAD\r\n")
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        try:
            body = generate_latest(registry) + await self._of_users()
        except Exception as error:
            log.error("internal error: %r", error, exc_info=error)
            return _reply("500 Internal Server Error", b"internal error; the log says more\n")
        return _reply("200 OK", body, kind=CONTENT_TYPE_LATEST, bare=method == b"HEAD")

    async def _of_users(self) -> bytes:
        """Return the lines of each user, where there are any, and not too many."""
        accounting, parts = self._service.accounting, list[bytes]()
        if accounting is not None:
            from .users import slices

            for part in slices(accounting, self._service.config.metrics_users):
                parts.append(part)
                await asyncio.sleep(0)
        return b"".join(parts)

    def describe(self) -> Iterable[Metric]:
        """See `prometheus_client.registry.Collector`: nothing is known beforehand."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """See `prometheus_client.registry.Collector`."""
        from .families import families

        return families(self._service, self._lags)


def _reply(
    status: str, body: bytes, more: str = "", *, kind: str = "text/plain; charset=utf-8", bare: bool = False
) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}Connection: close\r\n\r\n"
    )
    return head.encode() + (b"" if bare else body)
