"""shadowsocks-rust's `ssmanager`: every flag, and the codes it ends with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from .rows import REFUSES, SAYS, Row, check, untold

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Start

ROWS: list[Row] = [
    ("--manager-address /run/x.sock", "manager_listen", "/run/x.sock"),
    ("--manager-addr 127.0.0.1:7000", "manager_listen", "127.0.0.1:7000"),
    ("", "manager_dialect", "rust"),
    ("", "allow_legacy", True),
    ("-s 192.0.2.7", "template.address.host", "192.0.2.7"),
    ("-m aes-256-gcm", "template.method.name", "aes-256-gcm"),
    ("-u", "template.mode.value", "udp_only"),
    ("-U", "template.mode.value", "tcp_and_udp"),
    ("--timeout 7", "dial_timeout", 7.0),
    ("--acl rules.acl", "acl", "rules.acl"),
    ("--dns 192.0.2.53", "dns.0.host", "192.0.2.53"),
    ("--dns-cache-size 10", "dns_cache_size", 10),
    ("--no-delay", "no_delay", True),
    ("--fast-open", "fast_open", True),
    ("--mptcp", "mptcp", True),
    ("--tcp-keep-alive 20", "keep_alive", 20),
    ("--udp-timeout 70", "udp_timeout", 70.0),
    ("--udp-max-associations 100", "udp_max_associations", 100),
    ("--inbound-send-buffer-size 65536", "inbound_send_buffer", 65536),
    ("--inbound-recv-buffer-size 65536", "inbound_receive_buffer", 65536),
    ("--outbound-send-buffer-size 65536", "outbound_send_buffer", 65536),
    ("--outbound-recv-buffer-size 65536", "outbound_receive_buffer", 65536),
    ("-b 192.0.2.9", "outbound.bind_ipv4", "192.0.2.9"),
    ("--outbound-bind-interface eth0", "outbound.interface", "eth0"),
    ("--outbound-fwmark 5", "outbound.fwmark", 5),
    ("-6", "ipv6_first", True),
    ("-n 4096", "nofile", 4096),
    ("--log-without-time", "log_without_time", True),
    ("-v", "log_level", "debug"),
    ("--manager-server-mode builtin", SAYS, "--manager-server-mode: "),
    ("--manager-server-working-directory /tmp", SAYS, "--manager-server-working-directory: "),
    ("--plugin obfs-server", "template.plugin.name", "obfs-server"),
    ("--plugin ./x", REFUSES, "a path begins with / here"),
    ("--plugin-opts x", SAYS, "--plugin-opts: "),
    ("--plugin-mode x", REFUSES, "the word is not known"),
    ("--outbound-user-cookie 1", SAYS, "--outbound-user-cookie: "),
    ("-d", "daemonize", True),
    ("--daemonize-pid x", "daemonize", True),
    ("--daemonize-pid x", "pid_file", "x"),
    ("-a nobody", "user", "nobody"),
    ("--single-threaded", SAYS, "--single-threaded: "),
    ("--worker-threads 2", SAYS, "--worker-threads: "),
    ("--log-config x", SAYS, "--log-config: "),
]
BASE = "--manager-addr 127.0.0.1:6100"


@pytest.mark.parametrize("row", ROWS)
def test_each_flag_does_what_it_did(row: Row, start: Start, tmp_path: Path) -> None:
    (tmp_path / "rules.acl").write_text("[accept_all]\n")
    check(start, "ssmanager", BASE, row)


def test_no_flag_is_without_a_row() -> None:
    assert untold("ssmanager", ROWS) == set()


def test_a_wrong_flag_has_the_usage_and_the_code_of_sysexits(start: Start) -> None:
    started = start("ssmanager", "--zzz")
    assert started.code == 64
    assert "Usage: ssmanager [OPTIONS]" in started.err


def test_its_file_has_a_name_of_its_own(start: Start, tmp_path: Path) -> None:
    keys = {"server": "127.0.0.1", "server_port": 8999, "method": "aes-256-gcm", "password": "correct-horse-battery"}
    (tmp_path / "server.json").write_text("{")
    (tmp_path / "manager.json").write_text(json.dumps(keys))
    assert start("ssmanager", BASE).value("servers.0.address.port") == 8999


@pytest.mark.parametrize(
    ("keys", "listen"),
    [
        ({"manager_address": "127.0.0.1", "manager_port": 7001}, "127.0.0.1:7001"),
        ({"manager_address": "::1", "manager_port": "7001"}, "[::1]:7001"),
        ({"manager_address": "/run/x.sock"}, "/run/x.sock"),
        ({"manager_port": 7001}, None),
    ],
)
def test_the_file_says_where_it_listens(
    keys: dict[str, object], listen: str | None, start: Start, tmp_path: Path
) -> None:
    (tmp_path / "x.json").write_text(json.dumps({"server": "127.0.0.1", "method": "aes-256-gcm", **keys}))
    started = start("ssmanager", "-c x.json")
    if listen is None:
        assert started.config is None
        return
    assert started.value("manager_listen") == listen
    assert "manager_address" not in started.log
    assert start("ssmanager", f"-c x.json {BASE}").value("manager_listen") == "127.0.0.1:6100"
