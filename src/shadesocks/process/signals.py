"""The signals of a master: each is a byte that wakes its loop, whose turn does what it says. No fork has any of it.

taken        from here to there they come as bytes
hold         none comes until `release`: what is forked meanwhile has our handlers, and is not to call them
leave        in the fork: all is as in a program that begins, but for those that are the master's to pass on
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

STOPS: Final = (signal.SIGTERM, signal.SIGINT)
REREADS: Final = (signal.SIGHUP, signal.SIGUSR1)
_WATCHED: Final = (*STOPS, signal.SIGQUIT, *REREADS, signal.SIGCHLD)
_PASSED_ON: Final = (signal.SIGINT, *REREADS)
"""What a terminal or an operator sends to the whole group: the master tells its workers what they are to do."""


class Signals:
    """Those of this process, for a selector to wait for."""

    def __init__(self) -> None:
        """Take none yet."""
        self._woken, self._waking = socket.socketpair()
        self._woken.setblocking(False)
        self._waking.setblocking(False)

    def fileno(self) -> int:
        """Return what is readable once one has come."""
        return self._woken.fileno()

    def read(self) -> bytes:
        """Return the numbers of those that came."""
        return self._woken.recv(256)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take them; in the end they are whose they were before."""
        before = {number: signal.signal(number, _nothing) for number in _WATCHED}
        woke = signal.set_wakeup_fd(self._waking.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(woke)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._close()

    def hold(self) -> None:
        """Let none come until `release`."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)

    def release(self) -> None:
        """Let those come that were held."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)

    def leave(self) -> None:
        """Have nothing to do with the master's any more."""
        signal.set_wakeup_fd(-1)
        for number in _WATCHED:
            signal.signal(number, signal.SIG_IGN if number in _PASSED_ON else signal.SIG_DFL)
        self._close()

    def _close(self) -> None:
        self._woken.close()
        self._waking.close()


def _nothing(_number: int, _frame: object) -> None:
    """Handle a signal: the byte that it wrote to the waking socket is what counts."""
