"""What becomes of `-d` beyond the rows of tests/conformance/test_daemon.py, and where the daemon's files lie."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shadesocks.cli.family import python_daemon
from shadesocks.cli.family.python_daemon import command
from shadesocks.config.reader import Mark, Member, Node
from tests.conformance.test_daemon import Do, do
from tests.process.children import is_alive

if TYPE_CHECKING:
    from .conftest import Start

__all__ = ["do"]


def test_a_restart_with_a_bad_file_stops_nobody(do: Do, tmp_path: Path) -> None:
    assert do("start").returncode == 0
    pid = int((tmp_path / "x.pid").read_text())
    path = tmp_path / "aes.json"
    path.write_text(path.read_text().replace("aes-256-cfb", "nonesuch"))
    assert do("restart").returncode == 1
    assert is_alive(pid)
    assert do("stop").returncode == 0, "whatever the file says of the service"


def test_a_hangup_opens_the_log_again(do: Do, tmp_path: Path) -> None:
    assert do("start").returncode == 0
    pid = int((tmp_path / "x.pid").read_text())
    (tmp_path / "x.log").rename(tmp_path / "x.log.1")
    os.kill(pid, signal.SIGHUP)
    assert do("stop").returncode == 0
    assert " INFO     stopped" in (tmp_path / "x.log").read_text()


def test_nothing_is_needed_to_stop(start: Start) -> None:
    started = start("sslocal", "-d stop --pid-file x.pid")
    assert (started.code, started.config) == (0, None)
    assert "not running" in started.log


# Where its files lie


def member(value: str | int | bool | None) -> Member:
    mark = Mark("x.json")
    return Member(mark, Node(value, mark))


def values(members: object) -> dict[str, object]:
    assert isinstance(members, dict)
    return {key: each.node.value for key, each in members.items()}


def test_without_a_daemon_there_is_nothing_to_do() -> None:
    for flags in ({}, {"pid-file": member("x")}, {"daemon": member(None)}):
        found = command({}, flags)
        assert (found.members, found.notes, found.stop, found.starts) == ({}, (), None, True)


def test_flags_go_before_the_file() -> None:
    in_file = {"daemon": member("stop"), "pid-file": member("a"), "log-file": member("b")}
    assert not command(in_file, {}).starts
    assert command(in_file, {"daemon": member("start")}).starts
    assert command(in_file, {"daemon": member("restart")}).stop is not None
    assert command(in_file, {"daemon": member("start")}).members == {}


def test_the_usual_places_are_taken_where_they_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python_daemon, "_is_writable", lambda _path: True)
    found = command({}, {"daemon": member("start")})
    assert values(found.members) == {"pid-file": "/var/run/shadowsocks.pid", "log-file": "/var/log/shadowsocks.log"}
    assert found.notes == ()


def test_other_users_have_places_of_their_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(python_daemon, "_is_writable", lambda _path: False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    found = command({}, {"daemon": member("start")})
    pid_file = tmp_path / "run" / "shadesocks" / "shadowsocks.pid"
    log_file = tmp_path / ".local" / "state" / "shadesocks" / "shadowsocks.log"
    assert values(found.members) == {"pid-file": str(pid_file), "log-file": str(log_file)}
    assert pid_file.parent.is_dir()
    assert log_file.parent.is_dir()
    assert found.notes[0].startswith(f"the pid-file is {pid_file}, since /var/run/shadowsocks.pid is not for this user")
