"""Old programs from their words to their end; some as processes of their own."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from typing import TYPE_CHECKING

import pytest

import shadesocks.cli.background
from shadesocks.cli.exits import OK, Failed
from shadesocks.cli.family import HOMES, find_program
from shadesocks.cli.place import free_port

from ..programs import run, running

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shadesocks.config import Config

    from .conftest import Start

SECRET = "correct-horse-battery"
PYTHON_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [A-Z]+ {1,8}\S.*")


@pytest.mark.parametrize("name", HOMES)
def test_the_help_is_shown_by_each(name: str, start: Start) -> None:
    started = start(name, "--help" if name.startswith("procurator") else "-h")
    assert (started.code, started.err, started.config) == (OK, "", None)
    assert started.out == f"{find_program(name).help()}\n"


@pytest.mark.parametrize("name", HOMES)
def test_an_unknown_flag_has_the_usage_and_the_code_of_each(name: str, start: Start) -> None:
    started = start(name, "--no-such-flag")
    program = find_program(name)
    assert (started.code, started.out) == (program.usage_code, "")
    assert started.err.endswith(f"{program.help()}\n")
    assert "-no-such-flag: there is no such flag" in started.err + started.log


def test_a_file_that_is_not_there_is_told(start: Start) -> None:
    started = start("ss-server", "-c nowhere.json")
    assert started.code == 255
    assert started.err == "error: nowhere.json: this file cannot be read: no such file or directory\n"


def test_paths_in_a_file_begin_where_the_file_lies(start: Start, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    keys = {"server_port": 8388, "password": SECRET, "acl": "rules.acl"}
    (tmp_path / "etc" / "x.json").write_text(json.dumps(keys))
    assert start("ss-server", "-c etc/x.json").value("acl") == "etc/rules.acl"


def test_no_message_shows_a_password(start: Start) -> None:
    for name, words in (
        ("ss-server", "-p 8388 -k s3cret-and-more -m 2022-blake3-aes-128-gcm"),
        ("sslocal", "-s 192.0.2.1 -k s3cret-and-more -m nonesuch"),
        ("shadowsocks-local", "-s 192.0.2.1 -p 1 -l s3cret -k s3cret"),
    ):
        started = start(name, words)
        assert started.config is None
        assert started.code != OK
        assert "s3cret" not in started.out + started.err + started.log


@pytest.mark.parametrize(("name", "code"), [("ss-server", 255), ("ssserver", 1), ("shadowsocks-server", 1)])
def test_a_start_that_fails_has_the_code_of_the_program(
    name: str, code: int, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_config: Config, *_: object, **__: object) -> int:
        raise Failed("cannot start: the port is taken")

    monkeypatch.setattr(shadesocks.cli.background, "run_placed", fail)
    started = start(name, f"-p 8388 -k {SECRET}")
    assert started.code == code
    assert "cannot start: the port is taken" in started.err + started.log


def test_the_python_program_s_lines_have_its_form_and_only_its_warnings_that_level(tmp_path: Path) -> None:
    port = free_port()
    words = f"-m rc4 -k testrc4 -s 127.0.0.1 -p 8388 -b 127.0.0.1 -l {port} -t10 --libsodium {os.devnull}"
    with running(tmp_path, "as", "sslocal", *words.split()) as program:
        program.until_err(f"starting local at 127.0.0.1:{port}")
        assert program.end(signal.SIGTERM) == OK
    assert program.out == []
    assert all(PYTHON_LINE.fullmatch(line) for line in program.err), program.err
    assert [line.partition("WARNING")[2] for line in program.err if "WARNING" in line] == [
        "  warning: server set to listen on 127.0.0.1:8388, are you sure?",
        "  warning: RC4 is not safe; please use a safer cipher, like AES-256-CFB",
        "  warning: your timeout 10 seems too short",
    ]
    assert any(" NOTE     --libsodium: " in line for line in program.err)


@pytest.mark.parametrize(
    ("name", "words", "code", "after"),
    [
        ("sslocal", "", 2, ": config not specified"),
        ("ssserver", "", 2, ": config not specified"),
        ("sslocal", "-m rc4-md5 -p 8388 -k testrc4 -d start", 2, "    server addr not specified"),
        ("sslocal", "-m rc4-md5 -p 8388 -s 0.0.0.0 -d start", 2, "    password not specified"),
        ("ssserver", "-m rc4-md5 -p 8388 -s 0.0.0.0 -d start", 2, "    password or port_password not specified"),
        (
            "ssserver",
            "--forbidden-ip 127.0.0.1/4a -m rc4-md5 -k 12345 -p 8388 -s 0.0.0.0 -d start",
            2,
            "    Not a valid CIDR notation: 127.0.0.1/4a",
        ),
    ],
)
def test_the_python_program_s_errors_are_those_that_its_tests_match(
    name: str, words: str, code: int, after: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(tmp_path, "as", name, *words.split(), env={"XDG_CONFIG_DIRS": str(tmp_path)})
    assert done.returncode == code
    assert [line.partition("ERROR")[2] for line in done.stderr.splitlines() if "ERROR" in line] == [after]
    assert ("usage:" in done.stderr) == ("CIDR" not in after)


def test_the_file_is_told_before_it_is_read_and_without_a_time(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{")
    done = run(tmp_path, "as", "sslocal", "-qq", "-c", str(tmp_path / "x.json"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == f"INFO: loading config from {tmp_path / 'x.json'}"


def test_a_client_of_go_s_talks_to_a_server_of_libev_s(tmp_path: Path) -> None:
    """Two programs of two families, one cipher of theirs: bytes go through."""
    server_port, local_port = free_port(), free_port()
    server = f"-s 127.0.0.1 -p {server_port} -k {SECRET} -m aes-128-cfb"
    local = f"-s 127.0.0.1 -p {server_port} -b 127.0.0.1 -l {local_port} -k {SECRET} -m aes-128-cfb"
    with (
        socket.create_server(("127.0.0.1", 0)) as target,
        running(tmp_path, "as", "ss-server", *server.split()) as far,
        running(tmp_path, "as", "shadowsocks-local", *local.split()) as near,
    ):
        far.port()
        near.until_out("starting local socks5 server")
        with socket.create_connection(("127.0.0.1", local_port)) as client:
            client.sendall(b"\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01" + target.getsockname()[1].to_bytes(2))
            answer = client.recv(12, socket.MSG_WAITALL)
            assert answer == b"\x05\x00\x05\x00\x00\x01\x00\x00\x00\x00\x08\x43"
            reached, _ = target.accept()
            with reached:
                client.sendall(b"question")
                assert reached.recv(8, socket.MSG_WAITALL) == b"question"
                reached.sendall(b"answer")
                assert client.recv(6, socket.MSG_WAITALL) == b"answer"
        assert far.end(signal.SIGTERM) == OK
        assert near.end(signal.SIGTERM) == OK


def test_a_tunnel_leads_to_its_target(tmp_path: Path) -> None:
    server_port, local_port = free_port(), free_port()
    with (
        socket.create_server(("127.0.0.1", 0)) as target,
        running(tmp_path, "as", "ss-server", *f"-s 127.0.0.1 -p {server_port} -k {SECRET}".split()) as far,
        running(
            tmp_path,
            "as",
            "ss-tunnel",
            *f"-s 127.0.0.1 -p {server_port} -l {local_port} -k {SECRET}".split(),
            f"-L127.0.0.1:{target.getsockname()[1]}",
        ) as near,
    ):
        far.port()
        near.port()
        with socket.create_connection(("127.0.0.1", local_port)) as client:
            client.sendall(b"question")
            reached, _ = target.accept()
            with reached:
                assert reached.recv(8, socket.MSG_WAITALL) == b"question"


@pytest.mark.parametrize(("name", "again"), [("shadowsocks-server", True), ("ssserver", True), ("sslocal", False)])
def test_a_server_reads_its_file_again_and_a_client_does_not(
    name: str, again: bool, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports: list[int] = []

    def keep(_config: Config, *_: object, reread: Callable[[], Config] | None, **__: object) -> int:
        if reread is not None:
            write(8389)
            ports.extend(server.address.port for server in reread().servers)
        return OK

    def write(port: int) -> None:
        (tmp_path / "x.json").write_text(
            json.dumps({"server": "127.0.0.1", "server_port": port, "local_port": 1080, "password": SECRET})
        )

    monkeypatch.setattr(shadesocks.cli.background, "run_placed", keep)
    write(8388)
    assert start(name, "-c x.json").code == OK
    assert ports == [8389] * again
