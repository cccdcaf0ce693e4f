"""The plugin of a server: who may name one, what is said of it, and what does not go together with it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shadesocks.config.export import to_rust, to_sip008
from shadesocks.config.export_libev import to_libev
from shadesocks.config.load import load
from shadesocks.config.manager import added_server
from shadesocks.config.model import Config, Mode, PluginConfig
from shadesocks.config.save import dump
from shadesocks.config.setting import Role
from shadesocks.core.errors import ConfigError
from shadesocks.core.secret import Secret

from .samples import KEY, METHOD, look, problems, text_of, warnings

OPTIONS = "obfs=http;key=correct-horse"
WHOLE: dict[str, Any] = {
    "plugin": "/opt/v2ray-plugin",
    "plugin_opts": OPTIONS,
    "plugin_args": ["-fast-open", "a,b"],
    "plugin_mode": "tcp_and_udp",
}
PLUGIN = PluginConfig("/opt/v2ray-plugin", Secret(OPTIONS), ("-fast-open", "a,b"), Mode.TCP_AND_UDP)
ENTRY = {"server": "203.0.113.5", "server_port": 8388, "method": METHOD, "password": KEY}


def config_of(text: str) -> Config:
    config = look(text).config
    assert config is not None
    return config


def test_a_server_has_its_plugin() -> None:
    assert config_of(text_of(WHOLE)).servers[0].plugin == PLUGIN
    assert config_of(json.dumps({"servers": [{**ENTRY, **WHOLE}]})).servers[0].plugin == PLUGIN
    assert config_of(text_of(plugin="obfs-local")).servers[0].plugin == PluginConfig("obfs-local")


@pytest.mark.parametrize("name", ["", None])
def test_an_empty_one_is_none(name: str | None) -> None:
    config = config_of(text_of(plugin=name, plugin_opts=""))
    assert config.servers[0].plugin is None
    assert config.warnings == ()


def test_what_is_said_of_a_plugin_is_kept_as_a_password_is() -> None:
    server = config_of(text_of(WHOLE)).servers[0]
    assert "correct-horse" not in repr(server)
    assert "-fast-open" not in repr(server)


@pytest.mark.parametrize("name", ["./obfs-local", "bin/obfs-local", "../x"])
def test_a_path_is_absolute(name: str) -> None:
    assert problems(text_of(plugin=name)) == [
        "c.json:1: plugin: a path begins with / here; give the absolute path, or the bare name of a program in PATH"
    ]


@pytest.mark.parametrize(
    ("keys", "start"),
    [
        ({"plugin": "a\nb"}, "plugin: this is no name of a program"),
        ({"plugin": "p", "plugin_opts": "a\0b"}, "plugin_opts: this cannot stand in an environment"),
        ({"plugin": "p", "plugin_args": ["a\0"]}, "plugin_args: this cannot stand in a command line"),
        ({"plugin": "p", "plugin_args": "a b"}, "plugin_args: expected a list of texts, found text"),
        ({"plugin": "p", "plugin_args": [1]}, "plugin_args: expected a list of texts"),
        ({"plugin": "p", "plugin_mode": "udp"}, "plugin_mode: the word is not known"),
        ({"plugin": 7}, "plugin: expected text"),
    ],
)
def test_what_no_system_could_start(keys: dict[str, Any], start: str) -> None:
    (problem,) = problems(text_of(keys))
    assert problem.removeprefix("c.json:1: ").startswith(start)


def test_options_without_a_plugin() -> None:
    assert warnings(text_of(plugin_opts="a")) == ["c.json:1: plugin_opts: has no effect without a plugin"]


def test_a_plugin_of_no_server_is_a_problem() -> None:
    text = json.dumps({"servers": [ENTRY], "plugin": "obfs-local"})
    assert problems(text) == [
        "c.json:1: plugin: this plugin is of no server: each entry of servers[] names its own; move it there"
    ]


def problems_of(text: str, role: Role) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(text, role=role)
    return [problem.text for problem in caught.value.problems]


def test_a_client_has_a_plugin_or_a_proxy() -> None:
    text = text_of(WHOLE, outbound_proxy="socks5://127.0.0.1")
    (problem,) = problems_of(text, "local")
    assert problem.startswith("a plugin connects to the server by itself")
    assert load(text, role="server").servers[0].plugin == PLUGIN


def test_rules_about_clients_say_nothing_behind_a_plugin() -> None:
    text = json.dumps(
        {"acl": "x.acl", "servers": [{**ENTRY, "plugin": "p"}, {**ENTRY, "server_port": 2, "plugin": "p"}]}
    )
    (warning,) = load(text, role="server").warnings
    assert "behind a plugin every client comes from this machine" in warning.text
    assert load(text, role="local").warnings == ()


def test_one_process_serves_behind_a_plugin() -> None:
    config = load(text_of(plugin="p", workers=4), role="server")
    assert config.workers == 1
    (warning,) = config.warnings
    assert warning.key == "workers"
    assert load(text_of(workers=4), role="server").workers == 4


@pytest.mark.parametrize(
    ("mode", "plugin_mode", "allowed"),
    [("tcp_only", "tcp_only", True), ("tcp_and_udp", "tcp_only", False), ("udp_only", "tcp_and_udp", True)],
)
def test_method_none_is_allowed_where_all_goes_through_the_plugin(mode: str, plugin_mode: str, allowed: bool) -> None:
    keys = {"method": "none", "mode": mode, "plugin": "p", "plugin_mode": plugin_mode}
    assert (problems(text_of(keys)) == []) is allowed


def test_flags_name_a_plugin() -> None:
    flags = {"plugin": "p", "plugin_opts": "a=b", "plugin_mode": "udp_only"}
    server = load(text_of(), overrides=flags).servers[0]
    assert server.plugin == PluginConfig("p", Secret("a=b"), (), Mode.UDP_ONLY)


def test_a_server_given_as_a_link_has_no_plugin_of_the_file() -> None:
    from shadesocks.wire.uri import parse_link

    link = f"ss://{METHOD}:{KEY.replace('/', '%2F').replace('+', '%2B')}@198.51.100.1:1"
    config = load(text_of(WHOLE), overrides={"server_url": link}, read_link=parse_link)
    assert config.servers[0].plugin is None


def test_what_is_written_is_read_again() -> None:
    config = config_of(text_of(WHOLE))
    assert config_of(dump(config)) == config
    managed = config_of(json.dumps({"manager_listen": "/x", "plugin": "p", "plugin_opts": "a", "method": METHOD}))
    assert managed.template is not None
    assert managed.template.plugin == PluginConfig("p", Secret("a"))
    again = config_of(dump(managed))
    assert again.template is not None
    assert again.template.plugin == managed.template.plugin


def test_other_programs_have_words_for_most_of_it() -> None:
    config = config_of(text_of(WHOLE, method="aes-256-gcm"))
    rust, libev, document = to_rust(config, "local"), to_libev(config, "local"), to_sip008(config, "local")
    assert {key: json.loads(rust.text)[key] for key in WHOLE} == WHOLE
    bare = WHOLE["plugin"].rpartition("/")[2]  # where it lies here is nothing to others
    for export, keys, name in (
        (libev, json.loads(libev.text), WHOLE["plugin"]),
        (document, json.loads(document.text)["servers"][0], bare),
    ):
        assert (keys["plugin"], keys["plugin_opts"]) == (name, OPTIONS)
        lost = [line.partition(":")[0].rpartition(".")[2] for line in export.lost if "plugin" in line]
        assert lost == ["plugin_args", "plugin_mode"]
    assert not any("plugin" in line for line in rust.lost)


def managed(common: PluginConfig | None, /, **keys: object) -> PluginConfig | None:
    config = config_of(text_of({"plugin": common.name} if common else {}))
    return added_server(Config(servers=config.servers), {"server_port": 9000, "password": KEY, **keys})[0].plugin


def test_a_command_names_no_program_but_that_of_the_config() -> None:
    known = PluginConfig("obfs-server")
    assert managed(None) is None
    assert managed(known) == managed(known, plugin="") == managed(known, plugin="obfs-server") == known
    assert managed(known, plugin="obfs-server", plugin_opts="a") == PluginConfig("obfs-server", Secret("a"))
    for config in (None, known):
        with pytest.raises(ConfigError, match="a command names no plugin but"):
            managed(config, plugin="sh")
