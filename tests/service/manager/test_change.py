"""A change of a port that goes to other processes."""

from __future__ import annotations

import json
import pickle

import pytest

from shadesocks.config.load import load
from shadesocks.core.address import Address
from shadesocks.core.errors import ConfigError
from shadesocks.service.manager.change import Change

CONFIG = load(json.dumps({"manager_listen": "127.0.0.1:0", "method": "aes-256-gcm", "server": "::1"}), role="server")
KEYS = {"server_port": 8001, "password": "correct horse battery staple"}


def test_every_process_makes_the_same_servers_of_the_same_words() -> None:
    change = Change(8001, KEYS, ("127.0.0.1", "192.0.2.1"))
    other = pickle.loads(pickle.dumps(change))  # noqa: S301 - our own
    servers = other.servers(CONFIG)
    assert servers == change.servers(CONFIG)
    assert [server.address for server in servers] == [Address("127.0.0.1", 8001), Address("192.0.2.1", 8001)]
    assert all(server.password.reveal() == KEYS["password"] for server in servers)


def test_where_nothing_is_said_of_hosts_the_words_say_it() -> None:
    assert Change(8001, KEYS).servers(CONFIG)[0].address == Address("::1", 8001)
    assert Change(8001, {**KEYS, "server": "127.0.0.1"}).servers(CONFIG)[0].address == Address("127.0.0.1", 8001)


def test_one_that_goes_has_no_servers_and_words_are_judged() -> None:
    assert Change(8001).servers(CONFIG) == []
    with pytest.raises(ConfigError):
        Change(8001, {**KEYS, "method": "nope"}).servers(CONFIG)


def test_no_password_is_shown() -> None:
    assert str(KEYS["password"]) not in repr(Change(8001, KEYS))
