"""Log records as lines on the screen: `2026-01-01 12:00:00 INFO text`.

The access log comes rendered: one record of the logger `shadesocks.access` is
one or more whole lines, each with its own time, so it is written as it is.
Every other record is one line: control characters are escaped, for a name that
a peer chose must not forge a line.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..core.errors import Problem
    from .screen import Screen

ACCESS: Final = "shadesocks.access"
_ESCAPES: Final = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}


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


_LEVELS: Final = {"error": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO}
"""By the words of `log_level`; those beyond are DEBUG."""


def set_up_logs(screen: Screen, *, level: str = "info", with_time: bool = True) -> None:
    """Send all records to the screen: ours from `level` on, other libraries' from WARNING on; `trace` shows all."""
    lines = ScreenHandler(screen)
    lines.setFormatter(LineFormatter(with_time=with_time))
    root = logging.getLogger()
    root.handlers[:] = [lines]
    root.setLevel(logging.DEBUG if level == "trace" else logging.WARNING)
    logging.getLogger("shadesocks").setLevel(_LEVELS.get(level, logging.DEBUG))
    bare = ScreenHandler(screen)
    bare.setFormatter(logging.Formatter("%(message)s"))
    access = logging.getLogger(ACCESS)
    access.handlers[:] = [bare]
    access.propagate = False


def warn_of(problems: Iterable[Problem]) -> None:
    """Log what is odd in a config."""
    for problem in problems:
        logging.getLogger("shadesocks.cli").warning("%s", problem)
