"""Subscriptions in a file, and what becomes of what a document offers."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from shadesocks.config import Config, Mode, dump, load
from shadesocks.config.export import to_rust
from shadesocks.config.model import OnlineConfig
from shadesocks.config.online import Offer, take_offers
from shadesocks.core.secret import Secret
from shadesocks.wire.uri import parse_link

from .samples import KEY, METHOD, SERVER, STRONG, look, problems, text_of

URL = "https://h.example/secret"
ONLINE = {"online_config": {"config_url": URL}}
OFFER = Offer("h.example", 8388, METHOD, KEY, remarks="one", id="i-1")


def config_of(keys: dict[str, Any], **overrides: Any) -> Config:
    report = look(json.dumps(keys), "local", overrides=overrides)
    assert report.config is not None, report.problems
    return report.config


# In a file


def test_the_keys_of_shadowsocks_rust() -> None:
    keys = {"config_url": URL, "update_interval": 600, "allowed_plugins": ["v2ray-plugin", "/usr/bin/obfs-local"]}
    online = config_of({"online_config": keys}).online
    assert online is not None
    assert online.urls == (Secret(URL),)
    assert (online.interval, online.allowed_plugins) == (600.0, ("v2ray-plugin", "/usr/bin/obfs-local"))


def test_several_addresses_and_the_scheme_of_outline() -> None:
    urls = ["ssconf://h.example/a,b#label", URL, URL, ""]
    online = config_of({"online_config": {"config_url": urls}}).online
    assert online is not None
    assert [url.reveal() for url in online.urls] == ["https://h.example/a,b", URL]
    assert (online.interval, online.allowed_plugins) == (3600.0, ())


def test_options() -> None:
    online = config_of({}, online_urls=(URL, f"{URL}2"), online_interval="60", allowed_plugins="a,b").online
    assert online is not None
    assert [url.reveal() for url in online.urls] == [URL, f"{URL}2"]
    assert (online.interval, online.allowed_plugins) == (60.0, ("a", "b"))


def test_a_client_needs_no_server_beside_it() -> None:
    config = config_of(ONLINE)
    assert (config.servers, len(config.locals)) == ((), 1)
    assert [str(server.address) for server in config_of({**SERVER, **ONLINE}).servers] == ["203.0.113.5:8388"]


def test_a_server_needs_one() -> None:
    assert "no server is named" in problems(json.dumps(ONLINE), "server")[0]


@pytest.mark.parametrize("url", [None, "", []])
def test_no_address_is_no_subscription(url: object) -> None:
    text = text_of(online_config={"config_url": url, "update_interval": 60})
    assert load(text, read_link=parse_link).online is None


@pytest.mark.parametrize("url", ["http://h.example/secret", "secret", 7, ["https://h.example/", "secret"]])
def test_a_bad_address_is_a_problem_that_does_not_show_it(url: object) -> None:
    (problem,) = problems(text_of(online_config={"config_url": url}))
    assert problem.startswith("c.json:1: online_config.config_url: ")
    assert "secret" not in problem


def test_it_is_written_as_it_was_read() -> None:
    for keys in (
        {"config_url": URL},
        {"config_url": [URL, f"{URL}2"], "update_interval": 60},
    ):
        config = config_of({**SERVER, "online_config": keys, "timeout": 5})
        assert json.loads(dump(config))["online_config"] == keys
        assert load(dump(config), role="local") == config
        assert URL not in repr(config)


def test_what_it_may_start_is_what_links_may_start() -> None:
    keys = {"online_config": {"config_url": URL, "allowed_plugins": ["a"]}}
    config = config_of({**SERVER, **keys})
    assert config.allowed_plugins == ("a",)
    assert config == config_of({**SERVER, "allowed_plugins": "a", "online_config": {"config_url": URL}})
    assert json.loads(dump(config))["allowed_plugins"] == ["a"]
    assert load(dump(config), role="local") == config
    assert json.loads(to_rust(config, "local").text)["online_config"] == keys["online_config"]


# What a document offers


def config(**keys: Any) -> Config:
    return config_of({**ONLINE, **keys})


def test_an_offer_is_a_server() -> None:
    taken = take_offers([OFFER], config(), "h.example")
    (server,) = taken.servers
    assert (str(server.address), server.method.name, server.password) == ("h.example:8388", METHOD, Secret(KEY))
    assert (server.id, server.remarks, server.mode) == ("i-1", "one", Mode.TCP_AND_UDP)
    assert (taken.left_out, taken.warnings) == ((), ())


def test_the_file_says_what_a_document_cannot() -> None:
    keys = {"timeout": 5, "outbound_proxy": "socks5://p.example:1", "outbound_fwmark": 7, "acl": "/x.acl", "pool": 3}
    (server,) = take_offers([OFFER], config(**keys), "h").servers
    assert (server.dial_timeout, server.handshake_timeout, len(server.outbound_proxy)) == (5.0, 5.0, 1)
    assert (server.outbound.fwmark, server.acl, server.pool) == (7, "/x.acl", 3)


def test_a_configuration_made_by_hand_will_do() -> None:
    by_hand = Config(online=OnlineConfig((Secret(URL),)))
    (server,) = take_offers([OFFER], by_hand, "h").servers
    assert (server.mode, server.dial_timeout) == (Mode.TCP_AND_UDP, by_hand.dial_timeout)


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (replace(OFFER, method="rot13"), "method: no method has this name"),
        (replace(OFFER, method="rc4-md5", password=STRONG), "so it is refused"),
        (replace(OFFER, method="none", password=""), "so it is refused"),
        (replace(OFFER, password="short"), "password: "),
        (replace(OFFER, password="${HOME}"), "the environment has no variable HOME"),
        (replace(OFFER, server="not a host"), "server: "),
        (replace(OFFER, server=""), "server: "),
        (replace(OFFER, server_port=0), "server_port: "),
        (replace(OFFER, plugin="obfs-local"), "plugin: the plugin obfs-local is none of allowed_plugins"),
    ],
)
def test_one_that_cannot_be_used_is_left_out_and_named(bad: Offer, word: str) -> None:
    taken = take_offers([bad, replace(OFFER, server="two.example")], config(), "h.example")
    assert [server.address.host for server in taken.servers] == ["two.example"]
    (problem,) = map(str, taken.left_out)
    assert problem.startswith("h.example: servers[0] (one): this server is left out: ")
    assert word in problem
    assert "rot13" not in problem


def test_the_same_server_twice_is_one() -> None:
    assert len(take_offers([OFFER, OFFER, replace(OFFER, id="i-2")], config(), "h").servers) == 2


def test_a_label_forges_no_line_of_a_log() -> None:
    bad = replace(OFFER, remarks="x\n\x1b[2Jerror: " + "y" * 100, method="rot13")
    text = str(take_offers([bad], config(), "h").left_out[0])
    assert text.isprintable()
    assert "y" * 80 not in text


def test_a_plugin_is_started_by_the_very_name_that_is_allowed() -> None:
    allowed = config(online_config={"config_url": URL, "allowed_plugins": ["obfs-local", "/opt/v2ray"]})
    offers = [
        replace(OFFER, plugin=name, plugin_opts="obfs=http")
        for name in (
            "obfs-local",
            "/opt/v2ray",
            "v2ray",
            "./obfs-local",
            "/srv/obfs-local",
            "OBFS-LOCAL",
            "obfs-local ",
        )
    ]
    taken = take_offers(offers, allowed, "h")
    plugins = [server.plugin for server in taken.servers]
    assert [plugin and (plugin.name, plugin.options) for plugin in plugins] == [
        ("obfs-local", Secret("obfs=http")),
        ("/opt/v2ray", Secret("obfs=http")),
    ]
    assert len(taken.left_out) == 5


def test_what_many_have_is_warned_of_once() -> None:
    offers = [replace(OFFER, server_port=port, method="aes-256-gcm", password="abc") for port in (1, 2, 3)]
    (warning,) = take_offers(offers, config(), "h").warnings
    assert "this password is weak" in warning.text
    assert warning.text.endswith("(and 2 more like this)")
