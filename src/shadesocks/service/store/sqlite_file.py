"""The file of a SQLite store in its folder: made, known again, and taken out of the way with what belongs to it.

SQLite keeps a log and its index beside a file, and finds them by their names. So where a file is renamed or deleted
while it is in use, they stay behind, and a new file of that name would get the log of another one. Whoever makes a new
one puts them aside first, and whoever had the old one open closes it (`identities`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from glob import escape, glob
from pathlib import Path
from stat import S_IMODE, S_ISREG
from typing import Final

from ...config.files import is_planted
from .schema import is_of_others, is_text
from .store import StoreError

PARTS: Final = ("", "-wal", "-shm")
"""A file of SQLite, its log, and the index of that."""
SIZE_MIN: Final = 512
"""Bytes of the smallest page, and so of the smallest file."""
HELP: Final = "name another path, or let this user read and write there"

Identity = tuple[int, int] | None
"""What a file is the same by, whatever its name: device and inode; None where there is none."""


def identities(path: Path) -> tuple[Identity, ...]:
    """Return which files the parts of a store are. They stay the same for as long as one process has it open."""
    return tuple(_identity(f"{path}{part}") for part in PARTS)


def _identity(path: str) -> Identity:
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino


def prepare(path: Path, wall: float, patience: float) -> str:
    """Make the file, or see that it is one, and nobody else's to read; return what is to be told.

    Raises:
        StoreError: it is none of ours.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for part in (*PARTS, ".lock"):
        if is_planted(f"{path}{part}"):
            raise StoreError(f"{path}{part} is another user's, where everybody may make files; {HELP}")
    if _identity(str(path)) is None:
        with _alone(path.parent, patience):
            return _make(path, wall)
    status = path.lstat()
    if not S_ISREG(status.st_mode):
        raise StoreError(f"{path} is no file; {HELP}")
    with open(path, "rb") as file:
        head = file.read(SIZE_MIN)
    if is_text(head):
        raise StoreError(f"{path} is a text, no store, and left alone; {HELP}")
    if S_IMODE(status.st_mode) != 0o600 and not is_of_others(head):
        path.chmod(0o600)
    return ""


@contextmanager
def _alone(folder: Path, patience: float) -> Iterator[None]:
    """Keep others from making a store in a folder at the same time, or they would put each other's log aside."""
    fd = -1
    try:
        with suppress(OSError):  # a disk of the network may have no locks
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            wait_for(fd, LOCK_EX, patience)
        yield
    finally:
        if fd >= 0:
            os.close(fd)


def wait_for(fd: int, kind: int, patience: float) -> None:
    """Lock a file; raises BlockingIOError where another process does not let go of it for so many seconds."""
    until = time.monotonic() + patience
    while True:
        try:
            return flock(fd, kind | LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)


def _make(path: Path, wall: float) -> str:
    told = ""
    if _identity(str(path)) is None and any(kept := [_drop(path, part, wall) for part in PARTS[1:]]):
        told = f"there was the log of another {path.name}, which is gone; it is kept as {''.join(kept)}"
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    return told


def what_became(before: tuple[Identity, ...], found: tuple[Identity, ...]) -> str:
    """Say what happened to a file that was open."""
    if found[0] == before[0]:
        return "lost its log while it was open: that was deleted or replaced; all but the last seconds is in the file"
    what = (
        "was deleted or renamed while it was open, and a new one was begun, in which nobody is defined yet"
        if found[0] is None
        else "was replaced while it was open, and the one that is there now is used"
    )
    return f"{what}; what was counted until now is in the old one. To put a file in its place, end the service first"


def clear(path: Path, before: tuple[Identity, ...], wall: float, patience: float) -> None:
    """Take the log and the index of a file that was open here out of the way of the one that has its name now."""
    with _alone(path.parent, patience):
        for part, was, now in zip(PARTS, before, identities(path), strict=True):
            if part and was is not None and now == was:
                _drop(path, part, wall)
    for name in glob(f"{escape(str(path))}.gone-*{PARTS[1]}"):  # where others put it, while it was not empty yet
        if _identity(name) == before[1] and os.path.getsize(name) == 0:
            os.unlink(name)


def _drop(path: Path, part: str, wall: float) -> str:
    """Take the log or the index of a file that is gone out of the way; return the new name of what is kept."""
    name = f"{path}{part}"
    with suppress(FileNotFoundError):
        if part == PARTS[2] or os.path.getsize(name) == 0:  # nothing that is nowhere else
            os.unlink(name)
            return ""
        stem = _free(path, "gone", wall)
        os.rename(name, f"{stem}{part}")
        return f"{Path(stem).name}{part}"
    return ""


def set_aside(path: Path, wall: float) -> Path:
    """Give a damaged store another name, and return that."""
    stem = _free(path, "corrupt", wall)
    for part in reversed(PARTS):  # the file itself last: until then the next start finds it damaged, as it is
        with suppress(FileNotFoundError):
            os.rename(f"{path}{part}", f"{stem}{part}")
    return Path(stem)


def _free(path: Path, why: str, wall: float) -> str:
    stem = f"{path}.{why}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime(wall))}"
    free, number = stem, 1
    while any(os.path.lexists(f"{free}{part}") for part in PARTS):
        number += 1
        free = f"{stem}-{number}"
    return free
