"""Hosts, ports and passwords in lists: one entry for each server."""

from __future__ import annotations

from typing import Any

import pytest

from shadesocks.config.dialects.doors import DOORS_MAX, lay_out, port_passwords
from shadesocks.config.findings import Findings
from shadesocks.config.reader import plain
from shadesocks.config.setting import Role

from .test_draft import draft_of


def laid_out(keys: dict[str, Any], role: Role | None = None) -> Any:
    findings = Findings(role)
    draft = draft_of(keys, findings)
    secrets = port_passwords(draft, role)
    lay_out(draft, secrets)
    assert findings.problems == ()
    return plain(draft.build())


PASSWORD = {"password": "x"}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"server": "a", "server_port": 1}, {"server": "a", "server_port": 1}),
        ({"server": "a:2", "server_port": 1}, {"server": "a", "server_port": "2"}),
        ({"server": "[::1]:2"}, {"server": "[::1]", "server_port": "2"}),
        ({"server": "::1", "server_port": [1]}, {"server": "::1", "server_port": 1}),
        ({"server": ["a"], "server_port": 1, "method": "m"}, {"server": "a", "server_port": 1, "method": "m"}),
        ({"server": 7}, {"server": 7}),
        ({}, {}),
    ],
)
def test_one_server_stands_at_the_top(keys: dict[str, Any], expected: dict[str, Any]) -> None:
    assert laid_out({**keys, **PASSWORD}) == {**expected, **PASSWORD}


def test_each_host_with_each_port() -> None:
    keys = {"server": ["a", "b:9"], "server_port": [1, "2"], "method": "m", "other": 3}
    assert laid_out({**keys, **PASSWORD}) == {
        "other": 3,
        "servers": [
            {"server": "a", "server_port": 1, "method": "m", "password": "x"},
            {"server": "a", "server_port": "2", "method": "m", "password": "x"},
            {"server": "b", "server_port": "9", "method": "m", "password": "x"},
        ],
    }


@pytest.mark.parametrize(
    ("hosts", "left"),
    [
        (["::", "0.0.0.0"], ["::"]),
        (["0.0.0.0", "[::0]"], ["[::0]"]),
        (["[::]:8", "0.0.0.0"], ["[::]", "0.0.0.0"]),
        (["::1", "0.0.0.0"], ["::1", "0.0.0.0"]),
        (["::", "127.0.0.1"], ["::", "127.0.0.1"]),
    ],
)
def test_all_of_ipv4_is_left_out_beside_all_of_ipv6(hosts: list[str], left: list[str]) -> None:
    laid = laid_out({"server": hosts, "server_port": 7, **PASSWORD})
    assert [server["server"] for server in laid.get("servers", [laid])] == left


def test_each_host_with_each_port_that_has_a_password() -> None:
    keys = {"server": ["a", "b"], "port_password": {"1": "x", "2": 3, "_note": "", "//": ""}}
    assert laid_out(keys)["servers"] == [
        {"server": "a", "server_port": "1", "password": "x"},
        {"server": "a", "server_port": "2", "password": "3"},
        {"server": "b", "server_port": "1", "password": "x"},
        {"server": "b", "server_port": "2", "password": "3"},
    ]


def test_one_server_beside_a_list_of_our_own_goes_into_it() -> None:
    keys = {"server": "a", "server_port": 1, "servers": [{"server": "b"}]}
    assert laid_out(keys) == {"servers": [{"server": "a", "server_port": 1}, {"server": "b"}]}


def test_a_password_that_is_a_number_is_its_digits() -> None:
    assert laid_out({"server": "a", "password": 123})["password"] == "123"
    assert laid_out({"server": "a", "password": True})["password"] is True  # refused where passwords are read


def test_every_port_of_one_address_is_not_too_much() -> None:
    assert len(laid_out({"server": "a", "server_port": list(range(1, DOORS_MAX + 1))})["servers"]) == DOORS_MAX


def test_more_servers_than_anybody_wants_are_not_made() -> None:
    findings = Findings(None)
    draft = draft_of({"server": ["a"] * 1000, "server_port": [1] * 1000}, findings)
    lay_out(draft)
    assert [problem.key for problem in findings.problems] == ["server"]
    assert plain(draft.build()) == {"server": "a", "server_port": 1}


def test_a_table_of_passwords_that_is_none() -> None:
    findings = Findings(None)
    draft = draft_of({"port_password": 7}, findings)
    assert port_passwords(draft, None) == []
    assert [problem.text for problem in findings.problems] == [
        "expected an object of ports and their passwords, in braces"
    ]
    draft = draft_of('{"port_password": x}', findings)
    assert port_passwords(draft, None) == []
    assert len(findings.problems) == 1


@pytest.mark.parametrize(("role", "count"), [("server", 2), (None, 2), ("local", 0)])
def test_which_goes_before_which(role: Role | None, count: int) -> None:
    findings = Findings(role)
    draft = draft_of({"server_port": 1, "password": "x", "port_password": {"1": "x", "2": "y"}}, findings)
    assert len(port_passwords(draft, role)) == count
    assert len(findings.warnings) == (1 if count else 0)


@pytest.mark.parametrize("key", ["Hunter2", "123456789", "८३८८ Hunter2", "a:b"])
def test_a_password_in_the_place_of_its_port_is_not_repeated(key: str) -> None:
    findings = Findings("server")
    for _, password in port_passwords(draft_of({"port_password": {key: 8388}}, findings), "server"):
        assert password.said == "port_password"
    [(_, password)] = port_passwords(draft_of({"port_password": {"8388": "x"}}, findings), "server")
    assert password.said == "port_password.8388"
