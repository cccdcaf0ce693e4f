"""Runs a program that dies with whoever started it: `python -I -S launcher.py PARENT PROGRAM [WORD...]`.

Linux sends a signal to a process whose parent ends, if it asked for that (PR_SET_PDEATHSIG); what is asked for here
stays through the exec. A `preexec_fn` would do the same between fork and exec, where a process with threads may hang,
and where `subprocess` can take no vfork. This file imports nothing of the package, and costs a start of Python: 20 ms
at best, half of it what is imported here, where the program alone takes 1.

SIGKILL, since who is gone cannot follow a SIGTERM up. A program with rights of its own (setuid, file capabilities)
loses the request at its exec: the kernel says so, and nobody can help it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_NOT_STARTED = 127
"""What a shell exits with."""


def main(parent: int, words: list[str]) -> None:
    """Become the program, unless the parent has gone meanwhile."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(_NOT_STARTED)
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)  # what is ignored stays so through an exec, and Python ignores two
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execv(words[0], words)  # noqa: S606 - the program that the operator named, without a shell
    except OSError as error:
        os.write(2, f"cannot be started: {error.strerror}\n".encode())
        os._exit(_NOT_STARTED)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
