"""What is told of a reload: what is another now, what needs a restart, what went wrong, and never a secret."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import pytest

from shadesocks.config.model import Config
from shadesocks.config.user import Credential, UserConfig
from shadesocks.core.errors import Problem
from shadesocks.core.limits import Limits
from shadesocks.core.secret import Secret
from shadesocks.service.reloaded import NAMES_MOST, SHOWN_MOST, Reloaded, compare, refused, tell

from .rig import HOST, server_config

A, B, C = (server_config(port=port) for port in (1, 2, 3))
NAMED = replace(C, id="three", remarks="tokyo")
BEFORE = Config(servers=(A, B, NAMED))


def test_servers_that_came_went_and_changed_are_named() -> None:
    other = replace(B, password=Secret("canary"), acl="x.acl")
    moved = replace(NAMED, address=replace(C.address, port=4))
    new = server_config(port=5)
    now = replace(BEFORE, servers=(other, moved, new), idle_timeout=7.0)
    problems = [Problem("config", None, "", "no such port")]
    told = compare(BEFORE, now, replace(now, nofile=9), ("x.acl",), problems, ("anna",))
    assert told.added == (f"{HOST}:5",)
    assert told.removed == (f"{HOST}:1",)
    assert told.changed == (f"{HOST}:2 (password, acl)", f"tokyo ({HOST}:4) (address)")
    assert (told.settings, told.lists, told.restart) == (("idle_timeout",), ("x.acl",), ("nofile",))
    assert [*told.lines()] == [
        f"added: {HOST}:5",
        f"removed: {HOST}:1",
        f"changed: {HOST}:2 (password, acl)",
        f"changed: tokyo ({HOST}:4) (address)",
        "changed: the access list x.acl",
        "reset: anna",
        "changed, and in force from now on: idle_timeout",
    ]
    text = json.dumps(told.told())
    assert "no such port" in text
    assert "canary" not in text


def test_users_that_came_went_and_changed_are_named_and_many_are_counted() -> None:
    def with_users(*users: UserConfig) -> Config:
        return Config(servers=(replace(A, users=users),))

    def told(before: Config, now: Config) -> str:
        (text,) = compare(before, now, now, (), ()).changed
        return text.removeprefix(f"{HOST}:1 ")

    anna, ben, carl = (UserConfig(name, (Credential(Secret("canary")),)) for name in ("anna", "ben", "carl"))
    other = replace(ben, limits=Limits(connections=1))
    assert told(with_users(anna, ben), with_users(other, carl)) == "(users: carl added, anna removed, ben changed)"
    assert told(with_users(anna, ben), with_users(ben, anna)) == "(users: in another order)"
    many = [UserConfig(f"u{number}") for number in range(NAMES_MOST + 1)]
    assert told(with_users(anna), with_users(anna, *many)) == f"(users: {NAMES_MOST + 1} added)"
    assert told(Config(servers=(A,)), with_users(anna)) == "(users)"


def test_nothing_changed() -> None:
    told = compare(BEFORE, BEFORE, BEFORE, (), ())
    assert told == Reloaded()
    assert [*told.lines()] == []


def test_an_address_has_one_follower() -> None:
    """Two servers on one address (one for TCP, one for UDP) are not both what one was."""
    twice = (replace(A, remarks="x"), replace(A, remarks="y"))
    told = compare(replace(BEFORE, servers=(A,)), replace(BEFORE, servers=twice), BEFORE, (), ())
    assert (len(told.added), len(told.changed), told.removed) == (1, 1, ())


def test_thousands_are_counted() -> None:
    many = tuple(server_config(port=port) for port in range(100, 100 + SHOWN_MOST + 3))
    lines = [*compare(Config(), Config(servers=many), Config(), (), ()).lines()]
    assert lines[-1] == "added: 3 more"
    assert len(lines) == SHOWN_MOST + 1


def test_what_is_refused_says_why() -> None:
    told = refused([Problem("c.json", 3, "method", "no such method")])
    assert told.told()["applied"] is False
    assert told.problems == (str(Problem("c.json", 3, "method", "no such method")),)


def test_the_log_tells_restarts_as_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "shadesocks"):
        tell(Reloaded(added=("a",), restart=("nofile", "user")))
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "added: a"),
        ("WARNING", "changed, and in force after a restart only: nofile, user"),
    ]
