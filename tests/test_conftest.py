"""The check that nothing is left behind finds what is: one test for each kind, run by a pytest of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent

LEAKS: Final = """
import asyncio, os, socket, threading, types

from shadesocks.config.model import Config
from shadesocks.core.page import parse_page
from shadesocks.net.reactor import Reactor
from shadesocks.net.story import until
from shadesocks.proxy.balance.prober import Prober

kept = []

def test_descriptors():
    kept.append(os.open(os.devnull, os.O_RDONLY))

def test_descriptors_of_sockets():
    kept.append(socket.socket())

def test_threads():
    thread = threading.Thread(target=threading.Event().wait, daemon=True)
    thread.start()

async def forget():
    kept.append(asyncio.create_task(asyncio.sleep(60)))

def test_tasks():
    asyncio.run(forget())

def test_tasks_of_a_plain_loop():
    loop = asyncio.new_event_loop()
    loop.run_until_complete(forget())
    loop.close()

def test_stories():
    async def main():
        reactor = Reactor()
        reactor.tell(story(reactor))
        reactor.poller.close()
        kept.append(reactor)
    async def story(reactor):
        await until(reactor.loop.create_future())
    asyncio.run(main())

def test_probes_of_somebody_on_the_network():
    probe = types.SimpleNamespace(_page=parse_page(Config().balancer_probe_url))
    prober = Prober(None, None, None, {"tcp": probe}, None)
    prober._looks = {("a server", "tcp"): None}
    prober.wanted()

def test_nothing_in_debug_mode():
    async def main():
        assert asyncio.get_running_loop().get_debug()
    asyncio.run(main())
"""


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="/proc/self/fd: descriptors are seen there only")
def test_every_kind_is_found(tmp_path: Path) -> None:
    leaks = tmp_path / "test_leaks.py"
    leaks.write_text(LEAKS)
    options = ("-p", "tests.conftest", "-p", "no:cacheprovider", "-c", str(tmp_path / "none.ini"), "-rE")
    (tmp_path / "none.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(leaks)],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "400"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    found = dict(re.findall(r"^ERROR \S+::test_(\w+) - AssertionError: (\w+)", done.stdout, re.MULTILINE))
    wanted = [name for name in re.findall(r"def test_(\w+)", LEAKS) if name != "nothing_in_debug_mode"]
    assert found == {name: name.partition("_")[0] for name in wanted}, done.stdout
    assert "8 passed, 7 errors" in done.stdout
