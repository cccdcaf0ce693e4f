"""What may be asked of a running client or server, and what comes of it."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shadesocks.config.model import Config, LocalConfig, Mode, ServerConfig
from shadesocks.core.address import Address
from shadesocks.service.service import Service
from shadesocks.wire.control import ControlError

from ..rig import HOST, echo, run, server_config, socks, started, target
from ..stubs import stub

BOTH = Mode.TCP_AND_UDP
SERVER = replace(server_config(), remarks="tokyo", mode=BOTH)


def asked(service: Service, word: str, **args: Any) -> Any:
    """Ask as a program does: what is answered passes through JSON."""
    return json.loads(json.dumps(service.commands[word](args)))


@asynccontextmanager
async def client(*servers: ServerConfig) -> AsyncIterator[Service]:
    listener = LocalConfig(Address(HOST, 0), mode=BOTH)
    async with started(Service.local(Config(servers=servers, locals=(listener,), where="c.json"))) as near:
        yield near


def test_what_is_told_of_a_server() -> None:
    async def story() -> None:
        config = Config(servers=(SERVER,), allow_private=True, where="s.json")
        async with started(Service.server(config)) as far, target(echo) as there:
            assert asked(far, "about") == {
                "role": "server",
                "pid": os.getpid(),
                "config": "s.json",
                "commands": ["about", "servers", "users", "status", "sessions", "kick"],
            }
            at = far.addresses[0]
            async with client(replace(SERVER, address=at)) as near:
                reader, writer, _ = await socks(near, there)
                writer.write(b"12345")
                await reader.readexactly(5)
                [row] = asked(far, "servers")["servers"]
                assert row == {
                    "name": "tokyo",
                    "address": str(at),
                    "id": "",
                    "method": "aes-256-gcm",
                    "mode": "tcp_and_udp",
                    "live": 1,
                    "sessions": 0,
                    "bytes": 10,
                }
                [row] = asked(near, "servers")["servers"]
                assert (row["name"], row["address"], row["tcp"]["live"]) == ("tokyo", str(at), 1)
                writer.close()
        assert SERVER.password.reveal() not in str(row)

    run(story())


def test_a_server_that_has_no_name_is_called_by_its_address() -> None:
    async def story() -> None:
        async with started(Service.server(Config(servers=(replace(SERVER, remarks=""),)))) as far:
            [row] = asked(far, "servers")["servers"]
            assert row["name"] == row["address"] == str(far.addresses[0])
            assert sorted(far.commands) == ["about", "kick", "servers", "sessions", "status", "users"]

    run(story())


def test_the_plugin_before_a_server_is_told(tmp_path: Path) -> None:
    async def story() -> None:
        server = replace(SERVER, plugin=stub(tmp_path, "server"))
        async with started(Service.server(Config(servers=(server,)))) as far:
            [plugin] = far._shared.plugins
            await plugin.waiting()
            [row] = asked(far, "servers")["servers"]
            assert (row["plugin"]["state"], row["plugin"]["pid"]) == ("up", plugin.status.pid)
            assert far._shared.plugins.before(replace(SERVER, remarks="another")) is None

    run(story())


def test_a_server_of_a_client_is_pinned_and_unpinned() -> None:
    async def story() -> None:
        servers = (
            replace(SERVER, address=Address(HOST, 1)),
            replace(SERVER, address=Address(HOST, 2), remarks="osaka"),
        )
        async with client(*servers) as near:

            def pinned() -> list[str]:
                return [row["name"] for row in asked(near, "servers")["servers"] if row["pinned"]]

            commands = asked(near, "about")["commands"]
            assert commands == ["about", "servers", "pin", "unpin", "status", "sessions", "kick"]
            assert pinned() == []
            assert asked(near, "pin", name="osaka") == {"pinned": "osaka"}
            assert pinned() == ["osaka"]
            assert asked(near, "pin", name=f"{HOST}:1") == {"pinned": "tokyo"}
            assert pinned() == ["tokyo"]
            for name, code in (("kyoto", "not_found"), (HOST, "not_found"), ("", "arguments"), (7, "arguments")):
                with pytest.raises(ControlError) as caught:
                    near.commands["pin"]({"name": name})
                assert caught.value.code == code
                assert pinned() == ["tokyo"]
            with pytest.raises(ControlError):
                near.commands["pin"]({})
            assert asked(near, "unpin") == {"unpinned": True}
            assert asked(near, "unpin") == {"unpinned": False}
            assert pinned() == []

    run(story())
