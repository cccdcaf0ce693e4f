"""Log records as lines on the screen: `2026-01-01 12:00:00 INFO text`.

The access log comes rendered: one record of the logger `shadesocks.access` is
one or more whole lines, each with its own time, so it is written as it is.
Every other record is one line: control characters are escaped, for a name that
a peer chose must not forge a line.

With another `log.style` lines begin as that program's do, and go where it wrote
them.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Final

from ..process.syslog import severity
from ..service.voices import VERBOSE, line_start
from .screen import Screen, standard_error

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..core.errors import Problem

ACCESS: Final = "shadesocks.access"
_ESCAPES: Final = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {
    code: f"\\u{code:04x}" for code in (0x2028, 0x2029)
}
_ON_STDOUT: Final = frozenset({"go", "lite", "node", "procurator"})
"""The styles of programs that wrote their log to stdout."""


class ScreenHandler(logging.Handler):
    """Writes records on a screen, in the form its formatter gives them."""

    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self._screen: Final = screen

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._screen.line(self.format(record))
        except Exception:
            self.handleError(record)


class LineFormatter(logging.Formatter):
    """One line a record; only a traceback, which is ours, may have more."""

    def __init__(self, *, with_time: bool) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s" if with_time else "%(levelname)s %(message)s")
        self.default_msec_format = None

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = record.message.translate(_ESCAPES)
        return super().formatMessage(record)


class StyledFormatter(LineFormatter):
    """The same with the beginning that another program's lines have."""

    def __init__(self, style: str, *, with_time: bool) -> None:
        super().__init__(with_time=with_time)
        self._start: Final = line_start(style)
        self._with_time: Final = with_time

    def formatMessage(self, record: logging.LogRecord) -> str:
        return self._start(record.levelno, record.created, self._with_time) + record.message.translate(_ESCAPES)


class EarlyFormatter(LineFormatter):
    """`LEVEL: text`, as the Python program wrote before it had read its config."""

    def __init__(self) -> None:
        super().__init__(with_time=False)

    def formatMessage(self, record: logging.LogRecord) -> str:
        return f"{record.levelname}: {record.message.translate(_ESCAPES)}"


_LEVELS: Final = {"error": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO}
"""By the words of `log_level`; those beyond are DEBUG."""


class BareFormatter(LineFormatter):
    """The text alone: whoever keeps the lines adds their time and level."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return record.message.translate(_ESCAPES)


class JournalFormatter(BareFormatter):
    """The text behind its severity (sd-daemon(3)): the journal adds the time, and finds what is worth a warning."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return f"<{severity(record.levelno)}>{super().formatMessage(record)}"


def set_up_logs(
    screen: Screen, *, level: str = "info", with_time: bool = True, style: str = "shadesocks", early: bool = False
) -> None:
    """Send all records to the screen: ours from `level` on, other libraries' from WARNING on; `trace` shows all.

    `early` is for the Python style while no config was read yet.
    """
    lines = ScreenHandler(screen)
    journal = screen.is_journal and style == "shadesocks"
    lines.setFormatter(
        JournalFormatter(with_time=False) if journal else _formatter(style, with_time=with_time, early=early)
    )
    _send(lines, ScreenHandler(screen), level, style)


def set_up_syslog(handler: logging.Handler, bare: logging.Handler, *, level: str, style: str) -> None:
    """Send the same records to the system's log; `bare` has those that come rendered."""
    handler.setFormatter(BareFormatter(with_time=False))
    _send(handler, bare, level, style)


def set_level(level: str, style: str) -> None:
    """Log from another level on."""
    logging.getLogger().setLevel(logging.DEBUG if level == "trace" else logging.WARNING)
    least = _LEVELS.get(level, logging.DEBUG)
    logging.getLogger("shadesocks").setLevel(VERBOSE if level == "trace" and style == "python" else least)


def _send(lines: logging.Handler, bare: logging.Handler, level: str, style: str) -> None:
    root = logging.getLogger()
    root.handlers[:] = [lines]
    set_level(level, style)
    bare.setFormatter(logging.Formatter("%(message)s"))
    access = logging.getLogger(ACCESS)
    access.handlers[:] = [bare]
    access.propagate = False


def _formatter(style: str, *, with_time: bool, early: bool) -> logging.Formatter:
    if style == "shadesocks":
        return LineFormatter(with_time=with_time)
    return EarlyFormatter() if early and style == "python" else StyledFormatter(style, with_time=with_time)


def log_screen(style: str) -> Screen:
    """Return where a style's lines go: stderr, or stdout as the program had it."""
    return Screen(sys.stdout) if style in _ON_STDOUT else standard_error()


def warn_of(problems: Iterable[Problem]) -> None:
    """Log what is odd in a config."""
    for problem in problems:
        logging.getLogger("shadesocks.cli").warning("%s", problem)
