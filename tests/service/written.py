"""What a service writes, line by line, in the form in which a tool would read it."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator

import pytest

from shadesocks.cli.logs import ACCESS, set_up_logs
from shadesocks.cli.screen import Screen
from shadesocks.service import service

NAMES = ("", "shadesocks", ACCESS)


class Written:
    """The log of a test, as text."""

    def __init__(self, style: str, level: str, *, with_time: bool) -> None:
        self._stream = io.StringIO()
        set_up_logs(Screen(self._stream), level=level, with_time=with_time, style=style)

    @property
    def text(self) -> str:
        """All of it."""
        return self._stream.getvalue()

    @property
    def lines(self) -> list[str]:
        """Split as the tools do, which is at line feeds, and as Python does, which is at more.

        Without what other services of this machine are the reason of: one that has the memory of salts.
        """
        assert self.text.splitlines() == self.text.split("\n")[:-1]
        return [line for line in self.text.splitlines() if ".salts" not in line]


Write = Callable[..., Written]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Set up the log as a style has it; services then sweep all the time. As it was before, afterwards."""
    monkeypatch.setattr(service, "SWEEP", 0.01)
    loggers = [logging.getLogger(name) for name in NAMES]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]

    def write(style: str, level: str = "info", *, with_time: bool = True) -> Written:
        return Written(style, level, with_time=with_time)

    yield write
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers[:] = handlers
        logger.setLevel(level)
        logger.propagate = propagate
