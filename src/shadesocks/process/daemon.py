"""Into the background, and out of it again.

    run_detached    fork -> child: setsid, the work -> ready: standard streams to the log
                         -> parent: waits until the child is ready, or has ended; its exit code says which
    stop            SIGTERM to whoever holds a pid file, and wait until it is gone

Fork first: no loop, poll, thread or batch of random bytes may be there yet, for two processes would share it. Until the
child is ready its standard streams are those of the terminal, so what keeps it from starting is read where it was
started; a start that said "started" and then failed was a bug of the daemons before.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import Final

from ..core.errors import ShadesocksError
from .pid_file import holder_of, remove

START_LIMIT: Final = 30.0
"""Seconds until a start that says nothing has failed: look-ups of names to listen on take 10 s, twice."""
STOP_LIMIT: Final = 60.0
"""Seconds until a daemon that was told to end has not done so: longer than the drain of those who drain (10 s by
default). The Python original gave up after 10 s."""
_POLL: Final = 0.05
"""Seconds between two looks, as in the Python original: the end of another process is told by nothing portable."""
_READY: Final = b"1"

Ready = Callable[[], None]
"""Says that the work listens now, and leaves the terminal."""


class DaemonError(ShadesocksError):
    """It did not start or end in time, or may not be told to; a sentence."""

    code = "daemon"


def run_detached(
    work: Callable[[Ready], int], *, log_fd: int | None = None, started: Callable[[], None], limit: float = START_LIMIT
) -> int:
    """Do the work in a child in the background; return its exit code in both processes.

    In the parent 0 comes once the child called what `work` was given, after `started`; in the child when the work is
    done, which may raise as it would have here. From its call on, what the child prints goes to `log_fd`; without one,
    nowhere.

    Raises:
        DaemonError: in the parent: the child was not ready in time, and was ended.
    """
    if not hasattr(os, "fork"):
        raise DaemonError("this system has no background for programs; let its service manager start this one")
    reading, writing = os.pipe()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()  # or both processes would write what is in the buffer
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        os.setsid()
        return work(_Herald(writing, log_fd))
    os.close(writing)
    try:
        code = _await(pid, reading, limit)
    except KeyboardInterrupt:
        os.kill(pid, signal.SIGTERM)  # nobody wants it any more; it is not in the terminal's group
        raise
    finally:
        os.close(reading)
    if code is None:
        started()
    return code or 0


class _Herald:
    """Tells the parent, once."""

    def __init__(self, fd: int, log_fd: int | None) -> None:
        self._fd: int | None = fd
        self._log_fd = log_fd

    def __call__(self) -> None:
        fd, self._fd = self._fd, None
        if fd is None:
            return
        leave_terminal(self._log_fd)
        with contextlib.suppress(OSError):  # whoever started it did not wait
            os.write(fd, _READY)
        os.close(fd)


def leave_terminal(log_fd: int | None) -> None:
    """Lead stdout and stderr to a descriptor, or nowhere, and let stdin be empty."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os.dup2(nothing, 0)
    for number in (1, 2):
        os.dup2(nothing if log_fd is None else log_fd, number)
    if nothing > 2:
        os.close(nothing)


def _await(pid: int, reading: int, limit: float) -> int | None:
    """Return None once the child is ready, else the exit code with which it ended."""
    if not select.select([reading], [], [], limit)[0]:
        os.kill(pid, signal.SIGTERM)
        raise DaemonError(f"it did not listen within {limit:g} s and was ended; start it without -d to see why")
    if os.read(reading, 1) == _READY:
        return None
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code > 0 else 1  # it never listened: no success, however it ended


def stop(path: str, limit: float = STOP_LIMIT) -> bool:
    """End the daemon that holds a pid file, and remove the file; return False where there is none.

    Raises:
        DaemonError: it may not be told, or does not end in time.
        PidFileError: the file cannot be read.
    """
    pid = holder_of(path)
    told = pid is not None and _end(pid, path, limit)
    remove(path)
    return told


def _end(pid: int, path: str, limit: float) -> bool:
    """Send SIGTERM to the holder of a pid file, and wait for its end; return False where it is gone already."""
    fd = None
    try:
        if hasattr(os, "pidfd_open"):
            fd = os.pidfd_open(pid)
        if holder_of(path) != pid:  # looked at once more, now that its number cannot become another's
            return False
        if fd is None:
            os.kill(pid, signal.SIGTERM)
        else:
            signal.pidfd_send_signal(fd, signal.SIGTERM)
        if not _wait(pid, fd, path, limit):
            raise DaemonError(f"timed out when stopping pid {pid}")
    except ProcessLookupError:
        return False
    except PermissionError:
        raise DaemonError(f"cannot stop pid {pid}: it is another user's; stop it as that user, or as root") from None
    finally:
        if fd is not None:
            os.close(fd)
    return True


def _wait(pid: int, fd: int | None, path: str, limit: float) -> bool:
    """Return True once a process has ended, also as a zombie that nobody asks for; False when the time is up."""
    if fd is not None:
        return bool(select.select([fd], [], [], limit)[0])
    until = time.monotonic() + limit
    while holder_of(path) == pid:  # the lock is asked for, not the number
        if time.monotonic() > until:
            return False
        time.sleep(_POLL)
    return True
