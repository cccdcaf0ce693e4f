"""shadowsocks-go's programs: every flag, and the codes they end with."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from shadesocks.core.address import Address
from shadesocks.wire.uri import Link, format_link

from .rows import SAYS, Row, check, untold

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Start

LINK = format_link(Link("aes-256-cfb", "a-password", "192.0.2.8", 8000))
BOTH: list[Row] = [
    ("-p 9000", "servers.0.address.port", 9000),
    ("-p=9000", "servers.0.address.port", 9000),
    ("--p=9000", "servers.0.address.port", 9000),
    ("-m rc4-md5", "servers.0.method.name", "rc4-md5"),
    ("-m rc4-md5-auth", "servers.0.method.name", "rc4-md5"),
    ("-m rc4-md5-auth", "servers.0.one_time_auth", True),
    ("-t 77", "idle_timeout", 77.0),
    ("", "idle_timeout", 300.0),
    ("-k another-long-password", "servers.0.password.reveal()", "another-long-password"),
    ("-d", "log_level", "debug"),
    ("-d=true", "log_level", "debug"),
    ("-d=false", "log_level", "info"),
    ("word -d", "log_level", "info"),
    ("", "allow_legacy", True),
    ("", "log_style", "go"),
]
ROWS: dict[str, list[Row]] = {
    "shadowsocks-local": [
        *BOTH,
        ("-s 192.0.2.7", "servers.0.address.host", "192.0.2.7"),
        ("-b 127.0.0.9", "locals.0.address.host", "127.0.0.9"),
        ("", "locals.0.address.host", "0.0.0.0"),
        ("-l 1090", "locals.0.address.port", 1090),
        ("-A", "servers.0.one_time_auth", True),
        (f"-u {LINK}", "servers.0.address", Address("192.0.2.8", 8000)),
    ],
    "shadowsocks-server": [
        *BOTH,
        ("-u", "servers.0.mode.value", "tcp_and_udp"),
        ("", "servers.0.mode.value", "tcp_only"),
        ("-core 2", "workers", 2),
        ("-core=2", "workers", 2),
        ("-A", SAYS, "-A: "),
        ("--manager-address 127.0.0.1:6001", "manager_listen", "127.0.0.1:6001"),
        ("-manager-address=127.0.0.1:6001", "manager_dialect", "go"),
    ],
}
BASE = {
    "shadowsocks-local": "-s 192.0.2.1 -p 8388 -l 1080 -k correct-horse-battery",
    "shadowsocks-server": "-p 8388 -k correct-horse-battery",
}


@pytest.mark.parametrize(("name", "row"), [(name, row) for name, rows in ROWS.items() for row in rows])
def test_each_flag_does_what_it_did(name: str, row: Row, start: Start) -> None:
    check(start, name, BASE[name], row)


@pytest.mark.parametrize("name", ROWS)
def test_no_flag_is_without_a_row(name: str) -> None:
    rows = [(words.replace("--", "-"), path, value) for words, path, value in ROWS[name]]
    assert untold(name, rows) == set()


@pytest.mark.parametrize(
    ("name", "words", "code", "text"),
    [
        ("shadowsocks-local", "-zzz", 2, "-zzz: there is no such flag"),
        ("shadowsocks-local", "-p8388", 2, "-p8388: there is no such flag"),
        ("shadowsocks-local", "-p x", 2, "-p: expected a whole number"),
        ("shadowsocks-local", "-d=perhaps", 2, "-d: this is true or false"),
        ("shadowsocks-local", "-p", 2, "-p: a value is missing"),
        ("shadowsocks-local", "-p 1 -l 1 -k x", 1, "must specify server address, password and both server/local port"),
        ("shadowsocks-local", "-s h -p 1 -l 1", 1, "must specify server address, password and both server/local port"),
        ("shadowsocks-local", "-s h -p 1 -k x", 1, "must specify local port"),
        ("shadowsocks-server", "-p 8388", 1, "must specify both port and password"),
        ("shadowsocks-server", "-k x", 1, "must specify both port and password"),
        ("shadowsocks-server", "-core many", 2, "-core: expected a whole number"),
    ],
)
def test_a_wrong_command_line_is_told_with_the_usage(name: str, words: str, code: int, text: str, start: Start) -> None:
    started = start(name, words)
    assert (started.code, started.config, started.out) == (code, None, "")
    assert started.err.startswith(f"error: {text}")
    assert f"Usage of {name}:" in started.err


def test_a_flag_s_default_does_not_take_the_place_of_the_file_s_value(start: Start, tmp_path: Path) -> None:
    """G4: the default of -t did, -A had no effect beside a file, and -m x-auth lost a letter too many."""
    keys = {"server": "192.0.2.1", "server_port": 8388, "local_port": 1080, "password": "correct-horse-battery"}
    (tmp_path / "config.json").write_text(json.dumps({**keys, "timeout": 60, "method": "rc4-md5"}))
    started = start("shadowsocks-local", "-A")
    assert started.value("idle_timeout") == 60
    assert started.value("servers.0.one_time_auth") is True
    assert start("shadowsocks-local", "-m aes-128-cfb-auth").value("servers.0.method.name") == "aes-128-cfb"


def test_the_file_next_to_the_program_is_the_second_choice(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {"server_port": 8999, "password": "correct-horse-battery"}
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "config.json").write_text(json.dumps(keys))
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "bin" / "shadowsocks-server")])
    assert start("shadowsocks-server", "").value("servers.0.address.port") == 8999
    (tmp_path / "config.json").write_text(json.dumps({**keys, "server_port": 8998}))
    assert start("shadowsocks-server", "").value("servers.0.address.port") == 8998


@pytest.mark.parametrize(("words", "begins"), [("-version", "shadowsocks-go version "), ("-h", "Usage of ")])
def test_what_is_shown_begins_as_it_did(words: str, begins: str, start: Start) -> None:
    started = start("shadowsocks-server", words)
    assert started.code == 0
    assert started.out.startswith(begins)
