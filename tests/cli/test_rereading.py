"""The config of a running service read again: by whom it is asked for, and what each of them is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shadesocks.cli import rereading
from shadesocks.cli.rereading import Rereading
from shadesocks.config.model import Config
from shadesocks.core.errors import ConfigError, Problem
from shadesocks.process.notify import Notifier
from shadesocks.service.service import Service
from tests.service.rig import run, server_config, started, until

CONFIG = Config(servers=(server_config(),))
MORE = replace(CONFIG, servers=(*CONFIG.servers, server_config("aes-128-gcm")), idle_timeout=7.0)


class Told(Notifier):
    """Keeps what a supervisor is told."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def _send(self, *lines: str) -> None:
        self.words.append(lines[0])


@asynccontextmanager
async def reading(
    reread: Callable[[], Config], config: Config = CONFIG
) -> AsyncIterator[tuple[Service, Rereading, asyncio.Event, Told]]:
    async with started(Service.server(config)) as service:
        again, told = asyncio.Event(), Told()
        readings = Rereading(service, reread, again, told)
        task = asyncio.create_task(readings.run())
        yield service, readings, again, told
        task.cancel()
        await asyncio.wait((task,))


def test_whoever_asks_is_told_what_came_of_it() -> None:
    texts: list[Config | Exception] = [
        MORE,
        ConfigError([Problem("c.json", 3, "method", "no such method")]),
        ZeroDivisionError("a bug"),
        CONFIG,
    ]

    def reread() -> Config:
        text = texts.pop(0)
        if isinstance(text, Exception):
            raise text
        return text

    async def story() -> None:
        async with reading(reread) as (service, readings, _, told):
            done = await readings.ask()
            assert (done["applied"], len(done["added"]), done["settings"]) == (True, 1, ("idle_timeout",))
            assert told.words == ["RELOADING=1", "READY=1"]
            failed = await readings.ask()
            assert (failed["applied"], failed["added"]) == (False, ())
            assert "no such method" in failed["problems"][0]
            assert len(service.servers) == 2
            assert not (await readings.ask())["applied"]
            assert len((await readings.ask())["removed"]) == 1

    run(story())


def test_all_who_ask_at_once_have_one_reading() -> None:
    count = 0

    def reread() -> Config:
        nonlocal count
        count += 1
        return CONFIG

    async def story() -> None:
        async with reading(reread) as (_, readings, _again, _told):
            done = await asyncio.gather(*(readings.ask() for _ in range(5)))
            assert len(done) == 5
            assert count == 1

    run(story())


def test_a_level_of_the_log_changes_at_once() -> None:
    before = [(log, log.level) for log in (logging.getLogger(), logging.getLogger("shadesocks"))]

    async def story() -> None:
        async with reading(lambda: replace(CONFIG, log_level="error")) as (_, readings, _again, _told):
            assert (await readings.ask())["settings"] == ("log_level",)
            assert logging.getLogger("shadesocks").level == logging.ERROR

    try:
        run(story())
    finally:
        for log, level in before:
            log.setLevel(level)


@pytest.mark.parametrize("named", ["config", "list"])
def test_a_file_that_changes_is_read(named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rereading, "EVERY", 0.01)
    file, rules = tmp_path / "c.json", tmp_path / "rules.acl"
    file.write_text("{}")
    rules.write_text("[outbound_block_list]\n192.0.2.1\n")
    config = replace(CONFIG, servers=(replace(server_config(), acl=str(rules)),), watch=True, where=str(file))
    counts: dict[str, Any] = {"read": 0}

    def reread() -> Config:
        counts["read"] += 1
        return config

    async def story() -> None:
        async with reading(reread, config) as (service, _, _again, _told):
            for _ in range(5):
                await asyncio.sleep(0.01)
            assert not counts["read"]
            (file if named == "config" else rules).write_text("[outbound_block_list]\n192.0.2.2\n")
            await until(lambda: service.reloaded is not None)
            assert service.reloaded is not None
            assert service.reloaded.lists == ((str(rules),) if named == "list" else ())

    run(story())


def test_nobody_looks_at_files_unless_told_to() -> None:
    async def story() -> None:
        async with reading(lambda: CONFIG) as (_, readings, _again, _told):
            assert readings._watch is None

    run(story())


@pytest.mark.parametrize("after", [CONFIG, MORE, replace(CONFIG, servers=())])
def test_what_the_start_made_is_looked_at_again_where_a_port_is_gone(
    after: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    released: list[int] = []
    monkeypatch.setattr(rereading, "release", lambda: released.append(1))

    async def story() -> None:
        async with reading(lambda: after) as (_, readings, _, _):
            assert (await readings.ask())["applied"]

    run(story())
    assert bool(released) is not bool(after.servers)
