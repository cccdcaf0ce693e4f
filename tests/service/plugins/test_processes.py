"""The family of a process: what it started, and what left its group, and how all of it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest

from shadesocks.service.plugins import processes as module
from shadesocks.service.plugins.processes import family, kill_family

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")

_SHELL = """
    setsid sleep 1000 & echo $!
    (setsid sleep 1000 & echo $!)
    (sleep 1000 & echo $!)
    sleep 1000 & echo $!
    echo done
    wait
"""


@pytest.fixture
def tree() -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A shell with children of every kind: one of them left its session and its parent, and is out of sight."""
    with subprocess.Popen(
        ["/bin/sh", "-c", _SHELL], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as shell:
        assert shell.stdout is not None
        pids = [int(line) for line in iter(shell.stdout.readline, "done\n")]
        try:
            yield shell, pids
        finally:
            for pid in (*pids, shell.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def test_children_and_those_of_the_session(tree: tuple[subprocess.Popen[str], list[int]]) -> None:
    shell, (apart, _, orphan, child) = tree
    found = list(family(shell.pid))
    assert found[0] == shell.pid
    assert len(found) == len(set(found))
    assert {apart, orphan, child} <= set(found)


def test_where_the_kernel_lists_no_children(
    tree: tuple[subprocess.Popen[str], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    shell, (apart, _, orphan, child) = tree
    monkeypatch.setattr(module, "_children", lambda _pid: [])
    assert {shell.pid, apart, orphan, child} <= set(family(shell.pid))


def test_they_are_killed_and_it_is_not(tree: tuple[subprocess.Popen[str], list[int]]) -> None:
    shell, _ = tree
    os.kill(shell.pid, signal.SIGSTOP)  # so that it reaps nobody
    kill_family(shell.pid)
    assert next(family(shell.pid)) == shell.pid
    assert shell.poll() is None


def test_where_nothing_is_shown_it_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROC", "/nowhere")
    assert list(family(os.getpid())) == [os.getpid()]
    kill_family(os.getpid())
