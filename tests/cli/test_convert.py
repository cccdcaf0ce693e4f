"""`shadesocks convert`: a config of any program in another form, and what that form has no words for."""

from __future__ import annotations

import base64
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from shadesocks.cli.exits import CONFIG, OK, USAGE, run
from shadesocks.cli.programs import group
from shadesocks.config.load import load
from shadesocks.wire.uri import parse_link

from .programs import KEY, METHOD

if TYPE_CHECKING:
    from pathlib import Path

PYTHON: dict[str, object] = {
    "server": "127.0.0.1",
    "port_password": {"8381": "Xk29-fkqLm_38sW0", "8382": "9dKq-xxW3_plQm28"},
    "timeout": 60,
    "method": "aes-256-cfb",
    "workers": 2,
}


class Printed:
    """What one run printed."""

    def __init__(self, file: Path, keys: dict[str, object], *words: str, capsys: pytest.CaptureFixture[str]) -> None:
        file.write_text(json.dumps(keys))
        self.code = run(group, "shadesocks", ["convert", str(file), *words])
        self.out, self.err = capsys.readouterr()

    @property
    def keys(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "c.json"


def test_our_own_form_says_the_same(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = Printed(file, PYTHON, "--role", "server", capsys=capsys)
    assert printed.code == OK
    assert f"note: {file}: read as python: it has port_password, a key of Python shadowsocks" in printed.err
    assert load(printed.out, role="server") == load(
        json.dumps(PYTHON), role="server", fallbacks={"allow_legacy": "true"}
    )


def test_what_needs_no_permission_gets_none(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = Printed(file, {**PYTHON, "method": "aes-256-gcm"}, capsys=capsys)
    assert "allow_legacy" not in printed.keys
    assert "left out" not in printed.err


def test_a_relative_path_stays_as_it_is(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Printed(file, {**PYTHON, "acl": "rules.acl"}, capsys=capsys).keys["acl"] == "rules.acl"


@pytest.mark.parametrize("form", ["own", "libev", "rust", "sip008"])
def test_other_forms(form: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = Printed(file, PYTHON, "--to", form, "--role", "server", capsys=capsys)
    assert printed.code == OK
    assert len(printed.keys["port_password" if form == "libev" else "servers"]) == 2
    assert ("left out: " in printed.err) == (form != "own")


def test_links(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = {**PYTHON, "server": "0.0.0.0", "one_time_auth": True}
    printed = Printed(file, keys, "--to", "uri", "--role", "server", capsys=capsys)
    links = [parse_link(line) for line in printed.out.splitlines()]
    assert [(link.method, link.host, link.port) for link in links] == [
        ("aes-256-cfb", "0.0.0.0", 8381),
        ("aes-256-cfb", "0.0.0.0", 8382),
    ]
    assert "note: servers[1].server: 0.0.0.0 is where it listens" in printed.err
    left_out = [line for line in printed.err.splitlines() if line.startswith("left out: ")]
    assert left_out[0] == "left out: servers[0].one_time_auth: there is no place for it beside a server"
    assert "only servers have a place in this form" in left_out[-1]


def test_a_client_gets_the_listener_that_its_program_had(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys: dict[str, object] = {"server_password": [["h.example:1", "Xk29-fkqLm_38sW0"]], "local_port": 1081}
    own = Printed(file, {**keys, "method": "aes-256-cfb"}, "--role", "local", capsys=capsys).keys
    assert (own["local_address"], own["local_port"], own["balancer"]["policy"]) == ("0.0.0.0", 1081, "ordered")
    one: dict[str, object] = {"server": "192.0.2.7", "server_port": 8388, "method": METHOD, "password": KEY}
    assert Printed(file, one, "--role", "local", capsys=capsys).keys == {
        **one,
        "local_address": "127.0.0.1",
        "local_port": 1080,
    }


def test_what_cannot_be_converted(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = Printed(file, {**PYTHON, "port_password": {"eighty": 1}}, capsys=capsys)
    assert (broken.code, broken.out) == (CONFIG, "")
    assert f"error: {file}:1: port_password: expected a port" in broken.err
    empty = Printed(file, {}, capsys=capsys)
    assert (empty.code, empty.out) == (CONFIG, "")
    assert "there is no server in it" in empty.err
    assert Printed(file, PYTHON, "--dialect", "klingon", capsys=capsys).code == USAGE
    assert Printed(file, PYTHON, "--to", "klingon", capsys=capsys).code == USAGE


def test_stdin_is_a_file_too(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(PYTHON)))
    assert run(group, "shadesocks", ["convert", "-"]) == OK
    assert len(json.loads(capsys.readouterr().out)["servers"]) == 2


def test_keys_go_to_stdout_and_nowhere_else(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("own", "libev", "rust", "sip008", "uri"):
        assert "Xk29" not in Printed(file, PYTHON, "--to", form, capsys=capsys).err


def converted(file: Path, text: str, *words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    file.write_text(text)
    code = run(group, "shadesocks", ["convert", str(file), *words])
    return code, *capsys.readouterr()


PASSWORD = "Xk29-fkqLm_38sW0"
ENTRY: dict[str, object] = {
    "server": "h.example",
    "server_port": 1,
    "method": "aes-256-gcm",
    "password": PASSWORD,
}
OUTLINE_KEYS = {"accessKeys": [{"id": "0", "password": PASSWORD, "port": 1, "encryptionMethod": "aes-256-gcm"}]}
SING_BOX = {"outbounds": [{"type": "shadowsocks", "tag": "one", **ENTRY}, {"type": "vmess"}], "route": {}}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("links", f"ss://aes-256-gcm:{PASSWORD}@h.example:1\nvmess://x", "left out: 1 of vmess://"),
        ("links", base64.b64encode(f"ss://aes-256-gcm:{PASSWORD}@h.example:1".encode()).decode(), ""),
        ("sip008", json.dumps({"version": 1, "servers": [ENTRY, {**ENTRY, "method": "x"}]}), "servers[1]: this server"),
        ("outline", json.dumps({**ENTRY, "prefix": "\x16"}), "prefix: has no effect"),
        ("outline", json.dumps(OUTLINE_KEYS), ""),
        ("sing-box", json.dumps(SING_BOX), "left out: 1 of vmess"),
    ],
)
def test_what_others_hand_out(name: str, text: str, words: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = converted(file, text, capsys=capsys)
    assert code == OK
    (server,) = load(out).servers
    assert (server.address.port, server.method.name, server.password.reveal()) == (1, "aes-256-gcm", PASSWORD)
    assert f"read as {name}: " in err
    assert words in err
    assert PASSWORD not in err


def test_a_link_to_a_document(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = converted(file, "ssconf://h.example/key#Home", "--role", "local", capsys=capsys)
    assert (code, json.loads(out)["online_config"]) == (OK, {"config_url": "https://h.example/key"})
    code, out, err = converted(file, "ssconf://h.example/key", "--to", "uri", capsys=capsys)
    assert (code, out) == (OK, "ssconf://h.example/key\n")
    assert "left out" not in err
    code, out, err = converted(file, "ssconf://h.example/key", "--to", "sip008", capsys=capsys)
    assert (code, out) == (CONFIG, "")
    assert "there is no server in it" in err


def test_what_links_cannot_say_of_subscriptions(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    urls = ["https://h.example/key", "http://127.0.0.1:8000/"]
    keys = {"online_config": {"config_url": urls, "update_interval": 60}, "servers": [ENTRY]}
    code, out, err = converted(file, json.dumps(keys), "--to", "uri", capsys=capsys)
    assert code == OK
    assert out.splitlines()[1:] == ["ssconf://h.example/key"]
    assert "left out: online_config.config_url: an address of this machine" in err
    assert "left out: online_config.update_interval: there is no word for it" in err
    assert "127.0.0.1:8000" not in err


def test_a_subscription_is_the_client_s_in_every_form(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = {"online_config": {"config_url": "https://h.example/key"}, "servers": [ENTRY]}
    _, _, err = converted(file, json.dumps(keys), "--to", "libev", capsys=capsys)
    assert "left out: online_config: " in err


def test_a_server_that_no_link_can_name_costs_no_other(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = {"servers": [{**ENTRY, "server": "fe80::1%eth0"}, ENTRY]}
    code, out, err = converted(file, json.dumps(keys), "--to", "uri", capsys=capsys)
    assert code == OK
    assert [parse_link(line).host for line in out.splitlines()] == ["h.example"]
    assert "left out: servers[0]: the host of a link is" in err


def test_a_link_has_the_client_s_half_of_a_plugin(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = {**ENTRY, "plugin": "obfs-server", "plugin_opts": "obfs=tls"}
    code, out, err = converted(file, json.dumps(keys), "--to", "uri", capsys=capsys)
    assert (code, parse_link(out).plugin, parse_link(out).plugin_opts) == (OK, "obfs-local", "obfs=tls")
    said = "note: servers[0].plugin: the config has the server's half of the plugin obfs-server; what is written has"
    assert said in err
    assert said in converted(file, json.dumps(keys), "--to", "sip008", capsys=capsys)[2]
    assert said not in converted(file, json.dumps(keys), "--to", "own", capsys=capsys)[2]


@pytest.mark.parametrize("form", ["own", "rust", "sip008", "uri"])
def test_several_keys_are_written(form: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = {"server": "h.example", "server_port": 1, "method": METHOD, "password": f"{KEY}:{KEY}"}
    code, out, err = converted(file, json.dumps(keys), "--to", form, capsys=capsys)
    assert code == OK
    assert (f"{KEY}:{KEY}" if form != "uri" else "%3D%3A") in out
    assert "left out" not in err


@pytest.mark.parametrize(("form", "count"), [("own", 1), ("rust", 1), ("sip008", 2), ("uri", 2)])
def test_users_are_written(form: str, count: int, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where a form is for clients, each user is a client."""
    users = [{"name": name, "password": key_text(letter)} for name, letter in (("anna", b"a"), ("ben", b"b"))]
    keys = {"server": "h.example", "server_port": 1, "method": METHOD, "password": KEY, "users": users}
    code, out, err = converted(file, json.dumps(keys), "--to", form, capsys=capsys)
    assert code == OK
    assert "left out" not in err
    if form in ("own", "rust"):
        (server,) = load(out).servers
        assert server.users is not None
        assert [user.name for user in server.users] == ["anna", "ben"]
        assert '"servers"' in out, "shadowsocks-rust reads users there"
    elif form == "sip008":
        written = json.loads(out)["servers"]
        assert [entry["password"] for entry in written] == [f"{KEY}:{user['password']}" for user in users]
        assert len({entry["id"] for entry in written}) == count
    else:
        assert [parse_link(line).tag for line in out.splitlines()] == ["anna", "ben"]


def key_text(letter: bytes) -> str:
    return base64.b64encode(letter * 32).decode()


@pytest.mark.parametrize("form", ["sip008", "uri"])
def test_a_server_on_every_address_is_told(form: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = converted(file, json.dumps({**ENTRY, "server": "::"}), "--to", form, capsys=capsys)
    assert (code, "::" in out) == (OK, True)
    assert "note: servers[0].server: :: is where it listens, and nowhere to connect to" in err
