"""What is called under which name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from shadesocks.cli import doors
from shadesocks.cli.exits import OK, USAGE
from shadesocks.cli.family import HOMES
from shadesocks.config import Config

from .programs import KEY, METHOD, environment

if TYPE_CHECKING:
    from pathlib import Path

NAMES = (*HOMES, "ssurl")


def called_as(path: str, *words: str, home: Path, then: str = "") -> subprocess.CompletedProcess[str]:
    """Run `main` as the program of this path, and one statement after it."""
    code = f"""
import sys
import shadesocks.cli
sys.argv = {[path, *words]!r}
try:
    shadesocks.cli.main()
except SystemExit as error:
    {then or "pass"}
    raise
"""
    env = environment(home, XDG_CONFIG_DIRS=str(home))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, cwd=home, check=False)


@pytest.mark.parametrize(
    ("path", "begins"),
    [
        ("shadesocks", "Usage: shadesocks "),
        ("/usr/local/bin/shadesocks", "Usage: shadesocks "),
        ("/opt/shadesocks/__main__.py", "Usage: shadesocks "),
        ("ss-server", "usage: ss-server "),
        ("/opt/bin/ss-local", "usage: ss-local "),
        ("/opt/bin/ss-local.exe", "usage: ss-local "),
        ("./shadowsocks-local", "Usage of shadowsocks-local:"),
        ("sslserver", "usage: sslserver "),
        ("sslocal", "Usage: sslocal "),
        ("ssserver.exe", "Usage: ssserver "),
        ("ssmanager", "Usage: ssmanager "),
        ("ssurl", "Usage: ssurl "),
    ],
)
def test_the_name_of_a_link_says_what_runs(path: str, begins: str, tmp_path: Path) -> None:
    done = called_as(path, "-h", home=tmp_path)
    assert (done.returncode, done.stderr) == (OK, "")
    assert done.stdout.startswith(begins)


@pytest.mark.parametrize("name", ["ssserver", "sslocal", "ssmanager", "ssurl"])
def test_the_names_that_are_installed_are_doors(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, list[str]]] = []

    def keep(called: str, words: list[str]) -> None:
        seen.append((called, words))

    monkeypatch.setattr(doors, "as_program", keep)
    monkeypatch.setattr(sys, "argv", [f"/usr/bin/{name}", "-x", "y"])
    getattr(doors, name)()
    assert seen == [(name, ["-x", "y"])]


def test_all_old_names_are_known() -> None:
    assert set(doors.old_names()) == set(NAMES)
    assert all(doors.is_old(name) for name in NAMES)
    assert not doors.is_old("shadesocks")
    assert not doors.is_old("")


def test_an_old_program_starts_without_click(tmp_path: Path) -> None:
    show = "print([name for name in ('click', 'importlib.metadata', 'argparse') if name in sys.modules])"
    for words in (
        ["ss-server", "-h"],
        ["ss-server", "-p", "1", "-k", "x", "-m", "nonesuch"],
        ["shadesocks", "as", "sslocal", "-p", "1"],
        ["shadowsocks-local", "-x"],
    ):
        done = called_as(*words, home=tmp_path, then=show)
        assert done.stdout.splitlines()[-1] == "[]"
        assert done.returncode in (0, 1, 2, 255)
    code = f"import sys; import shadesocks.cli.run, shadesocks.service.service; {show}"
    env = environment(tmp_path)
    rest = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert rest.stdout == "[]\n"


FILE = {"server": "127.0.0.1", "server_port": 8388, "method": METHOD, "password": ""}


@pytest.mark.parametrize(
    ("words", "keys", "expected"),
    [
        # shadowsocks-rust's: a mode says so, or a host with its port
        ("-c x.json", {"mode": "tcp_only"}, ("tcp_only", "shadesocks", 86400.0)),
        (f"-s 127.0.0.1:8388 -m {METHOD} -k {KEY}", {}, ("tcp_only", "shadesocks", 86400.0)),
        # of both: UDP is on
        ("-c x.json", {}, ("tcp_and_udp", "shadesocks", 86400.0)),
        # Python's: a flag, a key, a method of its own
        ("-c x.json -p 8389", {}, ("tcp_and_udp", "python", 300.0)),
        ("-c x.json", {"workers": 1}, ("tcp_and_udp", "python", 300.0)),
        ("-c x.json", {"method": "aes-256-cfb"}, ("tcp_and_udp", "python", 300.0)),
        # found where shadowsocks-rust looks
        ("", {"workers": 1}, ("tcp_and_udp", "python", 300.0)),
    ],
)
@pytest.mark.parametrize("name", ["ssserver", "sslocal"])
def test_the_names_of_two_programs_start_the_one_that_is_meant(
    name: str,
    words: str,
    keys: dict[str, object],
    expected: tuple[str, str, float],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[Config] = []

    def keep(config: Config, *_: object, **__: object) -> int:
        seen.append(config)
        return OK

    def leave_logs_alone(*_: object, **__: object) -> None:
        pass

    import shadesocks.cli.background
    import shadesocks.cli.logs
    import shadesocks.cli.serve

    for module in (shadesocks.cli.background, shadesocks.cli.serve):
        monkeypatch.setattr(module, "run_placed", keep)
        monkeypatch.setattr(module, "set_up", leave_logs_alone)
    monkeypatch.setattr(shadesocks.cli.logs, "set_up_logs", leave_logs_alone)
    monkeypatch.chdir(tmp_path)
    for file in ("x.json", "server.json", "local.json"):
        (tmp_path / file).write_text(json.dumps({**FILE, "password": KEY, **keys}))
    with pytest.raises(SystemExit) as ended:
        doors.as_program(name, words.split())
    assert ended.value.code == OK
    (config,) = seen
    assert (config.servers[0].mode.value, config.log_style, config.idle_timeout) == expected
    assert config.allow_legacy


@pytest.mark.parametrize("words", ["-c x.json", "-c x.json -v", "-c x.json -p 8389", "-c x.json --dialect rust", ""])
@pytest.mark.parametrize("keys", [{}, {"workers": 1}, {"mode": "tcp_only"}])
def test_a_config_is_read_once(
    words: str, keys: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shadesocks.cli.background
    import shadesocks.cli.logs
    import shadesocks.cli.serve
    import shadesocks.cli.source
    from shadesocks.config import read_config

    read: list[str] = []

    def count(path: str) -> str:
        read.append(path)
        return read_config(path)

    def nothing(*_: object, **__: object) -> int:
        return OK

    monkeypatch.setattr(shadesocks.cli.source, "read_config", count)
    for module in (shadesocks.cli.background, shadesocks.cli.serve):
        monkeypatch.setattr(module, "run_placed", nothing)
        monkeypatch.setattr(module, "set_up", nothing)
    monkeypatch.setattr(shadesocks.cli.logs, "set_up_logs", nothing)
    monkeypatch.chdir(tmp_path)
    for file in ("x.json", "server.json"):
        (tmp_path / file).write_text(json.dumps({**FILE, "password": KEY, **keys}))
    with pytest.raises(SystemExit) as ended:
        doors.as_program("ssserver", words.split())
    assert ended.value.code == OK
    assert [os.path.basename(path) for path in read] == ["x.json" if words else "server.json"]


def test_rust_s_word_for_a_link_is_ours(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps({**FILE, "password": KEY}))
    done = called_as("ssurl", "-e", "x.json", "--host", "192.0.2.1", home=tmp_path)
    assert done.returncode == OK
    assert done.stdout.strip().startswith("ss://")


def test_an_old_name_that_nobody_had_is_no_door(tmp_path: Path) -> None:
    done = called_as("ss-nat", "as", "ss-nat", home=tmp_path)
    assert done.returncode == USAGE
    assert "no program of the family is called 'ss-nat'" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="links are of Unix here")
def test_a_link_of_the_file_system_works(tmp_path: Path) -> None:
    program = tmp_path / "shadesocks"
    program.write_text(f"#!{sys.executable}\nimport sys\nfrom shadesocks.cli import main\nmain()\n")
    program.chmod(0o755)
    (tmp_path / "ss-local").symlink_to(program)
    done = subprocess.run(
        [os.fspath(tmp_path / "ss-local"), "-h"], capture_output=True, text=True, env=environment(tmp_path), check=False
    )
    assert done.stdout.startswith("usage: ss-local ")
