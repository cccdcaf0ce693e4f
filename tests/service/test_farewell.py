"""The last requests before a service waits for the rest: on connections that clients keep ready, and on their way."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from shadesocks.config.model import Config
from shadesocks.core.address import Address
from shadesocks.service import farewell
from shadesocks.service.farewell import last_requests
from shadesocks.service.service import Service
from tests.wire.codecs import shadow_of
from tests.wire.hearing import make_request

from .rig import HOST, echo, run, server_config, started, target, until

METHOD = "aes-256-gcm"
LONG = 60.0


@asynccontextmanager
async def server() -> AsyncIterator[Service]:
    async with started(Service.server(Config(servers=(server_config(METHOD),), allow_private=True))) as service:
        yield service


async def connected(service: Service) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that the service has accepted."""
    (port,) = service.ports
    assert port.face.strangers is not None
    before = len(port.face.strangers)
    reader, writer = await asyncio.open_connection(HOST, service.addresses[0].port)
    await until(lambda: len(port.face.strangers or ()) > before)
    return reader, writer


def request(to: Address) -> bytes:
    return make_request(shadow_of(METHOD), to, [b"first"], salt=os.urandom(32))


def test_without_anybody_it_takes_no_time() -> None:
    async def story() -> None:
        async with server() as service:
            began = service._shared.reactor.loop.time()
            assert await last_requests(service.ports.every, LONG) > LONG - 0.5
            assert service._shared.reactor.loop.time() - began < 0.5
            assert await last_requests((), 0.0) == 0.0

    run(story())


def test_who_keeps_a_connection_ready_may_use_it_for_a_moment_and_is_told_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(farewell, "USED_UP", 0.3)

    async def story() -> None:
        async with target(echo) as to, server() as service:
            used, unused = await connected(service), await connected(service)
            draining = asyncio.get_running_loop().create_task(service.drain(LONG))
            await until(lambda: not service.addresses)
            used[1].write(request(to))
            assert await used[0].read(1)
            assert await unused[0].read(1) == b""
            assert not draining.done(), "the one that was used goes on"
            used[1].close()
            unused[1].close()
            await draining
            assert service.journal.reasons == {"stopped": 1, "done": 1}

    run(story())


def test_a_request_that_is_on_its_way_comes_to_its_relay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bytes are there, and nobody has read them yet."""
    monkeypatch.setattr(farewell, "USED_UP", 0.0)

    async def story() -> None:
        async with target(echo) as to, server() as service:
            reader, writer = await connected(service)
            writer.write(request(to))
            draining = asyncio.get_running_loop().create_task(service.drain(LONG))
            assert await reader.read(1)
            writer.close()
            await draining
            assert service.journal.reasons == {"done": 1}

    run(story())


def test_who_stalls_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farewell, "LAST_HANDSHAKES", 0.1)

    async def story() -> None:
        async with server() as service:
            _, writer = await connected(service)
            writer.write(b"half a salt")
            (port,) = service.ports
            await until(lambda: not any(port.face.strangers.waiting))  # type: ignore[union-attr]  # it is a server
            await service.drain(LONG)
            writer.close()

    run(story())


def test_the_limit_of_the_drain_holds() -> None:
    async def story() -> None:
        async with server() as service:
            reader, writer = await connected(service)
            assert await last_requests(service.ports.every, 0.0) == 0.0
            assert await reader.read(1) == b""
            writer.close()

    run(story())
