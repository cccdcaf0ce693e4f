"""`shadesocks url`: links from configs, configs from links."""

from __future__ import annotations

import base64
import io
import json
from typing import TYPE_CHECKING

import pytest

from shadesocks.cli.exits import CONFIG, OK, USAGE, run
from shadesocks.cli.programs import group
from shadesocks.wire.uri import parse_link

from .programs import KEY, LINK, METHOD

if TYPE_CHECKING:
    from pathlib import Path

CONFIG_TEXT = json.dumps({"server": "192.0.2.7", "server_port": 8388, "method": METHOD, "password": KEY})


def url(*argv: str) -> int:
    return run(group, "shadesocks", ["url", *argv])


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "c.json"
    path.write_text(CONFIG_TEXT)
    return str(path)


def test_a_config_becomes_a_link(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert url("-e", file) == OK
    assert capsys.readouterr() == (f"{LINK}\n", "")


def test_every_user_has_a_link(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.json"
    users = [{"name": name, "password": base64.b64encode(name[:1].encode() * 32).decode()} for name in ("anna", "ben")]
    path.write_text(json.dumps({**json.loads(CONFIG_TEXT), "users": users}))
    assert url("-e", str(path), "-q") == OK
    out = capsys.readouterr().out
    links = [parse_link(line) for line in out.splitlines() if line.startswith("ss://")]
    assert [(link.tag, link.password) for link in links] == [
        (user["name"], f"{KEY}:{user['password']}") for user in users
    ]
    assert out.count("▀") > 100, "and a code that holds all keys"


def test_users_of_a_store_are_where_they_are_managed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps({**json.loads(CONFIG_TEXT), "users": [], "store": "users.db"}))
    assert url("-e", str(path)) == CONFIG
    assert "see: shadesocks user link NAME" in capsys.readouterr().err


def test_every_server_has_its_link(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.json"
    entry = json.loads(CONFIG_TEXT)
    path.write_text(json.dumps({"servers": [entry, {**entry, "server_port": 8389, "remarks": "two"}]}))
    assert url("-e", str(path)) == OK
    assert capsys.readouterr().out.splitlines() == [LINK, LINK.replace("8388", "8389") + "#two"]


@pytest.mark.parametrize(("argv", "methods"), [((), ["aes-256-cfb"] * 2), (("--dialect", "node"), ["table"] * 2)])
def test_a_file_of_an_old_program_has_links_too(
    argv: tuple[str, ...], methods: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.json"
    keys = {"server": ["192.0.2.7", "192.0.2.8"], "server_port": 8388, "password": "x"}
    path.write_text(json.dumps(keys if argv else {**keys, "workers": 1}))
    assert url("-e", str(path), *argv) == OK
    assert [parse_link(line).method for line in capsys.readouterr().out.splitlines()] == methods


def test_the_host_of_the_link_can_be_named(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert url("-e", file, "--host", "proxy.example") == OK
    assert parse_link(capsys.readouterr().out).host == "proxy.example"


def test_a_server_on_every_address_gets_a_guess_and_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.json"
    path.write_text(CONFIG_TEXT.replace("192.0.2.7", "::"))
    assert url("-e", str(path)) == OK
    out, err = capsys.readouterr()
    assert parse_link(out).host != "::"
    assert err.startswith("note: ")
    assert "--host NAME" in err


def test_a_link_becomes_a_config_for_either_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert url("-d", f"{LINK}#home") == OK
    assert json.loads(capsys.readouterr().out) == {
        "server": "192.0.2.7",
        "server_port": 8388,
        "method": METHOD,
        "password": KEY,
        "remarks": "home",
        "local_address": "127.0.0.1",
        "local_port": 1080,
        "mode": "tcp_and_udp",
    }


def test_there_and_back_is_the_same_link(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url("-d", f"{LINK}#home")
    path = tmp_path / "c.json"
    path.write_text(capsys.readouterr().out)
    assert run(group, "shadesocks", ["check", str(path)]) == OK
    capsys.readouterr()
    url("-e", str(path))
    assert capsys.readouterr().out == f"{LINK}#home\n"


@pytest.mark.parametrize("text", [f"{LINK}\n", f"  '{LINK}'\n", f"\u201c{LINK}\u201d\n"])
def test_a_link_comes_from_stdin_as_well(
    text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert url("-d", "-") == OK
    assert json.loads(capsys.readouterr().out)["server"] == "192.0.2.7"


def test_a_code_is_drawn_when_asked_for(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert url("-e", file, "-q") == OK
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == LINK
    assert len(rest) > 15


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        ([], USAGE, "give either -e FILE or -d LINK"),
        (["-e", "x", "-d", "y"], USAGE, "give either -e FILE or -d LINK"),
        (["-d", LINK, "--host", "h"], USAGE, "--host goes with -e"),
        (["-d", "http://x"], USAGE, "link: a link begins with ss://"),
        (["-d", ""], USAGE, "no link was given"),
        (["-d", LINK.replace("AAEC", "")], USAGE, "link: the key of"),
        (["-e", "nowhere.json"], CONFIG, "nowhere.json: this file cannot be read"),
    ],
)
def test_what_cannot_be_turned_is_told(
    argv: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert url(*argv) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert KEY[8:20] not in err


def test_a_config_without_a_server_has_no_link(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.json"
    path.write_text('{"local_port": 1080}')
    assert url("-e", str(path)) == CONFIG
    assert "there is no server in it" in capsys.readouterr().err


EIH = LINK.replace("@", "%3AAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8%3D@")
"""The link of a server that takes two keys."""


def test_several_links_become_one_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plugged = LINK.replace(":8388", ":8389/?plugin=obfs-local%3Bobfs%3Dhttp#two")
    assert url("-d", LINK, "-d", plugged) == OK
    out = capsys.readouterr().out
    keys = json.loads(out)
    assert [entry["server_port"] for entry in keys["servers"]] == [8388, 8389]
    assert (keys["local_port"], keys["mode"]) == (1080, "tcp_and_udp")
    path = tmp_path / "c.json"
    path.write_text(out)
    assert url("-e", str(path)) == OK
    assert capsys.readouterr().out.splitlines() == [LINK, plugged]


def test_several_keys_there_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert url("-d", EIH) == OK
    path = tmp_path / "c.json"
    path.write_text(capsys.readouterr().out)
    assert json.loads(path.read_text())["password"] == f"{KEY}:{KEY}"
    assert url("-e", str(path), "-q") == OK
    first, *code = capsys.readouterr().out.splitlines()
    assert first == EIH
    assert len(code) > 15


def test_a_list_of_links_is_a_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "l.txt"
    path.write_text(f"{LINK}#one\nvmess://x\n{LINK}\n")
    assert url("-e", str(path)) == OK
    assert capsys.readouterr().out.splitlines() == [f"{LINK}#one", LINK]


def test_what_is_left_out_of_a_list_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "l.txt"
    path.write_text(f"{LINK}\nvmess://x\nss://x\n")
    assert url("-e", str(path)) == OK
    err = capsys.readouterr().err
    assert "l.txt:1: lines that are no ss:// links are left out: 1 of vmess://" in err
    assert "l.txt:3: servers[1]: this server is left out" in err


def test_a_subscription_is_a_link_there_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    documents = ["ssconf://h.example/secret", "ssconf://h.example:444/other?x=1"]
    assert url("-d", LINK, "-d", f"{documents[0]}#Home", "-d", documents[1]) == OK
    path = tmp_path / "c.json"
    path.write_text(capsys.readouterr().out)
    keys = json.loads(path.read_text())
    assert keys["server"] == "192.0.2.7"
    assert keys["online_config"] == {"config_url": ["https://h.example/secret", "https://h.example:444/other?x=1"]}
    assert url("-e", str(path)) == OK
    assert capsys.readouterr().out.splitlines() == [LINK, *documents]
    assert url("-d", documents[0], "-q") == OK
    out = capsys.readouterr().out
    keys, end = json.JSONDecoder().raw_decode(out)
    assert (keys["online_config"], "servers" in keys) == ({"config_url": "https://h.example/secret"}, False)
    first, *code = out[end:].strip().splitlines()
    assert first == documents[0]
    assert len(code) > 12


def test_a_server_s_plugin_becomes_its_client_s(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.json"
    entry = json.loads(CONFIG_TEXT)
    plugins = ({"plugin": "obfs-server", "plugin_opts": "obfs=tls"}, {"plugin": "ck-server"}, {"plugin": "obfs-local"})
    path.write_text(json.dumps({"servers": [{**entry, "server_port": n, **each} for n, each in enumerate(plugins, 1)]}))
    assert url("-e", str(path)) == OK
    out, err = capsys.readouterr()
    found = [(link.plugin, link.plugin_opts) for link in map(parse_link, out.splitlines())]
    assert found == [("obfs-local", "obfs=tls"), ("ck-server", None), ("obfs-local", None)]
    assert "the plugin obfs-server; what is written has the client's, obfs-local" in err
    assert "note: the plugin ck-server seems to be the server's half" in err
    assert err.count("note: ") == 2


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"server": "fe80::1%eth0"}, "servers[0]: the host of a link is"),
        ({"method": "aes-256-gcm", "password": None, "key": "Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyMTI="}, "key of"),
    ],
)
def test_a_server_that_no_link_can_name(
    entry: dict[str, object], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "c.json"
    odd = {key: value for key, value in {**json.loads(CONFIG_TEXT), **entry}.items() if value is not None}
    path.write_text(json.dumps({"servers": [odd, json.loads(CONFIG_TEXT)]}))
    assert url("-e", str(path)) == OK
    out, err = capsys.readouterr()
    assert out == f"{LINK}\n"
    assert f"left out: {path}: servers[0]: " in err
    assert words in err
    path.write_text(json.dumps({"servers": [odd]}))
    assert url("-e", str(path)) == CONFIG
    assert "no link to print" in capsys.readouterr().err


def test_a_link_that_is_too_long_for_a_code_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps({**json.loads(CONFIG_TEXT), "plugin": "p", "plugin_opts": "x" * 3000}))
    assert url("-e", str(path), "-q") == OK
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    assert "longer than a QR code can be" in err


def test_what_a_link_says_moves_no_cursor_and_names_no_program_unseen(capsys: pytest.CaptureFixture[str]) -> None:
    assert url("-d", f"{LINK}/?plugin=reboot%3Bx%3D%C2%9B2J%1B%5B31m#%C2%9B%E2%80%AE%F0%9F%98%80") == OK
    out, err = capsys.readouterr()
    assert all(char.isprintable() for char in out.replace("\n", ""))
    keys = json.loads(out)
    assert (keys["plugin_opts"], keys["remarks"]) == ("x=\x9b2J\x1b[31m", "\x9b\u202e\U0001f600")
    assert err == "note: the plugin reboot would be run by whoever starts this config: see that you know it\n"
    assert url("-d", f"{LINK}/?plugin=obfs-local%3Bobfs%3Dhttp") == OK
    assert capsys.readouterr().err == ""
