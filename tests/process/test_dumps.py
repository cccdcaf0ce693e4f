"""Crashes of a process that holds keys: no dump, and who wants one after all can have it."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shadesocks.process import dumps
from tests.e2e.crowd import eventually
from tests.peers import run

CRASH = "import os; from shadesocks.process import dumps; {}; os.abort()"


@pytest.fixture(autouse=True)
def _put_back() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_CORE)
    yield
    resource.setrlimit(resource.RLIMIT_CORE, before)


def test_only_the_soft_limit_changes() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    dumps.forbid()
    assert resource.getrlimit(resource.RLIMIT_CORE) == (0 if hard == 0 else 1, hard)


def test_a_limit_of_nothing_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (0, 0))
    monkeypatch.setattr(resource, "setrlimit", lambda _which, limits: said.append(limits))
    dumps.forbid()
    monkeypatch.undo()
    assert said == [(0, 0)]


def test_a_refusal_keeps_nothing_from_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_which: int, _limits: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    dumps.forbid()
    monkeypatch.undo()


@pytest.mark.skipif(sys.platform != "linux", reason="says itself whether there was a dump")
def test_a_crash_leaves_no_dump(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", CRASH.format("dumps.forbid()")], cwd=tmp_path)
    _, status = os.waitpid(child.pid, 0)
    child.returncode = status
    assert os.WTERMSIG(status) == signal.SIGABRT
    assert not os.WCOREDUMP(status)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="/proc says it")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_and_its_workers_leave_none(tmp_path: Path, workers: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    with run("ours", "server", "aes-128-gcm", tmp_path, settings={"workers": workers}) as server:
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
        if workers > 1:
            eventually(lambda: len(children.read_text().split()) == workers, "all are there")
        for pid in (server.pid, *children.read_text().split()):
            lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
            assert [line.split()[4] for line in lines if line.startswith("Max core")] == ["0" if hard == 0 else "1"]
