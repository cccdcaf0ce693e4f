"""The launcher: it becomes the program that it is told, unless its parent has gone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from shadesocks.service.plugins import launcher

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such a signal")


def launch(parent: int, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", launcher.__file__, str(parent), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_it_becomes_the_program() -> None:
    done = launch(os.getpid(), "/bin/sh", "-c", 'echo "$0 $1"', "a b", "c")
    assert (done.returncode, done.stdout, done.stderr) == (0, "a b c\n", "")


def test_whoever_lost_its_parent_starts_nothing() -> None:
    done = launch(1 if os.getpid() != 1 else 2, "/bin/echo", "started")
    assert (done.returncode, done.stdout) == (127, "")


def test_what_is_no_program_is_told() -> None:
    done = launch(os.getpid(), "/etc/passwd")
    assert done.returncode == 127
    assert done.stderr.startswith("cannot be started: ")


def test_it_imports_nothing_of_the_package() -> None:
    with open(launcher.__file__, encoding="utf-8") as file:
        assert "shadesocks" not in file.read()
