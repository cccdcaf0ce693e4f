"""`shadesocks check`: every problem at once, with file, line and key."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from shadesocks.cli.exits import CONFIG, OK, USAGE, run
from shadesocks.cli.programs import group

from .programs import KEY, METHOD

if TYPE_CHECKING:
    from pathlib import Path

GOOD = f"""{{
    "server": "::", "server_port": 8388, // both ends
    "method": "{METHOD}",
    "password": "{KEY}",
    "local_port": 1081,
}}"""


def check(file: Path, text: str) -> int:
    file.write_text(text)
    return run(group, "shadesocks", ["check", str(file)])


def test_a_good_config_is_said_to_be_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.json"
    assert check(file, GOOD) == OK
    said = f"{file}: read as rust: nothing in it belongs to another program\n"
    assert capsys.readouterr() == (f"{said}{file}: no error; 1 server, 1 local listener\n", "")


def test_every_problem_is_told_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.json"
    assert (
        check(
            file, GOOD.replace("8388", '"eighty"').replace("256-gcm", "255-gcm").replace('"local_port"', '"locl_port"')
        )
        == CONFIG
    )
    out, err = capsys.readouterr()
    assert out == ""
    seen, *lines = err.splitlines()
    assert seen.startswith(f"note: {file}: read as rust: ")
    assert seen.endswith("with --dialect NAME it is read as that program's")
    assert [line.split(": ")[1:3] for line in lines] == [
        [f"{file}:2", "server_port"],
        [f"{file}:3", "method"],
        [f"{file}:5", "locl_port"],
    ]
    assert lines[1].endswith(METHOD)
    assert lines[2].endswith("local_port")


def test_a_key_of_another_program_warns_and_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path / "c.json", GOOD.replace('"local_port"', '"udp_mtu": 1500, "local_port"')) == OK
    assert capsys.readouterr().err.startswith("warning: ")


@pytest.mark.parametrize("text", ["{}", '{"local_port": 1080}', "", "[]"])
def test_what_starts_neither_end_fails(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path / "c.json", text) == CONFIG
    assert "error: " in capsys.readouterr().err


def test_stdin_is_a_file_too(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(GOOD))
    assert run(group, "shadesocks", ["check", "-"]) == OK
    assert "stdin: no error" in capsys.readouterr().out


def test_no_message_shows_the_password(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(tmp_path / "c.json", GOOD.replace(KEY, "not-base64-at-all"))
    assert "not-base64-at-all" not in "".join(capsys.readouterr())


def test_an_access_list_is_read_from_beside_the_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with_acl = GOOD.replace('"local_port"', '"acl": "rules.acl", "local_port"')
    rules = tmp_path / "rules.acl"
    rules.write_text("[outbound_block_list]\n192.0.2.0/24\n")
    assert check(tmp_path / "c.json", with_acl) == OK
    assert capsys.readouterr().err == ""
    rules.write_text("[outbound_block_lst]\n192.0.2.0/33\n(\n")
    assert check(tmp_path / "c.json", with_acl) == CONFIG
    assert [line.split(": ")[1] for line in capsys.readouterr().err.splitlines()] == [
        f"{rules}:{line}" for line in (1, 2, 3)
    ]
    rules.unlink()
    assert check(tmp_path / "c.json", with_acl) == CONFIG
    assert "cannot be read: No such file or directory" in capsys.readouterr().err


OLD = '{"server_port": [8381, 8382], "password": "Xk29-fkqLm_38sW0", "method": "aes-256-cfb"}'


def test_the_dialect_of_a_config_is_named_with_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.json"
    assert check(file, OLD) == OK
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        f"{file}: read as python: its server_port is a list, as Python shadowsocks has it",
        f"{file}: no error; 2 servers, 0 local listeners",
    ]
    assert err.startswith(f"note: {file}: it needs a name of its old program to start, or --allow-legacy\n")


def test_a_dialect_may_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.json"
    file.write_text(OLD.replace("{", '{"server": "127.0.0.1", '))
    assert run(group, "shadesocks", ["check", str(file), "--dialect", "node"]) == OK
    assert f"{file}: read as node: that is what was asked for" in capsys.readouterr().out
    assert run(group, "shadesocks", ["check", str(file), "--dialect", "klingon"]) == USAGE
    assert "'klingon' is not one of 'rust', 'python', 'libev', 'go', 'lite', 'node'" in capsys.readouterr().err


def test_a_config_that_fails_is_told_what_it_was_taken_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.json"
    assert check(file, OLD.replace("8382", '"x"')) == CONFIG
    err = capsys.readouterr().err
    assert f"note: {file}: read as python: its server_port is a list" in err
    assert f"error: {file}:1: server_port[1]: expected a port: a number from 1 to 65535, found text" in err


def test_a_config_with_a_manager_alone_starts_a_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.json"
    assert check(file, '{"manager_listen": "127.0.0.1:6001"}') == OK
    assert "no error; 0 servers, 0 local listeners" in capsys.readouterr().out


def test_a_plugin_that_is_not_here_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plugin = '"plugin": "no-such-plugin", "plugin_opts": "key=correct-horse",'
    assert check(tmp_path / "c.json", GOOD.replace('"local_port"', f'{plugin} "local_port"')) == OK
    err = capsys.readouterr().err
    assert err == (
        "warning: config: plugin: no-such-plugin is no program that can be started here; install it, or give its "
        "absolute path\n"
    )


def test_a_subscription_is_server_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.json"
    file.write_text('{"online_config": {"config_url": "https://h.example/secret"}}')
    assert run(group, "shadesocks", ["check", str(file)]) == OK
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == f"{file}: no error; 0 servers, 0 local listeners, 1 subscription"
    assert "secret" not in out + err
