"""Users from files: CSV and JSON, and what is wrong with one."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from shadesocks.cli.exits import CONFIG, Failed
from shadesocks.cli.users.importing import read_users


def read(folder: Path, text: str, **common: object) -> object:
    file = folder / "users"
    file.write_text(text, encoding="utf-8")
    return read_users(str(file), common, 1_800_000_000)


def test_a_table_of_a_spreadsheet(tmp_path: Path) -> None:
    text = (
        "\ufeffname,password,port,enabled,quota,window,expires,up_speed,note,_of_mine\r\n"
        'anna,KEY,8390,no,50G,month,1d,2M,"third, floor",x\r\n'
        "ben,,,,,,,,,\r\n"
    )
    assert read(tmp_path, text, note="all", port=5) == [
        (
            "anna",
            {
                "note": "third, floor",
                "port": 8390,
                "password": "KEY",
                "enabled": False,
                "quota": {"size": "50G", "window": "month"},
                "expires": 1_800_086_400,
                "up_speed": "2M",
            },
        ),
        ("ben", {"note": "all", "port": 5}),
    ]


@pytest.mark.parametrize("text", ['[{"name": "anna", "quota": "5G"}]', '{"users": [{"name": "anna", "quota": "5G"}]}'])
def test_json_has_the_members_of_a_config(text: str, tmp_path: Path) -> None:
    assert read(tmp_path, text, note="all") == [("anna", {"note": "all", "quota": "5G"})]


def test_one_user_alone_and_from_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"name": "anna"}'))
    assert read_users("-", {}, 0) == [("anna", {})]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "there is no user in it"),
        ("name\n", "there is no user in it"),
        (
            "name,key\nanna,canary\n",
            ":1: key is nothing that a user has; there are name, password, port, enabled, quota",
        ),
        ("name,passwords\nanna,canary\n", ":1: passwords is nothing that a user has"),
        ("quota\n5G\n", ":1: here stand the names of the columns"),
        ("anna,canary\n", ":1: here stand the names of the columns"),
        ("name,quota\n,5G\n", ":2: a name"),
        ('[{"name": "anna", "window": "month"}]', "user 1: window is nothing that a user has"),
        ("name\nanna,canary\n", ":2: a name, and no more columns"),
        ("name,window\nanna,month\n", ":2: --window and --day"),
        ("name,port\nanna,canary\n", ":2: port is a number"),
        ("name,enabled\nanna,canary\n", ":2: enabled is true or false"),
        ("name\nanna\nanna\n", "anna stands there twice"),
        ('name,note\nanna,"canary\n', "this is no CSV"),
        ("[{canary}]", ":1: this is no JSON"),
        ("[" * 100_000, ": this is no JSON"),
        (f"name,port\nanna,{'9' * 5000}\n", ":2: port is a number"),
        ("[5]", "user 1 is no object with a name"),
        ('[{"name": "anna"}, {"name": 5}]', "user 2 is no object with a name"),
        ('[{"name": "anna", "key": "canary"}]', "user 1: key is nothing that a user has"),
    ],
)
def test_what_is_wrong_is_told_without_values(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(Failed) as caught:
        read(tmp_path, text)
    assert words in str(caught.value)
    assert "canary" not in str(caught.value)
    assert caught.value.code == CONFIG


def test_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "odd").write_bytes(b"\xff")
    for name, words in (("nothing", "cannot be read"), ("odd", "is not UTF-8"), (".", "cannot be read")):
        with pytest.raises(Failed, match=words):
            read_users(str(tmp_path / name), {}, 0)


WORDS = ["name", "anna", "port", "80", ",", "\n", '"', "[", "]", "{", "}", ":", "\r\n", "quota", "5G", "null"]


@given(some.lists(some.sampled_from(WORDS) | some.text(max_size=3), max_size=30))
def test_no_text_is_more_than_a_sentence(parts: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.StringIO("".join(parts)))
        found: list[tuple[str, dict[str, object]]] = []
        with contextlib.suppress(Failed):
            found = read_users("-", {}, 0)
        for name, members in found:
            assert isinstance(name, str)
            assert "name" not in members
