from __future__ import annotations

import os
from pathlib import Path

import pytest

from shadesocks.process.log_file import LOOK, LogFile, LogFileError
from shadesocks.process.user import User


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("before\n")
    log = LogFile(str(path))
    log.write("an é and \ud800\n")
    log.flush()
    log.close()
    assert path.read_text(encoding="utf-8") == "before\nan é and \\ud800\n"
    assert not log.isatty()


def test_only_owner_and_group_read_a_new_one(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "x.log"))
    log.close()
    assert not (tmp_path / "x.log").stat().st_mode & 0o027


def test_it_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(LogFileError, match=r"^cannot open the log file .*/no/x\.log: No such file or directory$"):
        LogFile(str(tmp_path / "no" / "x.log"))


def test_it_is_opened_again_when_asked(tmp_path: Path) -> None:
    path, old = tmp_path / "x.log", tmp_path / "x.log.1"
    log = LogFile(str(path))
    number = log.fileno()
    log.write("one\n")
    path.rename(old)
    log.write("two\n")
    log.reopen()
    log.write("three\n")
    assert log.fileno() == number
    assert not os.get_inheritable(number)
    log.close()
    assert (old.read_text(), path.read_text()) == ("one\ntwo\n", "three\n")


@pytest.mark.parametrize("how", ["moved", "removed", "replaced"])
def test_a_write_finds_out(tmp_path: Path, how: str) -> None:
    path, clock = tmp_path / "x.log", Clock()
    log = LogFile(str(path), clock)
    if how == "removed":
        path.unlink()
    else:
        path.rename(tmp_path / "x.log.1")
    if how == "replaced":
        path.write_text("new: ")
    log.write("one\n")
    clock.now = LOOK
    log.write("two\n")
    log.close()
    assert path.read_text() == ("new: two\n" if how == "replaced" else "two\n")


def test_it_goes_on_where_it_is(tmp_path: Path) -> None:
    folder, clock = tmp_path / "logs", Clock()
    folder.mkdir()
    log = LogFile(str(folder / "x.log"), clock)
    folder.rename(tmp_path / "gone")
    for now in (1, 2):
        clock.now = now
        log.write(f"{now}\n")
    text = (tmp_path / "gone" / "x.log").read_text()
    assert text == f"cannot open the log file {folder}/x.log again: No such file or directory; it goes on here\n1\n2\n"
    folder.mkdir()
    clock.now = 3
    log.write("3\n")
    log.close()
    assert (folder / "x.log").read_text() == "3\n"


def test_others_follow(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    log = LogFile(str(path))
    other = os.open(os.devnull, os.O_WRONLY)
    log.follow(other)
    os.write(other, b"one\n")
    path.rename(tmp_path / "x.log.1")
    log.reopen()
    os.write(other, b"two\n")
    os.close(other)
    log.close()
    assert path.read_text() == "two\n"


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("is_new", [True, False])
def test_a_new_one_is_given_to_the_user(tmp_path: Path, is_new: bool) -> None:
    path = tmp_path / "x.log"
    if not is_new:
        path.write_text("")
    log = LogFile(str(path))
    log.give(User("somebody", 12345, 12346, ()))
    log.close()
    found = path.stat()
    assert (found.st_uid, found.st_gid) == ((12345, 12346) if is_new else (0, 0))
