"""Starts a program, and ends with it all that it started: `python -I -S launcher.py PARENT PROGRAM [WORD...]`.

It stays, as the parent of the program and of every orphan below it (PR_SET_CHILD_SUBREAPER): so a program that forks,
takes a session of its own or daemonizes leaves nothing behind. When the program ends, for whatever reason, the rest is
killed, and this ends as the program did.

    SIGTERM    is handed to the program's group
    SIGUSR1    kills all of it at once; Linux sends it when whoever started this ends, however that was

A `preexec_fn` cannot stay, and may hang in a process with threads. This file imports nothing of the package, and costs
a start of Python, 20 ms at best, and 4 MiB of its own (10 with what all Pythons share). SIGKILL ends the program with
it, but not what that started. What runs as another user (setuid) is out of its reach.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
from contextlib import suppress

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_NOT_STARTED = 127
"""What a shell exits with."""
_KILL_LIMIT = 3.0
"""Seconds in which what is killed ends; what is of another user never does. Less than whoever started this waits."""
_LOOK = 0.05
"""Seconds between two looks at who is left: whoever is killed leaves its children to us."""


def main(parent: int, words: list[str]) -> None:
    """Start the program, unless the parent has gone meanwhile, and end as it does."""
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())  # they are waited for
    prctl = ctypes.CDLL(None).prctl
    prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    prctl(_PR_SET_PDEATHSIG, signal.SIGUSR1, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(_NOT_STARTED)
    keeper = os.getpid()
    pid = os.fork()
    if not pid:
        os.setpgid(0, 0)
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == keeper:
            become(words)
        os._exit(_NOT_STARTED)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)  # the pipe is the program's: its end must be seen
    os.close(nothing)
    end_as(keep(pid))


def become(words: list[str]) -> None:
    """Become the program."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)  # what is ignored stays so through an exec, and Python ignores two
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execv(words[0], words)  # noqa: S606 - the program that the operator named, without a shell
    except OSError as error:
        os.write(2, f"cannot be started: {error.strerror}\n".encode())


def keep(pid: int) -> int:
    """Wait for the end of the program, or the order to end it; return its status once nothing is left."""
    status: list[int] = []
    while not status:
        number = signal.sigwait((signal.SIGCHLD, signal.SIGTERM, signal.SIGUSR1))
        if number == signal.SIGUSR1:
            break
        if number == signal.SIGTERM:
            term(pid)
        reap(pid, status)
    give_up_at = time.monotonic() + _KILL_LIMIT
    # Till there is nobody to wait for: a look alone misses whoever is forked meanwhile.
    while reap(pid, status) and time.monotonic() < give_up_at:
        for child in children():
            with suppress(OSError):  # it is another user's
                os.kill(child, signal.SIGKILL)
        signal.sigtimedwait((signal.SIGCHLD,), _LOOK)
    return status[0] if status else signal.SIGKILL


def term(pid: int) -> None:
    """Hand SIGTERM to the group of the program, or to it alone where it has left that."""
    for send in (os.killpg, os.kill):
        with suppress(OSError):
            send(pid, signal.SIGTERM)
            return


def reap(pid: int, status: list[int]) -> bool:
    """Reap who has ended, and note how the program did; False once there is no child any more, orphans included."""
    try:
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            if found[0] == pid:
                status.append(found[1])
    except ChildProcessError:
        return False
    return True


def children() -> list[int]:
    """Return our children that have not ended: the program, and orphans."""
    own = str(os.getpid()).encode()
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    state, parent = file.read().rpartition(b")")[2].split()[:2]
            except (OSError, ValueError):
                continue
            if parent == own and state != b"Z":
                found.append(int(name))
    return found


def end_as(status: int) -> None:
    """End as the program ended, by a signal if that was one."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump of this would be of no use to anybody
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os._exit(os.WEXITSTATUS(status))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
