"""Processes that tests of processes need: a piece of Python in an interpreter of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

LIMIT = 30.0
"""Seconds until something that should happen has not."""


def run(code: str, *words: object) -> subprocess.CompletedProcess[str]:
    """Run code to its end."""
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)


@contextmanager
def child(code: str, *words: object) -> Iterator[subprocess.Popen[str]]:
    """Run code beside the test; it says on stdout when it is where the test wants it."""
    command = [sys.executable, "-c", code, *map(str, words)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "there\n"
            yield process
        finally:
            process.kill()


def end(pid: int) -> None:
    """End a daemon of the test's."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def is_alive(pid: int) -> bool:
    """True for a process that runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_gone(pid: int) -> None:
    """Wait for the end of a process that is no child."""
    until = time.monotonic() + LIMIT
    while is_alive(pid):
        assert time.monotonic() < until
        time.sleep(0.01)
