"""What of a changed configuration is followed, and what needs a restart."""

from __future__ import annotations

from dataclasses import fields, replace

from shadesocks.config.model import Config, LocalConfig, ServerConfig
from shadesocks.core.address import Address
from shadesocks.core.errors import ConfigError, Problem
from shadesocks.service.follow import OF_NAMES, OF_PORTS, differ, follow, usable
from shadesocks.service.roles.server import FOLLOWED

from .rig import HOST, server_config

A, B, C = (server_config(port=port) for port in (1, 2, 3))
BEFORE = Config(servers=(A,), locals=(LocalConfig(Address(HOST, 1080)),), nofile=100, dial_timeout=5.0)
AFTER = replace(BEFORE, servers=(B,), locals=(), nofile=200, dial_timeout=7.0, allow_none=True)


def test_a_server_goes_by_its_servers() -> None:
    config, changed = follow(BEFORE, AFTER, FOLLOWED)
    assert changed == ["nofile"]
    assert config == replace(AFTER, nofile=100)


def test_a_client_keeps_its_listeners_and_what_it_does_without_servers() -> None:
    config, changed = follow(BEFORE, AFTER)
    assert changed == ["locals", "dial_timeout", "nofile"]
    assert config == replace(BEFORE, servers=(B,), allow_none=True)


def test_what_is_followed_is_a_field_of_a_config() -> None:
    names = {field.name for field in fields(Config)}
    assert names >= OF_NAMES | OF_PORTS
    before = Config()
    after = replace(before, idle_timeout=1.0, dns_cache_size=7, udp_timeout=9.0, nofile=5)
    assert differ(before, after, OF_PORTS) == ("udp_timeout",)
    assert follow(before, after, {*FOLLOWED, *OF_PORTS}) == (replace(after, nofile=None), ["nofile"])
    assert follow(before, after) == (
        replace(after, nofile=None, udp_timeout=before.udp_timeout),
        list(differ(before, after, ("nofile", "udp_timeout"))),
    )


def test_nothing_changed() -> None:
    for also in (FOLLOWED, ()):
        assert follow(BEFORE, BEFORE, also) == (BEFORE, [])


def test_who_is_known_is_not_judged_again() -> None:
    judged: list[ServerConfig] = []

    def check(server: ServerConfig) -> None:
        judged.append(server)
        if server == B:
            raise ConfigError([Problem("config", None, "plugin", "not there")])

    good, problems = usable((A, B, C), (A,), check)
    assert judged == [B, C]
    assert good == [A, C]
    assert [problem.key for problem in problems] == ["plugin"]
