"""A program that we started: its group, what it says, its end.

    start -> ended, or end(): SIGTERM, a while, the death of all of it

On Linux what is started here is the launcher, which stays and starts the program (`launcher.py`): it hands SIGTERM on,
and leaves nothing of what the program started, however that went away from it. Elsewhere it is the program itself, and
what is signalled is its group. Either has a session of its own, so that the terminal's signals do not come to it. When
it ends, whatever is left is killed before it is reaped: as long as a zombie has the number, nobody else can have it.

Plain `subprocess`, and a pidfd in the loop: asyncio's subprocesses need a child watcher, which before Python 3.12 is a
thread for each child, and whose pipes are read as fast as a flood comes. A pidfd is a descriptor like any other: it
works on the shared loop, on plain asyncio and in a worker, and touches no other child of the process. Where the system
has none, a timer looks.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from .output import Output
from .processes import kill_family

GRACE: Final = 5.0
"""Seconds between SIGTERM and SIGKILL."""
LAST_GRACE: Final = 5.0
"""Seconds in which a launcher has killed all that it can; it takes 3 at most."""
LOOK: Final = 0.1
"""Seconds between two looks at a child, where no descriptor tells of its end."""
READ_SIZE: Final = 65536
"""The size of a pipe on Linux."""
BREATH: Final = 0.02
"""Seconds without reading after a full pipe of a program that floods: 3 MiB/s of what nobody will see."""
DRAIN_MOST: Final = 4
"""Reads of what is left in the pipe at the end."""

_LAUNCHER: Final = os.path.join(os.path.dirname(__file__), "launcher.py")


class Child:
    """One process, until it is reaped."""

    def __init__(self, words: Sequence[str], environ: Mapping[str, str], tell: Callable[[str], None], output: Output):
        """Start a program by its path, with the rest of its command line.

        Raises:
            OSError: the system cannot.
        """
        self._loop = asyncio.get_running_loop()
        self._tell = tell
        self._output = output
        self._pidfd = -1
        self._timer: asyncio.TimerHandle | None = None
        self._breath: asyncio.TimerHandle | None = None
        self.ended: asyncio.Future[int] = self._loop.create_future()
        """Done once it is reaped; its exit status, or minus the number of the signal that ended it."""
        launcher = launched()
        self._last: Final = signal.SIGUSR1 if launcher else signal.SIGKILL
        self._pipe, write = os.pipe()
        try:
            os.set_blocking(self._pipe, False)
            self._process = subprocess.Popen(  # noqa: S603 - a program that the operator named, without a shell
                [*launcher, *words],
                stdin=subprocess.DEVNULL,
                stdout=write,
                stderr=write,
                env=dict(environ),
                start_new_session=True,
            )
        except BaseException:
            os.close(self._pipe)
            raise
        finally:
            os.close(write)
        self.pid = self._process.pid
        self._loop.add_reader(self._pipe, self._hear)
        self._watch()

    @property
    def is_over(self) -> bool:
        """True once it is reaped."""
        return self.ended.done()

    def _watch(self) -> None:
        try:
            self._pidfd = os.pidfd_open(self.pid)
        except (AttributeError, OSError):
            self._timer = self._loop.call_later(LOOK, self._look)
        else:
            self._loop.add_reader(self._pidfd, self._reap)

    def _look(self) -> None:
        if not _has_ended(self._process):
            self._timer = self._loop.call_later(LOOK, self._look)
        else:
            self._reap()

    # -- what it says ------------------------------------------------------------------------------

    def _hear(self) -> None:
        size = self._read()
        if size is None:
            return
        if not size:
            self._close_pipe()
        elif size == READ_SIZE and self._output.floods:
            self._loop.remove_reader(self._pipe)
            self._breath = self._loop.call_later(BREATH, self._hear_on)

    def _hear_on(self) -> None:
        self._breath = None
        self._loop.add_reader(self._pipe, self._hear)

    def _read(self) -> int | None:
        """Tell what there is; return how much it was, 0 at the end, None where there is nothing now."""
        try:
            data = os.read(self._pipe, READ_SIZE)
        except BlockingIOError:
            return None
        for line in self._output.feed(data, self._loop.time()):
            self._tell(line)
        return len(data)

    def _close_pipe(self) -> None:
        if self._breath is not None:
            self._breath.cancel()
            self._breath = None
        if self._pipe >= 0:
            self._loop.remove_reader(self._pipe)
            os.close(self._pipe)
            self._pipe = -1
            for line in self._output.rest():
                self._tell(line)

    # -- its end -----------------------------------------------------------------------------------

    def _signal(self, number: int) -> None:
        """Send a signal to the group, in which a launcher is alone; nothing happens once it is reaped."""
        if not self.ended.done():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def _reap(self) -> None:
        if self.ended.done():
            return
        self._signal(signal.SIGKILL)
        if self._last is not signal.SIGKILL and _was_killed(self.pid):
            kill_family(self.pid)  # which the launcher would have done
        status = self._process.wait()  # it is a zombie: this returns at once
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        if self._timer is not None:
            self._timer.cancel()
        left = DRAIN_MOST
        while self._pipe >= 0 and left and self._read():
            left -= 1
        self._close_pipe()  # though somebody who left the group may still have the other end
        self.ended.set_result(status)

    async def end(self, grace: float = GRACE) -> None:
        """End it and what it started, and return once it is reaped."""
        try:
            self._signal(signal.SIGTERM)
            await asyncio.wait((self.ended,), timeout=grace)
        finally:
            self._signal(self._last)
        if not self.ended.done():
            await asyncio.wait((self.ended,), timeout=LAST_GRACE)
        if not self.ended.done():
            self._signal(signal.SIGKILL)
            await asyncio.wait((self.ended,), timeout=LAST_GRACE)  # longer only where the kernel does not let go of it


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """True for a child that has ended; it stays to be reaped where the system can tell so much without."""
    if not hasattr(os, "waitid"):
        return process.poll() is not None
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def _was_killed(pid: int) -> bool:
    """True for a child that SIGKILL has ended, and that is not reaped yet."""
    found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return found is not None and found.si_code != os.CLD_EXITED and found.si_status == signal.SIGKILL


def launched() -> list[str]:
    """Return the words before those of a program, with which nothing of it outlives this process; none but on Linux."""
    is_python = sys.executable and not getattr(sys, "frozen", False)  # and no program that Python was built into
    if sys.platform == "linux" and is_python and os.path.isfile(_LAUNCHER):
        return [sys.executable, "-I", "-S", _LAUNCHER, str(os.getpid())]
    return []


def told(status: int) -> str:
    """Return how a program ended, for people."""
    if status >= 0:
        return f"it exited with status {status}"
    try:
        return f"it was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"it was ended by signal {-status}"
