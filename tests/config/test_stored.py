"""Users of a store beside those of a file: who is where, and why somebody is left out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shadesocks.config import load
from shadesocks.config.stored import named, people_of, unnamed, with_stored
from shadesocks.config.user import UserConfig, parse_user
from shadesocks.core.secret import Secret
from shadesocks.service.users.tables import users_of

from .samples import KEY, METHOD, STRONG, problems, text_of
from .test_users import ANNA, KEYS


def user(name: str, **members: Any) -> UserConfig:
    return parse_user(name, members)


SHARED = load(text_of(users=[ANNA]))
(PORT,) = (server.address.port for server in SHARED.servers)


def names(config: Any) -> dict[int, list[str]]:
    return {server.address.port: [each.name for each in server.users or ()] for server in config.servers}


def test_they_join_those_of_the_file() -> None:
    config, told = with_stored(SHARED, [user("ben", password=KEYS[1]), user("carl", password=KEYS[2], port=PORT)])
    assert names(config) == {PORT: ["anna", "ben", "carl"]}
    assert told == []
    assert [*people_of(config)] == ["anna", "ben", "carl"]


def test_one_at_a_port_of_nobody_has_a_server_of_his_own() -> None:
    stored = user("ben", password=KEYS[1], port=PORT + 1, quota="1G", note="pays in May")
    config, told = with_stored(SHARED, [stored])
    assert told == []
    own = config.servers[1]
    assert (own.address.port, own.method.name, own.password) == (PORT + 1, METHOD, Secret(KEYS[1]))
    assert own.owner is not None
    assert (own.owner.limits, own.owner.note) == (stored.limits, "pays in May")
    assert not own.is_shared


def test_two_at_one_such_port_are_one_too_many() -> None:
    stored = [user(name, password=key, port=PORT + 1) for name, key in (("ben", KEYS[1]), ("carl", KEYS[2]))]
    config, (told,) = with_stored(SHARED, stored)
    assert names(config) == {PORT: ["anna"], PORT + 1: ["ben"]}
    assert "has no list of users" in told.text


def test_whoever_has_the_password_of_a_port_is_called_by_its_number() -> None:
    config, _ = with_stored(load(text_of()), [])
    assert names(config) == {PORT: [str(PORT)]}
    assert config.servers[0].owner is not None


@pytest.mark.parametrize(
    ("stored", "why"),
    [
        (user("anna", password=KEYS[1]), "stands in config:1, too"),
        (user("ben"), "has no password"),
        (user("ben", password="short"), "is not base64"),
        (user("ben", password=KEYS[0]), "has a key that is another one's"),
        (user("ben", password=KEY), "has a key that is another one's"),
        (user("ben", passwords=[KEYS[1], KEYS[1]]), "has a key that is another one's"),
        (user("ben", password=f"{KEY}:{KEYS[1]}"), "two keys with a colon"),
        (user("ben", password="short", port=PORT + 1), "is not base64"),
        (user("ben", port=PORT + 1), "has no password"),
    ],
)
def test_one_mistake_leaves_one_user_out(stored: UserConfig, why: str) -> None:
    config, (told,) = with_stored(SHARED, [stored, user("carl", password=KEYS[2])])
    assert names(config) == {PORT: ["anna", "carl"]}
    assert told.key == stored.name
    assert why in told.text
    assert not any(key in told.text for key in (*KEYS, KEY))


def test_who_has_no_place_is_told() -> None:
    config = load(text_of(method="aes-256-gcm", password=STRONG))
    _, (told,) = with_stored(config, [user("ben", password=KEYS[1])])
    assert "is at no server" in told.text


def test_where_the_store_is() -> None:
    base = Path("etc/shade")
    assert load(text_of(store="users.db"), base=base).store == Secret(str(base / "users.db"))
    assert load(text_of(store="/var/users.db"), base=base).store == Secret("/var/users.db")
    assert load(text_of(store="postgresql://u:p@h/d"), base=base).store == Secret("postgresql://u:p@h/d")
    assert load(text_of(store="9x://f"), base=base).store == Secret("etc/shade/9x://f"), "no scheme begins with a 9"
    assert load(text_of(store="${STORE}"), environ={"STORE": "x.db"}, base=base).store == Secret(str(base / "x.db"))
    assert load(text_of(store="")).store is None
    assert load(text_of(), overrides={"store": "x.db"}, base=base).store == Secret("x.db"), "a flag starts where we are"
    (told,) = problems(text_of(store="${NOWHERE_SET}"), "server")
    assert "NOWHERE_SET" in told
    assert "p@h" not in repr(load(text_of(store="postgresql://u:p@h/d")))


def test_ten_thousand() -> None:
    import base64

    stored = [user(f"u{at}", password=base64.b64encode(at.to_bytes(32, "big")).decode()) for at in range(300, 10_300)]
    config, told = with_stored(SHARED, stored)
    assert len(config.servers[0].users or ()) == 10_001
    assert told == []
    assert json.dumps(names(config))


def test_limits_of_a_port_stand_under_its_number() -> None:
    stored = user(str(PORT), quota="1G", note="pays in May")
    config, told = with_stored(load(text_of()), [stored])
    assert told == []
    (server,) = config.servers
    assert server.owner is not None
    assert (server.owner.name, server.owner.limits, server.owner.note) == (str(PORT), stored.limits, "pays in May")
    assert unnamed(server) == load(text_of()).servers[0]
    assert named(server, {}).owner == UserConfig(str(PORT)), "limits that are gone from the store are gone"
    explicit = replace(server, users=(replace(stored, note="", where="config:1"),))
    assert named(explicit, {str(PORT): stored}) == unnamed(explicit) == explicit, "the file goes before"


def test_limits_of_ports_that_a_manager_may_add_are_no_mistake() -> None:
    for text, count in ((text_of(manager_listen="127.0.0.1:0"), 1), (text_of(), 2)):
        _, told = with_stored(load(text), [user(name, quota="1G") for name in ("8001", "anna")])
        assert [problem.key for problem in told] == ["8001", "anna"][-count:]


def test_who_was_there_before_costs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a reload nearly all were: nothing of them is parsed again, here or for the tables of ports."""
    stored = [user("ben", password=KEYS[1]), user("carl", password=KEYS[2])]
    first, _ = with_stored(SHARED, stored)
    [shared] = first.servers
    before = [*users_of(shared)]
    monkeypatch.setattr("shadesocks.config.user.parse_keys", None)
    again, told = with_stored(SHARED, [*stored])
    assert told == []
    assert names(again) == names(first)
    assert [*users_of(again.servers[0], None, before)] == before
