"""A service in the place that its config gives it, as a person starts it: log, pid file, user, background."""

from __future__ import annotations

import json
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from shadesocks.cli.place import free_port
from tests.process.children import LIMIT, end, is_alive, wait_gone

from .programs import KEY, METHOD, command, environment, running

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no background for programs")


def file(folder: Path, **keys: object) -> str:
    """Write a server's config on a free port."""
    path = folder / "x.json"
    server = {"server": "127.0.0.1", "server_port": free_port(), "method": METHOD, "password": KEY}
    path.write_text(json.dumps({**server, **keys}))
    return str(path)


@contextmanager
def daemon(folder: Path, *words: str) -> Iterator[tuple[subprocess.CompletedProcess[str], int]]:
    """Start a daemon whose pid file is x.pid; end it with the block."""
    pid_file = folder / "x.pid"
    env = environment(folder, XDG_STATE_HOME=str(folder / "state"))  # of another user, too: else it is in /var/lib
    done = subprocess.run(
        command("server", *words), capture_output=True, text=True, env=env, timeout=LIMIT, check=False
    )
    pid = int(pid_file.read_text()) if pid_file.exists() else 0
    try:
        yield done, pid
    finally:
        if pid:
            end(pid)
            wait_gone(pid)


def until(path: Path, words: str) -> str:
    """Wait until a file has these words, and return all that it has."""
    until = time.monotonic() + LIMIT
    while words not in (text := path.read_text() if path.exists() else ""):
        assert time.monotonic() < until, text
        time.sleep(0.02)
    return text


def test_a_daemon_listens_once_its_start_has_ended(tmp_path: Path) -> None:
    config = file(tmp_path)
    port = json.loads(Path(config).read_text())["server_port"]
    words = ("-c", config, "--daemonize-pid", str(tmp_path / "x.pid"), "--log-file", str(tmp_path / "x.log"))
    with daemon(tmp_path, *words) as (done, pid):
        assert (done.returncode, done.stdout) == (0, "")
        socket.create_connection(("127.0.0.1", port)).close()
        assert os.getsid(pid) == pid
        os.kill(pid, signal.SIGTERM)
        wait_gone(pid)
        assert "listening on" in (text := (tmp_path / "x.log").read_text())
        assert text.endswith("stopped\n")
        assert not (tmp_path / "x.pid").exists()


def test_a_second_start_fails(tmp_path: Path) -> None:
    words = ("-c", file(tmp_path), "-d", "--pid-file", str(tmp_path / "x.pid"))
    with daemon(tmp_path, *words) as (first, pid):
        assert first.returncode == 0
        assert "the daemon writes no log" in first.stderr or Path("/dev/log").exists()
        with daemon(tmp_path, *words) as (second, same):
            assert (second.returncode, same) == (70, pid)
            assert second.stderr.splitlines()[-1] == f"error: already started at pid {pid}"
            assert is_alive(pid)


def test_what_keeps_a_daemon_from_starting_is_told_on_the_terminal_and_in_the_log(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = file(tmp_path, server_port=taken.getsockname()[1], pid_file=str(tmp_path / "x.pid"))
        with daemon(tmp_path, "-c", config, "-d", "--log-file", str(tmp_path / "x.log")) as (done, pid):
            assert (done.returncode, pid) == (70, 0)
            assert "Address already in use" in done.stderr
            assert "Address already in use" in (tmp_path / "x.log").read_text()


@pytest.mark.parametrize("key", ["pid_file", "log.file"])
def test_a_file_that_cannot_be_made_ends_the_start(key: str, tmp_path: Path) -> None:
    path = str(tmp_path / "no" / "x")
    keys = {"pid_file": path} if key == "pid_file" else {"log": {"file": path}}
    with daemon(tmp_path, "-c", file(tmp_path, **keys)) as (done, _):
        assert done.returncode == 70
        assert f"{path}: No such file or directory" in done.stderr


def test_a_log_file_and_a_pid_file_need_no_background(tmp_path: Path) -> None:
    log, pid_file = tmp_path / "x.log", tmp_path / "x.pid"
    config = file(tmp_path, pid_file=str(pid_file), log={"file": str(log)})
    with running(tmp_path, "server", "-c", config) as program:
        until(log, "listening on")
        assert pid_file.read_text() == str(program.process.pid)
        log.rename(tmp_path / "x.log.1")
        program.process.send_signal(signal.SIGHUP)
        until(log, "the config was read again")
        assert program.end(signal.SIGTERM) == 0
        assert program.err == []
    assert not pid_file.exists()
    assert "the config was read again" not in (tmp_path / "x.log.1").read_text()


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another user")
def test_once_it_listens_it_is_another_users() -> None:
    row = pwd.getpwnam("nobody")
    with TemporaryDirectory() as name:
        folder = Path(name)
        log = folder / "x.log"
        words = ("-c", file(folder), "--daemonize-pid", str(folder / "x.pid"), "--log-file", str(log), "-a", "nobody")
        with daemon(folder, *words) as (done, pid):
            assert done.returncode == 0, done.stderr
            status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
            assert status["Uid"].split() == [str(row.pw_uid)] * 4
            assert status["Gid"].split() == [str(row.pw_gid)] * 4
            assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
            assert log.stat().st_uid == row.pw_uid
            assert (folder / "state" / "shadesocks" / "nobody").stat().st_uid == row.pw_uid
            os.kill(pid, signal.SIGTERM)
            wait_gone(pid)
            assert (folder / "x.pid").read_text() == ""  # it may not remove it


@pytest.mark.parametrize("flag", ["-a", "--user"])
def test_an_unknown_user_ends_the_start(flag: str, tmp_path: Path) -> None:
    with daemon(tmp_path, "-c", file(tmp_path), flag, "no-such-user") as (done, _):
        assert done.returncode == 70
        assert done.stderr.splitlines()[-1] == "error: user not found: no-such-user"


WITH_SYSLOG = """
import sys
from shadesocks.process import syslog
syslog.ADDRESS = sys.argv.pop(1)
from shadesocks.cli.doors import main
sys.argv[0] = "/usr/bin/ss-server"
main()
"""


@contextmanager
def syslogd(path: Path) -> Iterator[socket.socket]:
    """The socket of a system's log."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        sock.settimeout(LIMIT)
        yield sock


def lines_until(sock: socket.socket, words: str) -> list[str]:
    """Read what came to a system's log, up to a line with these words."""
    lines: list[str] = []
    while not lines or words not in lines[-1]:
        lines.append(sock.recv(65536).decode())
    return lines


def under_syslog(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-c", WITH_SYSLOG, str(folder / "log"), *words]


def test_a_log_goes_to_the_system_s(tmp_path: Path) -> None:
    path = Path(file(tmp_path, use_syslog=True, workers=2))
    with syslogd(tmp_path / "log") as sock:
        words = under_syslog(tmp_path, "-c", str(path), "-v")
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment(tmp_path)) as process:
            lines = lines_until(sock, "worker 2 serves")
            assert any(re.match(r"<30>ss-server\[\d+\]: listening on 127\.0\.0\.1:\d+$", line) for line in lines), lines
            assert len({line.partition(": ")[0] for line in lines}) >= 2, "each process has its own number"
            process.send_signal(signal.SIGTERM)
            assert lines_until(sock, "stopped")[-1] == f"<30>ss-server[{process.pid}]: stopped"
            assert process.stderr is not None
            assert "listening" not in process.stderr.read()
            assert process.wait() == 0


def test_a_daemon_without_a_file_logs_to_the_system_s(tmp_path: Path) -> None:
    pid_file = tmp_path / "x.pid"
    with syslogd(tmp_path / "log") as sock:
        words = under_syslog(tmp_path, "-c", file(tmp_path), "-f", str(pid_file))
        done = subprocess.run(
            words, capture_output=True, text=True, env=environment(tmp_path), timeout=LIMIT, check=False
        )
        assert done.returncode == 0
        assert "writes no log" not in done.stderr
        pid = int(pid_file.read_text())
        try:
            assert any(f"ss-server[{pid}]: listening on" in line for line in lines_until(sock, "listening on"))
            again = subprocess.run(
                words, capture_output=True, text=True, env=environment(tmp_path), timeout=LIMIT, check=False
            )
            assert f"already started at pid {pid}" in again.stderr, "to whoever started it"
        finally:
            os.kill(pid, signal.SIGTERM)
            wait_gone(pid)
        assert lines_until(sock, "stopped")


def test_a_system_without_a_log_of_its_own_is_told(tmp_path: Path) -> None:
    words = under_syslog(tmp_path, "-c", file(tmp_path, use_syslog=True))
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment(tmp_path)) as process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        assert any(
            f"log.syslog: the system has no log ({tmp_path}/log); name a file for ours" in line for line in lines
        )
        assert any("listening on" in line for line in lines)
        process.terminate()
