"""Users of one port, and servers behind one: what may stand in their lists, and what each mistake is told as."""

from __future__ import annotations

import base64
import json
from itertools import permutations
from typing import Any

import pytest

from shadesocks.config import Config, load
from shadesocks.config.model import DestinationConfig
from shadesocks.config.save import dump
from shadesocks.config.stored import people_of
from shadesocks.config.user import Credential, UserConfig
from shadesocks.config.users import clients_of
from shadesocks.core.address import Address
from shadesocks.core.limits import FREE, Limits, Quota
from shadesocks.core.secret import Secret

from .samples import KEY, METHOD, STRONG, problems, text_of, warnings

AES_128 = "2022-blake3-aes-128-gcm"
KEYS = [base64.b64encode(bytes(range(at, at + 32))).decode() for at in (1, 65, 130, 190)]
INSTANT = 'is a day or an instant, as in "2027-01-31" or "2027-01-31T18:00+02:00"; UTC where no zone stands'
RECIPE = f"make one with: shadesocks genkey -m {METHOD}"


def users(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "password": key} for name, key in pairs]


def keyed(*keys: str) -> tuple[Credential, ...]:
    return tuple(Credential(Secret(key)) for key in keys)


ANNA, BEN = users(("anna", KEYS[0]), ("ben", KEYS[1]))
EAST: dict[str, Any] = {"name": "east", "server": "192.0.2.9", "server_port": 8389, "password": KEYS[2]}


@pytest.mark.parametrize("in_list", [False, True])
@pytest.mark.parametrize("role", ["server", None])
def test_users(in_list: bool, role: Any) -> None:
    keys = json.loads(text_of(users=[ANNA, BEN]))
    server = load(json.dumps({"servers": [keys]} if in_list else keys), role=role).servers[0]
    assert server.users == (UserConfig("anna", keyed(KEYS[0])), UserConfig("ben", keyed(KEYS[1])))
    assert server.destinations == ()


def test_destinations() -> None:
    server = load(text_of(destinations=[EAST])).servers[0]
    assert server.destinations == (DestinationConfig("east", Secret(KEYS[2]), Address("192.0.2.9", 8389)),)
    assert server.users is None


def test_no_list_is_not_an_empty_one() -> None:
    """An empty list still demands that a client names its user (protocol §8)."""
    assert load(text_of()).servers[0].users is None
    assert load(text_of(users=None)).servers[0].users is None
    assert load(text_of(users=[])).servers[0].users == ()
    assert warnings(text_of(users=[]), "server") == [
        "c.json:1: users: this list is empty, so nobody can use this server"
    ]
    assert warnings(text_of(users=[], store="users.db"), "server") == [], "there may be some in the store"
    assert load(text_of(method="aes-256-gcm", password=STRONG, users=[])).servers[0].users is None


def test_a_key_from_the_environment() -> None:
    text = text_of(users=users(("anna", "${ANNA}")))
    (user,) = load(text, environ={"ANNA": KEYS[0]}).servers[0].users or ()
    assert user.credentials == keyed(KEYS[0])
    with pytest.raises(Exception, match=r"users\[0\]\.password: .*ANNA"):
        load(text, environ={})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, ": expected a list of objects, each with a name, found an object"),
        (["x"], "[0]: expected an object with a name, found text"),
        ([{"password": KEYS[0]}], '[0].name: is missing; each has a name of his own, as in "name": "anna"'),
        ([ANNA, {"name": "ben"}], f"[1].password: is missing; each has a key of his own; {RECIPE}"),
        ([{**ANNA, "quota": "lots"}], '[0].quota: quota is a number of bytes, or text such as "500M" or "2G"'),
        (
            [{**ANNA, "quota": {"size": 1, "window": "year"}}],
            "[0].quota.window: the window of a quota is one of lifetime, month, days",
        ),
        (
            [{**ANNA, "passwords": [KEYS[1]]}],
            "[0].passwords: a user has password or passwords; put the one into the list of the others",
        ),
        (
            [{"name": "anna", "passwords": [KEYS[0], {"password": KEYS[1], "from": "soon"}]}],
            f"[0].passwords[1].from: passwords[1].from {INSTANT}",
        ),
        (
            [{"name": "anna", "passwords": [KEYS[0], KEYS[0]]}],
            f"[0].passwords[1]: this key is another one's (line 1); each needs a key of his own, {RECIPE}",
        ),
        ([{**ANNA, "name": 5}], "[0].name: expected text in quotes, found 5"),
        (
            [{**ANNA, "name": "a\nb"}],
            "[0].name: a name has 1 to 255 letters, and no control characters: it stands in the log",
        ),
        (
            [{**ANNA, "name": ""}],
            "[0].name: a name has 1 to 255 letters, and no control characters: it stands in the log",
        ),
        ([ANNA, {**BEN, "name": "anna"}], "[1].name: another one has this name (line 1); names tell them apart"),
        (
            [ANNA, {**BEN, "password": KEYS[0]}],
            f"[1].password: this key is another one's (line 1); each needs a key of his own, {RECIPE}",
        ),
        (
            [{**ANNA, "password": KEY}],
            f"[0].password: this key is the server's own; each needs a key of his own, {RECIPE}",
        ),
        (
            [{**ANNA, "password": KEYS[0][:20] + "!"}],
            f"[0].password: the key of {METHOD} is not base64 (alphabet A-Z a-z 0-9 + /); {RECIPE}",
        ),
        (
            [{**ANNA, "password": base64.b64encode(bytes(range(16))).decode()}],
            f"[0].password: the key of {METHOD} has 16 bytes, it must have exactly 32; {RECIPE}",
        ),
        (
            [{**ANNA, "password": f"{KEY}:{KEYS[0]}"}],
            "[0].password: one key is expected here; the server's own stands in its password",
        ),
    ],
)
def test_mistakes(given: Any, told: str) -> None:
    found = problems(text_of(users=given), "server")
    assert found == [f"c.json:1: users{told}"]


def test_no_mistake_repeats_a_key() -> None:
    for secret in (KEYS[0], "hunter2 is not base64"):
        text = text_of(users=users(("anna", secret), ("ben", secret)))
        assert all(secret not in line for line in problems(text, "server"))


@pytest.mark.parametrize("method", ["2022-blake3-chacha20-poly1305", "aes-256-cfb"])
def test_methods_that_cannot(method: str) -> None:
    password = KEY if method.startswith("2022") else STRONG
    text = text_of(method=method, password=password, users=[ANNA], allow_legacy=True)
    assert problems(text, "server") == [
        f"c.json:1: users: method {method} cannot tell several users on one port; take {AES_128} or {METHOD}, or give "
        "each a port of his own in servers[]"
    ]


def test_the_servers_own_key_is_needed() -> None:
    (told,) = problems(text_of(password=..., users=[ANNA]), "server")
    assert told.endswith(
        f"password: is missing; it is the server's own key, which all its users have before theirs; {RECIPE}"
    )


def test_a_server_has_one_key() -> None:
    (told,) = problems(text_of(password=f"{KEY}:{KEYS[0]}", users=[ANNA]), "server")
    assert told.startswith("c.json:1: password: a server has one key; several, with colons between, are for clients")
    (told,) = problems(text_of(password=..., key=KEY, users=[ANNA]), "server")
    assert told.endswith("a server with users, or with destinations, has its key as password")


def test_a_client_of_the_same_file() -> None:
    """It passes over the users, and is told what is missing in its password."""
    text = text_of(users=[ANNA])
    assert load(text, role="local").servers[0].users is None
    (told,) = warnings(text, "local")
    assert told.endswith("a client's password is this key and the user's, with a colon between")
    assert warnings(text_of(password=f"{KEY}:{KEYS[0]}", users=[ANNA]), "local") == []


def test_users_or_destinations() -> None:
    assert problems(text_of(users=[ANNA], destinations=[EAST]), "server") == [
        "c.json:1: destinations: a port has users or destinations; give each list a port of its own"
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"server": None}, '.server: is missing; add its host, as in "server": "203.0.113.5"'),
        ({"server": "a b"}, ".server: "),
        ({"server_port": None}, '.server_port: is missing; add its port, as in "server_port": 8388'),
        ({"server_port": 0}, ".server_port: 0 is no port; ports are numbers from 1 to 65535"),
        ({"name": None}, ".name: is missing"),
        ({"password": None}, ".password: is missing"),
    ],
)
def test_mistakes_of_destinations(change: dict[str, Any], told: str) -> None:
    (found,) = problems(text_of(destinations=[{**EAST, **change}]), "server")
    assert found.startswith(f"c.json:1: destinations[0]{told}")


def test_members_that_mean_nothing_are_told() -> None:
    (told,) = warnings(text_of(users=[{**ANNA, "_note": 1, "passwort": 2}]), "server")
    assert told == (
        "c.json:1: users[0].passwort: this key is not known; the nearest known one is password; it is ignored"
    )


def test_all_of_it_is_written_again() -> None:
    for text in (text_of(users=[ANNA, BEN]), text_of(destinations=[EAST]), text_of(users=[])):
        config = load(text)
        assert load(dump(config)) == config
        assert "servers" in json.loads(dump(config))


def test_ten_thousand() -> None:
    many = users(*((f"user {at}", base64.b64encode(at.to_bytes(32, "big")).decode()) for at in range(300, 10_300)))
    assert len(load(text_of(users=many)).servers[0].users or ()) == 10_000


def test_the_clients_of_a_server() -> None:
    (server,) = load(text_of(users=[ANNA, BEN], remarks="home")).servers
    clients = clients_of(server)
    assert [(each.remarks, each.password.reveal(), each.users) for each in clients] == [
        ("home anna", f"{KEY}:{KEYS[0]}", None),
        ("home ben", f"{KEY}:{KEYS[1]}", None),
    ]
    assert load(dump(Config(clients)), role="local").servers == clients
    (plain,) = load(text_of()).servers
    assert clients_of(plain) == (plain,)


def test_no_key_is_shown() -> None:
    config = load(text_of(users=[ANNA, BEN]))
    assert not any(key in repr(config) for key in KEYS)


def test_what_else_is_said_of_a_user() -> None:
    anna = {
        "name": "anna",
        "passwords": [KEYS[0], {"password": KEYS[1], "from": 100, "until": "2027-01-31"}],
        "note": "third floor",
        "quota": {"size": "50G", "window": "month", "day": 3},
        "connections": 20,
    }
    (user,) = load(text_of(users=[anna])).servers[0].users or ()
    assert user.limits == Limits(quota=Quota(50 << 30, "month", 3), connections=20)
    assert (user.note, user.where, user.port) == ("third floor", "config:1", None)
    assert user.credentials == (*keyed(KEYS[0]), Credential(Secret(KEYS[1]), 100, 1801353600))


@pytest.mark.parametrize("method", [METHOD, "2022-blake3-chacha20-poly1305", "aes-256-gcm"])
def test_one_alone_has_the_servers_password(method: str) -> None:
    password = KEY if method.startswith("2022") else STRONG
    (server,) = load(text_of(method=method, password=password, users=[{"name": "anna", "sources": 2}])).servers
    assert server.owner == UserConfig("anna", (), Limits(sources=2))
    assert not server.is_shared
    (client,) = clients_of(server)
    assert (client.password, client.users, client.remarks) == (Secret(password), None, "anna")
    text = text_of(method=method, password=password, users=[{"name": "anna"}])
    assert warnings(text, "local") == []


def test_a_name_is_one_user() -> None:
    two = [{"server": "::", "server_port": at, "method": METHOD, "password": KEYS[at]} for at in (1, 2)]

    def listed(*users: Any) -> str:
        return json.dumps({"servers": [{**server, "users": [user]} for server, user in zip(two, users, strict=True)]})

    limited, enabled = {"name": "anna", "quota": "1G"}, {"name": "anna", "enabled": True}
    for pair in ((limited, limited), *permutations((limited, {"name": "anna"})), *permutations((limited, enabled))):
        servers = load(listed(*pair)).servers
        assert people_of(Config(servers))["anna"].limits == Limits(quota=Quota(1 << 30))
    (told,) = problems(listed(limited, {"name": "anna", "quota": "2G"}), "server")
    assert "'anna' has other limits at another server (c.json:1)" in told


def test_the_client_has_the_password_that_lasts() -> None:
    ends = [{"password": KEYS[0], "until": 500}, {"password": KEYS[1], "from": 400}]
    (server,) = load(text_of(users=[{"name": "anna", "passwords": ends}])).servers
    assert [each.password.reveal() for each in clients_of(server)] == [f"{KEY}:{KEYS[1]}"]
    assert [each.password.reveal() for each in clients_of(server, 300)] == [f"{KEY}:{KEYS[0]}"]
    (user,) = server.users or ()
    assert user.limits is FREE


# AEAD: each has a password of his own, and the server none

PASSWORDS = [f"a long password of number {number}" for number in range(3)]


def tried(*users: Any, **keys: Any) -> str:
    return text_of(**{"method": "aes-256-gcm", "password": ..., "users": list(users), **keys})


CLEO, DAN = users(("cleo", PASSWORDS[0]), ("dan", PASSWORDS[1]))


@pytest.mark.parametrize("method", ["aes-128-gcm", "aes-256-gcm", "chacha20-ietf-poly1305", "xchacha20-ietf-poly1305"])
@pytest.mark.parametrize("role", ["server", None])
def test_users_of_an_aead_method_have_passwords_and_the_server_none(method: str, role: Any) -> None:
    config = load(tried(CLEO, DAN, method=method), role=role)
    (server,) = config.servers
    assert server.users == (UserConfig("cleo", keyed(PASSWORDS[0])), UserConfig("dan", keyed(PASSWORDS[1])))
    assert not server.password
    assert server.is_shared
    assert config.warnings == ()
    assert [(each.remarks, each.password.reveal()) for each in clients_of(server)] == [
        ("cleo", PASSWORDS[0]),
        ("dan", PASSWORDS[1]),
    ]
    assert '"password": ""' not in dump(config)
    assert load(dump(config)).servers == config.servers


def test_one_alone_may_have_a_password_too() -> None:
    (server,) = load(tried(CLEO)).servers
    assert server.is_shared
    assert server.owner is None


def test_nobody_has_the_password_of_a_server_whose_users_have_theirs() -> None:
    (told,) = problems(tried(CLEO, password=STRONG), "server")
    assert told == (
        "c.json:1: password: with aes-256-gcm each user has a password of his own, and the server has none; leave it "
        "out, or, if somebody uses it, give it to a user in the list"
    )
    (told,) = problems(tried({"name": "ann"}), "server")
    assert told.endswith(
        "password: is missing; it is the password of the one user in the list, who has none of his own"
    )


def test_a_list_that_is_empty_lets_nobody_in_where_there_is_no_password() -> None:
    assert load(tried(), role="server").servers[0].users == ()
    assert warnings(tried(), "server") == ["c.json:1: users: this list is empty, so nobody can use this server"]
    assert load(tried(password=STRONG)).servers[0].users is None


def test_a_client_of_such_a_server_needs_a_password() -> None:
    (told,) = problems(tried(CLEO), "local")
    assert told == "c.json:1: password: is missing; a client has the password of one of the users"
    assert load(tried(CLEO, password=PASSWORDS[0]), role="local").servers[0].users is None


def test_passwords_differ_and_are_strong() -> None:
    (told,) = problems(tried(CLEO, {**DAN, "password": PASSWORDS[0]}), "server")
    assert "users[1].password: this key is another one's" in told
    (told,) = warnings(tried(CLEO, {**DAN, "password": "sesame"}), "server")
    assert "users[1].password: this password is weak" in told
