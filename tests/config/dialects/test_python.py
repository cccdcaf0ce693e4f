"""Files and flags of Python shadowsocks; most files are those of its own tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shadesocks.config import Config, Mode, examine
from shadesocks.config.setting import Role
from shadesocks.core.address import Address

from .samples import PASSWORD, config_of, look, problems, servers, warnings

# Its test suite's files
AES: dict[str, Any] = {
    "server": "127.0.0.1",
    "server_port": 8388,
    "local_port": 1081,
    "password": "aes_password",
    "timeout": 60,
    "method": "aes-256-cfb",
    "local_address": "127.0.0.1",
    "fast_open": False,
}
MULTI_PORTS: dict[str, Any] = {**AES, "server_port": [8384, 8345, 8346, 8347], "password": "foobar4"}
MULTI_SERVER_IP: dict[str, Any] = {**AES, "server": ["127.0.0.1", "127.0.0.1"]}
MULTI_PASSWORDS: dict[str, Any] = {
    "server": "127.0.0.1",
    "local_port": 1081,
    "port_password": {"8381": "foobar1", "8382": "foobar2", "8383": "foobar3", "8384": "foobar4", "8385": "foobar5"},
    "timeout": 60,
    "method": "aes-256-cfb",
}
CLIENT_SIDE: dict[str, Any] = {**AES, "server_port": "8385", "password": "foobar5"}
TABLE: dict[str, Any] = {
    "server": "127.0.0.1",
    "server_port": 8384,
    "local_port": 1081,
    "password": "foobar4",
    "port_password": {"8381": "foobar1", "8384": "foobar4"},
    "timeout": 60,
    "method": "table",
}
EMPTY: dict[str, Any] = {**MULTI_PASSWORDS, "port_password": {}}
OTA: dict[str, Any] = {**AES, "method": "rc4-md5", "one_time_auth": True}
IPV6: dict[str, Any] = {**AES, "server": "::"}
DNS: dict[str, Any] = {**AES, "dns_server": ["8.8.8.8", "8.8.4.4"]}


def python(keys: dict[str, Any] | None, role: Role | None = None, flags: dict[str, object] | None = None) -> Config:
    return config_of(keys, role, "python", flags)


# Servers


def test_one_server_of_either_end() -> None:
    for role in ("server", "local"):
        config = python(AES, role)
        assert servers(config) == ["127.0.0.1:8388 aes_password"]
        assert config.servers[0].method.name == "aes-256-cfb"
    assert [str(local.address) for local in python(AES, "local").locals] == ["127.0.0.1:1081"]


@pytest.mark.parametrize("role", ["server", "local"])
def test_a_list_of_ports_has_one_password(role: Role) -> None:
    expected = [f"127.0.0.1:{port} foobar4" for port in (8384, 8345, 8346, 8347)]
    assert servers(python(MULTI_PORTS, role)) == expected
    assert servers(python({**MULTI_PORTS, "server_port": ["8384", 8345]}, role)) == expected[:2]


def test_a_client_has_each_host_with_each_port() -> None:
    config = python({**MULTI_PORTS, "server": ["a.example", "b.example:1"], "server_port": [8384, 8345]}, "local")
    assert servers(config) == ["a.example:8384 foobar4", "a.example:8345 foobar4", "b.example:1 foobar4"]
    assert config.balancer_policy == "random"
    assert len(python(MULTI_SERVER_IP, "local").servers) == 2


def test_a_server_listens_on_a_list_of_addresses() -> None:
    """P19: the original's server could not listen on a list."""
    keys = {**AES, "server": ["127.0.0.1", "[::1]:8389", "::1"]}
    assert servers(python(keys, "server")) == [
        "127.0.0.1:8388 aes_password",
        "[::1]:8389 aes_password",
        "[::1]:8388 aes_password",
    ]


def test_ports_with_passwords_of_their_own() -> None:
    config = python(MULTI_PASSWORDS, "server")
    assert servers(config) == [f"127.0.0.1:838{n} foobar{n}" for n in range(1, 6)]
    assert warnings(MULTI_PASSWORDS, "server", "python") == []
    assert servers(python(CLIENT_SIDE, "local")) == ["127.0.0.1:8385 foobar5"]


def test_ports_with_passwords_go_before_one_port_on_a_server() -> None:
    assert servers(python(TABLE, "server")) == ["127.0.0.1:8381 foobar1", "127.0.0.1:8384 foobar4"]
    assert warnings(TABLE, "server", "python") == [
        "port_password: this goes before server_port and password, which have no effect beside it; remove them"
    ]


def test_one_port_goes_before_ports_with_passwords_on_a_client() -> None:
    assert servers(python(TABLE, "local")) == ["127.0.0.1:8384 foobar4"]
    assert warnings(TABLE, "local", "python") == []
    assert len(python(MULTI_PASSWORDS, "local").servers) == 5


def test_a_number_is_a_password_too() -> None:
    """P18: a password that was a number ended the original with a traceback."""
    assert servers(python({**AES, "password": 12345}, "server")) == ["127.0.0.1:8388 12345"]
    config = python({**MULTI_PASSWORDS, "port_password": {"8381": 1, "8382": "2"}}, "server")
    assert servers(config) == ["127.0.0.1:8381 1", "127.0.0.1:8382 2"]


def test_what_is_no_json_is_told_with_its_line() -> None:
    """P18: bad JSON ended the original on Python 3 with a traceback, and full-width signs were not explained."""
    report = examine('{\n"server": "a",\n"server_port"：8388\n}', where="c.json", dialect="python")
    assert any(problem.line == 3 and "：" in problem.text for problem in report.problems)


def test_a_password_that_everybody_knows_only_warns() -> None:
    report = look({**AES, "password": "mypassword"}, "server", "python")
    assert report.problems == ()
    assert any("this password is weak" in warning.text for warning in report.warnings)


def test_the_word_about_an_old_method_is_said_once() -> None:
    said = [warning.key for warning in look(MULTI_PASSWORDS, "server", "python").warnings if "mends" in warning.text]
    assert said == ["method"]


def test_messages_name_the_key_that_stands_there() -> None:
    assert problems({**MULTI_PORTS, "server_port": [8384, "x"]}, "server", "python") == [
        "server_port[1]: expected a port: a number from 1 to 65535, found text"
    ]
    assert problems({**MULTI_PASSWORDS, "port_password": {"x": "foobar1"}}, "server", "python") == [
        "port_password: expected a port: a number from 1 to 65535, found text"
    ]
    assert problems({**AES, "timeout": "soon"}, "server", "python") == [
        "timeout: expected a number of seconds, found text"
    ]
    assert problems({**AES, "server": ["a b", "c"]}, "local", "python") == [
        "server[0]: this is no host name; names are made of letters, digits, hyphens and dots"
    ]


def test_what_is_missing() -> None:
    assert "server: is missing" in problems({"password": "x"}, "local", "python")[0]
    assert "password: is missing" in problems({"server": "h.example"}, "server", "python")[0]
    assert "expected an object of ports" in problems({**AES, "port_password": ["8388"]}, "server", "python")[0]


def test_too_many_servers_are_refused() -> None:
    keys = {**AES, "server": [f"10.0.0.{n}" for n in range(1, 256)], "server_port": list(range(1, 300))}
    assert problems(keys, "local", "python") == [
        "server: these are more than 65535 servers; divide them between several files"
    ]


# Defaults


def test_its_defaults_of_a_server() -> None:
    config = python({"password": PASSWORD}, "server")
    (server,) = config.servers
    assert (str(server.address), server.method.name, server.mode) == ("0.0.0.0:8388", "aes-256-cfb", Mode.TCP_AND_UDP)
    assert (config.idle_timeout, config.udp_timeout) == (300.0, 300.0)
    assert config.forbidden_ip == ("127.0.0.0/8", "::1/128")


def test_its_defaults_of_a_client() -> None:
    config = python({"server": "h.example", "password": PASSWORD}, "local")
    (local,) = config.locals
    assert (str(local.address), local.mode, local.socks_reply_port) == ("127.0.0.1:1080", Mode.TCP_AND_UDP, 4112)
    assert not local.udp_require_association
    assert config.balancer_policy == "random"


def test_timeout_is_of_idle_connections_and_associations() -> None:
    config = python(AES, "server")
    assert (config.idle_timeout, config.udp_timeout) == (60.0, 60.0)
    assert (config.handshake_timeout, config.dial_timeout) == (Config().handshake_timeout, Config().dial_timeout)
    assert python({**AES, "timeout": "5"}, "server").udp_timeout == 10.0
    assert python({**AES, "idle_timeout": 9}, "server").idle_timeout == 9.0


def test_the_safer_default_of_targets_is_one_key_away() -> None:
    said = [warning for warning in look(AES, "server", "python").warnings if "private networks" in warning.text]
    assert [str(warning) for warning in said] == [
        "default of Python shadowsocks: forbidden_ip: private networks are open to clients, as in that program; "
        '"allow_private": false closes them'
    ]
    closed = {**AES, "allow_private": False}
    assert python(closed, "server").forbidden_ip is None
    assert not any("private networks" in warning.text for warning in look(closed, "server", "python").warnings)
    assert not any("private networks" in warning.text for warning in look(AES, "local", "python").warnings)


@pytest.mark.parametrize("value", ["127.0.0.1,::1,8.8.8.8", ["127.0.0.1", "::1", "8.8.8.8"]])
def test_forbidden_addresses_are_a_text_or_a_list(value: object) -> None:
    assert python({**AES, "forbidden_ip": value}, "server").forbidden_ip == ("127.0.0.1", "::1", "8.8.8.8")


def test_an_address_without_a_prefix_is_one_address() -> None:
    """P14: `10.0.0.0` closed 11.x as well, and the log said /32."""
    assert python({**AES, "forbidden_ip": "10.0.0.0"}, "server").forbidden_ip == ("10.0.0.0",)


def test_an_empty_list_of_forbidden_addresses_opens_all() -> None:
    assert python(AES, "server", {"forbidden_ip": ""}).forbidden_ip == ()


@pytest.mark.parametrize("value", ["8.8.8.8,8.8.4.4", ["8.8.8.8", "8.8.4.4"]])
@pytest.mark.parametrize("role", ["server", "local"])
def test_name_servers_are_a_text_or_a_list_for_either_end(value: object, role: Role) -> None:
    """P12: a text was walked letter by letter, and sslocal passed over the key."""
    assert [server.host for server in python({**AES, "dns_server": value}, role).dns] == ["8.8.8.8", "8.8.4.4"]


def test_other_keys() -> None:
    assert python(OTA, "server").servers[0].one_time_auth
    assert python({**AES, "one_time_auth": 1}, "local").servers[0].one_time_auth
    assert python({**AES, "prefer_ipv6": True, "fast_open": 1}, "server").ipv6_first
    assert python(IPV6, "server").servers[0].address == Address("::", 8388)
    assert [server.host for server in python(DNS, "server").dns] == ["8.8.8.8", "8.8.4.4"]


@pytest.mark.parametrize(
    ("value", "level"),
    [(2, "trace"), (1, "debug"), (True, "debug"), ("1", "debug"), (0, "info"), (-1, "warning"), (-2, "error")],
)
def test_how_much_is_said(value: object, level: str) -> None:
    assert python({**AES, "verbose": value}, "server").log_level == level
    assert python({**AES, "verbose": value, "log": {"level": "info"}}, "server").log_level == "info"


def test_how_much_is_said_is_a_number() -> None:
    assert problems({**AES, "verbose": "much"}, "server", "python") == [
        "verbose: expected true, false or a number from -2 to 2"
    ]


# In the background


def test_what_a_daemon_needs() -> None:
    keys = {**AES, "user": "nobody", "daemon": "start", "pid-file": "p", "log-file": "/l"}
    config = python(keys, "server")
    assert (config.daemonize, config.pid_file, config.log_file, config.user) == (True, "p", "/l", "nobody")
    assert warnings(keys, "server", "python") == []


@pytest.mark.parametrize("word", ["start", "restart", ""])
def test_a_daemon_has_files_of_its_own(word: str) -> None:
    config = python({**AES, "daemon": word, "log": {"level": "debug"}}, "local")
    assert (config.daemonize, config.pid_file, config.log_file) == (
        True,
        "/var/run/shadowsocks.pid",
        "/var/log/shadowsocks.log",
    )
    assert config.log_level == "debug"


def test_who_is_no_daemon_has_none() -> None:
    config = python({**AES, "pid-file": "p", "log-file": "/l", "daemon": None}, "server")
    assert (config.daemonize, config.pid_file, config.log_file) == (False, None, None)


def test_a_word_that_starts_nothing() -> None:
    assert problems({**AES, "daemon": "stop"}, "server", "python") == [
        "daemon: expected start or restart; to stop a daemon, call its program with -d stop"
    ]
    assert problems({**AES, "daemon": "start", "log-file": 1}, "server", "python") == [
        "log-file: expected text in quotes"
    ]


# What comes later, and what is not needed


def test_what_comes_later_is_told_in_one_line_each() -> None:
    assert warnings({**AES, "workers": 4}, "server", "python") == []
    assert python({**AES, "workers": "4"}, "server").workers == 4
    assert python({**AES, "workers": 4}, "local").workers == 1


@pytest.mark.parametrize("key", ["libopenssl", "libmbedtls", "libsodium"])
def test_a_library_that_is_there_is_not_needed(key: str, tmp_path: Path) -> None:
    path = tmp_path / "libx.so"
    path.touch()
    assert warnings({**AES, key: str(path)}, "server", "python") == [
        f"{key}: this key of Python shadowsocks is not needed: ciphers come with this program"
    ]
    assert problems({**AES, key: "invalid_path"}, "server", "python") == [
        f"{key}: there is no such file; remove it, since ciphers come with this program"
    ]


# Manager and tunnel


def test_a_manager_needs_no_server() -> None:
    config = python({**EMPTY, "manager_address": "127.0.0.1:6001"}, "server")
    assert (config.servers, config.manager_listen, config.manager_dialect) == ((), "127.0.0.1:6001", "python")
    assert config.template is not None
    assert (config.template.address.host, config.template.method.name) == ("127.0.0.1", "aes-256-cfb")
    assert warnings({**EMPTY, "manager_address": "/run/x.sock"}, "server", "python") == []
    several = {**EMPTY, "server": ["127.0.0.2", "127.0.0.1"], "manager_address": "/run/x.sock"}
    template = python(several, "server").template
    assert template is not None
    assert template.address.host == "127.0.0.2"


def test_a_manager_opens_the_ports_of_the_file_first() -> None:
    config = python({**MULTI_PASSWORDS, "manager_address": "/run/x.sock"}, "server")
    assert (len(config.servers), config.manager_listen) == (5, "/run/x.sock")
    assert python({**AES, "manager_address": "/run/x.sock"}, "local").manager_listen is None


def test_a_tunnel_stands_beside_the_socks_port() -> None:
    keys = {**AES, "tunnel_remote": "1.1.1.1", "tunnel_port": 1053}
    socks, tunnel = python(keys, "local").locals
    assert (str(socks.address), socks.protocol) == ("127.0.0.1:1081", "socks")
    assert (str(tunnel.address), tunnel.protocol, tunnel.mode) == ("127.0.0.1:1053", "tunnel", Mode.TCP_AND_UDP)
    assert tunnel.forward == Address("1.1.1.1", 53)
    assert warnings(keys, "local", "python") == []
    assert python(keys, "server").locals[0].forward is None


def test_a_tunnel_s_own_defaults() -> None:
    keys = {**AES, "tunnel_remote_port": 5353}
    assert [str(local.forward) for local in python(keys, "local").locals[1:]] == ["8.8.8.8:5353"]
    assert warnings(keys, "local", "python") == [
        "tunnel_remote_port: the tunnel listens on port 53, since tunnel_port is not given"
    ]
    assert len(python(AES, "local").locals) == 1


# Flags, and keys of ours


def test_flags_go_before_the_file() -> None:
    flags: dict[str, object] = {"server_port": "8400", "timeout": "30", "workers": "1", "method": "aes-128-cfb"}
    config = python(AES, "server", flags)
    assert servers(config) == ["127.0.0.1:8400 aes_password"]
    assert (config.idle_timeout, config.servers[0].method.name) == (30.0, "aes-128-cfb")


def test_flags_alone() -> None:
    config = python(None, "server", {"password": PASSWORD, "server_port": "8400", "fast_open": True})
    assert servers(config) == [f"0.0.0.0:8400 {PASSWORD}"]
    assert config.fast_open


def test_a_message_about_a_flag_names_it_and_no_key() -> None:
    report = look(None, "server", "python", {"password": PASSWORD, "server_port": "70000"})
    assert [str(problem) for problem in report.problems] == [
        "--server_port: 70000 is no port; ports are numbers from 1 to 65535"
    ]


def test_keys_of_ours_go_before_its_defaults() -> None:
    config = python(
        {**AES, "mode": "tcp_only", "balancer": {"policy": "fastest"}, "socks_reply_port": 0, "keep_alive": 5}
    )
    assert (config.servers[0].mode, config.balancer_policy, config.keep_alive) == (Mode.TCP_ONLY, "fastest", 5)
    assert config.locals[0].socks_reply_port == 0


def test_servers_of_our_own_need_none_of_its_defaults() -> None:
    entry = {"server": "h.example", "server_port": 1, "method": "aes-256-gcm", "password": PASSWORD}
    assert servers(python({"servers": [entry]}, "server")) == [f"h.example:1 {PASSWORD}"]
    assert servers(python({**MULTI_PORTS, "servers": [entry]}, "server"))[-1] == f"h.example:1 {PASSWORD}"
