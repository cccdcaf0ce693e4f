"""stderr as a place where lines scroll, with one status line that stays the last row.

The log and the status line share one terminal; whoever writes a line first
wipes the status line, and the next tick draws it again. Without a terminal
there is no status line and this is plain stderr.
"""

from __future__ import annotations

import os
import sys
from typing import Final, Protocol

_WIPE: Final = "\r\x1b[K"
"""Back to the first column, and clear to the end of the row (ECMA-48 §8.3.41)."""


class Stream(Protocol):
    """What lines are written to: stderr, or a log file."""

    def write(self, text: str, /) -> object:
        """Write text."""
        ...

    def flush(self) -> object:
        """Leave nothing unwritten."""
        ...

    def fileno(self) -> int:
        """Return the descriptor."""
        ...

    def isatty(self) -> bool:
        """True when a person looks at it."""
        ...


def is_journal(stream: Stream) -> bool:
    """True when a stream is systemd's journal, which is kept, and read by others (systemd.exec(5), $JOURNAL_STREAM)."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class Screen:
    """The lines of a stream, and the status line below them."""

    def __init__(self, stream: Stream) -> None:
        self._stream: Final = stream
        self._drawn = False
        self._held: list[str] | None = None
        self.is_journal: Final = is_journal(stream)
        self.is_terminal: Final = is_terminal(stream) and os.environ.get("TERM", "dumb") != "dumb"

    def hold(self) -> None:
        """Keep lines back until `release`: what a person waits for comes first."""
        self._held = []

    def release(self) -> None:
        """Write the lines that were kept back, and keep none from now on."""
        held, self._held = self._held, None
        for text in held or ():
            self.line(text)

    def line(self, text: str) -> None:
        """Write whole lines above the status line."""
        if self._held is not None:
            self._held.append(text)
            return
        self._write(f"{_WIPE}{text}\n" if self._drawn else f"{text}\n")
        self._drawn = False

    def status(self, text: str) -> None:
        """Draw the status line, cut to the width of the terminal; nothing without one."""
        if self.is_terminal:
            self._write(f"{_WIPE}{text[: self.width - 1]}")
            self._drawn = True

    def clear(self) -> None:
        """Take the status line away."""
        if self._drawn:
            self._write(_WIPE)
            self._drawn = False

    @property
    def width(self) -> int:
        """Columns of the terminal now; 80 where it does not say."""
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        except (OSError, ValueError):
            return 80

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            pass  # nobody reads stderr any more; the service has other things to do


def is_terminal(stream: Stream | None) -> bool:
    """True when a person looks at the stream."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def standard_error() -> Screen:
    """The screen of this process."""
    return Screen(sys.stderr)
