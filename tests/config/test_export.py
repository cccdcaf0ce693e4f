"""What other programs are told of a configuration, and what they have no words for."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from shadesocks.config import Config, LocalConfig, Mode, Outbound, ProxyConfig, ServerConfig, load
from shadesocks.config.export import Export, to_own, to_rust, to_sip008
from shadesocks.config.model import PluginConfig
from shadesocks.config.nameservers import WORDS
from shadesocks.config.user import Credential, UserConfig
from shadesocks.core.address import Address
from shadesocks.core.nameserver import NameServer, Transport
from shadesocks.core.secret import Secret
from shadesocks.crypto.methods import METHODS

from .samples import KEY, METHOD, STRONG

ONE = ServerConfig(Address("203.0.113.5", 8388), METHODS[METHOD], Secret(KEY))
TWO = replace(ONE, address=Address("203.0.113.6", 8389), remarks="two", id="i-2")
OLD = replace(ONE, method=METHODS["rc4-md5"], password=Secret(STRONG))


def keys(export: Export) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(export.text)
    return found


def test_our_own_form_loses_nothing() -> None:
    config = Config((OLD, TWO), idle_timeout=5.5, balancer_policy="random", allow_legacy=True)
    export = to_own(config, "local")
    assert (load(export.text), export.lost) == (config, [])


def test_what_shadowsocks_rust_has_goes_there_as_it_is() -> None:
    outbound = Outbound("192.0.2.1", interface="eth0")
    proxy = ProxyConfig("socks5", Address("127.0.0.1", 1080))
    config = Config(
        (replace(ONE, outbound=outbound), replace(TWO, outbound=outbound, outbound_proxy=(proxy,))),
        (LocalConfig(Address("::1", 1), mode=Mode.UDP_ONLY),),
        udp_timeout=60.0,
        no_delay=True,
        log_level="debug",
        outbound=outbound,
    )
    export = to_rust(config, "local")
    assert export.lost == []
    assert load(export.text) == load(to_own(config, "local").text)
    assert keys(export)["udp_timeout"] == 60
    assert "60.0" not in export.text  # it takes whole numbers only


def test_what_is_ours_is_told_and_not_written() -> None:
    config = Config((ONE,), idle_timeout=600.0, forbidden_ip=("10.0.0.0/8",), balancer_policy="random", log_style="go")
    assert to_rust(config, "server").lost == [
        f"{key}: shadowsocks-rust has no such setting" for key in ("idle_timeout", "forbidden_ip", "log.style")
    ]
    assert "balancer.policy: shadowsocks-rust has no such setting" in to_rust(config, "local").lost
    assert keys(to_rust(config, "server")).keys() == {"server", "server_port", "method", "password"}


def test_name_servers_are_one_text_there() -> None:
    config = Config((ONE,), dns=(*WORDS["google_tls"], NameServer(Transport.TCP, "1.1.1.1", 53)))
    assert keys(to_rust(config, "server"))["dns"] == "google_tls,tcp://1.1.1.1:53"


@pytest.mark.parametrize(
    ("method", "sentence"),
    [
        ("rc4-md5", "method: shadowsocks-rust has rc4-md5 only where it was built with stream ciphers"),
        ("aes-256-ocb", "method: shadowsocks-rust does not have aes-256-ocb"),
    ],
)
def test_old_methods_are_told_once(method: str, sentence: str) -> None:
    server = replace(OLD, method=METHODS[method])
    config = Config((server, replace(server, address=TWO.address)), allow_legacy=True)
    assert to_rust(config, "server").lost == [sentence]


def test_chains_of_our_own_servers_are_told() -> None:
    export = to_rust(Config((replace(ONE, outbound_proxy=(TWO,)),)), "server")
    assert export.lost == ["outbound_proxy: shadowsocks-rust takes no ss:// proxies"]


def test_a_document_of_servers() -> None:
    export = to_sip008(Config((ONE, TWO)), "server")
    assert export.lost == []
    document = keys(export)
    first, second = document["servers"]
    assert document["version"] == 1
    assert UUID(first.pop("id")).version == 5
    assert first == {
        "remarks": "",
        "server": "203.0.113.5",
        "server_port": 8388,
        "method": METHOD,
        "password": KEY,
    }
    assert (second["id"], second["remarks"]) == ("i-2", "two")
    assert to_sip008(Config((ONE, TWO)), "server").text == export.text
    assert load(export.text).servers[1] == replace(TWO, mode=Mode.TCP_AND_UDP)


def test_what_stands_beside_servers_is_told() -> None:
    server = replace(OLD, one_time_auth=True, outbound_proxy=(TWO,), acl="/a.acl")
    server = replace(server, pool=8, tcp_weight=2.0, group="work")
    config = Config((server,), (LocalConfig(Address("::1", 1)),), allow_legacy=True, log_level="debug")
    beside = [f"servers[0].{name}: there is no place for it beside a server" for name in _BESIDE]
    rest = "only servers have a place in this form"
    assert to_sip008(config, "server").lost == [*beside, f"log.level: {rest}"]
    assert to_sip008(config, "local").lost == [*beside, f"local_address, local_port, log.level: {rest}"]


_BESIDE = ("one_time_auth", "outbound_proxy", "acl", "pool", "tcp_weight", "group")


def test_a_document_has_the_client_s_half_of_a_plugin() -> None:
    server = replace(ONE, plugin=PluginConfig("/usr/bin/obfs-server", Secret("obfs=tls;failover=192.0.2.1:80")))
    (entry,) = keys(to_sip008(Config((server,)), "server"))["servers"]
    assert (entry["plugin"], entry["plugin_opts"]) == ("obfs-local", "obfs=tls")


def test_users_of_an_aead_method_are_told() -> None:
    """shadowsocks-rust would take no notice of them, and miss the password."""
    anna = UserConfig("anna", (Credential(Secret(STRONG)),))
    server = replace(ONE, method=METHODS["aes-256-gcm"], password=Secret(""), users=(anna,))
    assert to_rust(Config((server,)), "server").lost == [
        "users: shadowsocks-rust has no users with aes-256-gcm; the 2022 methods of AES have some"
    ]
    assert [entry["password"] for entry in keys(to_sip008(Config((server,)), "server"))["servers"]] == [STRONG]
