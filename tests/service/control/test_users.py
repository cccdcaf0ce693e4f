"""The users of a server, as the control socket tells them."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shadesocks.config.model import Config, ServerConfig
from shadesocks.config.user import Credential, UserConfig
from shadesocks.core.address import Address
from shadesocks.core.limits import Limits, Quota
from shadesocks.core.secret import Secret
from shadesocks.service.service import Service
from shadesocks.wire.control import ARGUMENTS, NOT_FOUND, ControlError
from tests.peers import free_port

from ..rig import HOST, echo, pair, run, server_config, started, target
from ..test_ports import connected, talk

METHOD = "2022-blake3-aes-128-gcm"


def user(name: str, number: int, **limits: Any) -> UserConfig:
    key = Secret(f"{number:02}CARYDEBUTISNOKEY///w==")
    return UserConfig(name, (Credential(key),), Limits(**limits), "a note")


def config(port: int, *users: UserConfig) -> Config:
    return Config(servers=(replace(server_config(METHOD), address=Address(HOST, port), users=users),))


async def told(service: Service, **args: Any) -> Any:
    """Ask as a program does: what is answered passes through JSON."""
    return json.loads(json.dumps(await service.commands["users"](args)))


def test_all_users_or_one() -> None:
    async def story() -> None:
        users = user("anna", 10, quota=Quota(1000), expires=4102444800), user("ben", 11, enabled=False)
        port = free_port()
        async with started(Service.server(config(port, *users))) as far:
            answer = await told(far)
            assert (answer["role"], [row["name"] for row in answer["users"]]) == ("server", ["anna", "ben"])
            assert answer["trouble"] == ""
            [anna] = (await told(far, name="anna"))["users"]
            assert anna == {
                "name": "anna",
                "ports": [port],
                "note": "a note",
                "enabled": True,
                "refused": None,
                "connections": 0,
                "sessions": 0,
                "sources": anna["sources"],
                "up": 0,
                "down": 0,
                "wire_up": 0,
                "wire_down": 0,
                "used": 0,
                "quota": 1000,
                "left": 1000,
                "expires": 4102444800,
            }
            [ben] = (await told(far, name="ben"))["users"]
            assert (ben["refused"], ben["quota"], ben["left"]) == ("disabled", None, None)
            assert "CARYDEBUT" not in json.dumps(answer)
            for name, code in (("carl", NOT_FOUND), (5, ARGUMENTS)):
                with pytest.raises(ControlError) as caught:
                    await told(far, name=name)
                assert caught.value.code == code
            status = far.commands["status"]({})
            assert status["users"] == {"count": 2, "refused": {"disabled": 1}, "trouble": "", "remark": ""}

    run(story())


def test_where_nobody_has_a_name() -> None:
    async def story() -> None:
        async with pair(Config(), server_config()) as (far, near):
            assert await told(far) == {"role": "server", "users": [], "trouble": ""}
            assert "users" not in near.commands
            for service in (far, near):
                assert service.commands["status"]({})["users"] is None

    run(story())


def test_what_lives_is_told(tmp_path: Path) -> None:
    async def story() -> None:
        server: ServerConfig = replace(server_config("aes-128-gcm"), users=(UserConfig("anna"),))
        settings = Config(store=Secret(str(tmp_path / "users.db")), servers=(server,))
        place = os.path.realpath(tmp_path / "users.db")  # noqa: ASYNC240 - of a test
        async with pair(settings, server) as (far, near), target(echo) as there:
            assert far.commands["about"]({})["store"] == place
            stream = await connected(near, there)
            await talk(stream, 1000)
            [anna] = (await told(far))["users"]
            assert (anna["connections"], anna["sessions"]) == (1, 0)
            stream[1].close()

    run(story())
