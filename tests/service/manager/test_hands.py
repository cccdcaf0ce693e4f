"""Who changes ports: one process, or all workers, a few goes for many changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from shadesocks.config.load import load
from shadesocks.core.errors import ConfigError, Problem
from shadesocks.service.manager.change import Change
from shadesocks.service.manager.hands import TOGETHER, AllHands, OwnHands
from shadesocks.service.manager.manager import Manager

from ..rig import run
from .test_manager import Table

CONFIG = load(
    json.dumps({"manager_listen": "127.0.0.1:0", "method": "aes-256-gcm", "server": "127.0.0.1"}), role="server"
)
TAKEN = Problem("config", None, "", "cannot listen there")


def change(port: int, *hosts: str, **keys: Any) -> Change:
    return Change(port, {"server_port": port, "password": "correct horse battery staple", **keys}, hosts)


def test_one_process_does_what_all_do_each_for_itself() -> None:
    table = Table(CONFIG)

    async def story() -> None:
        changes = [change(1), change(2), change(3, method="nope"), Change(1), Change(9), change(2, "127.0.0.2")]
        outcomes = await OwnHands(table).follow(changes, CONFIG, list)
        assert [bool(problems) for problems in outcomes] == [False, False, True, False, False, False]
        assert [str(server.address) for server in table.servers] == ["127.0.0.2:2"]
        await OwnHands(table).follow([change(4)], CONFIG, lambda _servers: [])
        assert len(table.servers) == 1, "one that is not this worker's"

    run(story())


def test_of_several_servers_all_change_or_none() -> None:
    table = Table(CONFIG)

    async def story() -> None:
        hands = OwnHands(table)
        await hands.follow([change(1, "127.0.0.1", "127.0.0.2")], CONFIG, list)
        before = set(table.servers)
        table.taken = {1}
        ((problem,),) = await hands.follow([change(1, "127.0.0.1", password="another one, as long")], CONFIG, list)
        assert problem.text == "cannot listen there"
        assert set(table.servers) == before
        await hands.close()

    run(story())


class Master:
    """Who does what all want: nothing, when it is told to."""

    def __init__(self) -> None:
        self.goes: list[list[int]] = []
        self.taken: set[int] = set()
        self.asked = asyncio.Event()
        self.may = asyncio.Event()

    async def ask(self, changes: Sequence[Change]) -> list[tuple[Problem, ...]]:
        self.goes.append([change.port for change in changes])
        self.asked.set()
        await self.may.wait()
        return [(TAKEN,) if change.port in self.taken else () for change in changes]


def test_many_changes_are_a_few_goes() -> None:
    async def story() -> None:
        master = Master()
        hands = AllHands(Table(CONFIG), master.ask)
        master.taken = {7}
        wanted = [asyncio.ensure_future(hands.put(change(port), ())) for port in range(200)]
        master.may.set()
        done = await asyncio.gather(*wanted, return_exceptions=True)
        assert [place for place, each in enumerate(done) if isinstance(each, ConfigError)] == [7]
        assert [len(go) for go in master.goes] == [TOGETHER, TOGETHER, TOGETHER, 200 - 3 * TOGETHER]
        assert [port for go in master.goes for port in go] == [*range(200)], "in their order"
        assert await hands.remove(5) is False
        await hands.close()

    run(story())


def test_one_who_ends_waits_for_nobody() -> None:
    async def story() -> None:
        master = Master()
        hands = AllHands(Table(CONFIG), master.ask)
        waiting = asyncio.ensure_future(hands.put(change(1), ()))
        await master.asked.wait()
        waiting.cancel()
        await hands.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    run(story())


@pytest.mark.parametrize("dialect", ["python", "libev", "rust"])
def test_commands_for_several_ports_are_done_at_once_and_answered_in_their_order(dialect: str) -> None:
    async def story() -> None:
        keys = {"manager_listen": "127.0.0.1:0", "method": "aes-256-gcm", "manager_dialect": dialect}
        master, sent = Master(), list[tuple[Any, bytes]]()

        def send(message: bytes, to: Any) -> bool:
            sent.append((to, message))
            return True

        table = Table(load(json.dumps(keys), role="server"))
        manager = Manager(table, send, hands=AllHands(table, master.ask))
        master.taken = {2}
        master.may.set()
        words = json.dumps
        adds = [b"add: " + words({"server_port": port, "password": "p" * 20}).encode() for port in (1, 2, 3)]
        assert [manager.port_of(data) for data in adds] == [1, 2, 3]
        assert manager.port_of(b"list") is manager.port_of(b"add: {") is manager.port_of(b"\xff") is None
        commands = [(data, f"tool {place}") for place, data in enumerate(adds)]
        assert not manager.answer(await manager.do([*commands, (adds[0], None)]))
        assert [to for to, _ in sent] == ["tool 0", "tool 1", "tool 2"]
        assert [message.strip() == b"ok" for _, message in sent] == [True, False, True]
        assert len(master.goes) == 1
        await manager.close()

    run(story())
