"""Who is there: connections in every stage and UDP sessions, by numbers that stay theirs, at both ends."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from shadesocks.config.model import Config, LocalConfig, Mode
from shadesocks.core.address import Address
from shadesocks.core.secret import Secret
from shadesocks.service.service import Service
from shadesocks.service.sessions import Numbers
from shadesocks.wire.control import ControlError

from .rig import HOST, echo, run, server_config, socks, started, target, until
from .test_ports import connected, ended, talk
from .test_service_udp import ask, relay_of, trip
from .test_service_udp import echo as udp_echo
from .users.test_tables import client, service, shared, text

SERVER = replace(server_config(), mode=Mode.TCP_AND_UDP, remarks="tokyo", id="one")


@asynccontextmanager
async def both(**changes: Any) -> AsyncIterator[tuple[Service, Service]]:
    """A server and a client."""
    config = Config(servers=(SERVER,), allow_private=True, **changes)
    async with started(Service.server(config)) as far:
        [server] = far.servers
        listener = LocalConfig(Address(HOST, 0), mode=Mode.TCP_AND_UDP)
        async with started(Service.local(Config(servers=(server,), locals=(listener,), **changes))) as near:
            yield far, near


async def sessions(service: Service) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(json.dumps(await service.commands["sessions"]({})))["sessions"]
    return rows


def kick(service: Service, **args: Any) -> int:
    ended: int = service.commands["kick"](args)["ended"]
    return ended


def stages(service: Service) -> dict[str, int]:
    found: dict[str, int] = service.commands["status"]({})["stages"]
    return {stage: count for stage, count in found.items() if count}


def test_a_number_stays_as_long_as_what_has_it() -> None:
    numbers = Numbers()
    assert numbers.give("ab") == [1, 2]
    assert numbers.give("bc") == [2, 3]
    assert numbers.give("ac") == [4, 3]
    assert numbers.give("") == []
    assert numbers.give("a") == [5]


def test_a_connection_at_both_ends() -> None:
    async def story() -> None:
        async with both() as (far, near), target(echo) as there:
            stream = await connected(near, there)
            await talk(stream, 100)
            mine = stream[1].get_extra_info("sockname")
            [row] = await sessions(near)
            [other] = await sessions(far)
            assert 0 <= row.pop("age") < 20
            assert row == {
                "number": 1,
                "way": "tcp",
                "role": "local",
                "port": near.addresses[0].port,
                "server": "tokyo",
                "user": None,
                "source": f"{HOST}:{mine[1]}",
                "target": None,
                "stage": "relaying",
                "up": 100,
                "down": 100,
            }
            assert (other["role"], other["server"], other["port"]) == ("server", "tokyo", far.addresses[0].port)
            assert (other["up"], other["down"], other["target"]) == (100, 100, None)
            second = await connected(near, there)
            await talk(second, 1)
            assert [row["number"] for row in await sessions(near)] == [1, 2]
            assert kick(near, session=1) == 1
            assert await ended(stream)
            assert near.journal.reasons["kicked"] == 1
            [left] = await sessions(near)
            assert left["number"] == 2
            with pytest.raises(ControlError, match="no session 1"):
                kick(near, session=1)
            await talk(second, 10)
            second[1].close()

    run(story())


def test_targets_are_named_where_the_config_says_so() -> None:
    async def story() -> None:
        async with both(control_targets=True) as (far, near), target(echo) as there:
            stream = await connected(near, there)
            await talk(stream, 1)
            for service in (far, near):
                [row] = await sessions(service)
                assert row["target"] == str(there)
            await far.reload(replace(far.config, control_targets=False))
            [row] = await sessions(far)
            assert row["target"] is None
            stream[1].close()

    run(story())


def test_a_session_of_datagrams_at_both_ends() -> None:
    async def story() -> None:
        async with both() as (far, near), udp_echo() as udp:
            control, reply = await ask(near)
            assert await trip(relay_of(reply), udp, b"x" * 9) == b"x" * 9
            for service, role in ((far, "server"), (near, "local")):
                [row] = [row for row in await sessions(service) if row["way"] == "udp"]
                assert (row["role"], row["server"], row["stage"], row["up"], row["down"]) == (
                    role,
                    "tokyo",
                    "relaying",
                    9,
                    9,
                )
                assert row["source"].startswith(f"{HOST}:")
                assert service.commands["status"]({})["udp"]["sessions"] == 1
            [row] = await sessions(far)
            assert kick(far, session=row["number"]) == 1
            assert far.packets.sessions == 0
            assert await trip(relay_of(reply), udp, b"y") == b"y", "whoever comes again has a new one"
            control.close()

    run(story())


def test_every_stage_is_told() -> None:
    """A stranger, one that dials, one that relays, one half closed."""

    over = asyncio.Event()

    async def hold(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await over.wait()

    async def story() -> None:
        async with both() as (far, near), target(hold) as there:
            _, stranger = await asyncio.open_connection(HOST, far.addresses[0].port)
            await until(lambda: stages(far) == {"handshake": 1})
            [row] = await sessions(far)
            with pytest.raises(ControlError, match="deadline"):
                kick(far, session=row["number"])
            assert kick(far, source=HOST) == 0, "a stranger sees nothing of it"
            stream = await connected(near, there)
            stream[1].write(b"x")
            await until(lambda: stages(far) == {"handshake": 1, "relaying": 1})
            stream[1].write_eof()
            await until(lambda: stages(far) == {"handshake": 1, "half-closed": 1})
            assert kick(far, source=f"{HOST}/8") == 1
            assert await ended(stream)
            stranger.close()
            await until(lambda: not stages(far))
            over.set()

    run(story())


def test_one_that_dials_is_ended() -> None:
    async def story() -> None:
        async with both() as (far, near), target(echo):
            never = asyncio.get_running_loop().create_future()
            far._shared.names.lookup = lambda host: asyncio.shield(never)  # type: ignore[method-assign]
            reader, writer, _ = await socks(near, Address("somewhere.test", 80))
            writer.write(b"x")
            await until(lambda: stages(far) == {"dialling": 1})
            [row] = await sessions(far)
            assert kick(far, session=row["number"]) == 1
            assert await reader.read() == b""
            assert far.journal.reasons["kicked"] == 1
            assert not await sessions(far)
            writer.close()
            never.cancel()

    run(story())


def test_one_that_dials_is_ended_with_all_of_its_user(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with service(shared()) as far:
            never = asyncio.get_running_loop().create_future()
            far._shared.names.lookup = lambda host: asyncio.shield(never)  # type: ignore[method-assign]
            at, key = far.addresses[0], far.servers[0].password
            async with client(key, Secret(text("a")), at=at) as one, client(key, Secret(text("b")), at=at) as other:
                streams = [await socks(near, Address("somewhere.test", 80)) for near in (one, other)]
                for _, writer, _ in streams:
                    writer.write(b"x")
                await until(lambda: stages(far) == {"dialling": 2})
                assert sorted(row["user"] for row in await sessions(far)) == ["a", "b"]
                assert kick(far, user="c") == 0
                assert kick(far, user="b") == 1
                assert await streams[1][0].read() == b""
                [row] = await sessions(far)
                assert row["user"] == "a"
                for _, writer, _ in streams:
                    writer.close()
                never.cancel()

    with caplog.at_level(logging.INFO, "shadesocks"):
        run(story())
    assert any(" user b up 0 down 0 " in record.message and "kicked" in record.message for record in caplog.records)


def test_all_of_a_server_or_a_port_are_ended() -> None:
    async def story() -> None:
        async with both() as (far, near), target(echo) as there:
            other = await far.add(replace(server_config(), remarks="osaka"))
            for args in ({"server": "tokyo"}, {"server": "one"}, {"port": far.addresses[0].port}, {"source": HOST}):
                streams = [await connected(near, there) for _ in range(3)]
                for stream in streams:
                    await talk(stream, 1)
                assert kick(far, server="osaka") == kick(far, port=other.port) == kick(far, source="192.0.2.1") == 0
                assert kick(far, server="osaka", source=HOST) == 0, "all of it must hold"
                assert kick(far, **args) == 3
                assert all([await ended(stream) for stream in streams])

    run(story())


@pytest.mark.parametrize(
    "args",
    [
        {},
        {"session": "1"},
        {"session": True},
        {"port": 1.5},
        {"source": 7},
        {"source": "example.com"},
        {"server": 1},
        {"user": 2},
    ],
)
def test_arguments_that_mean_nothing_end_nobody(args: dict[str, Any]) -> None:
    async def story() -> None:
        async with started(Service.server(Config(servers=(SERVER,)))) as far:
            with pytest.raises(ControlError) as caught:
                kick(far, **args)
            assert caught.value.code == "arguments"

    run(story())


def test_users_of_one_port_are_told_and_kicked_apart() -> None:
    """And a user who goes at a reload keeps nobody else from going on."""

    async def story() -> None:
        async with service(shared()) as far, target(echo) as there, udp_echo() as udp:
            await far.reload(replace(far.config, servers=far.servers))
            [server] = far.servers
            keys = [Secret(text(name)) for name in "ab"]
            async with AsyncExitStack() as held:
                nears = [
                    await held.enter_async_context(client(server.password, key, at=server.address)) for key in keys
                ]
                pairs = [await connected(near, there) for near in nears]
                for stream in pairs:
                    await talk(stream, 5)
                control, reply = await ask(nears[1])
                assert await trip(relay_of(reply), udp, b"x") == b"x"
                rows = await sessions(far)
                assert sorted((row["way"], row["user"]) for row in rows) == [("tcp", "a"), ("tcp", "b"), ("udp", "b")]
                assert kick(far, user="c") == 0
                assert kick(far, user="b") == 2
                assert await ended(pairs[1])
                await far.reload(replace(far.config, servers=(shared(names="b", port=server.address.port),)))
                assert far.reloaded is not None
                assert far.reloaded.changed == (f"{server.address} (users: a removed)",)
                await talk(pairs[0], 5)
                again = await connected(nears[1], there)
                await talk(again, 5)
                for _, writer in (pairs[0], again, (None, control)):
                    writer.close()

    run(story())
