from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shadesocks.process.syslog import SyslogHandler, is_there, name_of_program


@contextmanager
def syslogd(path: Path) -> Iterator[socket.socket]:
    """The socket of a system's log."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        sock.settimeout(20)
        yield sock
    path.unlink()


def record(level: int, text: str) -> logging.LogRecord:
    return logging.LogRecord("shadesocks", level, "", 0, text, None, None)


@pytest.mark.parametrize(
    ("level", "severity"),
    [(logging.ERROR, 27), (logging.WARNING, 28), (logging.INFO, 30), (logging.DEBUG, 31), (5, 31), (60, 27)],
)
def test_a_line_has_its_severity_and_its_process(level: int, severity: int, tmp_path: Path) -> None:
    with syslogd(tmp_path / "log") as sock:
        handler = SyslogHandler("ss-server", str(tmp_path / "log"))
        handler.handle(record(level, "an é and \ud800"))
        assert sock.recv(1024).decode() == f"<{severity}>ss-server[{os.getpid()}]: an é and \\ud800"
        handler.close()


def test_each_line_is_a_datagram_and_none_is_endless(tmp_path: Path) -> None:
    with syslogd(tmp_path / "log") as sock:
        handler = SyslogHandler("x", str(tmp_path / "log"))
        handler.handle(record(logging.INFO, "one\n" + "2" * 10_000))
        assert sock.recv(9000).endswith(b": one")
        assert len(sock.recv(9000)) == 8192
        handler.close()


def test_a_log_that_is_full_or_gone_stops_nobody_and_a_new_one_is_found(tmp_path: Path) -> None:
    path = tmp_path / "log"
    handler = SyslogHandler("x", str(path))
    assert not is_there(str(path))
    handler.handle(record(logging.INFO, "to nobody"))
    for _ in range(2):
        with syslogd(path) as sock:
            assert is_there(str(path))
            for _ in range(2000):
                handler.handle(record(logging.INFO, "more than fits"))
            assert sock.recv(1024).endswith(b"more than fits")
    handler.close()


def test_what_cannot_be_formatted_is_no_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with syslogd(tmp_path / "log") as sock:
        handler = SyslogHandler("x", str(tmp_path / "log"))
        handler.handle(logging.LogRecord("shadesocks", logging.INFO, "", 0, "%d", ("no number",), None))
        handler.handle(record(logging.INFO, "next"))
        assert sock.recv(1024).endswith(b"next")
        handler.close()
    assert "Logging error" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "name"),
    [("/usr/bin/ss-server", "ss-server"), ("/x/shadesocks/__main__.py", "shadesocks"), ("", "shadesocks")],
)
def test_it_is_called_as_it_was_called(word: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [word])
    assert name_of_program() == name
