"""The Python original's tests/test_daemon.sh, row by row: what is called, what is said, the exit codes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.peers import free_port
from tests.process.children import LIMIT, end, is_alive, wait_gone

from .stage import command, environment

Do = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(params=["local", "server"])
def do(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Do]:
    """Call the program with the file that the script gives it and an action; its daemon ends with the test."""
    config, seen = tmp_path / "aes.json", set[int]()
    config.write_text(
        json.dumps(
            {
                "server": "127.0.0.1",
                "server_port": free_port(),
                "local_port": free_port(),
                "password": "aes_password",
                "timeout": 60,
                "method": "aes-256-cfb",
                "local_address": "127.0.0.1",
                "fast_open": False,
            }
        )
    )

    def call(action: str, pid_file: str = "x.pid") -> subprocess.CompletedProcess[str]:
        words = ("-c", str(config), "-d", action, "--pid-file", pid_file, "--log-file", "x.log")
        done = subprocess.run(
            (*command(f"ss{request.param}"), *words),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment(tmp_path),
            timeout=LIMIT,
            check=False,
        )
        with suppress(FileNotFoundError, ValueError):
            seen.add(int((tmp_path / "x.pid").read_text()))
        return done

    yield call
    for pid in seen:
        end(pid)
        wait_gone(pid)


def test_daemon_sh_stop_when_stopped(do: Do) -> None:
    done = do("stop")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines()[-1].endswith(" ERROR    not running")


def test_daemon_sh_start_and_stop(do: Do, tmp_path: Path) -> None:
    done = do("start")
    assert (done.returncode, done.stdout) == (0, "started\n")
    pid = int((tmp_path / "x.pid").read_text())
    assert is_alive(pid)
    done = do("stop")
    assert (done.returncode, done.stdout) == (0, "stopped\n")
    assert not is_alive(pid)
    assert not (tmp_path / "x.pid").exists()
    assert " INFO     starting " in (tmp_path / "x.log").read_text()


def test_daemon_sh_second_start(do: Do, tmp_path: Path) -> None:
    assert do("start").returncode == 0
    pid = int((tmp_path / "x.pid").read_text())
    done = do("start")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].endswith(f" ERROR    already started at pid {pid}")
    assert is_alive(pid)
    assert do("stop").returncode == 0


def test_daemon_sh_restart_running(do: Do, tmp_path: Path) -> None:
    assert do("start").returncode == 0
    pid = int((tmp_path / "x.pid").read_text())
    done = do("restart")
    assert (done.returncode, done.stdout) == (0, "stopped\nstarted\n")
    assert not is_alive(pid)
    assert is_alive(int((tmp_path / "x.pid").read_text()))
    assert do("stop").returncode == 0


def test_daemon_sh_restart_stopped(do: Do) -> None:
    done = do("restart")
    assert (done.returncode, done.stdout) == (0, "started\n")
    assert " ERROR    not running\n" in done.stderr
    assert do("stop").returncode == 0


def test_daemon_sh_unwritable_pid_directory(do: Do) -> None:
    done = do("start", "not_exist/x.pid")
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot open the pid file" in done.stderr
