"""The files of ss-server, ss-local and ss-manager that say what a configuration says."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from shadesocks.config import Config, LocalConfig, Mode, Outbound, ServerConfig, load
from shadesocks.config.export import Export
from shadesocks.config.export_libev import to_libev
from shadesocks.config.nameservers import WORDS
from shadesocks.config.user import Credential, UserConfig
from shadesocks.core.address import Address
from shadesocks.core.nameserver import NameServer, Transport
from shadesocks.core.secret import Secret
from shadesocks.crypto.methods import METHODS

from .samples import KEY, METHOD, STRONG

ONE = ServerConfig(Address("203.0.113.5", 8388), METHODS["aes-256-gcm"], Secret(STRONG))
HOST = replace(ONE, address=Address("203.0.113.6", 8388))
PORT = replace(ONE, address=Address("203.0.113.5", 8389))
LOCAL = LocalConfig(Address("::1", 1080))
FIRST = {"server": "203.0.113.5", "server_port": 8388, "method": "aes-256-gcm", "password": STRONG}
ALONE = "servers in one file share port, method and password; give it a file of its own"
NOTHING = "shadowsocks-libev has no such setting"


def keys(export: Export) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(export.text)
    return found


def test_one_server() -> None:
    export = to_libev(Config((ONE,), (LOCAL,)), "server")
    assert (keys(export), export.lost) == (FIRST, [])


def test_a_client_and_its_listener() -> None:
    export = to_libev(Config((ONE,), (replace(LOCAL, mode=Mode.TCP_AND_UDP),), idle_timeout=60.0), "local")
    assert keys(export) == {
        **FIRST,
        "local_address": "::1",
        "local_port": 1080,
        "mode": "tcp_and_udp",
        "timeout": 60,
    }
    assert export.lost == []


def test_a_tunnel() -> None:
    local = replace(LOCAL, protocol="tunnel", forward=Address("2001:db8::1", 53))
    assert keys(to_libev(Config((ONE,), (local,)), "local"))["tunnel_address"] == "[2001:db8::1]:53"


def test_several_hosts_are_a_list() -> None:
    assert keys(to_libev(Config((ONE, HOST)), "server"))["server"] == ["203.0.113.5", "203.0.113.6"]
    hosts = keys(to_libev(Config((ONE, HOST, PORT)), "local"))["server"]
    assert hosts == ["203.0.113.5:8388", "203.0.113.6:8388", "203.0.113.5:8389"]


def test_servers_that_differ_in_more_are_told() -> None:
    other = replace(HOST, password=Secret("x"))
    export = to_libev(Config((ONE, other)), "local")
    assert keys(export) == FIRST
    assert export.lost == [f"servers[1]: {ALONE}"]


def test_several_ports_are_a_file_for_its_manager() -> None:
    config = Config((ONE, replace(PORT, password=Secret("x")), HOST), manager_listen="127.0.0.1:6001")
    export = to_libev(config, "server")
    assert keys(export) == {
        "server": "203.0.113.5",
        "port_password": {"8388": STRONG, "8389": "x"},
        "method": "aes-256-gcm",
        "manager_address": "127.0.0.1:6001",
    }
    assert export.lost == [
        "servers[2]: ports in one file share host and method; give it its own file",
        "several ports are a file for ss-manager, which wants manager_address, too",
    ]


def test_settings_that_both_have() -> None:
    config = Config(
        (replace(ONE, outbound=Outbound("192.0.2.1", "", "eth0")),),
        dns=(*WORDS["google"][:1], NameServer(Transport.UDP, "::1", 5353)),
        fast_open=True,
        ipv6_first=True,
        nofile=1024,
        inbound_send_buffer=4096,
        acl="/a.acl",
        idle_timeout=200000.0,
        udp_timeout=200000.0,
        user="nobody",
        reuse_port=True,
        log_syslog=True,
        log_without_time=True,
    )
    export = to_libev(config, "server")
    assert {key: value for key, value in keys(export).items() if key not in FIRST} == {
        "local_ipv4_address": "192.0.2.1",
        "interface": "eth0",
        "nameserver": "8.8.8.8,[::1]:5353",
        "fast_open": True,
        "ipv6_first": True,
        "nofile": 1024,
        "tcp_incoming_sndbuf": 4096,
        "acl": "/a.acl",
        "timeout": 200000,
        "user": "nobody",
        "reuse_port": True,
        "use_syslog": True,
    }
    assert export.lost == []
    assert load(export.text, dialect="libev").servers[0].outbound.bind_ipv4 == "192.0.2.1"


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"keep_alive": 0}, f"keep_alive: {NOTHING}"),
        ({"log_level": "debug"}, f"log.level: {NOTHING}"),
        ({"forbidden_ip": ()}, f"forbidden_ip: {NOTHING}"),
        ({"outbound": Outbound(fwmark=1)}, f"outbound_fwmark: {NOTHING}"),
        ({"dns": WORDS["quad9_tls"]}, "dns: shadowsocks-libev asks name servers over UDP only"),
        ({"idle_timeout": 60.0}, "idle_timeout: ss-server closes no idle connection before a day has passed"),
        ({"udp_timeout": 70.0}, "udp_timeout: shadowsocks-libev has one timeout for connections and datagrams"),
    ],
)
def test_what_it_has_no_words_for(changed: dict[str, Any], sentence: str) -> None:
    assert to_libev(Config((ONE,), **changed), "server").lost == [sentence]


def test_settings_of_the_other_end_are_not_missed() -> None:
    config = Config((ONE,), first_payload_timeout=0.0, forbidden_port=((25, 25),))
    assert to_libev(config, "server").lost == [f"forbidden_port: {NOTHING}"]
    assert to_libev(config, "local").lost == [f"first_payload_timeout: {NOTHING}"]


@pytest.mark.parametrize(
    ("name", "known"),
    [
        *((name, True) for name in ("aes-192-gcm", "xchacha20-ietf-poly1305", "rc4-md5", "aes-128-cfb", "aes-192-ctr")),
        *((name, False) for name in (METHOD, "table", "aes-128-ofb", "camellia-128-ctr", "aes-256-ocb", "none")),
    ],
)
def test_methods_that_it_does_not_have(name: str, known: bool) -> None:
    server = replace(ONE, method=METHODS[name], password=Secret(KEY))
    lost = to_libev(Config((server,), allow_legacy=True), "server").lost
    assert lost == ([] if known else [f"servers[0].method: shadowsocks-libev does not have {name}"])


def test_further_listeners_are_told() -> None:
    config = Config((ONE,), (LOCAL, replace(LOCAL, address=Address("::1", 2), udp_socket_per_association=True)))
    assert to_libev(config, "local").lost == ["locals[1]: a file has one listener; give it its own file"]
    config = Config((ONE,), (replace(LOCAL, udp_socket_per_association=True),))
    assert to_libev(config, "local").lost == [f"udp_socket_per_association: {NOTHING}"]


def test_who_is_told_what_passed_is_a_key_of_ss_server() -> None:
    config = Config((ONE,), manager_address="::1", manager_port=6001)
    export = to_libev(config, "server")
    assert json.loads(export.text)["manager_address"] == "[::1]:6001"
    assert export.lost == []
    both = to_libev(replace(config, manager_listen="/run/m"), "server")
    assert json.loads(both.text)["manager_address"] == "/run/m"
    assert both.lost == ["manager_address: ss-manager tells no other manager what passed"]


def test_no_server_is_without_a_password_because_its_users_have_theirs() -> None:
    shared = replace(ONE, password=Secret(""), users=(UserConfig("anna", (Credential(Secret(STRONG)),)),))
    export = to_libev(Config((shared,)), "server")
    assert "password" not in keys(export)
    assert any(text.startswith("servers[0].users: ") for text in export.lost)
    other = replace(shared, address=Address(ONE.address.host, 8389))
    assert keys(to_libev(Config((shared, other)), "server"))["port_password"] == {}
