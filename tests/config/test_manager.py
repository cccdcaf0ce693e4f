"""Where a manager listens, and what its commands make of a configuration."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shadesocks.cli.family.program import OLD_NAME
from shadesocks.config.hosts import UnfitError
from shadesocks.config.load import examine, for_server, load
from shadesocks.config.manager import (
    HOST,
    METHOD,
    SECRET_LEAST,
    added_server,
    manager_place,
    report_place,
    template_of,
)
from shadesocks.config.model import Config
from shadesocks.core.address import Address
from shadesocks.core.errors import ConfigError
from shadesocks.core.networks import EVERYBODY
from shadesocks.core.secret import Secret

ADD = {"server_port": 8001, "password": "correct horse battery staple"}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("127.0.0.1:6001", Address("127.0.0.1", 6001)),
        ("[::1]:0", Address("::1", 0)),
        ("localhost:6001", Address("localhost", 6001)),
        ("/run/a:b.sock", "/run/a:b.sock"),
        ("./a:1", "./a:1"),
        ("manager.sock", "manager.sock"),
    ],
)
def test_a_place(text: str, place: Address | str) -> None:
    assert manager_place(text) == place


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":6001",
        "127.0.0.1:",
        "127.0.0.1:x",
        "127.0.0.1:65536",
        "::1:6001",
        "a b:1",
        "a:" + "9" * 5000,
        "a:\u0663",
        "/a\0b",
    ],
)
def test_no_place(text: str) -> None:
    with pytest.raises(UnfitError):
        manager_place(text)


@pytest.mark.parametrize(
    ("place", "is_open"),
    [("127.0.0.1:6001", False), ("/run/m", False), ("localhost:1", False), ("0.0.0.0:6001", True), ("[::]:1", True)],
)
def test_s27_who_could_command_from_afar_must_be_said(place: str, is_open: bool) -> None:
    keys = {"manager_listen": place}
    report = examine(json.dumps(keys), role="server")
    assert [problem.key for problem in report.problems] == ["manager_listen"] * is_open
    assert report.warnings == ()
    for more in ({"manager_allow": ["192.0.2.0/24", "10.1.1.1"]}, {"manager_secret": "x" * SECRET_LEAST}):
        report = examine(json.dumps(keys | more), role="server")
        assert (report.problems, report.warnings) == ((), ())


@pytest.mark.parametrize("place", ["0.0.0.0:6001", "192.0.2.1:6001"])
def test_s27_behind_old_names_an_address_that_was_given_starts_with_a_warning(place: str) -> None:
    text = json.dumps({"manager_listen": place})
    report = examine(text, role="server", fallbacks=OLD_NAME)
    assert [warning.key for warning in report.warnings] == ["manager_listen"]
    assert report.config is not None
    assert report.config.manager_allow == EVERYBODY
    given = json.dumps({"manager_listen": place, "manager_allow": "192.0.2.0/24"})
    assert examine(given, role="server", fallbacks=OLD_NAME).warnings == ()


def test_a_secret_that_could_be_guessed_is_none() -> None:
    [problem] = examine('{"manager_listen": "/x", "manager_secret": "short"}', role="server").problems
    assert (problem.key, "at least 16" in problem.text) == ("manager_secret", True)
    config = load(json.dumps({"manager_listen": "/x", "manager_secret": "x" * 16}), role="server")
    assert config.manager_secret == Secret("x" * 16)


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ({}, None),
        ({"manager_address": "127.0.0.1:6001"}, Address("127.0.0.1", 6001)),
        ({"manager_address": "::1", "manager_port": 6001}, Address("::1", 6001)),
        ({"manager_address": "/run/m.sock"}, "/run/m.sock"),
    ],
)
def test_who_is_told_what_passed(keys: dict[str, Any], place: Address | str | None) -> None:
    config = load(json.dumps({"server": "::1", "server_port": 1, "method": "none", "password": "x", **keys}))
    assert report_place(config) == place


@pytest.mark.parametrize("keys", [{"manager_address": "a:b"}, {"manager_address": "a b", "manager_port": 1}])
def test_who_cannot_be_told_is_a_problem(keys: dict[str, Any]) -> None:
    [problem] = examine(json.dumps({"manager_listen": "/x", **keys}), role="server").problems
    assert problem.key == "manager_address"


def test_a_bad_place_is_a_problem() -> None:
    [problem] = examine('{"manager_listen": "nowhere:"}', role="server").problems
    assert (problem.key, problem.line) == ("manager_listen", 1)


def test_a_manager_needs_no_server() -> None:
    config = load('{"manager_listen": "127.0.0.1:6001"}', role="server")
    assert config.servers == ()
    assert for_server(config) == config
    template = template_of(config)
    assert (template.address.host, template.method.name) == (HOST, METHOD)


def test_the_top_level_says_what_added_servers_have_in_common() -> None:
    text = """{"manager_listen": "127.0.0.1:6001", "server": "127.0.0.1", "method": "aes-256-gcm", "timeout": 7,
        "mode": "tcp_and_udp", "outbound_fwmark": 3, "outbound_proxy": "socks5://127.0.0.1:1080"}"""
    config = load(text, role="server")
    assert config.servers == ()
    server, warnings = added_server(config, ADD)
    assert warnings == ()
    assert server.address == Address("127.0.0.1", 8001)
    assert (server.method.name, server.handshake_timeout, server.dial_timeout) == ("aes-256-gcm", 7.0, 7.0)
    assert server.mode.udp
    assert server.outbound.fwmark == 3
    assert len(server.outbound_proxy) == 1


def test_beside_servers_the_first_one_says_it() -> None:
    text = """{"manager_listen": "127.0.0.1:6001", "servers": [{"server": "127.0.0.2", "server_port": 8000,
        "method": "aes-128-gcm", "password": "correct horse battery staple"}]}"""
    server, _ = added_server(load(text, role="server"), ADD)
    assert (server.address, server.method.name) == (Address("127.0.0.2", 8001), "aes-128-gcm")


@pytest.mark.parametrize("dialect", ["python", "libev"])
def test_the_ports_of_old_files_are_servers_and_say_it_too(dialect: str) -> None:
    text = """{"manager_address": "127.0.0.1:6001", "server": "127.0.0.1", "method": "aes-256-gcm", "timeout": 60,
        "port_password": {"8381": "correct horse battery staple"}}"""
    config = load(text, role="server", dialect=dialect)
    assert [server.address.port for server in config.servers] == [8381]
    assert config.manager_dialect == dialect
    server, _ = added_server(config, ADD)
    assert (server.address, server.method.name) == (Address("127.0.0.1", 8001), "aes-256-gcm")
    assert server.mode == config.servers[0].mode


def test_the_command_goes_before_the_file() -> None:
    text = """{"manager_listen": "127.0.0.1:6001", "method": "aes-256-gcm", "acl": "/y",
        "servers": [{"server": "::", "server_port": 1, "method": "aes-256-gcm", "password": "x", "acl": "/x"}]}"""
    config = load(text, role="server")
    keys = {"method": "aes-128-gcm", "server": "127.0.0.1", "handshake_timeout": 5, "remarks": "Anna", "acl": "/x"}
    server, _ = added_server(config, ADD | keys)
    assert (server.method.name, server.address.host, server.remarks) == ("aes-128-gcm", "127.0.0.1", "Anna")
    assert (server.handshake_timeout, server.acl) == (5.0, "/x")


@pytest.mark.parametrize(
    "keys",
    [
        {"method": "nope"},
        {"method": "rc4-md5"},
        {"method": "none"},
        {"password": "${HOME}"},
        {"password": ["x"]},
        {"timeout": 1e400},
        {"users": [{"name": "a", "password": "b"}]},
        {"mode": {"tcp": True}},
        {"acl": "/dev/zero"},
        {"acl": "../etc/shadow"},
    ],
)
def test_what_may_not_be_is_refused(keys: dict[str, Any]) -> None:
    config = load('{"manager_listen": "127.0.0.1:6001"}', role="server")
    with pytest.raises(ConfigError) as caught:
        added_server(config, ADD | keys)
    assert all(problem.where == "manager" and problem.key for problem in caught.value.problems)


def test_what_is_odd_is_told() -> None:
    _, warnings = added_server(Config(), ADD | {"nope": 1, "fast_open": True})
    assert {warning.key for warning in warnings} == {"nope", "fast_open"}
