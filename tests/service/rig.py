"""Services in the test's own loop: servers, locals and targets on loopback, on ports the system chose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

from shadesocks.config.model import Config, LocalConfig, ServerConfig
from shadesocks.core.address import Address
from shadesocks.core.secret import Secret
from shadesocks.crypto.keys import make_key_text
from shadesocks.crypto.methods import find_method
from shadesocks.net.loop import run as run_plane
from shadesocks.service.service import Service
from tests.listening import accept_no_more

HOST: Final = "127.0.0.1"
LIMIT: Final = 60.0
"""Seconds after which a test that waits has failed: what takes ten on a machine that does much else may take thirty."""

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def server_config(method: str = "aes-256-gcm", port: int = 0) -> ServerConfig:
    """A server with a fixed key."""
    key = make_key_text(find_method(method), lambda size: b"k" * size)
    return ServerConfig(Address(HOST, port), find_method(method), Secret(key))


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine on the loop of the commands, within the limit."""

    async def limited() -> None:
        async with asyncio.timeout(LIMIT):
            await story

    run_plane(limited())


@asynccontextmanager
async def started(service: Service) -> AsyncIterator[Service]:
    """Start a service, and stop it whatever happens."""
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


@asynccontextmanager
async def target(handler: Handler) -> AsyncIterator[Address]:
    """Listen as somebody's target."""

    handling: set[asyncio.Task[Any] | None] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handling.add(asyncio.current_task())
        try:
            await handler(reader, writer)
        except ConnectionError:
            pass  # the service was stopped under it
        finally:
            writer.close()
            handling.discard(asyncio.current_task())

    server = await asyncio.start_server(handle, HOST, 0)
    try:
        yield Address(HOST, server.sockets[0].getsockname()[1])
    finally:
        await accept_no_more(server)
        await until(lambda: not handling)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes, and end when the other does."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def pair(config: Config, server: ServerConfig) -> AsyncIterator[tuple[Service, Service]]:
    """A server and a local in front of it."""
    async with started(Service.server(replace(config, servers=(server,), allow_private=True))) as far:
        there = replace(server, address=far.addresses[0], outbound_proxy=())
        local = replace(config, servers=(there,), locals=(LocalConfig(Address(HOST, 0)),))
        async with started(Service.local(local)) as near:
            yield far, near


async def socks(near: Service, to: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, int]:
    """Ask a local for a target; return the streams and the REP field of its reply."""
    reader, writer = await asyncio.open_connection(HOST, near.addresses[0].port)
    try:
        writer.write(b"\x05\x01\x00\x05\x01\x00" + to.pack())
        assert await reader.readexactly(2) == b"\x05\x00"
        reply = await reader.readexactly(10)
    except BaseException:
        writer.close()
        raise
    return reader, writer, reply[1]


async def until(holds: Callable[[], bool]) -> None:
    """Let the loop turn until something holds; the test's limit bounds it."""
    while not holds():  # noqa: ASYNC110 - what holds are counters, which tell nobody
        await asyncio.sleep(0)
