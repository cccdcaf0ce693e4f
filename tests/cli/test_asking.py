"""Whom commands ask, what they say where nobody answers, and workers that are told as one service."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shadesocks.cli import asking, servers
from shadesocks.cli.asking import about, ask, heading, reports, services, time_text, together
from shadesocks.cli.exits import OK, Failed, run
from shadesocks.cli.programs import group
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


SAID = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, float("inf"), float("nan"), -1.5, "\x1b[31m\x07", "\u202e", "anna", "\ud800"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["ended", "role"]), inner, max_size=2),
    max_leaves=4,
)
MEMBERS = (
    *("role", "pid", "master", "config", "control", "sessions", "servers", "ended", "applied", "added", "problems"),
    *("uptime", "memory", "addresses", "stages", "accepted", "tcp", "udp", "reasons", "users", "reloaded", "strangers"),
)
SESSION = dict.fromkeys(("number", "way", "port", "server", "source", "target", "stage", "age", "up", "down"), SAID)
SERVER = dict.fromkeys(("name", "address", "method", "mode", "live", "sessions", "bytes", "plugin"), SAID)
ANSWERS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(MEMBERS, SAID)
    | {
        "sessions": st.lists(st.fixed_dictionaries(SESSION), max_size=2),
        "servers": st.lists(st.fixed_dictionaries(SERVER), max_size=2),
    },
)
WORDS = ("status", "sessions", "servers", "reload", "kick")


@pytest.mark.parametrize(
    "words", [*((word,) for word in WORDS[:4]), ("kick", "--user", "anna"), ("sessions", "--json")]
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answers=st.lists(ANSWERS, min_size=1, max_size=2))
def test_whatever_a_program_of_others_answers_is_told_and_no_terminal_obeys_it(
    words: tuple[str, ...], answers: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root looks where other users may make sockets."""
    given: list[dict[str, Any]] = [dict.fromkeys(WORDS, answer) for answer in answers]
    stubs = [Stub(pid, **each) for pid, each in enumerate(given, 7)]
    out, err = io.StringIO(), io.StringIO()
    with monkeypatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        for module in (asking, servers):
            patch.setattr(module, "find", found(*stubs))
        assert run(group, "shadesocks", list(words)) in (OK, asking.NOTHING)
    for line in (*out.getvalue().split("\n"), *err.getvalue().split("\n")):
        assert line.isprintable()
    if "--json" in words:
        assert [report["pid"] for report in json.loads(out.getvalue())] == [stub.pid for stub in stubs]
