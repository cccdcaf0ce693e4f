"""The master: what it tells systemd, passes on to its workers, and is without. How it replaces them: `tests/e2e`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shadesocks.cli.running import find
from tests.e2e.crowd import Echo, echo, eventually
from tests.e2e.herd import Stream, trip, write
from tests.peers import ROOT, free_port

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="asks /proc what processes have")


@pytest.fixture
def target() -> Iterator[Echo]:
    with echo() as echoing:
        yield echoing


class Herd:
    """A master that runs, and what systemd would be told."""

    def __init__(self, process: subprocess.Popen[bytes], told: socket.socket, port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self._socket = told
        self._log = log
        self.told: list[str] = []

    def until_told(self, words: str, count: int = 1) -> None:
        def came() -> bool:
            with contextlib.suppress(BlockingIOError):
                while True:
                    self.told += self._socket.recv(4096).decode().splitlines()
            return self.told.count(words) >= count

        eventually(came, words)

    def log(self) -> str:
        return self._log.read_text()

    def workers(self) -> list[int]:
        return list(map(int, Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()))


@contextlib.contextmanager
def herd(folder: Path, *words: str, name: tuple[str, ...] = ("server",), **settings: Any) -> Iterator[Herd]:
    port, log = free_port(), folder / "log"
    config = write(folder / "c.json", port, **{"workers": 2, "state_dir": str(folder), **settings})
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(str(folder / "notify"))
    told.setblocking(False)
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "NOTIFY_SOCKET": str(folder / "notify")}
    env |= {"WATCHDOG_USEC": "400000"}
    line = (sys.executable, "-m", "shadesocks", *name, "-c", str(config), *words)
    with log.open("ab") as out:
        process = subprocess.Popen(line, stdout=out, stderr=out, env=env, cwd=folder)
    try:
        yield Herd(process, told, port, log)
    finally:
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.send_signal(number)
                process.wait(10)
                break
        told.close()


def test_systemd_is_told_by_the_master_alone(tmp_path: Path, target: Echo) -> None:
    with herd(tmp_path) as running:
        running.until_told("READY=1")
        assert trip(running.port, target.port)
        assert f"STATUS=listening on 127.0.0.1:{running.port}; workers: 2" in running.told
        running.until_told("WATCHDOG=1", 3)
        running.process.send_signal(signal.SIGHUP)
        running.until_told("RELOADING=1")
        running.until_told("READY=1", 2)
        running.process.send_signal(signal.SIGTERM)
        running.until_told("STOPPING=1")
        assert running.process.wait(30) == 0
        running.until_told("STOPPING=1")
        assert running.told.count("READY=1") == 2, "no worker said it, too"


def test_the_master_has_no_loop_no_thread_and_no_connection(tmp_path: Path, target: Echo) -> None:
    """Fork first (design §4, rule 12): nothing is there that two processes would share but what is meant to be."""
    with herd(tmp_path) as running, contextlib.ExitStack() as held:
        running.until_told("READY=1")
        stream = held.enter_context(Stream(running.port, target.port))
        assert stream.answered()
        assert len(os.listdir(f"/proc/{running.process.pid}/task")) == 1
        polls = {pid: polls_of(pid) for pid in (running.process.pid, *running.workers())}
        assert list(polls.values()) == [1, 1, 1], "each has its own, and none of another's"
        connected = running.process.pid, *running.workers()
        assert [pid for pid in connected if has_connection(pid, stream)] in ([pid] for pid in running.workers())


def polls_of(pid: int) -> int:
    return sum(link == "anon_inode:[eventpoll]" for link in links_of(pid))


def links_of(pid: int) -> list[str]:
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return found


def has_connection(pid: int, stream: Stream) -> bool:
    """True where a process has the server's end of a connection."""
    port = f":{stream.sock.getsockname()[1]:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {f"socket:[{row[9]}]" for row in rows if row[2].endswith(port)}
    return not inodes.isdisjoint(links_of(pid))


def test_what_only_a_worker_finds_out_ends_the_start_with_its_sentence(tmp_path: Path) -> None:
    with herd(tmp_path, "--event-model", "kqueue") as running:
        assert running.process.wait(30) == 78
        assert running.log().count("event model 'kqueue' is not available here") == 1
        assert "READY=1" not in running.told


def test_the_log_is_opened_again_by_all_of_them(tmp_path: Path, target: Echo) -> None:
    name = tmp_path / "file.log"
    with herd(tmp_path, log={"file": str(name)}) as running:
        running.until_told("READY=1")
        name.rename(tmp_path / "old.log")
        running.process.send_signal(signal.SIGHUP)
        eventually(lambda: name.exists() and "the config was read again" in name.read_text(), "a new file is begun")
        before = name.read_text().count("INFO 127.0.0.1")
        assert all(trip(running.port, target.port) for _ in range(12))
        eventually(
            lambda: name.read_text().count("INFO 127.0.0.1") == before + 12, "each is told, whichever worker had it"
        )


def test_at_once_means_all_of_them(tmp_path: Path, target: Echo) -> None:
    """Behind the Python original's name SIGTERM closes what is open."""
    with herd(tmp_path, "--prefer-ipv6", name=("as", "ssserver"), forbidden_ip="", mode="tcp_only") as running:
        eventually(lambda: running.log().count("worker started") == 2, "both serve")
        with Stream(running.port, target.port) as stream:
            assert stream.answered()
            running.process.send_signal(signal.SIGTERM)
            assert running.process.wait(5) == 0


def test_a_config_that_is_the_same_changes_nothing(tmp_path: Path, target: Echo) -> None:
    with herd(tmp_path) as running, contextlib.ExitStack() as held:
        running.until_told("READY=1")
        stream = held.enter_context(Stream(running.port, target.port))
        assert stream.answered()
        before = running.workers()
        keys = json.loads((tmp_path / "c.json").read_text())
        (tmp_path / "c.json").write_text(json.dumps(keys, indent=4))
        running.process.send_signal(signal.SIGHUP)
        running.until_told("READY=1", 2)
        assert trip(running.port, target.port)
        assert stream.lives()
        assert running.workers() == before


class Talk:
    """A talk with one worker, and the reload that it was asked for."""

    def __init__(self, folder: Path, pid: int) -> None:
        self.answers: list[dict[str, Any]] = []
        services = find(f"{folder}/").services
        self.service = next(service for service in services if service.pid == pid)
        for service in services:
            if service is not self.service:
                service.close()
        self.service.sock.settimeout(60)
        self._thread = threading.Thread(target=self._ask)

    def _ask(self) -> None:
        self.answers.append(self.service.ask("reload"))

    def reload(self) -> None:
        self._thread.start()

    def answer(self) -> dict[str, Any]:
        self._thread.join(60)
        return self.answers[0]

    def close(self) -> None:
        self.service.close()


@pytest.mark.parametrize("ending", [signal.SIGCONT, signal.SIGKILL])
def test_a_reload_is_over_when_all_of_them_serve_it(tmp_path: Path, ending: signal.Signals, target: Echo) -> None:
    """Also whoever was stopped meanwhile, and whoever takes the place of one that died."""
    folder = tmp_path / "run"
    folder.mkdir()
    with herd(tmp_path, control=f"{folder}/", idle_timeout=60) as running, contextlib.ExitStack() as stack:
        running.until_told("READY=1")
        eventually(lambda: len(list(folder.glob("*.sock"))) == 2, "both may be asked")
        asked, late = running.workers()
        one, other = (stack.enter_context(contextlib.closing(Talk(folder, asked))) for _ in range(2))
        new = free_port()
        write(tmp_path / "c.json", new, workers=2, state_dir=str(tmp_path), control=f"{folder}/", idle_timeout=70)
        os.kill(late, signal.SIGSTOP)
        one.reload()
        eventually(lambda: other.service.ask("status")["reloaded"] is not None, "one of them serves it")
        running.until_told("RELOADING=1")
        assert not one.answers, "but it is not over"
        assert running.told.count("READY=1") == 1
        os.kill(late, ending)
        answer = one.answer()
        assert (answer["applied"], answer["settings"], answer["problems"]) == (True, ["idle_timeout"], [])
        assert all(trip(new, target.port) for _ in range(10))
        running.until_told("READY=1", 2)
        assert len(running.workers()) == 2
        assert (late in running.workers()) is (ending is signal.SIGCONT)


def test_a_bad_file_changes_nothing_and_the_answer_says_why(tmp_path: Path, target: Echo) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    with herd(tmp_path, control=f"{folder}/") as running:
        running.until_told("READY=1")
        before = running.workers()
        eventually(lambda: len(list(folder.glob("*.sock"))) == 2, "both may be asked")
        (tmp_path / "c.json").write_text("{")
        with contextlib.closing(Talk(folder, before[0])) as talk:
            talk.reload()
            answer = talk.answer()
        assert not answer["applied"]
        assert "c.json:1" in answer["problems"][0]
        for pid in before:
            with contextlib.closing(Talk(folder, pid)) as talk:
                assert talk.service.ask("status")["reloaded"] == answer, "all know it"
        assert all(trip(running.port, target.port) for _ in range(4))
        assert running.workers() == before


def test_another_store_takes_a_restart_of_all_of_them(tmp_path: Path) -> None:
    folder, path = tmp_path / "run", tmp_path / "c.json"
    folder.mkdir()
    with herd(tmp_path, control=f"{folder}/", store="a.db", users=[]) as running:
        running.until_told("READY=1")
        before = running.workers()
        eventually(lambda: len(list(folder.glob("*.sock"))) == 2, "both may be asked")
        for store in ("b.db", "c.db"):
            path.write_text(json.dumps({**json.loads(path.read_text()), "store": store}))
            with contextlib.closing(Talk(folder, before[0])) as talk:
                talk.reload()
                answer = talk.answer()
            assert (answer["applied"], answer["restart"], answer["problems"]) == (True, ["store"], [])
        assert running.workers() == before
        assert {each.name for each in tmp_path.glob("*.db")} == {"a.db"}
