"""A log that may be moved away: opened for append, and opened again when its name is another file's, or nobody's.

Two ways of rotating it work: to move it and send SIGHUP (`reopen`), and to move it and do nothing, for writes look at
the name once a second. A log that cannot be opened again goes on where it is, and says so there; the next look tries
again.
The number of its descriptor stays the same, and so do those that follow it: stdout and stderr of a daemon.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Final

from ..core.errors import ShadesocksError

if TYPE_CHECKING:
    from .user import User

LOOK: Final = 1.0
"""Seconds between two looks at the name: one `stat` costs 2 us, a busy log has thousands of lines a second."""
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | getattr(os, "O_NOCTTY", 0)
_MODE: Final = 0o640
"""It has addresses of clients: nobody's but the owner's and the group's, whom log tools belong to."""


class LogFileError(ShadesocksError):
    """The log cannot be opened; a sentence."""

    code = "log_file"


class LogFile:
    """A text stream, as far as a screen needs one."""

    def __init__(self, path: str, clock: Callable[[], float] = monotonic) -> None:
        """Open a log.

        Raises:
            LogFileError: it cannot be opened.
        """
        self.path: Final = os.path.abspath(path)
        self._clock: Final = clock
        self._followers: list[int] = []
        self._fails = False
        self._look_at = clock() + LOOK
        try:
            self._fd, self._is_new = _open(self.path)
        except OSError as error:
            raise LogFileError(f"cannot open the log file {self.path}: {os.strerror(error.errno or 0)}") from None

    def fileno(self) -> int:
        """Return the descriptor, which stays the same."""
        return self._fd

    def isatty(self) -> bool:
        """Nobody looks at it."""
        return False

    def write(self, text: str) -> int:
        """Write text to the end."""
        if self._clock() >= self._look_at:
            self._look()
        data = memoryview(text.encode("utf-8", "backslashreplace"))
        while data:
            data = data[os.write(self._fd, data) :]
        return len(text)

    def flush(self) -> None:
        """Nothing waits to be written."""

    def follow(self, *numbers: int) -> None:
        """Let further descriptors lead wherever the log leads, now and later."""
        self._followers += numbers
        for number in numbers:
            os.dup2(self._fd, number)

    def give(self, user: User) -> None:
        """Let a user whom this process will become open it again; a file that was there before stays whose it was."""
        # An older file may be a link that somebody put there: to give that away would be to give away anything.
        if self._is_new:
            with contextlib.suppress(OSError):
                os.fchown(self._fd, user.uid, user.gid)

    def reopen(self) -> None:
        """Open the file that has the name now."""
        self._look_at = self._clock() + LOOK
        try:
            fd, _ = _open(self.path)
        except OSError as error:
            if not self._fails:
                self._fails = True
                text = f"cannot open the log file {self.path} again: {os.strerror(error.errno or 0)}; it goes on here\n"
                with contextlib.suppress(OSError):
                    os.write(self._fd, text.encode())
            return
        self._fails = False
        for number in (self._fd, *self._followers):
            os.dup2(fd, number, inheritable=number in self._followers)
        os.close(fd)

    def close(self) -> None:
        """Close it; those that follow it stay as they are."""
        os.close(self._fd)

    def _look(self) -> None:
        self._look_at = self._clock() + LOOK
        try:
            moved = not os.path.samestat(os.fstat(self._fd), os.stat(self.path))
        except FileNotFoundError:
            moved = True
        except OSError:
            return  # a directory that cannot be looked into says nothing of the file
        if moved:
            self.reopen()


def _open(path: str) -> tuple[int, bool]:
    """Return the descriptor, and whether the file was made now."""
    try:
        return os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, _MODE), True
    except FileExistsError:
        return os.open(path, _FLAGS | os.O_CREAT, _MODE), False
