"""Files and flags of shadowsocks-go; most files are those of its own samples and tests."""

from __future__ import annotations

from typing import Any

import pytest

from shadesocks.config import Config, Mode
from shadesocks.config.dialects.go import every_address
from shadesocks.config.setting import YEAR, Role
from shadesocks.core.address import Address

from .samples import PASSWORD, config_of, look, problems, servers, warnings

ANY = every_address()

SAMPLE: dict[str, Any] = {
    "server": "127.0.0.1",
    "server_port": 8388,
    "local_port": 1080,
    "local_address": "127.0.0.1",
    "password": "barfoo!",
    "method": "aes-128-cfb",
    "timeout": 600,
}
MULTI_PORTS: dict[str, Any] = {
    "port_password": {"8387": "foobar", "8388": "barfoo"},
    "method": "aes-128-cfb",
    "timeout": 600,
}
MULTI_SERVERS: dict[str, Any] = {
    "local_port": 1081,
    "server_password": [
        ["127.0.0.1:8387", "foobar"],
        ["127.0.0.1:8388", "barfoo", "aes-128-cfb"],
        ["[::1]:8389", 12345],
    ],
    "method": "aes-256-cfb",
}
DEPRECATED: dict[str, Any] = {
    "server": ["127.0.0.1", "127.0.1.1:8390"],
    "server_port": 8388,
    "local_port": 1080,
    "password": "barfoo!",
    "method": "aes-128-cfb",
}


def go(keys: dict[str, Any] | None, role: Role | None = None, flags: dict[str, object] | None = None) -> Config:
    return config_of(keys, role, "go", flags)


def test_a_server_listens_on_every_interface_whatever_its_file_says() -> None:
    assert servers(go(SAMPLE, "server")) == [f"{Address(ANY, 8388)} barfoo!"]
    assert servers(go(MULTI_PORTS, "server")) == [f"{Address(ANY, 8387)} foobar", f"{Address(ANY, 8388)} barfoo"]
    assert len(servers(go(DEPRECATED, "server"))) == 1
    assert warnings(MULTI_PORTS, "server", "go") == []


def test_ports_with_passwords_go_before_one_port() -> None:
    keys = {**SAMPLE, **MULTI_PORTS}
    assert len(go(keys, "server").servers) == 2
    assert "this goes before server_port and password" in warnings(keys, "server", "go")[0]
    assert servers(go(keys, "local")) == ["127.0.0.1:8388 barfoo!"]


def test_a_client_s_servers_keep_their_order() -> None:
    config = go(MULTI_SERVERS, "local")
    assert servers(config) == ["127.0.0.1:8387 foobar", "127.0.0.1:8388 barfoo", "[::1]:8389 12345"]
    assert [server.method.name for server in config.servers] == ["aes-256-cfb", "aes-128-cfb", "aes-256-cfb"]
    assert config.balancer_policy == "ordered"


def test_a_list_of_hosts_has_one_port_or_ports_of_their_own() -> None:
    assert servers(go(DEPRECATED, "local")) == ["127.0.0.1:8388 barfoo!", "127.0.1.1:8390 barfoo!"]


def test_servers_with_passwords_go_before_one_server() -> None:
    keys = {**SAMPLE, **MULTI_SERVERS}
    assert len(go(keys, "local").servers) == 3
    assert warnings(keys, "local", "go") == [
        "server_password: this goes before server, server_port and password, which have no effect beside it; "
        "remove them"
    ]
    assert len(go(keys, "server").servers) == 1
    assert servers(go({**SAMPLE, "server_password": []}, "local")) == ["127.0.0.1:8388 barfoo!"]


@pytest.mark.parametrize("item", ["h:1", ["h:1"], ["h", "x"], ["h:1", "x", "aes-128-cfb", "y"], [1, "x"], {}])
def test_a_server_with_a_password_has_its_form(item: object) -> None:
    keys = {**MULTI_SERVERS, "server_password": [["h:1", PASSWORD], item]}
    assert problems(keys, "local", "go") == [
        "server_password[1]: expected HOST:PORT and a password, and perhaps a method, each in quotes"
    ]


def test_servers_with_passwords_are_a_list() -> None:
    said = 'server_password: expected a list of lists, as in [["host:8388", "password"]]'
    assert said in problems({**MULTI_SERVERS, "server_password": "x"}, "local", "go")


def test_messages_name_the_place_within_the_list() -> None:
    keys = {**MULTI_SERVERS, "server_password": [["h:0", PASSWORD], ["h:1", PASSWORD, "aes-1"]]}
    assert [line.partition(": ")[0] for line in problems(keys, "local", "go")] == [
        "server_password[0][0]",
        "server_password[1][2]",
    ]


def test_its_defaults_of_a_server() -> None:
    config = go({"server_port": 8388, "password": PASSWORD}, "server")
    assert (config.servers[0].method.name, config.servers[0].mode) == ("aes-256-cfb", Mode.TCP_ONLY)
    assert (config.idle_timeout, config.udp_timeout) == (300.0, 30.0)
    assert config.forbidden_ip is not None
    assert "169.254.0.0/16" in config.forbidden_ip


def test_its_defaults_of_a_client() -> None:
    keys = {key: value for key, value in SAMPLE.items() if key != "local_address"}
    (local,) = go(keys, "local").locals
    assert (str(local.address), local.mode, local.socks_reply_port) == ("0.0.0.0:1080", Mode.TCP_ONLY, 2115)
    assert warnings(keys, "local", "go") == [
        "local_address: whoever can reach this address can use the proxy, without a password; 127.0.0.1 is for this "
        "machine"
    ]
    assert warnings(SAMPLE, "local", "go") == []


def test_the_file_s_timeout_holds_unless_a_flag_says_another() -> None:
    """G4: the default of -t, 300, took the place of the file's timeout."""
    assert go(SAMPLE, "server").idle_timeout == 600.0
    assert go(SAMPLE, "server", {"timeout": "30"}).idle_timeout == 30.0
    assert go({**SAMPLE, "timeout": 0}, "server").idle_timeout == YEAR


@pytest.mark.parametrize("keys", [{"auth": True}, {"auth": 1}, {"method": "aes-128-cfb-auth"}, {"one_time_auth": True}])
@pytest.mark.parametrize("role", ["server", "local"])
def test_one_time_auth_in_each_of_its_spellings(keys: dict[str, Any], role: Role) -> None:
    (server,) = go({**SAMPLE, **keys}, role).servers
    assert (server.method.name, server.one_time_auth) == ("aes-128-cfb", True)
    assert not go(SAMPLE, role).servers[0].one_time_auth


def test_one_time_auth_of_flags_beside_a_file() -> None:
    """G4: -A did nothing beside a file, and -m x-auth lost a letter."""
    assert go(SAMPLE, "local", {"auth": True}).servers[0].one_time_auth
    server = go(SAMPLE, "local", {"method": "rc4-md5-auth"}).servers[0]
    assert (server.method.name, server.one_time_auth) == ("rc4-md5", True)


def test_udp_where_it_is_told() -> None:
    assert go(SAMPLE, "server", {"mode": "tcp_and_udp"}).servers[0].mode is Mode.TCP_AND_UDP


def test_no_end_is_named() -> None:
    assert len(go(MULTI_SERVERS).servers) == 3
    assert len(go(MULTI_PORTS).servers) == 2
    assert servers(go(SAMPLE)) == ["127.0.0.1:8388 barfoo!"]


def test_what_is_missing() -> None:
    assert "server: is missing" in problems({"password": "x", "local_port": 1, "server_port": 1}, "local", "go")[0]
    assert "is missing" in problems({"server_port": 8388}, "server", "go")[0]


def test_servers_of_our_own_need_none_of_its_defaults() -> None:
    entry = {"server": "h.example", "server_port": 1, "method": "aes-256-gcm", "password": PASSWORD}
    for role in ("server", "local"):
        assert servers(go({"servers": [entry]}, role)) == [f"h.example:1 {PASSWORD}"]


def test_every_interface_is_ipv6_s_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for there, address in ((True, "::"), (False, "0.0.0.0")):
        monkeypatch.setattr("os.path.exists", lambda _path, there=there: there)
        assert every_address() == address


def test_private_networks_are_told_of_in_one_line() -> None:
    said = [warning for warning in look(SAMPLE, "server", "go").warnings if "private networks" in warning.text]
    assert len(said) == 1
