"""Whom commands ask, what they say where nobody answers, and workers that are told as one service."""

from __future__ import annotations

import pytest

from shadesocks.cli import asking
from shadesocks.cli.asking import about, ask, heading, reports, services, time_text, together
from shadesocks.cli.exits import Failed
from shadesocks.cli.running import SilentError

from .asked import Stub, found


def test_all_that_run_are_asked_and_hung_up_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stubs = Stub(1, status={"a": 1}), Stub(2, status=SilentError("no answer")), Stub(3), Stub(4, status=[1])  # type: ignore[arg-type]
    monkeypatch.setattr(asking, "find", found(*stubs, silent=("x.sock: odd",)))
    with services(None) as running:
        assert reports(running, "status") == [{**about(running[0]), "a": 1}]
        assert ask(running[2], "status") is None
    assert all(stub.closed for stub in stubs)
    err = capsys.readouterr().err
    assert "warning: x.sock: odd" in err
    assert "warning: server, pid 2: no answer" in err
    assert "server, pid 3: its version knows no such command" in err
    assert "server, pid 4: its answer is not understood" in err


@pytest.mark.parametrize(
    ("closed", "path", "words"),
    [
        ((), None, "nothing runs here"),
        ((), "/x\x1b.sock", "nobody answers at /x?.sock"),
        (("/y\x1b.sock",), None, "another user's (/y?.sock)"),
    ],
)
def test_where_nobody_can_be_asked(
    closed: tuple[str, ...], path: str | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "find", found(closed=closed))
    with pytest.raises(Failed) as caught, services(path):
        pass
    assert words in str(caught.value)
    assert caught.value.code == asking.NOTHING


def test_workers_of_one_master_are_one_service() -> None:
    stubs = [Stub(1), Stub(2, master=9), Stub(3, master=9), Stub(4, master=8)]
    groups = together([about(stub) for stub in stubs])  # type: ignore[arg-type]
    assert [[report["pid"] for report in group] for group in groups] == [[1], [2, 3], [4]]
    assert [heading(group) for group in groups] == [
        "server, pid 1, /etc/server.json",
        "server, pid 9, /etc/server.json, workers: 2",
        "server, pid 8, /etc/server.json, workers: 1",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (59.94, "59.9 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (3661, "1 h 1 min"),
        (90000, "1 d 1 h"),
        (86400 * 3 + 59, "3 d"),
    ],
)
def test_times_have_two_units(seconds: float, text: str) -> None:
    assert time_text(seconds) == text
