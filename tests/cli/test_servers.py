"""`shadesocks servers`: its table, pins, what it says where nothing runs; of stubs, and of programs that run."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shadesocks.cli import servers
from shadesocks.cli.asking import NOTHING
from shadesocks.cli.exits import OK, USAGE, run
from shadesocks.cli.programs import group
from shadesocks.cli.running import Found, SilentError
from shadesocks.wire.control import ControlError
from tests.peers import free_port

from .programs import KEY, METHOD, running
from .programs import run as run_program

SIDE = {"weight": 1.0, "score": None, "latency_ms": None, "failures": 0, "error": "", "live": 0}
TOKYO: dict[str, Any] = {
    "name": "tokyo",
    "address": "192.0.2.1:8388",
    "id": "",
    "group": "",
    "policy": "score",
    "pinned": False,
    "chosen": ["tcp", "udp"],
    "tcp": {**SIDE, "score": 42, "latency_ms": 51.24, "live": 3},
    "udp": {**SIDE, "failures": 2, "error": "timed_out"},
    "bytes": 10,
    "pool": {"size": 8, "ready": 7},
    "plugin": {"name": "obfs-local", "state": "up", "seconds": 1.0, "restarts": 2, "pid": 9, "words": ""},
}
PLUGIN = ("obfs-local", "up,", "2", "restarts")
OSAKA = {
    **TOKYO,
    "name": "大阪\x1b[31m",
    "address": "[2001:db8::1]:8388",
    "chosen": [],
    "tcp": {**SIDE, "score": 10_000, "failures": 30, "error": "refused"},
    "udp": SIDE,
    "pool": None,
    "plugin": None,
}
PORT = {
    "name": "home",
    "address": "0.0.0.0:8388",
    "id": "",
    "method": METHOD,
    "mode": "tcp_and_udp",
    "live": 2,
    "sessions": 1,
    "bytes": 123_456,
}


class Stub:
    """A service that is asked."""

    def __init__(self, role: str, *rows: dict[str, Any], pid: int = 7, names: tuple[str, ...] = ()) -> None:
        self.role, self.pid, self.config, self.path = role, pid, f"/etc/{role}.json", f"/run/{role}-{pid}.sock"
        self.words = {"about", "servers", "pin", "unpin"} if role == "local" else {"about", "servers"}
        self.rows = rows
        self.names = names
        self.pinned = ""
        self.closed = False

    def ask(self, do: str, **args: Any) -> Any:
        if do == "servers":
            return {"role": self.role, "servers": list(self.rows)}
        if do == "pin":
            if args["name"] not in self.names:
                raise ControlError("not_found", f"no server is called {args['name']!r}")
            self.pinned = args["name"]
            return {"pinned": self.pinned}
        was, self.pinned = self.pinned, ""
        return {"unpinned": bool(was)}

    def close(self) -> None:
        self.closed = True


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command where these services run; return its exit code and both outputs."""

    def go(services: list[Any], *words: str, closed: tuple[str, ...] = (), silent: tuple[str, ...] = ()) -> Any:
        found: Any = Found(list(services), list(closed), list(silent))
        monkeypatch.setattr(servers, "find", lambda _path: found)
        code = run(group, "shadesocks", ["servers", *words])
        assert all(service.closed for service in services) or code == USAGE
        out, err = capsys.readouterr()
        return code, out, err

    return go


# -- the table -------------------------------------------------------------------------------------


def test_the_table_of_a_client(here: Run) -> None:
    code, out, err = here([Stub("local", TOKYO, OSAKA)])
    assert (code, err) == (OK, "")
    heading, *lines = out.splitlines()
    assert heading == "local, pid 7, /etc/local.json, policy score"
    assert [line.split() for line in lines] == [
        ["USE", "SERVER", "ADDRESS", "WAY", "SCORE", "LATENCY", "FAILED", "LIVE", "POOL", "PLUGIN", "LAST", "ERROR"],
        [
            "best",
            "tokyo",
            "192.0.2.1:8388",
            "tcp",
            "42",
            "51.2",
            "ms",
            "0",
            "3",
            "7/8",
            "obfs-local",
            "up,",
            "2",
            "restarts",
            "-",
        ],
        ["best", "udp", "-", "-", "2", "0", "timed_out"],
        ["大阪?[31m", "[2001:db8::1]:8388", "tcp", "dead", "-", "30", "0", "refused"],
    ]
    assert lines[0].index("ADDRESS") == lines[1].index("192.0.2.1") == lines[3].index("[2001") + 2  # two wide letters


def test_columns_stand_still(here: Run) -> None:
    """What changes from one look to the next moves no column."""
    quiet = {**TOKYO, "tcp": SIDE, "udp": SIDE, "chosen": []}
    busy = {
        **TOKYO,
        "tcp": {**SIDE, "score": 9999, "latency_ms": 5000.0, "failures": 30, "live": 9999, "error": "refused"},
    }
    titles = [here([Stub("local", row)])[1].splitlines()[1] for row in (quiet, busy)]
    assert titles[0] == titles[1]


def test_a_pin_a_group_and_a_server_that_is_out(here: Run) -> None:
    rows = (
        {**TOKYO, "pinned": True, "group": "work"},
        {**OSAKA, "tcp": {**SIDE, "weight": 0.0}},
    )
    lines = here([Stub("local", *rows)])[1].splitlines()
    assert lines[1].split()[:4] == ["USE", "SERVER", "ADDRESS", "GROUP"]
    assert [line.split()[0] for line in lines[2:]] == ["pinned", "pinned", "off"]
    assert "work" in lines[2]


def test_the_table_of_a_server_and_several_services(here: Run) -> None:
    code, out, _ = here([Stub("local", {**TOKYO, "pool": None, "plugin": None}), Stub("server", PORT), Stub("server")])
    assert code == OK
    client, server, empty = out.rstrip("\n").split("\n\n")
    assert "POOL" not in client
    assert "PLUGIN" not in client
    assert server.splitlines()[0] == "server, pid 7, /etc/server.json"
    assert server.splitlines()[2].split() == f"home 0.0.0.0:8388 {METHOD} tcp_and_udp 2 1 121 KiB".split()
    assert empty.splitlines() == ["server, pid 7, /etc/server.json", "no servers"]


def test_json(here: Run) -> None:
    code, out, _ = here([Stub("local", TOKYO), Stub("server", PORT, pid=8)], "--json")
    assert code == OK
    assert json.loads(out) == [
        {"role": "local", "pid": 7, "config": "/etc/local.json", "control": "/run/local-7.sock", "servers": [TOKYO]},
        {"role": "server", "pid": 8, "config": "/etc/server.json", "control": "/run/server-8.sock", "servers": [PORT]},
    ]


def test_no_colours_and_colours(here: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = here([Stub("local", TOKYO, OSAKA)])[1]
    assert "\x1b" not in plain
    monkeypatch.setattr(servers, "is_terminal", lambda _stream: True)
    coloured = servers._text(
        [{"role": "local", "pid": 7, "config": "/etc/local.json", "servers": [TOKYO, OSAKA]}], colours=True
    )
    assert coloured.count("\x1b[32m") == 2
    assert "\x1b[31m" not in coloured


def test_an_answer_of_another_version_is_no_crash(here: Run) -> None:
    rows: list[Any] = [{}, 7, {**TOKYO, "tcp": None}, {**TOKYO, "pool": [1]}, {**TOKYO, "plugin": 7}]
    for row in rows:
        code, out, _ = here([Stub("local", row)])
        assert (code, out) == (OK, "pid 7: its answer is not understood; its version is another one's\n")
    assert here([Stub("server", {})])[0] == OK


def test_no_cell_moves_the_cursor(here: Run) -> None:
    """Root sees the services of all users, and one of them may be nobody's friend."""
    evil = "1\x1b[2J\n\x9b"
    client = {**TOKYO, "tcp": {**SIDE, "failures": evil, "live": evil}, "pool": {"ready": evil, "size": evil}}
    client["plugin"] = {"name": evil, "state": evil, "restarts": evil}
    for stub in (Stub("local", client), Stub("server", {**PORT, "live": evil, "sessions": evil, "method": evil})):
        code, out, _ = here([stub])
        assert code == OK
        assert "1?[2J??" in out
        assert all(char.isprintable() for char in out.replace("\n", ""))


def test_who_does_not_answer_is_told(here: Run) -> None:
    class Silent(Stub):
        def ask(self, do: str, **args: Any) -> Any:
            raise SilentError("/run/x.sock: no answer within 5 seconds")

    code, out, err = here([Silent("local"), Stub("server", PORT)], silent=("/run/y.sock: odd",))
    assert code == OK
    assert "home" in out
    assert err.splitlines() == ["warning: /run/y.sock: odd", "warning: /run/x.sock: no answer within 5 seconds"]


# -- nothing, and wrong words ----------------------------------------------------------------------


def test_nothing_runs(here: Run) -> None:
    code, out, err = here([])
    assert (code, out) == (NOTHING, "")
    assert err.startswith("error: nothing runs here that can be asked; start one")
    assert (
        here([], "--control", "/x")[2] == "error: nobody answers at /x; is it the `control` of a service that runs?\n"
    )
    assert "another user's (/run/a.sock)" in here([], closed=("/run/a.sock",))[2]
    assert here([], "pin", "x")[0] == NOTHING


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["pin"], "pin which one? Give its name"),
        (["unpin", "x"], "unpin takes no name"),
        (["show", "x"], "show takes no name"),
        (["drop"], "'drop' is nothing to do with servers: write pin NAME, unpin, or no word"),
        (["pin", "x", "--watch"], "--json and --watch are for the table alone"),
        (["unpin", "--json"], "--json and --watch are for the table alone"),
        (["--nothing"], ""),
    ],
)
def test_wrong_words(words: list[str], told: str, here: Run) -> None:
    code, out, err = here([Stub("local", TOKYO)], *words)
    assert (code, out) == (USAGE, "")
    assert err.startswith(f"error: {told}")


def test_one_restart_is_one(here: Run) -> None:
    once = {**TOKYO, "plugin": {**TOKYO["plugin"], "restarts": 1}}
    assert "obfs-local up, 1 restart " in here([Stub("local", once)])[1]


# -- by hand ---------------------------------------------------------------------------------------


def test_all_that_know_a_server_pin_it(here: Run) -> None:
    one, two, other = (
        Stub("local", pid=pid, names=names) for pid, names in ((1, ("a",)), (2, ("a", "b")), (3, ("b",)))
    )
    code, out, err = here([one, Stub("server"), two, other], "pin", "a")
    assert (code, err) == (OK, "")
    assert out.splitlines() == [
        f"local, pid {pid}: all goes through a, until `shadesocks servers unpin`" for pid in (1, 2)
    ]
    assert (one.pinned, two.pinned, other.pinned) == ("a", "a", "")
    code, out, _ = here([one, two, other], "unpin")
    assert code == OK
    assert out.splitlines() == [
        "local, pid 1: it chooses by its policy again",
        "local, pid 2: it chooses by its policy again",
        "local, pid 3: nothing was pinned",
    ]


def test_a_name_that_nobody_knows(here: Run) -> None:
    code, out, err = here([Stub("local", names=("a",))], "pin", "b")
    assert (code, out) == (NOTHING, "")
    assert err == "error: local, pid 7: no server is called 'b'; `shadesocks servers` lists them\n"


@pytest.mark.parametrize("words", [["pin", "a"], ["unpin"]])
def test_servers_do_not_choose(words: list[str], here: Run) -> None:
    code, _, err = here([Stub("server", PORT)], *words)
    assert (code, err) == (NOTHING, "error: no client runs here that can be asked: servers do not choose\n")


# -- looking again ---------------------------------------------------------------------------------


@pytest.mark.parametrize("as_json", [False, True])
def test_watching_ends_with_ctrl_c(as_json: bool, here: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0

    def sleep(_seconds: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(servers.time, "sleep", sleep)  # type: ignore[attr-defined]  # the module that it imported
    code, out, _ = here([Stub("local", TOKYO)], "--watch", *(["--json"] if as_json else []))
    assert code == OK
    if as_json:
        assert [json.loads(line)[0]["pid"] for line in out.splitlines()] == [7, 7, 7]
    else:
        assert out.count("policy score") == 3
        assert "\x1b" not in out


# -- programs that run -----------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no Unix sockets")
def test_a_client_and_a_server_that_run(tmp_path: Path) -> None:
    ports = [free_port() for _ in range(3)]
    server = {"address": "127.0.0.1", "method": METHOD, "password": KEY}
    there, here = tmp_path / "server.json", tmp_path / "local.json"
    there.write_text(json.dumps({"servers": [{**server, "port": ports[0], "remarks": "tokyo"}]}))
    servers = [{**server, "port": port, "remarks": name} for port, name in zip(ports, ("tokyo", "osaka"), strict=False)]
    # Nobody is probed, whatever the machine's network is.
    here.write_text(
        json.dumps(
            {
                "servers": servers,
                "local_address": "127.0.0.1",
                "local_port": ports[2],
                "balancer": {"policy": "ordered"},
            }
        )
    )

    def rows(*words: str) -> list[Any]:
        done = run_program(tmp_path, "servers", "--json", *words)
        assert done.returncode == OK, done.stderr
        return list(json.loads(done.stdout))

    nothing = run_program(tmp_path, "servers")
    assert (nothing.returncode, nothing.stdout) == (NOTHING, "")
    with running(tmp_path, "server", "-c", str(there)) as far, running(tmp_path, "local", "-c", str(here)) as near:
        assert (far.port(), near.port()) == (ports[0], ports[2])
        while len(found := rows()) < 2:  # its socket comes a turn later than its port
            pass
        local = next(report for report in found if report["role"] == "local")
        assert (local["pid"], local["config"]) == (near.process.pid, str(here))
        assert [(row["name"], row["policy"], row["pinned"]) for row in local["servers"]] == [
            ("tokyo", "ordered", False),
            ("osaka", "ordered", False),
        ]
        table = run_program(tmp_path, "servers").stdout
        assert f"server, pid {far.process.pid}, {there}" in table
        assert "tokyo" in table
        pinned = run_program(tmp_path, "servers", "pin", "osaka")
        assert (pinned.returncode, pinned.stderr) == (OK, "")
        [report] = rows("--control", local["control"])
        assert [row["pinned"] for row in report["servers"]] == [False, True]
        assert run_program(tmp_path, "servers", "pin", "kyoto").returncode == NOTHING
        assert "by its policy again" in run_program(tmp_path, "servers", "unpin").stdout
        assert near.end(signal.SIGTERM) == OK
        assert [report["role"] for report in rows()] == ["server"]
        assert not os.path.lexists(local["control"])
        far.process.kill()
        far.rest()
        assert run_program(tmp_path, "servers").returncode == NOTHING
    assert "osaka is pinned: all goes through it" in "\n".join(near.err)


def test_a_service_may_have_no_socket(tmp_path: Path) -> None:
    config = tmp_path / "server.json"
    port = free_port()
    config.write_text(
        json.dumps({"server": "127.0.0.1", "server_port": port, "method": METHOD, "password": KEY, "control": ""})
    )
    with running(tmp_path, "server", "-c", str(config)) as far:
        assert far.port() == port
        assert run_program(tmp_path, "servers").returncode == NOTHING
        assert far.end(signal.SIGTERM) == OK


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="this system serves no port by several processes")
def test_each_worker_has_a_socket_of_its_own(tmp_path: Path) -> None:
    config, control = tmp_path / "server.json", tmp_path / "c.sock"
    server = {"server": "127.0.0.1", "server_port": free_port(), "method": METHOD, "password": KEY, "remarks": "tokyo"}
    config.write_text(json.dumps({**server, "workers": 2, "control": str(control)}))

    def pids() -> set[int]:
        done = run_program(tmp_path, "servers", "--json", "--control", str(tmp_path))
        reports = json.loads(done.stdout) if done.returncode == OK else []
        assert all(report["servers"][0]["name"] == "tokyo" for report in reports)
        return {report["pid"] for report in reports}

    with running(tmp_path, "server", "-c", str(config)) as far:
        while len(first := pids()) < 2:
            assert far.process.poll() is None
        assert far.process.pid not in first
        assert {path.name for path in tmp_path.glob("*.sock")} == {f"c-{pid}.sock" for pid in first}
        os.kill(killed := first.pop(), signal.SIGKILL)
        while len(now := pids()) < 2 or killed in now:
            assert far.process.poll() is None
        assert first < now
        assert far.end(signal.SIGTERM) == OK
    assert [path.name for path in tmp_path.glob("*.sock")] == [f"c-{killed}.sock"]
