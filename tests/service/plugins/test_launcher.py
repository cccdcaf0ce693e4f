"""The launcher: it starts the program that it is told, unless its parent has gone, and ends all that comes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from shadesocks.service.plugins import launcher

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such a signal")

LIMIT = 60.0


def command(parent: int, *words: str) -> list[str]:
    return [sys.executable, "-I", "-S", launcher.__file__, str(parent), *words]


def launch(parent: int, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(parent, *words), capture_output=True, text=True, check=False, timeout=LIMIT)


def started(script: str) -> tuple[subprocess.Popen[str], int]:
    """Return a launcher that runs a script, and the number that the script writes in its first line."""
    words = command(os.getpid(), "/bin/sh", "-c", script)
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def ended(process: subprocess.Popen[str]) -> int:
    """Return how a launcher ended; nobody has its pipe by then."""
    with process:
        assert process.stdout is not None
        assert process.stdout.read() == ""
        return process.wait(LIMIT)


def assert_gone(pid: int) -> None:
    give_up_at = time.monotonic() + LIMIT
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)  # the end of a process that is not ours tells nobody


def test_it_runs_the_program() -> None:
    done = launch(os.getpid(), "/bin/sh", "-c", 'echo "$0 $1"', "a b", "c")
    assert (done.returncode, done.stdout, done.stderr) == (0, "a b c\n", "")


@pytest.mark.parametrize("status", [0, 1, 255])
def test_it_ends_as_the_program_does(status: int) -> None:
    assert launch(os.getpid(), "/bin/sh", "-c", f"exit {status}").returncode == status


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGUSR1, signal.SIGRTMAX])
def test_it_ends_by_the_signal_that_ended_the_program(number: int) -> None:
    assert launch(os.getpid(), "/bin/sh", "-c", f"kill -{number:d} $$").returncode == -number


def test_whoever_lost_its_parent_starts_nothing() -> None:
    done = launch(1 if os.getpid() != 1 else 2, "/bin/echo", "started")
    assert (done.returncode, done.stdout) == (127, "")


def test_what_is_no_program_is_told() -> None:
    done = launch(os.getpid(), "/etc/passwd")
    assert done.returncode == 127
    assert done.stderr.startswith("cannot be started: ")


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGUSR1])
@pytest.mark.parametrize(
    "away", ["sleep 1000 &", "setsid sleep 1000 &", "(setsid sh -c 'trap \"\" TERM; sleep 1000' &);"]
)
def test_nothing_of_it_is_left(away: str, sent: int) -> None:
    process, pid = started(f"{away} echo $$; sleep 1000; sleep 1000")
    process.send_signal(sent)
    assert ended(process) == (-signal.SIGTERM if sent == signal.SIGTERM else -signal.SIGKILL)
    assert_gone(pid)


def test_one_that_daemonizes_is_ended_when_its_first_process_ends() -> None:
    process, pid = started("(setsid sh -c 'echo $$; exec sleep 1000' &); sleep 0.2")
    assert ended(process) == 0
    assert_gone(pid)


def test_who_forks_without_end_is_caught(tmp_path: Path) -> None:
    """Each lives for a moment, and leaves another one: a look alone misses them."""
    seen = tmp_path / "seen"
    forker = f"import os\nopen({str(seen)!r}, 'w').close()\nwhile True:\n  if os.fork(): os._exit(0)\n  os.setsid()"
    words = command(os.getpid(), sys.executable, "-S", "-c", forker)
    with subprocess.Popen(words) as process:
        while not seen.exists():
            time.sleep(0.01)  # a file tells nobody when it is there
        process.send_signal(signal.SIGUSR1)
        process.wait(LIMIT)
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with suppress(OSError):
                assert str(seen).encode() not in Path(f"/proc/{name}/cmdline").read_bytes()


def test_whoever_ignores_sigterm_is_killed_by_order() -> None:
    process, pid = started("trap '' TERM; echo $$; while :; do sleep 1; done")
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGUSR1)
    assert ended(process) == -signal.SIGKILL
    assert_gone(pid)


def test_the_program_ends_with_a_launcher_that_is_killed() -> None:
    process, pid = started("echo $$; exec sleep 1000")
    process.kill()
    assert ended(process) == -signal.SIGKILL
    assert_gone(pid)


def test_a_signal_that_comes_early_is_not_lost() -> None:
    """Python needs 20 ms to begin: what comes before, or right after, ends the program, or keeps it from starting."""
    for wait in (0.0, 0.01, 0.02, 0.03, 0.05):
        with subprocess.Popen(command(os.getpid(), "/bin/sleep", "1000")) as process:
            time.sleep(wait)
            process.terminate()
            assert process.wait(LIMIT) == -signal.SIGTERM


def test_it_imports_nothing_of_the_package() -> None:
    with open(launcher.__file__, encoding="utf-8") as file:
        assert "shadesocks" not in file.read()
