"""What a configuration needs before anything is bound: all that is missing is told at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from shadesocks.config.model import Config, Outbound
from shadesocks.core.errors import ConfigError
from shadesocks.service.needs import prepare

from .rig import run, server_config


def test_what_can_be_had() -> None:
    async def story() -> None:
        config = Config(servers=(server_config(),))
        acls, names = prepare(config)
        assert acls.at(None) is None
        assert names.cached("192.0.2.1") is not None
        await names.close()

    run(story())


def test_everything_that_is_missing_is_told(tmp_path: Path) -> None:
    async def story() -> None:
        config = Config(
            servers=(replace(server_config(), acl=str(tmp_path / "none.acl")),),
            outbound=Outbound(interface="nobody0"),
        )
        with pytest.raises(ConfigError) as refused:
            prepare(config)
        assert {problem.key for problem in refused.value.problems} >= {"acl", "outbound_bind_interface"}

    run(story())
