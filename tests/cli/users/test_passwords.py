"""Passwords: made, given, rotated, dropped."""

from __future__ import annotations

import io
import sys
from dataclasses import replace

import click
import pytest

from shadesocks.cli.users.book import Book
from shadesocks.cli.users.passwords import credential_of, method_at, rotated, typed, without
from shadesocks.config.load import load
from shadesocks.config.user import Credential
from shadesocks.core.secret import Secret
from shadesocks.crypto.keys import parse_keys
from shadesocks.crypto.methods import METHODS
from tests.cli.programs import KEY, METHOD

from .conftest import FAY

SHARED = {"server": "127.0.0.1", "server_port": 1, "method": METHOD, "password": KEY}
NOW = 1_800_000_000.0
OLD = Credential(Secret("a"))


def book(*, config: bool = True) -> Book:
    import json

    alone = {"server": "127.0.0.1", "server_port": 2, "method": "aes-128-gcm", "password": "mVt5-kd93Qpz_0Lr2"}
    servers = [alone, {**SHARED, "users": [{"name": "fay", "password": FAY}]}]
    return Book("c.json", load(json.dumps({"servers": servers})) if config else None, "users.db")


def test_a_key_is_made_for_the_method_of_the_server() -> None:
    for port, name in ((None, METHOD), (1, METHOD), (2, "aes-128-gcm"), (3, "aes-128-gcm")):
        assert method_at(book(), port) is METHODS[name]
    made = {credential_of(book(), None, "new", None, None, NOW).password.reveal() for _ in range(3)}
    assert len(made) == 3
    assert all(len(parse_keys(METHODS[METHOD], text)[0]) == 32 for text in made)
    assert method_at(book(config=False), None) is None
    with pytest.raises(click.UsageError, match="--password KEY"):
        credential_of(book(config=False), None, "new", None, None, NOW)


def test_one_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    assert credential_of(book(), None, "x", None, "never", NOW) == Credential(Secret("x"))
    assert credential_of(book(), None, "x", "1h", "2h", NOW) == Credential(
        Secret("x"), int(NOW) + 3600, int(NOW) + 7200
    )
    monkeypatch.setattr(sys, "stdin", io.StringIO("from stdin\nmore\n"))
    assert [typed(text) for text in (None, "x", "-")] == [None, "x", "from stdin"]
    for text, begins, ends in (("", None, None), ("x", "2h", "1h"), ("x", "soon", None)):
        with pytest.raises(click.UsageError):
            credential_of(book(), None, text, begins, ends, NOW)


def test_a_rotation() -> None:
    fresh = Credential(Secret("new"))
    ending = replace(OLD, valid_until=int(NOW) + 5)
    past, to_come = replace(OLD, valid_until=int(NOW) - 5), replace(OLD, valid_from=int(NOW) + 5)
    until = replace(OLD, valid_until=int(NOW) + 60)
    assert rotated((OLD, ending, past, to_come), fresh, 60, NOW) == (until, ending, fresh)
    assert rotated((OLD,), fresh, 0, NOW) == (fresh,)


def test_those_with_a_number_are_dropped() -> None:
    several = tuple(Credential(Secret(letter)) for letter in "abc")
    assert without(several, (1, 3)) == several[1:2]
    for number in (0, 4, -1):
        with pytest.raises(click.UsageError):
            without(several, (number,))
