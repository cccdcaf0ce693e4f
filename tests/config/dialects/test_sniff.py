"""Which program a file was written for, and what is said of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.config import load
from shadesocks.config.dialects import DIALECTS, find_dialect
from shadesocks.config.dialects.sniff import PROGRAMS
from shadesocks.config.load import examine
from shadesocks.config.reader import read
from shadesocks.config.setting import Role
from shadesocks.wire.uri import parse_link

from . import test_go, test_libev, test_node, test_python

ONE = {"server": "h.example", "server_port": 8388, "password": "x", "method": "aes-256-gcm", "local_port": 1080}


def seen(keys: dict[str, Any]) -> tuple[str, str]:
    root = read(json.dumps(keys)).root
    assert root is not None
    taken = find_dialect(None, root)
    return taken.dialect.name, taken.why


@pytest.mark.parametrize(
    ("keys", "name", "why"),
    [
        ({"servers": []}, "rust", "it has servers, a key of shadowsocks-rust"),
        ({"locals": [], "verbose": 1}, "rust", "it has locals, a key of shadowsocks-rust"),
        ({"mode": "tcp_and_udp"}, "rust", "it has mode, a key of shadowsocks-rust"),
        ({"verbose": 1}, "python", "it has verbose, a key of Python shadowsocks"),
        ({"verbose": 1, "mode": "tcp_only"}, "python", "it has verbose, a key of Python shadowsocks"),
        ({"port_password": {"1": "x"}}, "python", "it has port_password, a key of Python shadowsocks"),
        ({"one_time_auth": True}, "python", "it has one_time_auth, a key of Python shadowsocks"),
        ({"prefer_ipv6": True}, "python", "it has prefer_ipv6, a key of Python shadowsocks"),
        ({"tunnel_remote": "h"}, "python", "it has tunnel_remote, a key of Python shadowsocks"),
        ({"method": "rc4-md5"}, "python", "its method is an old one, as Python shadowsocks had them"),
        ({"method": "sodium:aes-256-gcm"}, "python", "its method names a library, as Python shadowsocks has it"),
        ({"server_port": [1, 2]}, "python", "its server_port is a list, as Python shadowsocks has it"),
        ({"server": ["a", "b"]}, "python", "its server is a list, as Python shadowsocks has it"),
        ({"user": "nobody"}, "python", "it has user, a key of Python shadowsocks"),
        ({"user": "nobody", "mode": "tcp_only"}, "libev", "it has user, a key of shadowsocks-libev"),
        ({"port_password": {}, "mode": "tcp_only"}, "libev", "it has mode, a key of shadowsocks-libev"),
        ({"server": ["a", "b"], "mode": "tcp_only"}, "libev", "it has mode, a key of shadowsocks-libev"),
        ({"tunnel_address": "h:1"}, "libev", "it has tunnel_address, a key of shadowsocks-libev"),
        ({"nameserver": "1.1.1.1"}, "libev", "it has nameserver, a key of shadowsocks-libev"),
        ({"use_syslog": True}, "libev", "it has use_syslog, a key of shadowsocks-libev"),
        ({"server_password": []}, "go", "it has server_password, a key of shadowsocks-go"),
        ({"auth": True}, "go", "it has auth, a key of shadowsocks-go"),
        ({"method": "aes-128-cfb-auth"}, "go", "its method ends in -auth, as shadowsocks-go has it"),
        ({"server": ["a:1", "b:2"]}, "go", "its servers have their ports with them, as shadowsocks-go has it"),
        ({"method": "table"}, "python", "its method is table, as Python shadowsocks has it"),
        (
            {"server": ["a:1", "b:2"], "method": "table"},
            "node",
            "its servers have their ports with them, as shadowsocks for Node.js has it",
        ),
        ({"remote_host": "h"}, "procurator", "it has remote_host, a key of procurator"),
    ],
)
def test_what_speaks_for_a_dialect(keys: dict[str, Any], name: str, why: str) -> None:
    assert seen({**ONE, **keys}) == (name, why)


@pytest.mark.parametrize(
    "more",
    [
        *({}, {"timeout": 60}, {"fast_open": True}, {"local_address": "127.0.0.1"}, {"forbidden_ip": "10.0.0.0/8"}),
        *({"workers": 4}, {"reuse_port": True}),
        *({"verbose": None}, {"keep_alive": 5}, {"allow_private": True}, {"local_ipv4_address": "192.0.2.1"}),
        *({"method": "none"}, {"method": "2022-blake3-aes-256-gcm"}, {"method": 7}, {"server": "h:1"}, {"x": 1}),
        *({"method": "rc4-md5", "allow_legacy": True}, {"method": "table", "allow_legacy": False}),
    ],
)
def test_what_is_common_speaks_for_none(more: dict[str, Any]) -> None:
    root = read(json.dumps({**ONE, **more})).root
    assert root is not None
    taken = find_dialect(None, root)
    assert (taken.dialect, taken.common) == (DIALECTS["rust"], True)
    assert taken.why == "nothing in it belongs to another program"


def test_files_of_the_old_programs_own_tests() -> None:
    python = [test_python.MULTI_PORTS, test_python.MULTI_PASSWORDS, test_python.AES, test_python.OTA, test_python.DNS]
    assert {seen(keys)[0] for keys in python} == {"python"}
    assert {seen(keys)[0] for keys in (test_go.MULTI_SERVERS, test_go.DEPRECATED)} == {"go"}
    assert seen(test_libev.SAMPLE)[0] == "libev"
    assert seen(test_node.CLIENT_PORTS)[0] == "python"  # which reads it as the other does


def test_a_name_decides() -> None:
    root = read('{"verbose": 2}').root
    assert root is not None
    taken = find_dialect("go", root)
    assert (taken.dialect.name, taken.why, taken.common) == ("go", "that is what was asked for", False)


def test_every_dialect_has_its_program() -> None:
    assert PROGRAMS.keys() == {name for name, dialect in DIALECTS.items() if not dialect.is_document}


def test_the_meaning_of_common_keys_is_ours() -> None:
    config = load(json.dumps({**ONE, "timeout": 60}))
    assert (config.handshake_timeout, config.dial_timeout, config.idle_timeout) == (60.0, 60.0, 86400.0)
    config = load(json.dumps({**ONE, "timeout": 60, "verbose": 1}))
    assert (config.handshake_timeout, config.idle_timeout) == (59.0, 60.0)


# Whatever stands there, it is told, and nothing is raised


_KEYS = (
    "server server_port password method timeout local_address local_port port_password server_password auth workers "
    "one_time_auth forbidden_ip dns_server verbose manager_address tunnel_remote tunnel_remote_port tunnel_port "
    "libsodium tunnel_address mode nofile nameserver remote_host remote_port local_udp_port remote_udp_port "
    "udp_target_host udp_target_port log_level servers locals log key user fast_open udp_timeout idle_timeout protocol"
)
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["h:1", "1", "rc4-md5", "aes-128-cfb-auth", "tcp_only", "127.0.0.1", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)


@given(
    st.dictionaries(st.sampled_from(_KEYS.split()), _VALUES, max_size=8),
    st.sampled_from(["server", "local", None]),
    st.sampled_from([None, *DIALECTS]),
)
def test_any_values_of_any_keys(keys: dict[str, object], role: Role | None, dialect: str | None) -> None:
    report = examine(json.dumps(keys), role=role, dialect=dialect, environ={}, read_link=parse_link)
    assert (report.config is None) == bool(report.problems)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("key", ["server", "server_port", "password", "method", "port_password", "server_password"])
def test_no_message_repeats_a_text(dialect: str, key: str) -> None:
    for value in ("hunter2-and-more!", ["hunter2-and-more!"], [["hunter2-and-more!", 1]], {"1": ["hunter2-and-more!"]}):
        report = examine(json.dumps({**ONE, key: value}), dialect=dialect, strict=True, environ={})
        assert "hunter2" not in "".join(map(str, (*report.problems, *report.warnings)))
