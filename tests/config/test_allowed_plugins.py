"""What comes from others starts what it may, and nothing else: as a link, in a list, in a document, by a flag."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from shadesocks.config.allowed_plugins import KNOWN, OPTIONS_MOST, why_not
from shadesocks.config.load import Report, config_from_links, examine
from shadesocks.core.errors import ConfigError
from shadesocks.wire.uri import parse_link

from .samples import KEY, METHOD, STRONG, look, problems, text_of

BARE = f"ss://aes-256-gcm:{STRONG}@h.example:1"


def link(plugin: str, options: str = "") -> str:
    return f"{BARE}/?plugin={quote(f'{plugin};{options}' if options else plugin, safe='')}"


def plugins_of(report: Report) -> list[str | None]:
    assert report.config is not None, report.problems
    return [None if server.plugin is None else server.plugin.name for server in report.config.servers]


@pytest.mark.parametrize("name", KNOWN)
def test_a_known_one_is_run_with_the_options_that_shape_traffic(name: str) -> None:
    options = ";".join(f"{key}=x" for key in sorted(KNOWN[name]))
    assert why_not(name, options, None) == ""
    assert why_not(name, "", None) == why_not(name, ";", None) == ""


@pytest.mark.parametrize(
    "options",
    [
        "server",
        "server=",
        "mode=websocket;server;remoteAddr=127.0.0.1;remotePort=6379",
        "localAddr=0.0.0.0",
        "cert=/etc/shadow",
        "key=/x",
        "\\server",
        "s\\erver",
        "host=a\\;server",
        "host=a\nserver",
        "host=\u202eserver",
        " server",
        "=server",
        ";".join(["tls"] * (OPTIONS_MOST + 1)),
    ],
)
def test_options_that_do_more_need_leave(options: str) -> None:
    text = why_not("v2ray-plugin", options, None)
    assert "do more than shape traffic" in text
    assert text.endswith("to allow it: --allow-plugin v2ray-plugin, or allowed_plugins in the config")
    assert why_not("v2ray-plugin", options, ("v2ray-plugin",)) == ""


@pytest.mark.parametrize("name", ["reboot", "sh", "OBFS-LOCAL", "obfs-local ", "obfs-server", "python3", "-c"])
def test_any_other_needs_leave(name: str) -> None:
    assert "none that is known" in why_not(name, "", None)
    assert why_not(name, "anything", (name,)) == ""


def test_who_says_what_is_allowed_has_the_last_word() -> None:
    assert "none of allowed_plugins" in why_not("obfs-local", "", ())
    assert "none of allowed_plugins" in why_not("obfs-local", "", ("other",))
    assert "by its path" in why_not("/opt/x", "", None)
    assert why_not("/opt/x", "", ("/opt/x",)) == ""
    assert "by its path" in why_not("/opt/x", "", ("x",))


@pytest.mark.parametrize(
    "name", ["x; rm -rf ~", "$(reboot)", "`reboot`", "a'b", "-c", "obfs-local:key=hunter2", "\u00e9"]
)
def test_what_is_no_name_is_not_repeated(name: str) -> None:
    """It would be pasted into a shell, or be the options of a link whose semicolon was lost."""
    text = why_not(name, "", None)
    assert name not in text
    assert text.endswith("to allow it, put its name into allowed_plugins")
    warning = examine(link(name), read_link=parse_link, starts=False).warnings[0].text
    assert name not in warning


def test_a_long_name_floods_no_message() -> None:
    assert len(why_not("x" * 100_000, "", None)) < 400


# Wherever a link or a document may stand


def test_a_link_in_a_list_of_servers() -> None:
    servers = [link("obfs-local", "obfs=http"), link("reboot")]
    (problem,) = problems(json.dumps({"servers": servers}))
    assert problem.startswith("c.json:1: servers[1]: the plugin reboot is none that is known")
    report = look(json.dumps({"servers": servers, "allowed_plugins": ["obfs-local", "reboot"]}))
    assert plugins_of(report) == ["obfs-local", "reboot"]


def test_a_link_by_a_flag() -> None:
    given = {"server_url": link("reboot")}
    assert "--server-url: the plugin reboot is none" in problems(None, overrides=given)[0]
    assert plugins_of(look(None, overrides={**given, "allowed_plugins": ("reboot",)})) == ["reboot"]
    assert plugins_of(look(None, overrides={**given, "plugin": "mine"})) == ["mine"]


def test_links_alone() -> None:
    for links in ([link("reboot")], [BARE, link("reboot")]):
        with pytest.raises(ConfigError, match="the plugin reboot is none that is known"):
            config_from_links(links, parse_link)
        config = config_from_links(links, parse_link, allowed_plugins=("reboot",))
        assert [server.plugin is None for server in config.servers][-1] is False


def test_a_list_of_links_and_a_document() -> None:
    entry = {"server": "h.example", "server_port": 1, "method": METHOD, "password": KEY, "plugin": "reboot"}
    for text in (f"{BARE}\n{link('reboot')}\n", json.dumps({"version": 1, "servers": [entry]})):
        report = look(text)
        told = [*report.problems, *report.warnings]
        assert any("the plugin reboot is none that is known" in problem.text for problem in told)
        assert "reboot" not in plugins_of(report)  # it is left out, and the others stay
        assert plugins_of(look(text, overrides={"allowed_plugins": "reboot"}))[-1] == "reboot"


def test_what_the_file_says_itself_needs_no_leave() -> None:
    assert plugins_of(look(text_of(plugin="reboot", plugin_opts="server", allowed_plugins=[]))) == ["reboot"]
    assert plugins_of(look(text_of(), overrides={"plugin": "reboot"})) == ["reboot"]


def test_what_is_only_converted_is_warned_of() -> None:
    for options in ("", "server"):
        report = examine(link("v2ray-plugin" if options else "reboot", options), read_link=parse_link, starts=False)
        assert plugins_of(report) == ["v2ray-plugin" if options else "reboot"]
        (warning,) = [warning.text for warning in report.warnings if "plugin" in warning.text]
        assert "it is run without asking: see that you know it" in warning
    known = examine(link("obfs-local", "obfs=tls"), read_link=parse_link, starts=False)
    assert not any("plugin" in warning.text for warning in known.warnings)
    path = examine(link("/srv/x"), read_link=parse_link, starts=False)
    assert plugins_of(path) == []
    assert "this names a plugin by its path" in path.warnings[0].text


@pytest.mark.parametrize("leave", [{"allowed_plugins": ["sh"]}, {"online_config": {"allowed_plugins": ["sh"]}}])
def test_a_document_does_not_allow_itself(leave: dict[str, object]) -> None:
    entry = {"server": "h.example", "server_port": 1, "method": METHOD, "password": KEY, "plugin": "sh"}
    report = look(json.dumps({"version": 1, "servers": [entry], **leave}))
    assert plugins_of(report) == []
    assert any("has no effect in a document" in warning.text for warning in report.warnings)


def test_what_comes_from_others_does_not_read_the_environment() -> None:
    entry = {"server": "h.example", "server_port": 1, "method": "aes-256-gcm", "password": "${SECRET}"}
    environ = {"SECRET": STRONG}
    link = "ss://aes-256-gcm:%24%7BSECRET%7D@h.example:1"
    for text in (link, json.dumps({"servers": [link]}), json.dumps({"version": 1, "servers": [entry]})):
        report = look(text, environ=environ)
        assert report.config is None or not report.config.servers
        assert any("the environment has no variable" in told.text for told in (*report.problems, *report.warnings))
    assert look(json.dumps({"servers": [entry]}), environ=environ).problems == ()
