"""A file read again: where many users stand in it the loop turns meanwhile."""

from __future__ import annotations

import asyncio
import gc
import threading
from dataclasses import replace

import pytest

from shadesocks.config.model import Config
from shadesocks.config.user import UserConfig
from shadesocks.core.errors import ConfigError, Problem
from shadesocks.process.reading import MANY, read_again
from tests.service.rig import server_config


@pytest.mark.parametrize(("count", "aside"), [(MANY, True), (MANY - 1, False), (0, False)])
def test_many_users_are_read_in_a_thread_and_mistakes_are_raised(count: int, aside: bool) -> None:
    users = tuple(UserConfig(f"u{number}") for number in range(count))
    config = Config(servers=(replace(server_config(), users=users),))
    seen: list[bool] = []

    def reread() -> Config:
        seen.append(threading.current_thread() is not threading.main_thread())
        assert gc.isenabled() is not aside
        if len(seen) > 1:
            raise ConfigError([Problem("c.json", 3, "method", "no such method")])
        return config

    assert asyncio.run(read_again(reread, config)) is config
    with pytest.raises(ConfigError):
        asyncio.run(read_again(reread, config))
    assert seen == [aside, aside]
