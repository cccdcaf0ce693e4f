"""Files of shadowsocks for Node.js: the six of its own tests."""

from __future__ import annotations

from typing import Any

import pytest

from shadesocks.config import Config, Mode
from shadesocks.config.setting import Role

from .samples import PASSWORD, config_of, servers, warnings

ONE: dict[str, Any] = {
    "server": "127.0.0.1",
    "server_port": 8388,
    "local_port": 1080,
    "password": "barfoo!",
    "timeout": 60,
    "method": "aes-256-cfb",
}
CLIENT_PORTS: dict[str, Any] = {**ONE, "server": "123.123.123.1", "server_port": [8380, 8381, 8382, 8383]}
CLIENT_SERVERS: dict[str, Any] = {**ONE, "server": ["123.123.123.1", "123.123.123.2", "123.123.123.3"]}
CLIENT_PLACES: dict[str, Any] = {
    **ONE,
    "server": ["123.123.123.1:8381", "123.123.123.2:8381", "123.123.123.2:8382"],
    "server_port": 8380,
}
SERVER_PASSWORDS: dict[str, Any] = {
    **ONE,
    "server_port": 8380,
    "port_password": {"8381": "foobar1", "8382": "foobar2"},
}
SERVER_PORTS: dict[str, Any] = {**ONE, "port_password": {str(port): "barfoo!" for port in range(8380, 8388)}}


def node(keys: dict[str, Any] | None, role: Role | None = None) -> Config:
    return config_of(keys, role, "node")


def test_one_server() -> None:
    assert servers(node(ONE, "server")) == servers(node(ONE, "local")) == ["127.0.0.1:8388 barfoo!"]
    assert servers(node({**ONE, "server": "127.0.0.1:8381"}, "local")) == ["127.0.0.1:8381 barfoo!"]


def test_a_client_of_many_ports() -> None:
    assert [server.address.port for server in node(CLIENT_PORTS, "local").servers] == [8380, 8381, 8382, 8383]


def test_a_client_of_many_servers() -> None:
    assert servers(node(CLIENT_SERVERS, "local")) == [f"123.123.123.{n}:8388 barfoo!" for n in (1, 2, 3)]


def test_a_client_of_many_servers_with_ports() -> None:
    config = node(CLIENT_PLACES, "local")
    assert [str(server.address) for server in config.servers] == CLIENT_PLACES["server"]
    assert config.balancer_policy == "random"


def test_a_server_of_many_passwords_goes_by_them() -> None:
    assert servers(node(SERVER_PASSWORDS, "server")) == ["127.0.0.1:8381 foobar1", "127.0.0.1:8382 foobar2"]
    assert "this goes before server_port and password" in warnings(SERVER_PASSWORDS, "server", "node")[0]
    assert len(node(SERVER_PORTS, "server").servers) == 8
    assert servers(node(SERVER_PORTS, "local")) == ["127.0.0.1:8388 barfoo!"]


def test_a_server_of_many_addresses() -> None:
    keys = {**ONE, "server": ["127.0.0.1", "::1"]}
    assert servers(node(keys, "server")) == ["127.0.0.1:8388 barfoo!", "[::1]:8388 barfoo!"]


@pytest.mark.parametrize(("role", "seconds"), [("server", 300.0), ("local", 600.0)])
def test_its_defaults(role: Role, seconds: float) -> None:
    keys = {"server": "127.0.0.1", "server_port": 8388, "local_port": 1080, "password": PASSWORD}
    config = node(keys, role)
    assert (config.idle_timeout, config.udp_timeout) == (seconds, seconds)
    assert node({**keys, "timeout": 0}, role).idle_timeout == seconds
    assert node({**keys, "timeout": 60}, role).idle_timeout == 60.0
    assert (config.servers[0].method.name, config.servers[0].mode) == ("table", Mode.TCP_AND_UDP)
    (local,) = config.locals
    assert (str(local.address), local.socks_reply_port) == ("127.0.0.1:1080", 2222)
    assert not local.udp_require_association
    assert config.forbidden_ip is not None
    assert "169.254.0.0/16" in config.forbidden_ip


def test_more_words_where_they_are_asked_for() -> None:
    assert node({**ONE, "verbose": True}, "server").log_level == "debug"
