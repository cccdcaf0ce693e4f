"""Processes with plugins: however one ends, its plugin ends, and what that started."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shadesocks.config.model import Config
from shadesocks.net.loop import run as run_plane
from shadesocks.service.service import Service
from tests.peers import HOST, Role, run
from tests.service.rig import server_config
from tests.service.stubs import alive, children, stub

METHOD = "aes-256-gcm"
LIMIT = 20.0


def settings(folder: Path, words: str) -> dict[str, Any]:
    return {"plugin": stub(folder).name, "plugin_opts": f"{words};environ={folder / 'told'}"}


def group_of(folder: Path) -> int:
    """Wait until the plugin has told whose group it is, and return that."""
    give_up_at = time.monotonic() + LIMIT
    while time.monotonic() < give_up_at:
        try:
            return int(json.loads((folder / "told").read_text())["sid"])
        except (OSError, ValueError):
            time.sleep(0.01)  # a file tells nobody when it is written
    raise AssertionError("the plugin did not start")


def assert_gone(group: int) -> None:
    give_up_at = time.monotonic() + LIMIT
    while left := alive(group):
        assert time.monotonic() < give_up_at, f"left of the plugin: {left}"
        time.sleep(0.01)  # the end of a process that is not ours tells nobody


@pytest.mark.parametrize("role", ["server", "local"])
@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGTERM, "fork"),
        (signal.SIGINT, ""),
        (signal.SIGQUIT, "fork"),
        pytest.param(
            signal.SIGKILL, "stubborn", marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux alone ends it")
        ),
    ],
)
def test_nothing_is_left(role: Role, number: signal.Signals, words: str, tmp_path: Path) -> None:
    told = settings(tmp_path, f"server;{words}" if role == "server" else words)
    with run("ours", role, METHOD, tmp_path, server_port=1, settings=told) as program:
        group = group_of(tmp_path)
        assert alive(group)
        program.signal(number)
        assert program.wait() == (0 if number is not signal.SIGKILL else -number)
        assert_gone(group)
        if number is not signal.SIGKILL:
            assert "Traceback" not in program.log()


def test_what_holds_the_options_is_not_seen(tmp_path: Path) -> None:
    told = settings(tmp_path, "server;key=correct-horse;leak;greet")
    with run("ours", "server", METHOD, tmp_path, settings=told | {"log": {"level": "trace"}}) as program:
        group = group_of(tmp_path)
        for pid in (program.pid, *alive(group)):
            assert b"correct-horse" not in Path(f"/proc/{pid}/cmdline").read_bytes()
        program.signal(signal.SIGTERM)
        program.wait()
        assert "plugin stub-plugin: hello from the stub" in program.log()
        assert "correct-horse" not in program.log()


def test_a_process_serves_behind_its_plugin_as_without(tmp_path: Path) -> None:
    """A wrong client meets silence through the plugin, too, and the server lives on."""
    told = settings(tmp_path, "server")
    with run("ours", "server", METHOD, tmp_path, settings=told) as program:
        with socket.create_connection((HOST, program.port), LIMIT) as sock:
            sock.sendall(os.urandom(100))
            sock.settimeout(0.5)
            with pytest.raises(TimeoutError):
                sock.recv(1)
        assert program.alive


def test_a_plugin_is_started_by_the_user_that_the_process_becomes(tmp_path: Path) -> None:
    """The rights of root are given up after the ports are bound, and before the next turn of the loop."""

    async def story() -> None:
        server = replace(server_config(), plugin=stub(tmp_path, "server"))
        service = Service.server(Config(servers=(server,)))
        await service.start()
        try:
            assert children() == []
        finally:
            await service.stop()

    run_plane(story())
