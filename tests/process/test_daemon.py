from __future__ import annotations

import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from shadesocks.process.daemon import DaemonError, stop
from shadesocks.process.pid_file import holder_of

from .children import child, end, is_alive, run, wait_gone

DAEMON = """
import os, signal, sys
from shadesocks.process.daemon import run_detached
from shadesocks.process.pid_file import PidFile

def work(ready):
    held = PidFile.take(sys.argv[1])
    signal.signal(signal.SIGTERM, lambda *_: held.release() or os._exit(0))
    print("to the terminal", flush=True)
    ready()
    print("to the log", os.getsid(0) == os.getpid(), sys.stdin.read(), flush=True)
    os.system("echo of a child")
    signal.pause()
    return 0

log = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
sys.exit(run_detached(work, log_fd=log, started=lambda: print("started")))
"""
FAIL = """
import os, signal, sys
from shadesocks.process.daemon import run_detached
def work(ready):
    if sys.argv[1] == "raises":
        raise SystemExit("why it failed")
    if sys.argv[1] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if sys.argv[1] == "sleeps":
        print(os.getpid(), flush=True)
        signal.pause()
    return int(sys.argv[1])
sys.exit(run_detached(work, started=lambda: print("started"), limit=0.5))
"""
DRAW = """
import os, sys
from shadesocks.crypto.random import draw
from shadesocks.process.daemon import run_detached
draw(16)
def work(ready):
    print(draw(16).hex(), flush=True)
    ready()
    return 0
code = run_detached(work, started=lambda: print(draw(16).hex()))
"""
STUBBORN = """
import signal, sys
from shadesocks.process.pid_file import PidFile
signal.signal(signal.SIGTERM, signal.SIG_IGN)
held = PidFile.take(sys.argv[1])
print("there", flush=True)
sys.stdin.read()
"""
SLOW = """
import signal, sys, time
from shadesocks.process.pid_file import PidFile
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.3), sys.exit(0)))
held = PidFile.take(sys.argv[1])
print("there", flush=True)
sys.stdin.read()
"""
STOP_AS_ANOTHER = """
import os, sys
from shadesocks.process.daemon import stop
os.setuid(65534)
stop(sys.argv[1])
"""


def test_it_starts_and_stops(tmp_path: Path) -> None:
    pid_file, log = tmp_path / "x.pid", tmp_path / "x.log"
    done = run(DAEMON, pid_file, log)
    assert (done.returncode, done.stdout) == (0, "to the terminal\nstarted\n"), done.stderr
    pid = int(pid_file.read_text())
    try:
        assert holder_of(str(pid_file)) == pid
        until = time.monotonic() + 10
        while "child" not in log.read_text():
            assert time.monotonic() < until
            time.sleep(0.01)
        assert log.read_text() == "to the log True \nof a child\n"
        assert stop(str(pid_file))
        assert not pid_file.exists()
        wait_gone(pid)
    finally:
        end(pid)


@pytest.mark.parametrize(
    ("how", "code", "stderr"), [("raises", 1, "why it failed\n"), ("killed", 1, ""), ("7", 7, ""), ("0", 1, "")]
)
def test_the_parent_ends_as_a_child_that_never_listened(how: str, code: int, stderr: str) -> None:
    done = run(FAIL, how)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", stderr)


def test_a_child_that_says_nothing_is_ended() -> None:
    done = run(FAIL, "sleeps")
    assert done.returncode == 1
    assert "did not listen within 0.5 s" in done.stderr
    pid = int(done.stdout)
    try:
        wait_gone(pid)
    finally:
        end(pid)


def test_no_random_bytes_are_drawn_twice() -> None:
    done = run(DRAW)
    assert len(set(done.stdout.split())) == 2, done.stderr


def test_nothing_runs(tmp_path: Path) -> None:
    path = tmp_path / "x.pid"
    assert not stop(str(path))
    assert not stop(str(tmp_path / "no" / "x.pid"))
    path.write_text("")
    assert not stop(str(path))
    assert not path.exists()


def test_a_number_that_is_another_process_gets_no_signal(tmp_path: Path) -> None:
    path = tmp_path / "x.pid"
    with child("import sys; print('there', flush=True); sys.stdin.read()") as bystander:
        path.write_text(str(bystander.pid))
        assert not stop(str(path))
        assert is_alive(bystander.pid)
        assert bystander.poll() is None


def test_it_waits_for_the_end(tmp_path: Path) -> None:
    path = tmp_path / "x.pid"
    with child(SLOW, path) as slow:
        assert stop(str(path))
        assert holder_of(str(path)) is None
        assert slow.wait() == 0


def test_it_gives_up(tmp_path: Path) -> None:
    path = tmp_path / "x.pid"
    with child(STUBBORN, path) as stubborn:
        with pytest.raises(DaemonError, match=f"^timed out when stopping pid {stubborn.pid}$"):
            stop(str(path), limit=0.1)
        assert path.read_text() == str(stubborn.pid)


@pytest.mark.skipif(os.getuid() != 0, reason="only root makes processes of others")
def test_another_users_daemon() -> None:
    with TemporaryDirectory() as folder:  # pytest's own is closed to others
        os.chmod(folder, 0o755)  # noqa: S103 - that is its purpose
        path = Path(folder, "x.pid")
        with child(STUBBORN, path) as holder:
            path.chmod(0o644)
            done = run(STOP_AS_ANOTHER, path)
            assert f"cannot stop pid {holder.pid}: it is another user's" in done.stderr
            assert holder.poll() is None
