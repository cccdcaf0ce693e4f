"""`shadesocks sessions` and `kick`: the table, its escapes, IDs, and sessions of programs that run."""

from __future__ import annotations

import json
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from shadesocks.cli import asking
from shadesocks.cli.asking import NOTHING
from shadesocks.cli.exits import OK, USAGE, run
from shadesocks.cli.programs import group
from shadesocks.wire.control import ARGUMENTS, NOT_FOUND, ControlError
from tests.e2e.crowd import echo
from tests.e2e.herd import Stream, write
from tests.peers import PASSWORDS, free_port

from .asked import Stub, found
from .programs import run as run_program
from .programs import running

ROW = {
    "number": 12,
    "way": "tcp",
    "role": "server",
    "port": 8388,
    "server": "tokyo",
    "source": "198.51.100.7:40000",
    "target": None,
    "stage": "relaying",
    "age": 75.2,
    "up": 2048,
    "down": 5 << 20,
}


def call(*words: str) -> int:
    return run(group, "shadesocks", list(words))


def test_the_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    evil = {**ROW, "number": 13, "way": "udp", "server": "\x1b[31mx\n", "stage": "\x07", "source": None}
    stubs = (
        Stub(5, master=4, sessions={"sessions": [ROW]}),
        Stub(6, master=4, sessions={"sessions": [evil]}),
        Stub(7, "local", sessions={"sessions": []}),
        Stub(8, sessions={"sessions": [{}]}),
    )
    monkeypatch.setattr(asking, "find", found(*stubs))
    assert call("sessions") == OK
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\x07" not in out
    lines = out.splitlines()
    assert lines[0] == "server, pid 4, /etc/server.json, workers: 2"
    assert lines[1].split() == ["ID", "WAY", "PORT", "SERVER", "SOURCE", "STAGE", "AGE", "UP", "DOWN"]
    words = "5.12 tcp 8388 tokyo 198.51.100.7:40000 relaying 1 min 15 s 2 KiB 5 MiB"
    assert lines[2].split() == words.split()
    assert lines[3].startswith("6.13")
    assert "?[31mx?" in lines[3]
    assert "local, pid 7, /etc/local.json\nnobody is there" in out
    assert "pid 8, /etc/server.json\nits answer is not understood" in out
    named = {**ROW, "target": "example.com:443", "user": "bob"}
    monkeypatch.setattr(asking, "find", found(Stub(5, sessions={"sessions": [named]})))
    assert call("sessions") == OK
    out = capsys.readouterr().out
    assert "example.com:443" in out
    assert "bob" in out


def test_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(asking, "find", found(Stub(5, master=4, sessions={"sessions": [ROW]})))
    assert call("sessions", "--json") == OK
    [report] = json.loads(capsys.readouterr().out)
    assert (report["pid"], report["master"], report["sessions"]) == (5, 4, [ROW])


def test_watching_looks_again(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    left = iter((1, 2))

    def sleep(_seconds: float) -> None:
        if next(left) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("shadesocks.cli.sessions.time.sleep", sleep)
    monkeypatch.setattr(asking, "find", found(Stub(5, sessions={"sessions": [ROW]})))
    assert call("sessions", "--watch") == OK
    assert capsys.readouterr().out.count("5.12") == 2


def test_one_is_kicked_by_its_id(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def kick(**args: Any) -> dict[str, Any]:
        if args != {"session": 12}:
            raise ControlError(NOT_FOUND, "there is no session 13")
        return {"ended": 1}

    one, other = Stub(5, kick=kick), Stub(6, kick={"ended": 1})
    monkeypatch.setattr(asking, "find", found(one, other))
    assert call("kick", "5.12", "6.1") == OK
    assert capsys.readouterr().out == "ended: 2\n"
    assert other.asked == [("kick", {"session": 1})]
    assert call("kick", "5.13") == NOTHING
    assert "there is no session 13" in capsys.readouterr().err
    assert call("kick", "99.1") == NOTHING
    assert "no process 99" in capsys.readouterr().err
    for words in (("12",), ("5.x",), ("5.\u0663",), (".",), (), ("5.12", "--port", "1")):
        assert call("kick", *words) == USAGE
    monkeypatch.setattr(asking, "find", found(one))
    assert call("kick", "12") == OK


def test_all_of_something_are_kicked_everywhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stubs = Stub(5, kick={"ended": 2}), Stub(6, kick={"ended": 1}), Stub(7)
    monkeypatch.setattr(asking, "find", found(*stubs))
    assert call("kick", "--source", "192.0.2.0/24", "--user", "bob", "--port", "8388") == OK
    assert capsys.readouterr().out == "ended: 3\n"
    assert stubs[0].asked == [("kick", {"source": "192.0.2.0/24", "user": "bob", "port": 8388})]
    monkeypatch.setattr(asking, "find", found(Stub(5, kick=ControlError(ARGUMENTS, "source: no IP address"))))
    assert call("kick", "--source", "x") == NOTHING
    assert "--source: no IP address" in capsys.readouterr().err
    monkeypatch.setattr(asking, "find", found(Stub(5, kick={"ended": 0})))
    assert call("kick", "--server", "x") == NOTHING
    monkeypatch.setattr(
        asking, "find", found(Stub(5, kick={"ended": "x"}), Stub(6, kick={}), Stub(7, kick={"ended": 1}))
    )
    assert call("kick", "--server", "x") == OK
    captured = capsys.readouterr()
    assert captured.out.endswith("ended: 1\n")
    assert captured.err.count("is not understood") == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_that_runs(workers: int, tmp_path: Path) -> None:
    """Status, sessions, kick and reload: of one process, and of several workers as of one."""
    if workers > 1 and not hasattr(socket, "SO_REUSEPORT"):
        pytest.skip("this system serves no port by several processes")
    port, other = free_port(), free_port()
    settings = {"workers": workers, "state_dir": str(tmp_path), "control": str(tmp_path) + "/"}
    config = write(tmp_path / "c.json", port, **settings)

    def asked(*words: str) -> Any:
        done = run_program(tmp_path, *words, "--json", "--control", str(tmp_path))
        return json.loads(done.stdout) if done.stdout.startswith("[") else []

    with echo() as target, running(tmp_path, "server", "-c", str(config)) as far:
        while len(asked("status")) < workers:
            assert far.process.poll() is None
        with Stream(port, target.port) as stream, Stream(port, target.port) as second:
            assert stream.answered()
            assert second.answered()
            rows = [(report["pid"], row) for report in asked("sessions") for row in report["sessions"]]
            assert [row["stage"] for _, row in rows] == ["relaying", "relaying"]
            assert all(row["source"].startswith("127.0.0.1:") and row["target"] is None for _, row in rows)
            table = run_program(tmp_path, "sessions", "--control", str(tmp_path)).stdout
            assert table.count("relaying") == 2
            pid, row = rows[0]
            gone = run_program(tmp_path, "kick", f"{pid}.{row['number']}", "--control", str(tmp_path))
            assert (gone.returncode, gone.stdout) == (OK, "ended: 1\n"), gone.stderr
            rest = run_program(tmp_path, "kick", "--source", "127.0.0.0/8", "--control", str(tmp_path))
            assert (rest.returncode, rest.stdout) == (OK, "ended: 1\n"), rest.stderr
        more = json.loads(config.read_text())
        more |= {"port_password": {str(port): more.pop("password"), str(other): PASSWORDS["aes-256-gcm"]}}
        del more["server_port"]
        config.write_text(json.dumps(more))
        [told] = asked("reload")
        assert (told["applied"], len(told["added"]), told["problems"]) == (True, 1, [])
        with Stream(other, target.port) as stream:
            assert stream.answered()
        (tmp_path / "c.json").write_text("{")
        done = run_program(tmp_path, "reload", "--control", str(tmp_path))
        assert done.returncode == NOTHING
        assert "nothing changed" in done.stdout
        assert "problem: " in done.stdout
        text = run_program(tmp_path, "status", "--control", str(tmp_path)).stdout
        assert f"pid {far.process.pid}" in text
        assert "kicked" in text
        assert text.count("last reload: nothing changed") == 1
        assert ("workers: 2" in text) == (workers == 2)
        assert far.end(signal.SIGTERM) == OK
