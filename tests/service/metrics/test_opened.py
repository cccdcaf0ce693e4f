"""That nothing of the counters' page is loaded where the config wants none: a plain server pays nothing for it."""

from __future__ import annotations

import subprocess
import sys

from shadesocks.config.model import Config
from shadesocks.service.metrics.opened import open_page
from shadesocks.service.service import Service

from ..rig import run, server_config, started


def test_nothing_is_opened_where_nothing_is_wanted() -> None:
    async def story() -> None:
        config = Config(servers=(server_config(),))
        async with started(Service.server(config)) as service:
            close = await open_page(config, service)
            await close()
            await close()

    run(story())


def test_nothing_is_loaded_either() -> None:
    text = (
        "import sys, shadesocks.service.service, shadesocks.service.metrics.opened;"
        "print([name for name in sys.modules if 'prometheus' in name or name.endswith('metrics.page')])"
    )
    assert subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout == "[]\n"
