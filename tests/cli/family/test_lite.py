"""shadowsocks-lite's programs: every flag, and the codes they end with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from .rows import untold

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Start

NAMES = ("ssllocal", "sslserver")
KEYS = {
    "server": "192.0.2.1",
    "server_port": 8388,
    "password": "correct-horse-battery",
    "local_address": "127.0.0.1",
    "local_port": 1090,
}


@pytest.mark.parametrize("name", NAMES)
def test_the_file_here_or_the_named_one_is_read(name: str, start: Start, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(KEYS))
    (tmp_path / "other.json").write_text(json.dumps({**KEYS, "server_port": 8389}))
    started = start(name, "-v")
    assert started.value("servers.0.address.port") == 8388
    assert started.value("servers.0.method.name") == "aes-256-cfb"
    assert started.value("log_level") == "debug"
    assert started.value("log_style") == "lite"
    assert "loading config from config.json" in started.log
    assert start(name, "-c other.json").value("servers.0.address.port") == 8389
    assert untold(name, [("-v", "", "")]) == set()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ("-x", 2, "-x: there is no such flag"),
        ("-c", 2, "-c: a value is missing"),
        ("-cx.json", 2, "-cx.json: there is no such flag"),
        ("-c empty.json", 1, "config.json not found, you have to specify all config in config.json"),
        ("-c little.json", 1, "the config names no server_port"),
        ("-c bad.json", 1, "bad.json:1"),
    ],
)
def test_what_cannot_start_has_its_code(
    name: str, words: str, code: int, text: str, start: Start, tmp_path: Path
) -> None:
    (tmp_path / "empty.json").write_text("{}")
    (tmp_path / "little.json").write_text('{"server": "192.0.2.1"}')
    (tmp_path / "bad.json").write_text("{")
    started = start(name, words)
    assert (started.code, started.config, started.out) == (code, None, "")
    assert started.err.startswith(f"error: {text}")
    assert (f"usage: {name} [-h]" in started.err) == ("bad" not in words)


@pytest.mark.parametrize("words", ["-h", "--help"])
def test_the_help_is_shown(words: str, start: Start) -> None:
    started = start("ssllocal", words)
    assert started.code == 0
    assert started.out.startswith("usage: ssllocal ")
