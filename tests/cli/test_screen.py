"""stderr with a status line on its last row."""

from __future__ import annotations

import io
import os
import sys

import pytest

from shadesocks.cli.screen import Screen, is_terminal


class Terminal(io.StringIO):
    """A stream that says it is a terminal, and shows what a terminal would."""

    def isatty(self) -> bool:
        return True

    @property
    def rows(self) -> list[str]:
        """The rows on the glass: only what our own control sequences can do."""
        return [row.rpartition("\r\x1b[K")[2] for row in self.getvalue().split("\n")]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    return Terminal()


def test_lines_scroll_above_the_status_line(terminal: Terminal) -> None:
    screen = Screen(terminal)
    screen.line("one")
    screen.status("1 open")
    screen.line("two")
    assert terminal.rows == ["one", "two", ""]
    screen.status("2 open")
    assert terminal.rows == ["one", "two", "2 open"]
    screen.clear()
    assert terminal.rows == ["one", "two", ""]


def test_a_status_line_replaces_the_last(terminal: Terminal) -> None:
    screen = Screen(terminal)
    for text in ("a long status line", "short"):
        screen.status(text)
    assert terminal.rows == ["short"]


def test_a_status_line_never_wraps(terminal: Terminal) -> None:
    Screen(terminal).status("x" * 200)
    assert terminal.rows == ["x" * 79]


def test_the_width_is_the_terminal_s_own() -> None:
    import fcntl
    import struct
    import termios

    leader, follower = os.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 33, 0, 0))
    with open(follower, "w", encoding="utf-8") as stream:
        assert Screen(stream).width == 33
    os.close(leader)


@pytest.mark.parametrize("term", ["dumb", None])
def test_a_dumb_terminal_has_no_status_line(term: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if term is None:
        monkeypatch.delenv("TERM", raising=False)
    else:
        monkeypatch.setenv("TERM", term)
    stream = Terminal()
    screen = Screen(stream)
    screen.status("1 open")
    screen.line("one")
    screen.clear()
    assert stream.getvalue() == "one\n"


def test_a_file_has_no_status_line() -> None:
    stream = io.StringIO()
    screen = Screen(stream)
    screen.status("1 open")
    screen.line("one")
    assert stream.getvalue() == "one\n"


def test_lines_can_be_held_back() -> None:
    stream = io.StringIO()
    screen = Screen(stream)
    screen.hold()
    screen.line("log")
    assert stream.getvalue() == ""
    screen.release()
    screen.line("more")
    screen.release()
    assert stream.getvalue() == "log\nmore\n"


def test_a_stream_that_cannot_be_written_is_no_error() -> None:
    stream = io.StringIO()
    screen = Screen(stream)
    stream.close()
    screen.line("one")
    read, write = os.pipe()
    os.close(read)
    with open(write, "wb", buffering=0) as raw, io.TextIOWrapper(raw, encoding="utf-8", write_through=True) as pipe:
        Screen(pipe).line("one")


def test_what_is_no_terminal() -> None:
    closed = io.StringIO()
    closed.close()
    assert not is_terminal(None)
    assert not is_terminal(closed)
    assert not is_terminal(io.StringIO())
    assert sys.__stdout__ is None or isinstance(is_terminal(sys.__stdout__), bool)
