"""The Node version's programs: every flag, and the codes they end with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from .rows import Row, check, untold

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Start

BOTH: list[Row] = [
    ("-s 192.0.2.7", "servers.0.address.host", "192.0.2.7"),
    ("-p 9000", "servers.0.address.port", 9000),
    ("-k another-long-password", "servers.0.password.reveal()", "another-long-password"),
    ("-m rc4-md5", "servers.0.method.name", "rc4-md5"),
    ("", "servers.0.method.name", "table"),
    ("-t 77", "idle_timeout", 77.0),
    ("-v", "log_level", "debug"),
    ("word", "log_level", "info"),
    ("", "log_style", "node"),
    ("", "allow_legacy", True),
]
ROWS: dict[str, list[Row]] = {
    "node-sslocal": [
        *BOTH,
        ("-b 127.0.0.9", "locals.0.address.host", "127.0.0.9"),
        ("-l 1090", "locals.0.address.port", 1090),
        ("", "idle_timeout", 600.0),
    ],
    "node-ssserver": [*BOTH, ("", "idle_timeout", 300.0)],
}
BASE = {
    "node-sslocal": "-s 192.0.2.1 -p 8388 -l 1080 -k correct-horse-battery",
    "node-ssserver": "-s 192.0.2.1 -p 8388 -k correct-horse-battery",
}


@pytest.mark.parametrize(("name", "row"), [(name, row) for name, rows in ROWS.items() for row in rows])
def test_each_flag_does_what_it_did(name: str, row: Row, start: Start) -> None:
    check(start, name, BASE[name], row)


@pytest.mark.parametrize("name", ROWS)
def test_no_flag_is_without_a_row(name: str) -> None:
    assert untold(name, ROWS[name]) == set()


@pytest.mark.parametrize(
    ("name", "words", "code", "text"),
    [
        ("node-sslocal", "-x", 2, "-x: there is no such flag"),
        ("node-ssserver", "-l 1080", 2, "-l: there is no such flag"),
        ("node-sslocal", "-p8388", 2, "-p8388: there is no such flag"),
        ("node-sslocal", "", 1, "config.json not found, you have to specify all config in commandline"),
        ("node-sslocal", "-l 1080 -k x", 1, "no server is given"),
        ("node-ssserver", "-p 8388", 1, "no password is given"),
    ],
)
def test_what_cannot_start_has_its_code(name: str, words: str, code: int, text: str, start: Start) -> None:
    started = start(name, words)
    assert (started.code, started.config, started.out) == (code, None, "")
    assert started.err.startswith(f"error: {text}")
    assert f"usage: {name} [-h] -s " in started.err


def test_flags_go_before_the_file(start: Start, tmp_path: Path) -> None:
    keys = {"server": "192.0.2.1", "port_password": {"8001": "first-long-password", "8002": "second-long-password"}}
    (tmp_path / "config.json").write_text(json.dumps({**keys, "method": "aes-256-cfb", "timeout": 100}))
    started = start("node-ssserver", "-t 200")
    assert [server.address.port for server in started.value("servers")] == [8001, 8002]
    assert started.value("idle_timeout") == 200
    assert "loading config from config.json" in started.log
