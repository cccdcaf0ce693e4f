"""The plugins of a service: one for each server, from its opening to its release; and services with them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from shadesocks.config.model import Config, PluginConfig
from shadesocks.core.address import Address
from shadesocks.core.errors import ConfigError
from shadesocks.service.plugins.plugins import Plugins, check_plugin, check_plugins

from ..rig import HOST, run, server_config
from ..stubs import alive, children, stub


def test_a_server_has_one_plugin_however_often_it_is_opened(tmp_path: Path) -> None:
    async def story() -> None:
        plugins = Plugins()
        one = replace(server_config(port=1), plugin=stub(tmp_path))
        other = replace(one, address=Address(HOST, 2))
        plugin = plugins.open(one)
        assert plugins.open(one) is plugin
        assert plugins.open(other) is not plugin
        place = await plugin.waiting()
        assert plugin.address == place
        pid = plugin.status.pid
        assert pid is not None
        plugins.release(one)
        plugins.release(one)
        assert [*plugins] == [plugins.open(other)]
        await plugins.settle()
        assert alive(pid) == []
        again = plugins.open(one)
        assert again is not plugin
        await again.waiting()
        await plugins.stop()
        await plugins.stop()
        assert [*plugins] == []
        assert children() == []

    run(story())


def test_what_is_opened_and_stopped_at_once_never_ran(tmp_path: Path) -> None:
    async def story() -> None:
        plugins = Plugins()
        told = tmp_path / "told"
        plugins.open(replace(server_config(port=1), plugin=stub(tmp_path, f"environ={told}")))
        await plugins.stop()
        await asyncio.sleep(0)
        assert not told.exists()

    run(story())


def test_a_program_that_is_not_there_keeps_a_service_from_starting(tmp_path: Path) -> None:
    server = replace(server_config(port=1), plugin=PluginConfig("no-such-plugin"))
    with pytest.raises(ConfigError, match="no-such-plugin is no program that can be started here"):
        check_plugins(Config(servers=(server,)))
    with pytest.raises(ConfigError, match="leads to one process"):
        check_plugin(replace(server, plugin=stub(tmp_path)), alone=False)
    check_plugin(replace(server, plugin=None), alone=False)
    check_plugins(Config(servers=(replace(server, plugin=None), replace(server, plugin=stub(tmp_path)))))
