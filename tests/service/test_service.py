"""Services: from start to stop, carrying bytes in between."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import pytest

from shadesocks.config.model import Config, LocalConfig
from shadesocks.core.address import Address
from shadesocks.core.errors import ConfigError
from shadesocks.net.crowd import Crowd
from shadesocks.service import service as module
from shadesocks.service.service import Service
from tests.wire.codecs import SEALED

from .rig import HOST, echo, pair, run, server_config, socks, started, target, until

PAYLOAD = bytes(range(256)) * 2000


@pytest.mark.parametrize("method", [*SEALED, "none"])
@pytest.mark.parametrize("event_model", ["epoll", "portable"])
def test_bytes_go_there_and_back(method: str, event_model: str) -> None:
    async def story() -> None:
        config = Config(event_model=event_model)
        async with target(echo) as to, pair(config, server_config(method)) as (far, near):
            reader, writer, reply = await socks(near, to)
            assert reply == 0
            writer.write(PAYLOAD)
            writer.write_eof()
            assert await reader.read(-1) == PAYLOAD
            writer.close()
            await until(lambda: not far.totals[0] and not near.totals[0])
            assert far.totals == near.totals == (0, len(PAYLOAD), len(PAYLOAD))
            assert far.journal.reasons == near.journal.reasons == {"done": 1}

    run(story())


def test_a_chain_seals_anew() -> None:
    async def story() -> None:
        async with target(echo) as to:
            last = server_config("2022-blake3-aes-128-gcm")
            async with started(Service.server(Config(servers=(last,), allow_private=True))) as end:
                there = replace(last, address=end.addresses[0])
                first = replace(server_config("chacha20-ietf-poly1305"), outbound_proxy=(there,))
                async with pair(Config(), first) as (_, near):
                    reader, writer, reply = await socks(near, to)
                    assert reply == 0
                    writer.write(PAYLOAD)
                    writer.write_eof()
                    assert await reader.read(-1) == PAYLOAD
                    writer.close()
                    await until(lambda: not end.totals[0])
                    assert end.totals == (0, len(PAYLOAD), len(PAYLOAD))

    run(story())


def test_a_target_that_speaks_first_is_heard() -> None:
    """Nothing of the client's comes to carry the header: it goes alone after a moment."""

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        await writer.drain()

    async def story() -> None:
        config = Config(first_payload_timeout=0.01)
        async with target(greet) as to, pair(config, server_config("2022-blake3-aes-256-gcm")) as (_, near):
            reader, writer, _ = await socks(near, to)
            assert await reader.read(-1) == b"220 hello\r\n"
            writer.close()

    run(story())


def test_a_port_that_is_taken_starts_nothing() -> None:
    async def story() -> None:
        async with started(Service.server(Config(servers=(server_config(),)))) as first:
            taken = server_config(port=first.addresses[0].port)
            second = Service.server(Config(servers=(server_config(), taken)))
            with pytest.raises(ConfigError, match="another program, or another instance"):
                await second.start()
            assert second.addresses == ()
            await second.stop()

    run(story())


def test_an_event_model_the_system_lacks_starts_nothing() -> None:
    async def story() -> None:
        service = Service.server(Config(servers=(server_config(),), event_model="kqueue"))
        with pytest.raises(ConfigError, match="this system has epoll"):
            await service.start()

    run(story())


def test_a_service_starts_again_after_its_stop() -> None:
    async def story() -> None:
        service = Service.server(Config(servers=(server_config(),)))
        for _ in range(3):
            async with started(service):
                assert len(service.addresses) == 1

    run(story())


def test_drain_waits_for_the_live_and_not_for_ever() -> None:
    async def story() -> None:
        async with target(echo) as to, pair(Config(), server_config()) as (far, near):
            reader, writer, _ = await socks(near, to)
            writer.write(b"x")
            assert await reader.read(1) == b"x"
            await far.drain(0.01)
            assert far.addresses == ()
            assert far.totals[0] == 1
            draining = asyncio.get_running_loop().create_task(near.drain(60))
            await asyncio.sleep(0)
            assert not draining.done()
            writer.close()
            await draining
            assert near.totals[0] == 0

    run(story())


def test_drain_hears_who_came_last_and_waits_for_no_stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with target(echo) as to, pair(Config(), server_config()) as (far, near):
            reader, writer = await asyncio.open_connection(HOST, near.addresses[0].port)
            _, stranger = await asyncio.open_connection(HOST, far.addresses[0].port)
            await until(lambda: any(port.face.flow is not None and port.face.flow.greets for port in near.ports))
            await until(lambda: any(port.face.flow is not None and port.face.flow.greets for port in far.ports))
            draining = asyncio.get_running_loop().create_task(near.drain(60))
            await until(lambda: not near.addresses)
            writer.write(b"\x05\x01\x00\x05\x01\x00" + to.pack() + b"x")
            assert (await reader.readexactly(2 + 10 + 1))[-1:] == b"x"
            assert not draining.done()
            writer.close()
            await draining
            monkeypatch.setattr("shadesocks.service.farewell.USED_UP", 0.1)
            await far.drain(60)
            stranger.close()

    run(story())


def test_idle_connections_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SWEEP", 0.01)

    async def story() -> None:
        config = Config(idle_timeout=0.0)
        async with target(echo) as to, pair(config, server_config()) as (far, near):
            reader, writer, _ = await socks(near, to)
            writer.write(b"x")
            assert await reader.read(1) == b"x"
            assert await reader.read(1) == b""
            writer.close()
            await until(lambda: bool(far.journal.reasons["idle"] or near.journal.reasons["idle"]))

    run(story())


def test_what_fails_once_a_second_keeps_nothing_else_from_being_done(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "SWEEP", 0.01)
    swept: list[Crowd] = []

    def fail(self: Crowd) -> None:
        swept.append(self)
        raise RuntimeError("a bug of ours")

    async def story() -> None:
        async with target(echo) as to, pair(Config(idle_timeout=0.0), server_config()) as (far, near):
            reader, writer, _ = await socks(near, to)
            writer.write(b"x")
            assert await reader.read(1) == b"x"
            monkeypatch.setattr(Crowd, "sweep", fail)
            assert await reader.read(1) == b""
            writer.close()
            await until(lambda: bool(far.journal.reasons["idle"] or near.journal.reasons["idle"]))
            await until(lambda: len({*swept}) == 2 and len(swept) > 6)
            monkeypatch.undo()

    run(story())
    assert "a bug of ours" in caplog.text


def test_no_key_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with target(echo) as to, pair(Config(log_targets=True), server_config()) as (_, near):
            _, writer, _ = await socks(near, to)
            writer.close()
            await until(lambda: bool(near.journal.reasons))

    with caplog.at_level(logging.DEBUG):
        run(story())
    assert "listening on" in caplog.text
    assert server_config().password.reveal() not in caplog.text


def test_names_of_listeners_are_looked_up() -> None:
    async def story() -> None:
        local = LocalConfig(Address("localhost", 0))
        async with started(Service.local(Config(servers=(server_config(port=1),), locals=(local,)))) as near:
            assert near.addresses[0].host in (HOST, "::1")

    run(story())
