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
