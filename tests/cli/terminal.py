"""A program of ours on a pseudo-terminal, as a person sees it."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import termios
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .programs import command, environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Glass:
    """What a terminal received from the program, and the keys pressed on it."""

    def __init__(self, leader: int, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.seen = ""
        self._leader = leader

    def until(self, words: str) -> None:
        """Read up to the words."""
        while words not in self.seen:
            if not self._read():
                raise AssertionError(f"no {words!r} in {self.seen!r}")

    def press(self, keys: str) -> None:
        """Type; control characters act as on any terminal."""
        os.write(self._leader, keys.encode())

    def rest(self) -> int:
        """Read to the end and return the exit code."""
        while self._read():
            pass
        return self.process.wait()

    def _read(self) -> bool:
        try:
            data = os.read(self._leader, 65536)
        except OSError:  # EIO: nobody has the other side any more
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)


@contextmanager
def on_terminal(home: Path, *words: str, columns: int = 100) -> Iterator[Glass]:
    """Run `shadesocks WORDS` on a terminal of its own."""
    leader, follower = os.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    # A session of its own makes the terminal its controlling one, so that Ctrl-C is a signal.
    with subprocess.Popen(
        command(*words),
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=environment(home),
        start_new_session=True,
        preexec_fn=_take_terminal,
    ) as process:
        os.close(follower)
        try:
            yield Glass(leader, process)
        finally:
            if process.poll() is None:
                process.kill()
    os.close(leader)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
