"""Files and flags of shadowsocks-libev."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from shadesocks.config import Config, Mode
from shadesocks.config.model import PluginConfig
from shadesocks.config.setting import Role
from shadesocks.core.address import Address
from shadesocks.core.secret import Secret
from shadesocks.crypto.keys import parse_keys

from .samples import PASSWORD, config_of, problems, servers, warnings

SAMPLE: dict[str, Any] = {
    "server": ["::1", "127.0.0.1"],
    "mode": "tcp_and_udp",
    "server_port": 8388,
    "local_port": 1080,
    "password": "barfoo!",
    "timeout": 86400,
    "method": "chacha20-ietf-poly1305",
}
ONE: dict[str, Any] = {"server": "h.example", "server_port": "8388", "local_port": "1080", "password": PASSWORD}
MANAGER: dict[str, Any] = {
    "server": "0.0.0.0",
    "port_password": {"8387": "foobar", "8388": "barfoo"},
    "method": "aes-256-gcm",
}


def libev(keys: dict[str, Any] | None, role: Role | None = None, flags: dict[str, object] | None = None) -> Config:
    return config_of(keys, role, "libev", flags)


@pytest.mark.parametrize("role", ["server", "local"])
def test_a_list_of_hosts(role: Role) -> None:
    assert servers(libev(SAMPLE, role)) == ["[::1]:8388 barfoo!", "127.0.0.1:8388 barfoo!"]
    hosts = ["a.example:1", "[::1]:2", "[::0]"]
    assert servers(libev({**ONE, "server": hosts}, role)) == [
        f"{address} {PASSWORD}" for address in ("a.example:1", "[::1]:2", "[::0]:8388")
    ]


def test_its_defaults_of_a_client() -> None:
    config = libev(ONE, "local")
    (server,), (local,) = config.servers, config.locals
    assert (server.method.name, server.mode) == ("chacha20-ietf-poly1305", Mode.TCP_ONLY)
    assert (str(local.address), local.mode, local.udp_require_association) == ("127.0.0.1:1080", Mode.TCP_ONLY, False)
    assert (config.idle_timeout, config.udp_timeout) == (60.0, 60.0)
    assert (config.balancer_policy, config.acl_dialect) == ("random", "libev")
    assert warnings(ONE, "local", "libev") == []


def test_its_defaults_of_a_server() -> None:
    config = libev({"server_port": 8388, "password": PASSWORD}, "server")
    assert servers(config) == [f"0.0.0.0:8388 {PASSWORD}"]
    assert config.forbidden_ip is not None
    assert "fe80::/10" in config.forbidden_ip
    assert "127.0.0.0/8" not in config.forbidden_ip


@pytest.mark.parametrize(
    ("role", "timeout", "idle", "udp"),
    [
        ("server", 60, 86400.0, 60.0),
        ("server", 200000, 200000.0, 200000.0),
        ("server", "60", 86400.0, 60.0),
        ("local", 60, 60.0, 60.0),
        ("local", "5", 5.0, 10.0),
    ],
)
def test_a_server_waits_for_a_day(role: Role, timeout: object, idle: float, udp: float) -> None:
    config = libev({**ONE, "timeout": timeout}, role)
    assert (config.idle_timeout, config.udp_timeout) == (idle, udp)


def test_a_target_for_everything() -> None:
    (local,) = libev({**ONE, "tunnel_address": "8.8.8.8:53", "mode": "tcp_and_udp"}, "local").locals
    assert (local.protocol, local.forward, local.mode) == ("tunnel", Address("8.8.8.8", 53), Mode.TCP_AND_UDP)
    (local,) = libev(ONE, "local", {"tunnel_address": "[2001:db8::1]:53"}).locals
    assert local.forward == Address("2001:db8::1", 53)
    wrong: list[object] = ["8.8.8.8", ":53", 53, ""]
    for value in wrong:
        assert problems({**ONE, "tunnel_address": value}, "local", "libev") == [
            "tunnel_address: expected a host and a port, as in 8.8.8.8:53"
        ]
    assert "tunnel_address: 0 is no port" in problems({**ONE, "tunnel_address": "h.example:0"}, "local", "libev")[0]


def test_every_interface_of_both_families() -> None:
    for hosts in (["[::0]", "0.0.0.0"], ["0.0.0.0", "::"]):
        (server,) = libev({**ONE, "server": hosts}, "server").servers
        assert server.address.host in ("::", "::0")


def test_ports_with_passwords() -> None:
    config = libev(MANAGER, "server")
    assert servers(config) == ["0.0.0.0:8387 foobar", "0.0.0.0:8388 barfoo"]
    assert warnings(MANAGER, "server", "libev") == []


def test_the_manager_of_ss_manager_takes_commands() -> None:
    config = libev({**MANAGER, "manager_address": "127.0.0.1:8839"}, "server")
    assert (config.manager_listen, config.manager_dialect) == ("127.0.0.1:8839", "libev")
    empty: dict[str, object] = {"manager_address": "/run/m.sock", "manager_dialect": "libev", "method": "aes-256-gcm"}
    config = libev({}, "server", empty)
    assert (config.servers, config.manager_listen) == ((), "/run/m.sock")
    assert warnings({}, "server", "libev", empty) == []


def test_the_manager_of_ss_server_is_told_in_its_form() -> None:
    keys = {**ONE, "manager_address": "127.0.0.1:8839"}
    config = libev(keys, "server")
    assert (config.manager_listen, config.manager_address) == (None, "127.0.0.1:8839")
    assert config.manager_dialect == "libev"
    assert warnings(keys, "server", "libev") == []
    assert warnings(keys, "local", "libev") == []


def test_where_a_server_s_connections_leave_from() -> None:
    assert libev({**ONE, "local_address": "192.0.2.1"}, "server").outbound.bind_ipv4 == "192.0.2.1"
    both = {**ONE, "local_ipv4_address": "192.0.2.1", "local_ipv6_address": "2001:db8::1"}
    assert libev(both, "server").outbound.bind_ipv6 == "2001:db8::1"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "0.0.0.0", "::", "h.example"])
def test_the_client_s_address_in_a_file_for_both_is_not_where_a_server_s_leave_from(address: str) -> None:
    config = libev({**ONE, "local_address": address}, "server")
    assert (config.outbound.bind_ipv4, config.outbound.bind_ipv6) == ("", "")


def test_one_time_auth_is_refused_as_there() -> None:
    (line,) = problems({**ONE, "auth": True}, "server", "libev")
    assert line.startswith("auth: shadowsocks-libev has no one-time authentication any more")
    assert problems({**ONE, "auth": False}, "server", "libev") == []


RAW = "_-" + "A" * 41
"""32 bytes in the alphabet of URLs."""


@pytest.mark.parametrize("server", ["192.0.2.1", ["192.0.2.1", "192.0.2.2"]])
def test_a_raw_key(server: object) -> None:
    keys = {key: value for key, value in ONE.items() if key != "password"}
    config = libev({**keys, "server": server, "method": "aes-256-gcm", "key": RAW}, "server")
    for each in config.servers:
        assert (each.raw_key, each.password.reveal()) == (True, RAW)
        assert parse_keys(each.method, each.password.reveal(), raw=True) == (base64.urlsafe_b64decode(RAW + "="),)


def test_a_raw_key_that_does_not_fit() -> None:
    keys = {key: value for key, value in ONE.items() if key != "password"}
    (line,) = problems({**keys, "method": "aes-256-gcm", "key": "QUJD"}, "server", "libev")
    assert line.startswith("key: the key of aes-256-gcm has 3 bytes, it must have exactly 32; make one with:")


def test_a_raw_key_goes_before_a_password() -> None:
    lines = warnings({**ONE, "method": "aes-256-gcm", "key": RAW}, "server", "libev")
    assert any(line.startswith("password: has no effect beside key, which goes before it") for line in lines)


def test_a_mode_that_is_none_is_tcp() -> None:
    values: list[object] = ["sctp", 7, {}]
    for value in values:
        assert libev({**ONE, "mode": value}, "server").servers[0].mode is Mode.TCP_ONLY
        assert warnings({**ONE, "mode": value}, "server", "libev") == [
            "mode: the word is not known, so tcp_only is taken"
        ]


def test_other_keys() -> None:
    buffers = {f"tcp_{way}_{what}buf": 0 for way in ("incoming", "outgoing") for what in ("snd", "rcv")}
    switches = {"fast_open": True, "no_delay": 1, "mptcp": False, "ipv6_first": True}
    keys = {**ONE, **buffers, **switches, "nofile": 0, "nameserver": "1.1.1.1,8.8.8.8", "reuse_port": True}
    config = libev(keys, "server")
    assert (config.fast_open, config.no_delay, config.mptcp, config.ipv6_first) == (True, True, False, True)
    assert (config.nofile, config.inbound_send_buffer, config.reuse_port) == (None, None, True)
    assert [server.host for server in config.dns] == ["1.1.1.1", "8.8.8.8"]
    assert libev({**ONE, "nofile": "1024"}, "server").nofile == 1024
    assert warnings(keys, "server", "libev") == []


def test_the_system_s_log_adds_the_time_itself() -> None:
    config = libev({**ONE, "use_syslog": 1}, "server")
    assert (config.log_syslog, config.log_without_time) == (True, True)
    config = libev({**ONE, "use_syslog": False}, "server")
    assert (config.log_syslog, config.log_without_time) == (False, False)


def test_what_has_no_meaning_here_is_told_in_one_line_each() -> None:
    keys = {**ONE, "mtu": 1400, "dscp": {"8388": "EF"}, "workdir": "/x"}
    assert [line.partition(":")[0] for line in warnings(keys, "server", "libev")] == [
        "mtu",
        "dscp",
        "workdir",
    ]


def test_a_plugin_is_of_every_server() -> None:
    keys = {**ONE, "server": ["192.0.2.1", "192.0.2.2"], "plugin": "obfs-local", "plugin_opts": "obfs=tls"}
    servers = config_of(keys, "local", "libev").servers
    assert [server.plugin for server in servers] == [PluginConfig("obfs-local", Secret("obfs=tls"))] * 2
