"""Whose `ssserver` and `sslocal` is meant."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from shadesocks.cli.family.choose import choose, choose_by_words, without_dialect

if TYPE_CHECKING:
    from pathlib import Path

    from shadesocks.config.setting import Role


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is found but those of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)


@pytest.mark.parametrize(
    ("role", "words", "whose"),
    [
        ("server", "-p 8388 -k x", "python"),
        ("server", "-k x -p8388", "python"),
        ("local", "-vl1080", "python"),
        ("local", "-t 60", "python"),
        ("local", "-q", "python"),
        ("local", "-vqq", "python"),
        ("server", "--workers 2", "python"),
        ("server", "--work=2", "python"),
        ("server", "--forbidden-ip=", "python"),
        ("server", "--forbidden-ip ::1 -s 0.0.0.0:8388", "rust"),
        ("local", "--pid-file x", "python"),
        ("local", "--log-file=x", "python"),
        ("server", "--prefer-ipv6", "python"),
        ("local", "-d start", "python"),
        ("local", "-dstop -c x.json", "python"),
        ("local", "-c x.json -d restart", "python"),
        ("local", "-a -c x.json", "python"),
        ("local", "-s 192.0.2.1 -k x -m aes-256-gcm", "python"),
        ("local", "-s 2001:db8::1", "python"),
        ("local", "-m rc4-md5", "python"),
        ("local", "-m AES-256-CFB -s 192.0.2.1:8388", "python"),
        ("local", "-s 192.0.2.1:8388 -p 1", "python"),
        ("local", "-s 192.0.2.1:8388", "rust"),
        ("local", "-s [2001:db8::1]:8388", "rust"),
        ("local", "-b 127.0.0.1:1080", "rust"),
        ("server", "-b 192.0.2.9", "rust"),
        ("local", "-U", "rust"),
        ("server", "-vu", "rust"),
        ("local", "-a nobody", "rust"),
        ("server", "-d", "rust"),
        ("server", "-d -c x.json", "rust"),
        ("server", "-6", "rust"),
        ("server", "-n 1024", "rust"),
        ("local", "--server-url ss://x", "rust"),
        ("local", "--server-addr 192.0.2.1:1", "rust"),
        ("server", "--log-level=debug", "rust"),
        ("server", "--acl x.acl", "rust"),
        ("local", "-f 192.0.2.1:80", "rust"),
    ],
)
def test_words_decide(role: Role, words: str, whose: str) -> None:
    choice = choose_by_words(role, words.split())
    assert choice is not None
    assert choice.whose == whose
    assert choice == choose(role, words.split())
    assert choice.why


@pytest.mark.parametrize(
    "words",
    [
        "-c x.json",
        "-c x.json -v",
        "-vv -c -p",
        "--config=x.json",
        "-k -p -m aes-256-gcm",
        "-v -- -p",
        "--user nobody",
        "word",
    ],
)
def test_words_of_both_decide_nothing(words: str) -> None:
    assert choose_by_words("local", words.split()) is None


@pytest.mark.parametrize(
    ("words", "whose"),
    [
        ("--dialect python -s 192.0.2.1:8388", "python"),
        ("--dialect=python", "python"),
        ("--dialect python -h", "python"),
        ("--dialect rust -p 8388", "rust"),
        ("-q --dialect=libev", "rust"),
    ],
)
def test_the_dialect_that_is_asked_for_decides_before_all_else(words: str, whose: str) -> None:
    assert choose("server", words.split()).whose == whose


def test_the_original_is_not_told_the_dialect() -> None:
    assert without_dialect(["-p", "1", "--dialect", "python", "-k", "x", "--dialect=python"]) == ["-p", "1", "-k", "x"]


COMMON = {"server": "192.0.2.1", "server_port": 8388, "password": "x", "method": "aes-256-gcm", "local_port": 1080}


@pytest.mark.parametrize(
    ("keys", "whose"),
    [
        ({}, "common"),
        ({"timeout": 300}, "common"),
        ({"method": "rc4-md5"}, "python"),
        ({"workers": 2}, "python"),
        ({"one_time_auth": True}, "python"),
        ({"mode": "tcp_only"}, "rust"),
        ({"servers": []}, "rust"),
        ({"locals": []}, "rust"),
    ],
)
def test_else_the_file_decides(keys: dict[str, object], whose: str, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(json.dumps({**COMMON, **keys}))
    for words in ("-c", "-vc", "--config"):
        assert choose("local", [words, str(file)]).whose == whose
    assert choose("local", [f"--config={file}", "-v"]).whose == whose
    assert choose("local", ["-c", str(file)]).file == ""
    (tmp_path / "local.json").write_text(file.read_text())
    found = choose("local", [])
    assert (found.whose, found.file) == (whose, str(tmp_path / "local.json"))


def test_a_manager_is_the_python_one_s_unless_something_says_otherwise(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps(COMMON))
    assert choose("server", ["-c", "x.json", "--manager-address", "/run/x"]).whose == "python"
    assert choose("server", ["-s", "0.0.0.0:1", "--manager-address", "/run/x"]).whose == "rust"


@pytest.mark.parametrize(
    ("words", "whose"), [("", "python"), ("-v", "python"), ("--version", "python"), ("-h", "rust"), ("--help", "rust")]
)
def test_with_nothing_to_start_with_each_says_what_it_is_known_for(words: str, whose: str) -> None:
    assert choose("local", words.split()).whose == whose


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff"])
def test_a_file_that_cannot_be_read_decides_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(text.encode("latin-1"))
    assert choose("local", ["-c", "x.json"]).whose in ("common", "rust")
    assert choose("local", ["-c", "nowhere.json"]).whose == "common"
    assert choose("local", ["-c", "-"]).whose == "common"
