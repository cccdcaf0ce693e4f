"""`shadesocks status` and `reload`: what they say, also of several workers, and of what goes wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shadesocks.cli import asking
from shadesocks.cli.asking import NOTHING
from shadesocks.cli.exits import OK, run
from shadesocks.cli.overview import RELOAD_LIMIT
from shadesocks.cli.programs import group
from shadesocks.cli.running import SilentError
from shadesocks.service.reloaded import Reloaded

from .asked import Stub, found

STATUS: dict[str, Any] = {
    "uptime": 3700.0,
    "memory": 40 << 20,
    "addresses": ["192.0.2.1:1", "192.0.2.1:2", "192.0.2.1:3", "192.0.2.1:4", "192.0.2.1:\x1b"],
    "stages": {"handshake": 0, "dialling": 1, "relaying": 2, "half-closed": 0, "ending": 0},
    "strangers": 3,
    "accepted": 10,
    "tcp": {"up": 1024, "down": 2048},
    "udp": {"sessions": 0, "up": 0, "down": 0, "up_packets": 0, "down_packets": 0, "dropped": {}},
    "reasons": {"done": 9, "idle": 1},
    "users": None,
    "reloaded": None,
}
UDP = {"sessions": 2, "up": 10, "down": 20, "up_packets": 1, "down_packets": 2, "dropped": {"auth": 4}}


def call(*words: str) -> int:
    return run(group, "shadesocks", list(words))


def test_the_status_of_one_and_of_several_together(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reloaded = Reloaded(added=("a\x1b",), restart=("nofile",)).told()
    other = {**STATUS, "udp": UDP, "addresses": [], "reloaded": reloaded, "users": {"count": 7, "refused": {}}}
    several = [
        {**STATUS, "users": {"count": 3, "refused": {}, "trouble": ""}},
        {
            **STATUS,
            "users": {"count": 3, "refused": {"quota": 2, "x\x1b": 1}, "trouble": "full\x1b", "remark": "gone\x1b"},
        },
    ]
    stubs = (
        Stub(5, master=4, status=several[0]),
        Stub(6, master=4, status=several[1]),
        Stub(7, status=other),
        Stub(8, status={}),
    )
    monkeypatch.setattr(asking, "find", found(*stubs))
    assert call("status") == OK
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert out.split("\n\n") == [
        "server, pid 4, /etc/server.json, workers: 2\n"
        "  running for 1 h 1 min, 80 MiB of memory\n"
        "  listening on 192.0.2.1:1, 192.0.2.1:2, 192.0.2.1:3 and 2 more\n"
        "  connections: 2 dialling, 4 relaying; 26 in all\n"
        "  users: 3; refused: quota 2, x? 1\n"
        "  what passes for them is kept in memory, for it cannot be written: full?\n"
        "  their store: gone?\n"
        "  strangers, who have not authenticated: 6\n"
        "  TCP: up 2 KiB, down 4 KiB\n"
        "  ended: done 18, idle 2",
        "server, pid 7, /etc/server.json\n"
        "  running for 1 h 1 min, 40 MiB of memory\n"
        "  listening nowhere\n"
        "  connections: 1 dialling, 2 relaying; 13 in all\n"
        "  users: 7\n"
        "  strangers, who have not authenticated: 3\n"
        "  TCP: up 1 KiB, down 2 KiB\n"
        "  UDP: 2 sessions, up 10 B, down 20 B; dropped: auth 4\n"
        "  ended: done 9, idle 1\n"
        "  last reload: added: a?\n"
        "  last reload: in force after a restart only: nofile",
        "server, pid 8, /etc/server.json\nits answer is not understood; its version is another one's\n",
    ]
    assert call("status", "--json") == OK
    assert [report["pid"] for report in json.loads(capsys.readouterr().out)] == [5, 6, 7, 8]


def test_a_reload_is_asked_of_one_worker_of_each_master(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = Reloaded(changed=("[::]:1 (password)",), lists=("x.acl",), settings=("dns",)).told()
    stubs = Stub(5, master=4, reload=done), Stub(6, master=4, reload=done), Stub(7, "local", reload=Reloaded().told())
    monkeypatch.setattr(asking, "find", found(*stubs))
    assert call("reload") == OK
    out = capsys.readouterr().out
    assert sum(len(stub.asked) for stub in stubs) == 2
    assert stubs[2].sock.limit == RELOAD_LIMIT
    assert out.startswith("server, pid 4, /etc/server.json\n")
    assert "  changed: [::]:1 (password)\n  changed access lists: x.acl\n  in force now: dns" in out
    assert "local, pid 7, /etc/local.json\n  all is as before" in out


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Reloaded(applied=False, problems=("c.json:3: no",)).told(), "  nothing changed\n  problem: c.json:3: no"),
        (Reloaded(problems=("port 1 is taken", "b")).told(), "  problem: port 1 is taken\n  problem: b\n"),
        (SilentError("the service has ended"), "the service has ended"),
    ],
)
def test_what_goes_wrong_is_the_exit_code(
    answer: Any, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(asking, "find", found(Stub(5, reload=answer)))
    assert call("reload") == NOTHING
    caught = capsys.readouterr()
    assert words in caught.out + caught.err


def test_one_that_has_no_file_cannot(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(asking, "find", found(Stub(5, status=STATUS)))
    assert call("reload", "--json") == NOTHING
    caught = capsys.readouterr()
    assert json.loads(caught.out) == []
    assert "no" in caught.err
