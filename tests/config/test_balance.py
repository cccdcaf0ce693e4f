"""What the settings of several servers say together."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shadesocks.config.load import Report, examine

SERVERS = [
    {"server": "192.0.2.1", "server_port": number, "method": "aes-256-gcm", "password": "a long password"}
    for number in (1, 2)
]


def report(role: str = "local", servers: Any = SERVERS, **keys: Any) -> Report:
    return examine(json.dumps({"servers": servers, **keys}), where="c.json", role=role)  # type: ignore[arg-type]  # a role


@pytest.mark.parametrize(
    ("balancer", "key", "said"),
    [
        ({"check_best_interval": 11}, "check_best_interval", "at most 10 s"),
        ({"check_interval": 2, "check_best_interval": 3}, "check_best_interval", "at most 2 s"),
        ({"probe_url": "https://example.com/"}, "probe_url", "begins with http://"),
        ({"probe_url": "http://user@example.com/"}, "probe_url", "names a host, and no user"),
        ({"probe_name": "x" * 64}, "probe_name", "no"),
    ],
)
def test_what_no_probe_can_go_by(balancer: dict[str, Any], key: str, said: str) -> None:
    [problem] = report(balancer=balancer).problems
    assert problem.key == f"balancer.{key}"
    assert said in problem.text
    assert not [each for each in report("server", balancer=balancer).problems if "probe" in each.text]


def weighing(*weights: tuple[float, float], group: str = "", **options: Any) -> list[dict[str, Any]]:
    """Servers with these weights for connections and datagrams."""
    said = {"group": group, **options} if group else options
    return [{**SERVERS[0], "tcp_weight": tcp, "udp_weight": udp, **said} for tcp, udp in weights]


LISTENER = {"local_address": "127.0.0.1", "local_port": 1080}
BOTH = {"mode": "tcp_and_udp"}


@pytest.mark.parametrize(
    ("servers", "keys", "where", "what"),
    [
        (weighing((0, 1), (0, 0)), {}, "servers[0].tcp_weight", "connections"),
        (weighing((0, 0)), {}, "servers[0].tcp_weight", "connections"),
        (weighing((1, 0), (2, 0)), BOTH, "servers[0].udp_weight", "datagrams"),
        (weighing((0, 0), (1, 0)), {"mode": "udp_only"}, "servers[0].udp_weight", "datagrams"),
        (
            weighing((1, 1)) + weighing((0, 0), group="far"),
            {"locals": [{**LISTENER}, {**LISTENER, "local_port": 1081, "group": "far"}]},
            "servers[1].tcp_weight",
            "connections",
        ),
        (weighing((0, 0)) + weighing((1, 1), mode="udp_only"), {}, "servers[0].tcp_weight", "connections"),
    ],
)
def test_weights_that_leave_nobody(servers: Any, keys: dict[str, Any], where: str, what: str) -> None:
    [problem] = report(servers=servers, **keys).problems
    assert problem.key == where
    assert problem.line
    assert f"none would take {what}" in problem.text
    assert ("of group far" in problem.text) == ("locals" in keys)
    assert (
        report("server", servers=[{**server, "server_port": at} for at, server in enumerate(servers, 1)]).problems == ()
    )


@pytest.mark.parametrize(
    ("servers", "keys"),
    [
        (weighing((0, 0), (1, 0)), {}),
        (weighing((1, 0)), {"mode": "tcp_only"}),
        (weighing((0, 0)) + SERVERS[:1], BOTH),
        (weighing((0, 1), (1, 0)), BOTH),
        (weighing((1, 1)) + weighing((0, 0), group="far"), {}),
        (weighing((0, 0)), {"online_config": {"config_url": "https://example.com/x"}}),
    ],
)
def test_weights_that_leave_somebody(servers: Any, keys: dict[str, Any]) -> None:
    assert report(servers=servers, **keys).problems == ()


@pytest.mark.parametrize(
    "balancer",
    [
        {},
        {"check_best_interval": 10},
        {"check_interval": 30, "check_best_interval": 30},
        {"probe_url": "http://[2001:db8::1]:8080/x?y", "probe_dns": "9.9.9.9", "probe_name": "bücher.example"},
    ],
)
def test_what_they_can(balancer: dict[str, Any]) -> None:
    assert report(balancer=balancer).problems == ()
