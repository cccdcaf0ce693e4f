"""The file that says which process runs, and is locked by it.

    PidFile.take(path) -> ... -> release        in the process itself, behind its last fork
    holder_of(path)                             in any other

Only the lock counts: it ends with its process, however that ended, so a file that was left behind stops nobody, and
nobody sends a signal to a stranger that has the number now. The lock is lockf's, which the Python original takes, too.
It belongs to one process: no fork inherits it, and to close any descriptor of the file gives it up; so whoever holds a
file asks nobody for its holder.
"""

from __future__ import annotations

import contextlib
import os
import stat
import struct
import sys
from typing import Final

from ..core.errors import ShadesocksError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_OPEN: Final = (
    os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY if sys.platform != "win32" else 0
)  # a link, a pipe or a terminal in its place is not opened, waited for, or taken
_OWNER_ONLY: Final = 0o600
_TEXT_MAX: Final = 32
"""Bytes: more than the number of any process has."""
_LINUX: Final[bool] = sys.platform == "linux"
_FLOCK: Final = struct.Struct("@hhqqi0q")
"""struct flock of Linux, where offsets have 64 bits: kind, whence, start, size, process."""


class HeldError(ShadesocksError):
    """Another process holds the file."""

    code = "held"

    def __init__(self, pid: int | None) -> None:
        super().__init__("already started" if pid is None else f"already started at pid {pid}")
        self.pid = pid


class PidFileError(ShadesocksError):
    """The file cannot be used; a sentence."""

    code = "pid_file"


class PidFile:
    """The file, while this process holds it."""

    def __init__(self, path: str, fd: int) -> None:
        self.path: Final = path
        self._fd: int | None = fd

    @classmethod
    def take(cls, path: str) -> PidFile:
        """Lock the file and write the number of this process into it.

        Raises:
            HeldError: another process holds it.
            PidFileError: it cannot be made, or it is no file.
        """
        path = os.path.abspath(path)  # whoever changes the directory must still find it at the end
        while True:
            fd = _open(path, os.O_RDWR | os.O_CREAT)
            try:
                _lock(fd, path)
                if not _is_at(fd, path):  # its last holder removed it between our opening and our lock
                    continue
                os.ftruncate(fd, 0)
                os.write(fd, str(os.getpid()).encode())
                taken, fd = fd, -1
                return cls(path, taken)
            except OSError as error:
                raise PidFileError(f"cannot write the pid file {path}: {os.strerror(error.errno or 0)}") from None
            finally:
                if fd >= 0:
                    os.close(fd)

    def release(self) -> None:
        """Remove the file and give up the lock. Where this user may not remove it, it is left empty."""
        fd, self._fd = self._fd, None
        if fd is None:
            return
        with contextlib.suppress(OSError):
            os.ftruncate(fd, 0)
        with contextlib.suppress(OSError):
            if _is_at(fd, self.path):
                os.unlink(self.path)
        os.close(fd)


def holder_of(path: str) -> int | None:
    """Return the number of the process that holds the file; None where nobody does, or where there is none.

    Raises:
        PidFileError: the file cannot be read, or its holder cannot be seen from here.
    """
    try:
        fd = _open(path, os.O_RDONLY)
    except PidFileError as error:
        if isinstance(error.__cause__, (FileNotFoundError, NotADirectoryError)):
            return None
        raise
    try:
        pid = _holder(fd)
    finally:
        os.close(fd)
    if pid is not None and pid <= 0:
        raise PidFileError(f"{path}: a process that cannot be seen from here holds it; look in the other container")
    return pid


def remove(path: str) -> None:
    """Remove a file that nobody holds; where that is not possible it stays, and says nothing to anybody."""
    with contextlib.suppress(HeldError, PidFileError, OSError):
        fd = _open(path, os.O_RDWR)
        try:
            _lock(fd, path)
            if _is_at(fd, path):
                os.unlink(path)
        finally:
            os.close(fd)


def _open(path: str, flags: int) -> int:
    if fcntl is None:
        raise PidFileError("there are no pid files on this system: it has no locks that end with their process")
    try:
        fd = os.open(path, flags | _OPEN, _OWNER_ONLY)
    except OSError as error:
        raise PidFileError(f"cannot open the pid file {path}: {os.strerror(error.errno or 0)}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise PidFileError(f"cannot use the pid file {path}: it is no file; name another")
    return fd


def _lock(fd: int, path: str) -> None:
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        raise HeldError(_holder(fd)) from None
    except OSError as error:
        text = f"cannot lock the pid file {path}: {os.strerror(error.errno or 0)}; name one on a local disk"
        raise PidFileError(text) from None


def _holder(fd: int) -> int | None:
    """Return the process that holds a lock, as the kernel knows it; elsewhere as it wrote itself."""
    if _LINUX:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, *_, pid = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_GETLK, asked))
        return None if kind == fcntl.F_UNLCK else int(pid)
    try:
        fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        text = os.pread(fd, _TEXT_MAX, 0)
        return int(text) if text.strip().isdigit() else 0
    return None


def _is_at(fd: int, path: str) -> bool:
    """True when the path still names the file that is open."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path, follow_symlinks=False))
    except OSError:
        return False
