"""Records become lines that nobody can forge."""

from __future__ import annotations

import io
import logging
import os
import re
from typing import TYPE_CHECKING

import pytest

from shadesocks.cli.logs import ACCESS, log_screen, set_up_logs, warn_of
from shadesocks.cli.screen import Screen
from shadesocks.core.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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


def test_the_journal_is_told_how_grave_a_record_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "journal").open("w+") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        set_up_logs(Screen(stream))
        ours.info("hello %s", "you")
        ours.warning("a\n<0>b")
        ours.error("c")
        set_up_logs(Screen(stream), style="python", with_time=False)
        ours.info("old")
        stream.seek(0)
        assert stream.read().splitlines() == ["<6>hello you", r"<4>a\x0a<0>b", "<3>c", "INFO     old"]


def test_the_time_can_be_left_out(stream: io.StringIO) -> None:
    set_up_logs(Screen(stream), with_time=False)
    ours.warning("hello")
    assert stream.getvalue() == "WARNING hello\n"


def test_control_characters_are_escaped(stream: io.StringIO) -> None:
    set_up_logs(Screen(stream), with_time=False)
    ours.info("a name: %s", "x\r\n2026-01-01 00:00:00 INFO all is well\x1b[2J\x7f\x9b")
    assert stream.getvalue() == "INFO a name: x\\x0d\\x0a2026-01-01 00:00:00 INFO all is well\\x1b[2J\\x7f\\x9b\n"


def test_the_line_ends_of_unicode_are_escaped(stream: io.StringIO) -> None:
    set_up_logs(Screen(stream), with_time=False)
    ours.info("a name: %s", "x\u2028y\u2029z\x85")
    assert stream.getvalue() == "INFO a name: x\\u2028y\\u2029z\\x85\n"


@pytest.mark.parametrize(
    ("style", "line"),
    [
        ("shadesocks", r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d WARNING a\\x0ab"),
        ("python", r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d WARNING  a\\x0ab"),
        ("go", r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d a\\x0ab"),
        ("lite", r"a\\x0ab"),
        ("node", r"\d\d? [A-Z][a-z][a-z] \d\d:\d\d:\d\d - \d{1,3}ms a\\x0ab"),
        ("procurator", r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4} a\\x0ab"),
    ],
)
def test_a_line_begins_as_its_style_has_it(style: str, line: str, stream: io.StringIO) -> None:
    set_up_logs(Screen(stream), style=style)
    ours.warning("a%sb", "\n")
    assert re.fullmatch(line + r"\n", stream.getvalue())


def test_before_its_config_is_read_the_python_program_writes_no_time(stream: io.StringIO) -> None:
    set_up_logs(Screen(stream), style="python", early=True)
    ours.info("loading config from %s", "x.json")
    assert stream.getvalue() == "INFO: loading config from x.json\n"


@pytest.mark.parametrize(("style", "shown"), [("python", True), ("shadesocks", False)])
def test_trace_is_the_verbose_of_the_python_program(style: str, shown: bool, stream: io.StringIO) -> None:
    set_up_logs(Screen(stream), style=style, level="trace", with_time=False)
    ours.log(5, "sweeping timeouts")
    assert stream.getvalue() == ("VERBOSE  sweeping timeouts\n" if shown else "")


@pytest.mark.parametrize("style", ["shadesocks", "python", "go", "lite", "node", "procurator"])
def test_lines_go_where_the_program_wrote_them(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    log_screen(style).line("hello")
    captured = capsys.readouterr()
    on_stderr = style in ("shadesocks", "python")
    assert (captured.err if on_stderr else captured.out) == "hello\n"
    assert not (captured.out if on_stderr else captured.err)


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
