from __future__ import annotations

import os
from pathlib import Path

import pytest

from shadesocks.process.pid_file import HeldError, PidFile, PidFileError, holder_of, remove

from .children import child, run

HOLD = """
import sys
from shadesocks.process.pid_file import PidFile
held = PidFile.take(sys.argv[1])
print("there", flush=True)
sys.stdin.read()
"""
FORK = """
import os, sys
from shadesocks.process.pid_file import PidFile, holder_of
held = PidFile.take(sys.argv[1])
pid = os.fork()
if pid == 0:
    os._exit(0 if holder_of(sys.argv[1]) == os.getppid() else 1)
assert os.waitpid(pid, 0)[1] == 0
print(holder_of("/dev/null/nothing"))
"""


def test_it_has_the_number_of_the_process(tmp_path: Path) -> None:
    path = tmp_path / "x.pid"
    held = PidFile.take(str(path))
    assert path.read_text() == str(os.getpid())
    assert path.stat().st_mode & 0o777 == 0o600
    held.release()
    assert not path.exists()
    held.release()


def test_the_descriptor_is_for_this_program_only(tmp_path: Path) -> None:
    held = PidFile.take(str(tmp_path / "x.pid"))
    assert held._fd is not None
    assert not os.get_inheritable(held._fd)
    held.release()


def test_a_longer_number_of_before_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "x.pid"
    path.write_text("99999999999999")
    held = PidFile.take(str(path))
    assert path.read_text() == str(os.getpid())
    held.release()


def test_one_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "x.pid"
    with child(HOLD, path) as holder:
        assert holder_of(str(path)) == holder.pid
        with pytest.raises(HeldError, match=f"^already started at pid {holder.pid}$") as raised:
            PidFile.take(str(path))
        assert raised.value.pid == holder.pid
        assert path.read_text() == str(holder.pid)


def test_it_is_the_lock_that_counts(tmp_path: Path) -> None:
    path = tmp_path / "x.pid"
    with child(HOLD, path) as holder:
        path.write_text("1")  # what stands there is nobody's word
        assert holder_of(str(path)) == holder.pid
        holder.kill()
        holder.wait()
        assert path.exists()
        assert holder_of(str(path)) is None
        PidFile.take(str(path)).release()


def test_a_fork_does_not_hold_it(tmp_path: Path) -> None:
    done = run(FORK, tmp_path / "x.pid")
    assert (done.returncode, done.stdout) == (0, "None\n"), done.stderr


def test_nobody_holds_what_is_not_there(tmp_path: Path) -> None:
    assert holder_of(str(tmp_path / "x.pid")) is None
    assert holder_of(str(tmp_path / "no" / "x.pid")) is None
    assert not list(tmp_path.iterdir())


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PidFileError, match=r"^cannot open the pid file .*/no/x\.pid: No such file or directory$"):
        PidFile.take(str(tmp_path / "no" / "x.pid"))


@pytest.mark.parametrize("kind", ["directory", "pipe", "link"])
def test_what_is_no_file_is_left_alone(tmp_path: Path, kind: str) -> None:
    path, other = tmp_path / "x.pid", tmp_path / "other"
    other.write_text("kept")
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(other)
    with pytest.raises(PidFileError):
        PidFile.take(str(path))
    assert other.read_text() == "kept"


def test_what_cannot_be_removed_is_left_empty(tmp_path: Path) -> None:
    path = tmp_path / "x.pid"
    held = PidFile.take(str(path))
    path.rename(tmp_path / "moved")  # as good as a directory that is not the user's, which root has not
    path.write_text("another's")
    held.release()
    assert (tmp_path / "moved").read_text() == ""
    assert path.read_text() == "another's"


def test_only_what_nobody_holds_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "x.pid"
    with child(HOLD, path):
        remove(str(path))
        assert path.exists()
    remove(str(path))
    assert not path.exists()
    remove(str(path))
