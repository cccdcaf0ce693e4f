"""shadowsocks-libev's programs: every flag, and the codes they end with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from .rows import REFUSES, SAYS, Row, check, untold

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Start

ALL: list[Row] = [
    ("-v", "log_level", "debug"),
    ("-6", "ipv6_first", True),
    ("-n 4096", "nofile", 4096),
    ("-a nobody", "user", "nobody"),
    ("-f x.pid", "pid_file", "x.pid"),
    ("-f x.pid", "daemonize", True),
    ("--fast-open", "fast_open", True),
    ("--no-delay", "no_delay", True),
    ("--reuse-port", "reuse_port", True),
    ("--mtu 1400", SAYS, "--mtu: "),
    ("--plugin ./x", REFUSES, "--plugin: "),
    ("--plugin-opts x", SAYS, "--plugin-opts: "),
    ("-A", REFUSES, "-A: one-time authentication is no longer"),
    ("", "allow_legacy", True),
    ("", "log_style", "shadesocks"),
]
SERVING: list[Row] = [
    ("-m aes-256-cfb", "servers.0.method.name", "aes-256-cfb"),
    ("-p 9000", "servers.0.address.port", 9000),
    ("--key x", REFUSES, "--key: "),
    ("--key AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", "servers.0.raw_key", True),
    ("--password=another-long-password", "servers.0.password.reveal()", "another-long-password"),
    ("-u", "servers.0.mode.value", "tcp_and_udp"),
    ("-U", "servers.0.mode.value", "udp_only"),
    ("", "servers.0.mode.value", "tcp_only"),
    ("--plugin obfs-local", "servers.0.plugin.name", "obfs-local"),
    ("--mptcp", "mptcp", True),
    ("--tcp-incoming-sndbuf 65536", "inbound_send_buffer", 65536),
    ("--tcp-incoming-rcvbuf 65536", "inbound_receive_buffer", 65536),
    ("--tcp-outgoing-sndbuf 65536", "outbound_send_buffer", 65536),
    ("--tcp-outgoing-rcvbuf 65536", "outbound_receive_buffer", 65536),
]
LISTENING: list[Row] = [
    ("-l 1090", "locals.0.address.port", 1090),
    ("-b 127.0.0.9", "locals.0.address.host", "127.0.0.9"),
    ("-t 77", "idle_timeout", 77.0),
]
ROWS: dict[str, list[Row]] = {
    "ss-server": [
        *ALL,
        *SERVING,
        ("-s 192.0.2.7", "servers.0.address.host", "192.0.2.7"),
        ("-t 90000", "idle_timeout", 90000.0),
        ("-b 192.0.2.9", "outbound.bind_ipv4", "192.0.2.9"),
        ("-i eth0", "outbound.interface", "eth0"),
        ("-d 192.0.2.53", "dns.0.host", "192.0.2.53"),
        ("--acl rules.acl", "acl", "rules.acl"),
        ("--manager-address 127.0.0.1:8839", "manager_address", "127.0.0.1:8839"),
        ("--nftables-sets x", SAYS, "--nftables-sets: "),
    ],
    "ss-local": [
        *ALL,
        *SERVING,
        *LISTENING,
        ("-s 192.0.2.7", "servers.1.address.host", "192.0.2.7"),
        ("-i eth0", "outbound.interface", "eth0"),
        ("--acl rules.acl", "acl", "rules.acl"),
        ("-S x", SAYS, "-S: "),
        ("-V", SAYS, "-V: "),
        ("", "locals.0.protocol", "socks"),
    ],
    "ss-tunnel": [
        *ALL,
        *SERVING,
        *LISTENING,
        ("-s 192.0.2.7", "servers.1.address.host", "192.0.2.7"),
        ("-i eth0", "outbound.interface", "eth0"),
        ("-L 192.0.2.5:53", "locals.0.forward.host", "192.0.2.5"),
        ("-V", SAYS, "-V: "),
        ("", "locals.0.protocol", "tunnel"),
    ],
    "ss-manager": [
        *ALL,
        ("-s 192.0.2.7", "template.address.host", "192.0.2.7"),
        ("", "template.address.host", "0.0.0.0"),
        ("-m aes-256-cfb", "template.method.name", "aes-256-cfb"),
        ("", "manager_dialect", "libev"),
        ("-k a-password-of-some-length", SAYS, "-k: "),
        ("-t 90000", "idle_timeout", 90000.0),
        ("-u", "template.mode.value", "tcp_and_udp"),
        ("-U", "template.mode.value", "udp_only"),
        ("-i eth0", "outbound.interface", "eth0"),
        ("-d 192.0.2.53", "dns.0.host", "192.0.2.53"),
        ("--acl rules.acl", "acl", "rules.acl"),
        ("--manager-address 127.0.0.1:8839", "manager_listen", "127.0.0.1:8839"),
        ("-D /tmp", SAYS, "-D: "),
        ("--executable x", SAYS, "--executable: "),
    ],
}
_CLIENT = "-s 192.0.2.1 -p 8388 -l 1080 -k correct-horse-battery"
BASE_MANAGER = "--manager-address 127.0.0.1:8839"
BASE = {
    "ss-server": "-p 8388 -k correct-horse-battery",
    "ss-local": _CLIENT,
    "ss-tunnel": f"{_CLIENT} -L 192.0.2.5:80",
    "ss-manager": "-n 1024",
}


@pytest.mark.parametrize(("name", "row"), [(name, row) for name, rows in ROWS.items() for row in rows])
def test_each_flag_does_what_it_did(name: str, row: Row, start: Start, tmp_path: Path) -> None:
    (tmp_path / "rules.acl").write_text("[proxy_all]\n")
    check(start, name, BASE[name], row)


@pytest.mark.parametrize("name", ROWS)
def test_no_flag_is_without_a_row(name: str) -> None:
    assert untold(name, ROWS[name]) == set()


def test_hosts_may_be_given_again(start: Start) -> None:
    started = start("ss-local", f"{BASE['ss-local']} -s 192.0.2.2 -s 192.0.2.3:9000")
    places = [str(server.address) for server in started.value("servers")]
    assert places == ["192.0.2.1:8388", "192.0.2.2:8388", "192.0.2.3:9000"]


@pytest.mark.parametrize(
    ("name", "words", "text"),
    [
        ("ss-server", "-k x", "no port is given"),
        ("ss-server", "-p 8388", "no password is given"),
        ("ss-local", "-p 8388 -l 1080 -k x", "no server is given"),
        ("ss-local", "-s 192.0.2.1 -p 8388 -k x", "no port to listen on is given"),
        ("ss-tunnel", _CLIENT, "no target is given"),
        ("ss-server", "--zzz", "--zzz: there is no such flag"),
        ("ss-server", "-l 1080", "-l: there is no such flag"),
        ("ss-local", "-D /tmp", "-D: there is no such flag"),
        ("ss-manager", "--mptcp", "--mptcp: there is no such flag"),
        ("ss-server", "", "config not specified"),
    ],
)
def test_a_wrong_command_line_is_told_with_the_usage(
    name: str, words: str, text: str, start: Start, tmp_path: Path
) -> None:
    if not words:
        words = f"-c {tmp_path / 'empty.json'}"  # a bare start may find a file of this machine
        (tmp_path / "empty.json").write_text("{}")
    started = start(name, words)
    assert (started.code, started.config, started.out) == (1, None, "")
    assert started.err.startswith(f"error: {text}")
    assert f"usage: {name} [OPTION]..." in started.err


@pytest.mark.parametrize("text", ["{", '{"server_port": 8388, "password": "x", "method": "nonesuch"}'])
def test_a_file_it_cannot_start_with_has_another_code(text: str, start: Start, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    started = start("ss-server", "-c x.json")
    assert started.code == 255
    assert started.err.startswith("error: x.json:1")


def test_a_file_is_looked_for_only_without_a_word(start: Start, tmp_path: Path) -> None:
    home = tmp_path / ".config" / "shadowsocks-libev"
    home.mkdir(parents=True)
    (home / "config.json").write_text(json.dumps({"server_port": 8999, "password": "a-password-of-some-length"}))
    assert start("ss-server", "").value("servers.0.address.port") == 8999
    assert start("ss-server", "-v").code == 1


def test_flags_may_stand_behind_other_words(start: Start) -> None:
    assert start("ss-server", "word -p 8388 -k correct-horse-battery").value("servers.0.address.port") == 8388


def test_the_manager_has_a_socket_of_its_own(start: Start, tmp_path: Path) -> None:
    start("ss-manager", BASE_MANAGER)
    assert not (tmp_path / ".shadowsocks").exists()
    listen = start("ss-manager", "-v").value("manager_listen")
    assert listen == str(tmp_path / ".shadowsocks" / ".ss-manager.socks")
    assert (tmp_path / ".shadowsocks").stat().st_mode & 0o077 == 0


def test_a_local_is_no_tunnel_whatever_the_file_says(start: Start, tmp_path: Path) -> None:
    keys = {"server": "192.0.2.1", "server_port": 8388, "local_port": 1080, "password": "correct-horse-battery"}
    (tmp_path / "x.json").write_text(json.dumps({**keys, "tunnel_address": "192.0.2.5:53"}))
    assert start("ss-local", "-c x.json").value("locals.0.protocol") == "socks"
    assert str(start("ss-tunnel", "-c x.json").value("locals.0.forward")) == "192.0.2.5:53"


def test_redirection_comes_later_and_says_so(start: Start) -> None:
    started = start("ss-redir", f"{_CLIENT} -T -u")
    assert (started.code, started.config) == (255, None)
    assert "redirected connections come in a later version" in started.err
    assert start("ss-redir", "-h").code == 0


def test_ss_server_serves_its_one_port_whatever_a_manager_has_in_the_file(start: Start, tmp_path: Path) -> None:
    keys = {"server_port": 8388, "password": "a-long-password", "port_password": {"8381": "another"}}
    (tmp_path / "both.json").write_text(json.dumps({**keys, "manager_address": "127.0.0.1:9999"}))
    started = start("ss-server", "-c both.json")
    assert started.value("servers.0.address.port") == 8388
    assert started.value("manager_listen") is None
    assert len(start("ss-manager", "-c both.json").value("servers")) == 1
    assert start("ss-manager", "-c both.json").value("servers.0.address.port") == 8381
