"""A user as an object of JSON: what is taken, what is refused, and that it comes back as it was written."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.config.limits import MemberError
from shadesocks.config.user import Credential, UserConfig, check_name, name_shown, pack_user, parse_user
from shadesocks.core.errors import KeyTextError
from shadesocks.core.limits import Limits, Quota
from shadesocks.core.secret import Secret
from shadesocks.crypto.keys import parse_keys
from shadesocks.crypto.methods import Method, find_method

INSTANTS = st.none() | st.integers(0, 2**33)
CREDENTIALS = st.builds(Credential, st.text(min_size=1).map(Secret), INSTANTS, INSTANTS).filter(
    lambda one: one.valid_from is None or one.valid_until is None or one.valid_from < one.valid_until
)
USERS = st.builds(
    UserConfig,
    name=st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20),
    credentials=st.lists(CREDENTIALS, max_size=3).map(tuple),
    limits=st.builds(Limits, quota=st.none() | st.builds(Quota, st.integers(0, 10**15)), enabled=st.booleans()),
    note=st.text(max_size=50),
    port=st.none() | st.integers(1, 65535),
)


@given(USERS)
def test_a_store_gives_back_what_it_was_given(user: UserConfig) -> None:
    assert parse_user(user.name, json.loads(json.dumps(pack_user(user)))) == user


@pytest.mark.parametrize(
    ("members", "key"),
    [
        ({"password": 5}, "password"),
        ({"password": {"password": "x", "til": 5}}, "password"),
        ({"passwords": "x"}, "passwords"),
        ({"passwords": []}, "passwords"),
        ({"passwords": ["x", {"password": "y", "from": 9, "until": 9}]}, "passwords[1]"),
        ({"passwords": [{"password": "y", "until": "whenever"}]}, "passwords[0].until"),
        ({"password": "x", "passwords": ["y"]}, "passwords"),
        ({"port": 0}, "port"),
        ({"port": True}, "port"),
        ({"port": "80"}, "port"),
        ({"note": ["x"]}, "note"),
        ({"note": "x" * 1001}, "note"),
        ({"quota": {"size": []}}, "quota.size"),
    ],
)
def test_what_is_wrong_is_named_by_its_key_and_no_password_told(members: dict[str, Any], key: str) -> None:
    with pytest.raises(MemberError) as caught:
        parse_user("anna", members)
    assert caught.value.key == key
    assert "'x'" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a\n", "x" * 256, 5, None])
def test_names_that_cannot_stand_in_a_log(name: Any) -> None:
    with pytest.raises(MemberError, match="1 to 255 letters"):
        check_name(name)


def test_a_password_opens_the_door_between_two_instants() -> None:
    assert [Credential(Secret("x"), 10, 20).is_valid(at) for at in (9.9, 10, 19.9, 20)] == [False, True, True, False]
    assert Credential(Secret("x")).is_valid(0)


def test_no_password_is_shown() -> None:
    assert "hunter2" not in repr(parse_user("anna", {"password": "hunter2"}))


def test_a_key_is_parsed_once_for_each_method(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def parse(method: Method, text: str) -> tuple[bytes, ...]:
        asked.append(method.name)
        return parse_keys(method, text)

    monkeypatch.setattr("shadesocks.config.user.parse_keys", parse)
    one, other = find_method("2022-blake3-aes-128-gcm"), find_method("aes-256-gcm")
    credential = Credential(Secret(base64.b64encode(b"k" * 16).decode()))
    before = replace(credential)
    assert [credential.key(one) for _ in range(3)] == [b"k" * 16] * 3
    assert len(credential.key(other)) == 32
    assert asked == [one.name, other.name]
    assert credential == before
    assert hash(credential) == hash(before)
    assert "kkk" not in repr(credential)
    assert replace(credential, password=Secret(base64.b64encode(b"n" * 16).decode())).key(one) == b"n" * 16


@pytest.mark.parametrize(
    ("text", "code"), [("x", "bad_base64"), ("eHg=", "key_length"), (f"{'A' * 22}:{'B' * 22}", "several_keys")]
)
def test_a_text_that_is_no_key_of_a_method(text: str, code: str) -> None:
    with pytest.raises(KeyTextError) as caught:
        Credential(Secret(text)).key(find_method("2022-blake3-aes-128-gcm"))
    assert caught.value.code == code


def test_any_name_can_be_shown() -> None:
    long = "ä" * 255
    assert name_shown(long) == check_name(long) == long
    assert name_shown("x\u202ey\n") == "x\\u202ey\\u000a"
    assert name_shown("") == ""
    assert len(name_shown("a" * 100_000)) < 100
