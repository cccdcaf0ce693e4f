"""`shadesocks check`: every problem at once, with file, line and key."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from shadesocks.cli.exits import CONFIG, OK, run
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
    assert capsys.readouterr() == (f"{file}: no error; 1 server, 1 local listener\n", "")


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
    lines = err.splitlines()
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
    assert capsys.readouterr().out.startswith("stdin: no error")


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
