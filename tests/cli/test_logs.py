"""Records become lines that nobody can forge."""

from __future__ import annotations

import io
import logging
import re
from typing import TYPE_CHECKING

import pytest

from shadesocks.cli.logs import ACCESS, set_up_logs, warn_of
from shadesocks.cli.screen import Screen
from shadesocks.core.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = ("", "shadesocks", ACCESS)


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in NAMES]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers[:] = handlers
        logger.setLevel(level)
        logger.propagate = propagate


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


ours = logging.getLogger("shadesocks.somewhere")
theirs = logging.getLogger("library")


def test_a_record_is_a_line_with_time_and_level(stream: io.StringIO) -> None:
    set_up_logs(Screen(stream))
    ours.info("hello %s", "you")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO hello you\n", stream.getvalue())


def test_the_time_can_be_left_out(stream: io.StringIO) -> None:
    set_up_logs(Screen(stream), with_time=False)
    ours.warning("hello")
    assert stream.getvalue() == "WARNING hello\n"


def test_control_characters_are_escaped(stream: io.StringIO) -> None:
    set_up_logs(Screen(stream), with_time=False)
    ours.info("a name: %s", "x\r\n2026-01-01 00:00:00 INFO all is well\x1b[2J\x7f\x9b")
    assert stream.getvalue() == "INFO a name: x\\x0d\\x0a2026-01-01 00:00:00 INFO all is well\\x1b[2J\\x7f\\x9b\n"


def test_a_traceback_keeps_its_lines(stream: io.StringIO) -> None:
    set_up_logs(Screen(stream), with_time=False)
    try:
        raise ValueError("bad")
    except ValueError:
        ours.exception("it broke")
    lines = stream.getvalue().splitlines()
    assert lines[:2] == ["ERROR it broke", "Traceback (most recent call last):"]
    assert lines[-1] == "ValueError: bad"


def test_the_access_log_is_written_as_it_comes(stream: io.StringIO) -> None:
    set_up_logs(Screen(stream))
    logging.getLogger(ACCESS).info("%s", "1 INFO one\n2 INFO two")
    assert stream.getvalue() == "1 INFO one\n2 INFO two\n"


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("error", "oe"),
        ("warning", "ow oe tw"),
        ("info", "oi ow oe tw"),
        ("debug", "od oi ow oe tw"),
        ("trace", "od oi ow oe td tw"),
    ],
)
def test_each_level_shows_what_it_should(level: str, shown: str, stream: io.StringIO) -> None:
    set_up_logs(Screen(stream), level=level, with_time=False)
    ours.debug("od")
    ours.info("oi")
    ours.warning("ow")
    ours.error("oe")
    theirs.debug("td")
    theirs.warning("tw")
    told = [line.split()[1] for line in stream.getvalue().splitlines()]
    assert told == shown.split() + (["tw"] if level == "error" else [])


def test_setting_up_twice_writes_once(stream: io.StringIO) -> None:
    for _ in range(2):
        set_up_logs(Screen(stream), with_time=False)
    ours.info("once")
    logging.getLogger(ACCESS).info("once")
    assert stream.getvalue() == "INFO once\nonce\n"


def test_warnings_of_a_config_are_warnings_of_the_log(stream: io.StringIO) -> None:
    set_up_logs(Screen(stream), with_time=False)
    warn_of([Problem("c.json", 2, "tiemout", "this key is not known")])
    assert stream.getvalue() == "WARNING c.json:2: tiemout: this key is not known\n"
