"""What lives in a service, as the control socket tells it. Sessions and their end: `tests/service/test_sessions.py`."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any

from shadesocks.config.model import Config
from shadesocks.core.secret import Secret
from shadesocks.service.control import live
from shadesocks.service.reloaded import Reloaded
from shadesocks.service.service import Service
from shadesocks.wire.control import Request, pack_request

from ..rig import echo, pair, run, server_config, started, target
from ..test_ports import connected, talk


def status(service: Service) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(service.commands["status"]({})))
    return found


def test_the_status_of_both_ends() -> None:
    async def story() -> None:
        async with pair(Config(), server_config()) as (far, near), target(echo) as there:
            stream = await connected(near, there)
            await talk(stream, 1000)
            for service, role in ((far, "server"), (near, "local")):
                told = status(service)
                assert (told["role"], told["pid"], told["master"], told["servers"]) == (role, os.getpid(), None, 1)
                assert told["addresses"] == [str(service.addresses[0])]
                assert told["stages"] == {
                    "handshake": 0,
                    "dialling": 0,
                    "relaying": 1,
                    "half-closed": 0,
                    "ending": 0,
                }
                assert told["tcp"] == {"up": 1000, "down": 1000}
                assert told["udp"]["sessions"] == told["strangers"] == told["accepted"] == 0
                assert 0 <= told["uptime"] < 20
                assert told["reloaded"] is None
            stream[1].close()

    run(story())


def test_a_reload_is_asked_for_where_there_is_a_file_to_read() -> None:
    async def story() -> None:
        async with started(Service.server(Config(servers=(server_config(),)))) as far:
            assert "reload" not in far.commands

            async def reread() -> dict[str, Any]:
                far.reloaded = Reloaded(added=("somebody",))
                return far.reloaded.told()

            far.reread = reread
            assert "reload" in far.commands["about"]({})["commands"]
            told = await far.commands["reload"]({})
            assert (told["applied"], told["added"]) == (True, ("somebody",))
            assert status(far)["reloaded"]["added"] == ["somebody"]

    run(story())


def test_no_secret_is_told() -> None:
    async def story() -> None:
        server = replace(server_config("aes-128-gcm"), password=Secret("canary-1"))
        async with started(Service.server(Config(servers=(server,)))) as far:
            other = replace(far.servers[0], password=Secret("canary-2"))
            await far.reload(replace(far.config, servers=(other,)))
            text = json.dumps(status(far)) + json.dumps(await far.commands["sessions"]({}))
            assert "canary" not in text
            assert far.servers[0].password.reveal() == "canary-2"

    run(story())


def test_thousands_are_told_in_pieces(monkeypatch: Any) -> None:
    monkeypatch.setattr(live, "PIECE", 2)

    async def story() -> None:
        async with pair(Config(), server_config()) as (far, near), target(echo) as there:
            streams = [await connected(near, there) for _ in range(5)]
            for stream in streams:
                await talk(stream, 1)
            told = await far.commands["sessions"]({})
            assert [row["number"] for row in told["sessions"]] == [1, 2, 3, 4, 5]
            assert len(pack_request(Request("x", {"rows": told["sessions"]}))) < 5 * 300
            for _, writer in streams:
                writer.close()

    run(story())
