"""What of a changed configuration is followed, and what needs a restart."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import fields, replace

import pytest

from shadesocks.config.model import Config, LocalConfig, ServerConfig
from shadesocks.config.user import Credential, UserConfig
from shadesocks.core.address import Address
from shadesocks.core.errors import ConfigError, Problem
from shadesocks.core.secret import Secret
from shadesocks.service.follow import MANY, OF_NAMES, OF_PORTS, as_before, differ, follow, usable
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


def crowd(count: int, note: str = "") -> tuple[UserConfig, ...]:
    """Users, the last of whom has a note."""
    last = UserConfig("last", (Credential(Secret("last")),), note=note)
    return (*(UserConfig(f"u{number}", (Credential(Secret(f"k{number}")),)) for number in range(count - 1)), last)


def test_what_is_the_same_is_the_same_object() -> None:
    before = replace(BEFORE, servers=(replace(A, users=crowd(3)), B))
    after = replace(BEFORE, servers=(replace(A, users=(*crowd(3, "new"), UserConfig("more"))), replace(B), C))
    came = asyncio.run(as_before(before, after))
    assert came == after
    old, new = before.servers[0].users, came.servers[0].users
    assert old is not None
    assert new is not None
    assert [user is other for user, other in zip(old, new, strict=False)] == [True, True, False]
    assert came.servers[1] is B
    assert (
        asyncio.run(as_before(before, replace(before, servers=(replace(A, users=crowd(3)), B)))).servers[0]
        is (before.servers[0])
    )


@pytest.mark.parametrize(("count", "aside"), [(MANY, True), (MANY - 1, False)])
def test_many_users_are_compared_in_a_thread(count: int, aside: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    before = replace(BEFORE, servers=(replace(A, users=crowd(count)),))
    after = replace(BEFORE, servers=(replace(A, users=crowd(count)),))
    seen, compare = set(), UserConfig.__eq__

    def counted(one: UserConfig, other: object) -> bool:
        seen.add(threading.current_thread() is not threading.main_thread())
        return compare(one, other)

    monkeypatch.setattr(UserConfig, "__eq__", counted)
    assert asyncio.run(as_before(before, after)).servers == before.servers
    assert seen == {aside}
