"""Files of shadowsocks-lite."""

from __future__ import annotations

from typing import Any

import pytest

from shadesocks.config import Config, Mode
from shadesocks.config.setting import Role

from .samples import PASSWORD, config_of, problems, servers, warnings

SAMPLE: dict[str, Any] = {
    "server": "127.0.0.1",
    "server_port": 8388,
    "local_address": "127.0.0.1",
    "local_port": 1080,
    "password": PASSWORD,
}


def lite(keys: dict[str, Any] | None, role: Role | None = None) -> Config:
    return config_of(keys, role, "lite")


@pytest.mark.parametrize("role", ["server", "local"])
def test_its_defaults(role: Role) -> None:
    config = lite(SAMPLE, role)
    assert servers(config) == [f"127.0.0.1:8388 {PASSWORD}"]
    assert (config.servers[0].method.name, config.servers[0].mode) == ("aes-256-cfb", Mode.TCP_AND_UDP)
    assert (config.idle_timeout, config.udp_timeout, config.balancer_policy) == (600.0, 600.0, "fastest")
    (local,) = config.locals
    assert (str(local.address), local.socks_reply_port, local.udp_require_association) == ("127.0.0.1:1080", 1, False)
    assert warnings(SAMPLE, role, "lite") == []


def test_several_servers_have_one_port() -> None:
    assert servers(lite({**SAMPLE, "server": ["192.0.2.1", "192.0.2.2"]}, "local")) == [
        f"192.0.2.1:8388 {PASSWORD}",
        f"192.0.2.2:8388 {PASSWORD}",
    ]


def test_what_it_did_not_look_at_is_passed_over_with_a_word() -> None:
    keys = {**SAMPLE, "method": "rc4-md5", "timeout": 5}
    config = lite(keys, "server")
    assert (config.servers[0].method.name, config.idle_timeout) == ("aes-256-cfb", 600.0)
    assert config.handshake_timeout == Config().handshake_timeout
    assert warnings(keys, "server", "lite") == [
        "method: has no effect: shadowsocks-lite has aes-256-cfb, whatever stands here",
        "timeout: has no effect: shadowsocks-lite has idle_timeout, 600 s, whatever stands here",
    ]
    assert warnings({**SAMPLE, "method": "aes-256-cfb", "timeout": 600}, "server", "lite") == []


def test_an_end_asks_for_what_it_needs() -> None:
    assert servers(lite({key: SAMPLE[key] for key in ("server", "server_port", "password")}, "server"))
    for key in ("server", "server_port", "password"):
        rest = {other: value for other, value in SAMPLE.items() if other != key}
        assert problems(rest, "server", "lite")[0].startswith(f"{key}: is missing")
