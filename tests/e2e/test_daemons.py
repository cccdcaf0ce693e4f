"""Daemons from their start to their end: as another user than root, for good; and one beside another that quits."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest

from tests.peers import HOST, PASSWORDS, RESERVED, ROOT, free_port, reserved_port
from tests.process.children import LIMIT, end, is_alive, wait_gone

from .crowd import Echo, echo, eventually
from .herd import METHOD, PacketEcho, Packets, Stream, is_there, kill, lasting_port, trip

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="asks /proc which processes there are")
of_root = pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another user")
USER: Final = "nobody"
OPEN: Final = {"allow_private": True, "forbidden_ip": ""}
"""What opens this machine to our own names, and to the Python original's."""


@pytest.fixture
def target() -> Iterator[Echo]:
    with echo() as echoing:
        yield echoing


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory of root's that every user can look into."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


class Daemon:
    """A daemon of the Python original's name, its files, and what may be asked of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "c.json"
        self.pid_file = folder / "x.pid"
        self.log_file = folder / "x.log"
        self.seen: set[int] = set()

    def write(self, *ports: int, **settings: Any) -> None:
        server = {"server": HOST, "method": METHOD, "password": PASSWORDS[METHOD], "mode": "tcp_and_udp"}
        servers = [{**server, "server_port": port} for port in ports]
        whole = {"servers": servers, "allow_private": True} if len(ports) > 1 else {**servers[0], **OPEN}
        self.config.write_text(json.dumps({**whole, **settings}))

    def call(self, *words: str, name: tuple[str, ...] = ("as", "ssserver")) -> subprocess.CompletedProcess[str]:
        files = "--pid-file", str(self.pid_file), "--log-file", str(self.log_file)
        env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "XDG_STATE_HOME": str(self.folder / "state")}
        line = (sys.executable, "-m", "shadesocks", *name, "-c", str(self.config), *files, *words)
        done = subprocess.run(line, capture_output=True, text=True, env=env, timeout=LIMIT, check=False)
        self.seen |= {self.pid, *self.workers}
        return done

    @property
    def pid(self) -> int:
        text = self.pid_file.read_text() if self.pid_file.exists() else ""
        return int(text or 0)

    @property
    def workers(self) -> list[int]:
        with contextlib.suppress(OSError):
            return list(map(int, Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()))
        return []

    def log(self) -> str:
        return self.log_file.read_text()

    def until(self, words: str, count: int = 1) -> None:
        eventually(lambda: self.log().count(words) >= count, words)


@contextlib.contextmanager
def daemon(folder: Path) -> Iterator[Daemon]:
    each = Daemon(folder)
    try:
        yield each
    finally:
        for pid in each.seen - {0}:
            end(pid)
            wait_gone(pid)


def rights_of(pid: int) -> tuple[set[int], set[int], int]:
    """The users, groups and rights of a process, real, effective, saved and of its files."""
    lines = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    kept = int(lines["CapEff"], 16) | int(lines["CapPrm"], 16) | int(lines["CapAmb"], 16)
    return set(map(int, lines["Uid"].split())), set(map(int, lines["Gid"].split() + lines["Groups"].split())), kept


@of_root
@pytest.mark.parametrize("workers", [1, 2])
def test_all_of_it_is_the_user_s_and_goes_on_without_root(workers: int, folder: Path, target: Echo) -> None:
    port, later = reserved_port(), free_port()
    row = pwd.getpwnam(USER)
    groups = {row.pw_gid, *os.getgrouplist(USER, row.pw_gid)}
    with daemon(folder) as each, PacketEcho() as packets:
        each.write(port)
        words = ("-d", "--user", USER, "--workers", str(workers), "--drain-timeout", "1")
        done = each.call(*words, name=("server",))
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        eventually(lambda: len(each.workers) == (workers if workers > 1 else 0), "all workers are there")
        each.until("serves; its process is", workers if workers > 1 else 0)
        for pid in (each.pid, *each.workers):
            assert rights_of(pid) == ({row.pw_uid}, groups, 0)
        assert trip(port, target.port)
        with Packets(port, packets.port) as client:
            assert client.trip(b"datagram")
        assert (folder / "state" / "shadesocks" / USER / "aead.salts").stat().st_uid == row.pw_uid
        assert each.log_file.stat().st_uid == row.pw_uid
        assert each.pid_file.stat().st_uid == 0

        each.write(port, later)
        os.kill(each.pid, signal.SIGHUP)
        each.until("the config was read again; servers: 2")
        eventually(lambda: trip(later, target.port), "what is new is served")
        assert trip(port, target.port), "and what only root could have bound"
        if workers > 1:
            before = each.workers
            kill(before[0])
            each.until("serves; its process is", workers + 1)
            each.seen |= {*each.workers}
            (new,) = set(each.workers) - set(before)
            assert rights_of(new) == ({row.pw_uid}, groups, 0)
            assert all(trip(port, target.port) and trip(later, target.port) for _ in range(8))
        assert "in memory only" not in each.log()
        pids = each.pid, *each.workers
        subprocess.run(("kill", str(each.pid)), check=True)
        for pid in pids:
            wait_gone(pid)
        assert each.log().endswith("stopped\n")
        assert each.pid == 0, "nobody may remove root's file: it is left empty"
        assert each.call(*words, name=("server",)).returncode == 0, "which stops no other start"
        assert trip(port, target.port)
        assert "in memory only" not in each.log(), "the state is the user's, whoever made it"


@of_root
def test_what_the_user_may_not_is_told_at_the_start(folder: Path, target: Echo) -> None:
    """A config, a port and a state directory that are root's: it serves, and says what it cannot."""
    port = reserved_port()
    with daemon(folder) as each:
        (folder / "mine").mkdir(0o700)
        each.write(port, state_dir=str(folder / "mine"), workers=2, user=USER)
        each.config.chmod(0o600)
        done = each.call("-d", name=("server",))
        assert done.returncode == 0, done.stderr
        each.until("serves; its process is", 2)
        assert each.log().count(f"the state directory {folder}/mine is closed to {USER}") == 1
        assert each.log().count("aead.salts: Permission denied") == 1
        assert f"{each.config} is closed to {USER}, who runs this service: SIGHUP cannot read it again" in each.log()
        assert trip(port, target.port)
        os.kill(each.pid, signal.SIGHUP)
        each.until("the config has mistakes: all goes on as before")
        second = next(number for number in RESERVED if number > port)
        each.write(port, second, workers=2, user=USER)
        each.config.chmod(0o644)
        os.kill(each.pid, signal.SIGHUP)
        each.until("the config was read again")
        assert f"cannot listen on {HOST}:{second}: Permission denied" in each.log()
        assert trip(port, target.port)


Start = Callable[[Daemon, str], "subprocess.CompletedProcess[str]"]


def as_the_original(each: Daemon, action: str) -> subprocess.CompletedProcess[str]:
    return each.call("-d", action)


def as_shadesocks(each: Daemon, action: str) -> subprocess.CompletedProcess[str]:
    assert action == "start"
    return each.call("--daemonize", name=("server",))


@pytest.mark.parametrize(
    ("start", "action", "workers", "user"),
    [
        (as_the_original, "start", 1, None),
        pytest.param(as_the_original, "restart", 2, USER, marks=of_root),
        pytest.param(as_shadesocks, "start", 1, USER, marks=of_root),
        (as_shadesocks, "start", 2, None),
    ],
)
def test_a_new_one_starts_beside_an_old_one_that_quits(
    start: Start, action: str, workers: int, user: str | None, folder: Path, target: Echo
) -> None:
    port = lasting_port()
    with daemon(folder) as each:
        each.write(port, workers=workers, drain_timeout=600, **({"user": user} if user else {}))
        assert start(each, "start").returncode == 0
        old = each.pid
        with Stream(port, target.port) as stream:
            assert stream.answered()
            assert as_shadesocks(each, "start").stderr.endswith(f"already started at pid {old}\n")
            os.kill(old, signal.SIGQUIT)
            eventually(lambda: not each.pid, "the pid file is given up")
            done = start(each, action)
            assert done.returncode == 0, done.stderr
            new = each.pid
            assert new not in (0, old)
            assert trip(port, target.port)
            assert stream.lives(), "at the old one"
            assert is_alive(old)
        wait_gone(old)
        assert each.pid == new, "who ends takes nobody's file along"
        assert each.call("-d", "stop").stdout == "stopped\n"
        assert not is_there(new)
