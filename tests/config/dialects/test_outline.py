"""Outline: access keys of clients, and the keys of a server."""

from __future__ import annotations

from typing import Any

from .samples import PASSWORD, config_of, look, problems, servers, warnings

KEY: dict[str, Any] = {
    "server": "h.example",
    "server_port": 443,
    "password": PASSWORD,
    "method": "chacha20-ietf-poly1305",
    "prefix": "\u0016\u0003\u0001\u0000\u00a8\u0001\u0001",
}
STORE: dict[str, Any] = {
    "accessKeys": [
        {
            "id": "0",
            "metricsId": "m",
            "name": "Ann",
            "password": PASSWORD,
            "port": 1001,
            "encryptionMethod": "chacha20-ietf-poly1305",
            "dataLimit": {"bytes": 5},
        },
        {"id": "1", "name": "", "password": PASSWORD, "port": 1002, "encryptionMethod": "aes-256-gcm"},
    ],
    "nextId": 2,
}


def test_an_access_key() -> None:
    assert servers(config_of(KEY, "local")) == [f"h.example:443 {PASSWORD}"]
    (warning,) = warnings(KEY, "local")
    assert warning.startswith("prefix: has no effect: ")
    assert warnings({**KEY, "prefix": ""}, "local") == []


def test_the_keys_of_a_server() -> None:
    report = look(STORE, "server")
    assert report.taken is not None
    assert report.taken.why == "it has accessKeys, a key of Outline"
    config = config_of(STORE, "server")
    assert [(server.address.port, server.method.name, server.id, server.remarks) for server in config.servers] == [
        (1001, "chacha20-ietf-poly1305", "0", "Ann"),
        (1002, "aes-256-gcm", "1", ""),
    ]
    assert {server.address.host for server in config.servers} <= {"::", "0.0.0.0"}
    assert warnings(STORE, "server") == []


def test_keys_of_one_port_are_told() -> None:
    shared = {"accessKeys": [{**key, "port": 1001} for key in STORE["accessKeys"]]}
    assert warnings(shared) == [
        "accessKeys: a port has one method, and 1 of the ports of these keys have another one, too"
    ]
    assert any("is taken" in problem for problem in problems(shared, "server"))


def test_keys_of_one_port_are_users_of_one_server() -> None:
    names = ("Ann", "Ben", "", "Ben")
    keys = [
        {**STORE["accessKeys"][0], "id": str(index), "name": name, "password": f"{PASSWORD} {index}"}
        for index, name in enumerate(names)
    ]
    config = config_of({"accessKeys": [*keys, STORE["accessKeys"][1]]}, "server")
    one, other = config.servers
    assert (one.address.port, one.method.name, bool(one.password)) == (1001, "chacha20-ietf-poly1305", False)
    assert [(user.name, user.credentials[0].password.reveal()) for user in one.users or ()] == [
        ("Ann", f"{PASSWORD} 0"),
        ("1", f"{PASSWORD} 1"),
        ("2", f"{PASSWORD} 2"),
        ("3", f"{PASSWORD} 3"),
    ]
    assert (other.address.port, other.users) == (1002, None)


def test_they_are_of_no_use_to_a_client() -> None:
    assert "name no host to connect to" in problems(STORE, "local")[-1]


def test_what_is_wrong() -> None:
    assert problems({"accessKeys": 7})[-1] == "accessKeys: expected a list of objects, in square brackets"
    bad = {"accessKeys": [{**STORE["accessKeys"][0], "password": 7}, STORE["accessKeys"][1]]}
    assert len(config_of(bad, "server").servers) == 1
    assert warnings(bad, "server") == [
        "servers[0]: this server is left out: password: expected a password: text in quotes, found 7"
    ]


def test_a_newer_key_is_called_by_its_name() -> None:
    transport = {"$type": "shadowsocks", "endpoint": "h.example:443", "secret": PASSWORD}
    keys = {"transport": {"$type": "tcpudp", "tcp": transport, "udp": transport}}
    (problem,) = problems(keys)
    assert problem.startswith("transport: this is an access key of Outline whose servers stand under `transport`")
    assert PASSWORD not in problem
