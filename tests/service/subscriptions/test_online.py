"""A client whose servers come from a subscription: it starts without any, and follows what the document says."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from shadesocks.config.model import Config, LocalConfig, OnlineConfig, ServerConfig
from shadesocks.core.address import Address
from shadesocks.core.secret import Secret
from shadesocks.service.service import Service
from tests.document_server import answer, document_server

from ..rig import HOST, echo, run, server_config, socks, started, target, until

GENERAL_FAILURE = 1
"""REP of RFC 1928."""
SERVER = server_config()


def document(*servers: Service) -> bytes:
    entries = [
        {
            "id": f"i-{index}",
            "remarks": f"s{index}",
            "server": HOST,
            "server_port": service.addresses[0].port,
            "method": SERVER.method.name,
            "password": SERVER.password.reveal(),
        }
        for index, service in enumerate(servers)
    ]
    return answer(json.dumps({"version": 1, "servers": entries}))


def client(url: str, directory: Path, *servers: ServerConfig) -> Service:
    online = OnlineConfig((Secret(url),))
    local = LocalConfig(Address(HOST, 0))
    return Service.local(Config(servers, (local,), online=online, state_dir=str(directory)))


def server() -> Service:
    return Service.server(Config((SERVER,), allow_private=True))


async def ask(near: Service, to: Address) -> int:
    """Send something through a client; return REP."""
    reader, writer, reply = await socks(near, to)
    if reply == 0:
        writer.write(b"question")
        assert await reader.readexactly(8) == b"question"
    writer.close()
    await writer.wait_closed()
    return reply


def test_servers_come_while_it_runs_and_go_again(tmp_path: Path) -> None:
    may_answer = asyncio.Event()

    async def story() -> None:
        async with started(server()) as one, started(server()) as two, target(echo) as to:

            async def later(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await may_answer.wait()
                writer.write(document(one))
                await writer.drain()

            async with (
                document_server(later, document(two, one), document()) as documents,
                started(client(documents.url(), tmp_path)) as near,
            ):
                await documents.asked.wait()
                assert list(near.servers) == []
                assert await ask(near, to) == GENERAL_FAILURE
                may_answer.set()
                await until(lambda: len(near.servers) == 1)
                assert await ask(near, to) == 0
                first = near.servers[0]

                reader, writer, _ = await socks(near, to)
                await near.reload(near.config)  # asks again
                await until(lambda: len(near.servers) == 2)
                assert near.servers[1] == replace(first, id="i-1", remarks="s1")
                writer.write(b"goes on")
                assert await reader.readexactly(7) == b"goes on"
                writer.close()
                await writer.wait_closed()

                await near.reload(near.config)
                await until(lambda: not near.servers)
                assert await ask(near, to) == GENERAL_FAILURE

    run(story())


def test_servers_of_the_file_stay(tmp_path: Path) -> None:
    async def story() -> None:
        async with started(server()) as far, target(echo) as to, document_server(answer(status=500)) as documents:
            own = replace(SERVER, address=far.addresses[0])
            async with started(client(documents.url(), tmp_path, own)) as near:
                assert await ask(near, to) == 0
                documents.answers = [document(far)]
                await near.reload(near.config)
                await until(lambda: len(near.servers) == 2)
                assert near.servers[0] == own
                documents.answers = [document()]
                await near.reload(near.config)
                await until(lambda: near.servers == (own,))
                assert await ask(near, to) == 0

    run(story())


@pytest.mark.parametrize("broken", [answer(status=500), answer("<html>", Content_Type="text/html")])
def test_the_next_start_has_the_kept_copy(broken: bytes, tmp_path: Path) -> None:
    async def story() -> None:
        async with started(server()) as far, target(echo) as to, document_server(document(far)) as documents:
            async with started(client(documents.url(), tmp_path)) as near:
                await until(lambda: len(near.servers) == 1)
                await until(lambda: any(tmp_path.glob("subscriptions/*.json")))
            documents.answers = [broken]
            async with started(client(documents.url(), tmp_path)) as near:
                assert len(near.servers) == 1
                assert await ask(near, to) == 0

    run(story())


def test_a_server_subscribes_to_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with document_server(answer()) as documents:
            online = OnlineConfig((Secret(documents.url()),))
            async with started(Service.server(Config((SERVER,), online=online, state_dir=str(tmp_path)))):
                await asyncio.sleep(0)
            assert documents.heard == []

    run(story())


def test_other_addresses_are_followed(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            started(server()) as one,
            started(server()) as two,
            document_server(document(one)) as first,
            document_server(document(two)) as second,
            started(client(first.url(), tmp_path)) as near,
        ):
            await until(lambda: len(near.servers) == 1)
            assert near.servers[0].address == one.addresses[0]
            online = OnlineConfig((Secret(second.url()),))
            await near.reload(replace(near.config, online=online))
            assert list(near.servers) == []
            await until(lambda: len(near.servers) == 1)
            assert near.servers[0].address == two.addresses[0]
            await near.reload(replace(near.config, allow_legacy=True))  # by which servers are judged anew
            assert len(near.servers) == 1, "those that are there serve on"
            await until(lambda: len(second.heard) == 2)
            await near.reload(replace(near.config, online=None))
            assert list(near.servers) == []
            assert (len(first.heard), len(second.heard)) == (1, 2)

    run(story())


def test_a_plugin_that_is_not_here_costs_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with started(server()) as far, target(echo) as to:
            entry = {"server": HOST, "method": SERVER.method.name, "password": SERVER.password.reveal()}
            entries = [
                {**entry, "server_port": 1, "plugin": "no-such-plugin"},
                {**entry, "server_port": far.addresses[0].port},
            ]
            async with document_server(answer(json.dumps({"version": 1, "servers": entries}))) as documents:
                online = OnlineConfig((Secret(documents.url()),), allowed_plugins=("no-such-plugin",))
                local = LocalConfig(Address(HOST, 0))
                config = Config((), (local,), online=online, state_dir=str(tmp_path))
                async with started(Service.local(config)) as near:
                    await until(lambda: len(near.servers) == 1)
                    assert await ask(near, to) == 0

    run(story())
    assert "a server of a subscription is left out: plugin" in caplog.text
