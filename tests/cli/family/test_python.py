"""The Python original's `sslocal` and `ssserver`: every flag, and the codes they end with."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from .rows import REFUSES, SAYS, Row, check, untold

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Start

BOTH: list[Row] = [
    ("-s 192.0.2.7", "servers.0.address.host", "192.0.2.7"),
    ("-p 9000", "servers.0.address.port", 9000),
    ("-p9000", "servers.0.address.port", 9000),
    ("-m rc4-md5", "servers.0.method.name", "rc4-md5"),
    ("-t 77", "idle_timeout", 77.0),
    ("-m aes-256-cfb -a", "servers.0.one_time_auth", True),
    ("--fast-open", "fast_open", True),
    ("--fast", "fast_open", True),
    ("-v", "log_level", "debug"),
    ("-vv", "log_level", "trace"),
    ("-q", "log_level", "warning"),
    ("-qq", "log_level", "error"),
    ("-q -vv", "log_level", "debug"),
    ("-qvv", "log_level", "debug"),
    ("-d start", "daemonize", True),
    ("-d restart --pid-file x.pid", "daemonize", True),
    ("-d begin", REFUSES, "expected start, stop, restart"),
    ("", "daemonize", False),
    ("--pid-file=x.pid", "pid_file", None),
    ("--log-file x.log", "log_file", None),
    ("-d start --pid-file=x.pid", "pid_file", "x.pid"),
    ("-d start --log-file x.log", "log_file", "x.log"),
    ("--user nobody", "user", "nobody"),
    (f"--libopenssl={os.devnull}", SAYS, "--libopenssl: "),
    (f"--libmbedtls={os.devnull}", SAYS, "--libmbedtls: "),
    (f"--libsodium={os.devnull}", SAYS, "--libsodium: "),
    ("--libopenssl invalid_path", REFUSES, "there is no such file"),
    ("--libmbedtls invalid_path", REFUSES, "there is no such file"),
    ("--libsodium invalid_path", REFUSES, "there is no such file"),
    ("-k another-long-password", "servers.0.password.reveal()", "another-long-password"),
    ("-m no-such-method", REFUSES, "-m: "),
    ("-p no-port", REFUSES, "-p: "),
    ("", "allow_legacy", True),
    ("", "log_style", "python"),
    ("", "servers.0.mode.value", "tcp_and_udp"),
]
ROWS: dict[str, list[Row]] = {
    "sslocal": [
        *BOTH,
        ("-b 127.0.0.9", "locals.0.address.host", "127.0.0.9"),
        ("-l 1090", "locals.0.address.port", 1090),
        ("", "locals.0.address.port", 1080),
    ],
    "ssserver": [
        *BOTH,
        ("--workers 1", "servers.0.address.port", 8388),
        ("--workers 4", "workers", 4),
        ("--forbidden-ip 192.0.2.0/24,::1", "forbidden_ip", ("192.0.2.0/24", "::1")),
        ("--forbidden-ip=", "forbidden_ip", ()),
        ("", "forbidden_ip", ("127.0.0.0/8", "::1/128")),
        ("--manager-address 127.0.0.1:6001", "manager_listen", "127.0.0.1:6001"),
        ("--manager-address /tmp/x.sock", "manager_dialect", "python"),
        ("--prefer-ipv6", "ipv6_first", True),
    ],
}
BASE = {"sslocal": "-s 192.0.2.1 -k correct-horse-battery", "ssserver": "-k correct-horse-battery"}


@pytest.mark.parametrize(("name", "row"), [(name, row) for name, rows in ROWS.items() for row in rows])
def test_each_flag_does_what_it_did(name: str, row: Row, start: Start) -> None:
    check(start, name, BASE[name], row)


@pytest.mark.parametrize("name", ROWS)
def test_no_flag_is_without_a_row(name: str) -> None:
    assert untold(name, ROWS[name]) == set()


@pytest.mark.parametrize(
    ("name", "words", "code", "text"),
    [
        ("sslocal", "-z", 2, "-z: there is no such flag"),
        ("sslocal", "--zzz", 2, "--zzz: there is no such flag"),
        ("sslocal", "-p", 2, "-p: a value is missing"),
        ("sslocal", "--fast-open=1", 2, "--fast-open: this flag takes no value"),
        ("sslocal", "--lib /", 2, "--lib: this may be --libopenssl or --libmbedtls or --libsodium"),
        ("sslocal", "", 2, "config not specified"),
        ("ssserver", "", 2, "config not specified"),
        ("sslocal", "-p 8388 -k x", 2, "server addr not specified"),
        ("sslocal", "-p 8388 -s 192.0.2.1", 2, "password not specified"),
        ("ssserver", "-p 8388", 2, "password or port_password not specified"),
        ("ssserver", "--workers", 2, "--workers: a value is missing"),
        ("sslocal", "--workers 2", 2, "--workers: there is no such flag"),
    ],
)
def test_a_wrong_command_line_is_told_with_the_usage(name: str, words: str, code: int, text: str, start: Start) -> None:
    started = start(name, words)
    assert started.code == code
    assert text in started.log
    assert f"usage: {name} [OPTION]..." in started.err
    assert started.out == ""


def test_a_wrong_network_is_told_in_the_old_words_without_the_usage(start: Start) -> None:
    started = start("ssserver", "--forbidden-ip 127.0.0.1/4a -m rc4-md5 -k 12345 -p 8388 -s 0.0.0.0 -d start")
    assert started.code == 2
    assert started.log.splitlines()[-1].endswith("Not a valid CIDR notation: 127.0.0.1/4a")
    assert "usage" not in started.err


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("{", 1, "config.json:1"),
        ("[1]", 1, "config.json:1"),
        ("{}", 2, "config not specified"),
        ('{"server": "192.0.2.1", "password": "x", "method": "nonesuch"}', 1, "method"),
        ('{"server": "192.0.2.1", "password": "x", "server_port": 0}', 1, "server_port"),
        ('{"password": "x"}', 2, "server addr not specified"),
    ],
)
def test_a_bad_file_ends_it_as_it_did(text: str, code: int, words: str, start: Start, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    started = start("sslocal", "")
    assert (started.code, started.config) == (code, None)
    assert words in started.log
    assert "loading config from config.json" in started.log


def test_flags_go_before_the_file_that_is_found_or_named(start: Start, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"server": "192.0.2.1", "password": "found", "timeout": 200}')
    (tmp_path / "other.json").write_text('{"server": "192.0.2.2", "password": "named", "server_port": "8000"}')
    assert start("sslocal", "-t 400").value("idle_timeout") == 400
    assert start("sslocal", "").value("servers.0.address.host") == "192.0.2.1"
    named = start("sslocal", "-c other.json -l 1090")
    assert named.value("servers.0.address.port") == 8000
    assert named.value("locals.0.address.port") == 1090
    assert "loading config from other.json" in named.log


def test_the_version_begins_with_the_old_word(start: Start) -> None:
    started = start("ssserver", "--version")
    assert (started.code, started.out.split()[0]) == (0, "Shadowsocks")
