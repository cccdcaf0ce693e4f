"""What is written is read again as the same configuration."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from shadesocks.config import Config, LocalConfig, Mode, Outbound, ProxyConfig, ServerConfig, dump, load
from shadesocks.config.model import DestinationConfig
from shadesocks.config.nameservers import WORDS
from shadesocks.config.user import Credential, UserConfig
from shadesocks.core.address import Address
from shadesocks.core.limits import Limits, Quota
from shadesocks.core.nameserver import NameServer, Transport
from shadesocks.core.secret import Secret
from shadesocks.crypto.methods import METHODS
from shadesocks.wire.uri import parse_link

from .samples import KEY, METHOD, SERVER, STRONG

USER_KEY = KEY[1:-1] + "A="
ONE = ServerConfig(Address("203.0.113.5", 8388), METHODS[METHOD], Secret(KEY))
PROXY = ServerConfig(Address("::1", 1), METHODS["aes-256-gcm"], Secret(STRONG + "@/:%é"), mode=Mode.TCP_AND_UDP)
HOPS = (
    ProxyConfig("socks5", Address("127.0.0.1", 1080)),
    PROXY,
    ProxyConfig("http", Address("fe80::1%eth0", 80), "a@/ü", Secret("p@/:%é,")),
)
OUT = Outbound("192.0.2.1", "fe80::1%eth0", "eth0", 2**32 - 1)
BOTH = replace(ONE, mode=Mode.TCP_AND_UDP)
UDP = replace(ONE, mode=Mode.UDP_ONLY)
LOCAL = LocalConfig(Address("::1", 1080))
CONFIGS = [
    Config(),
    Config((ONE,)),
    Config((ONE,), (LocalConfig(Address("::1", 1080)),)),
    Config((replace(ONE, remarks="häuslich", outbound_proxy=(PROXY,)),)),
    Config((replace(ONE, id="x"),)),
    Config((replace(ONE, dial_timeout=3.0), ONE)),
    Config(
        (ONE, replace(ONE, handshake_timeout=3.0)), (LocalConfig(Address("::1", 1)), LocalConfig(Address("::1", 2)))
    ),
    Config((BOTH,)),
    Config((BOTH,), (LOCAL,)),
    Config((BOTH,), (replace(LOCAL, mode=Mode.TCP_AND_UDP),)),
    Config((ONE, replace(UDP, outbound_proxy=(PROXY,))), (replace(LOCAL, mode=Mode.UDP_ONLY),)),
    Config(
        (UDP,),
        (
            LocalConfig(
                Address("::1", 1080),
                mode=Mode.UDP_ONLY,
                udp_listen=Address("127.0.0.1", 1053),
                udp_associate_address=Address("2001:db8::1", 0),
                udp_require_association=False,
                udp_socket_per_association=True,
            ),
        ),
    ),
    Config(
        (BOTH,),
        (
            LocalConfig(Address("::1", 1), mode=Mode.TCP_AND_UDP, udp_associate_address=Address("h.example", 5)),
            LocalConfig(Address("::1", 2), mode=Mode.TCP_AND_UDP, udp_require_association=False),
        ),
    ),
    Config(
        (ONE,),
        manager_listen="192.0.2.1:6001",
        manager_dialect="rust",
        manager_allow=("192.0.2.0/24",),
        manager_secret=Secret("x" * 20),
        manager_keep="/var/lib/ports.json",
        manager_address="::1",
        manager_port=6002,
    ),
    Config(
        udp_timeout=60.0,
        udp_max_associations=10,
        udp_max_per_source=5,
        udp_receive_buffer=4096,
        udp_send_buffer=1 << 20,
        udp_io="plain",
    ),
    Config(
        (replace(ONE, tcp_weight=0.5, udp_weight=0.0, pool=2, group="home"), ONE),
        (replace(LOCAL, group="home"), LocalConfig(Address("::1", 2))),
        balancer_policy="sticky",
        balancer_margin=0,
        balancer_drops=True,
        balancer_max_rtt=1.5,
        balancer_best_interval=2.0,
        balancer_probe_dns=Address("192.0.2.53", 5353),
        balancer_probe_url="http://192.0.2.1/",
    ),
    Config((replace(ONE, tcp_weight=2.0),), balancer_probe_dns=Address("192.0.2.53", 0)),
    Config((replace(ONE, outbound_proxy=HOPS), ONE)),
    Config((replace(ONE, outbound_proxy=HOPS[:1]),)),
    Config((replace(ONE, outbound=OUT),), outbound=OUT),
    Config((replace(ONE, outbound=OUT),)),
    Config((ONE, replace(ONE, outbound=Outbound("192.0.2.2", "", "", 7))), outbound=OUT),
    Config((replace(ONE, outbound=Outbound("192.0.2.1")),), outbound=Outbound("", "::1")),
    Config((replace(ONE, outbound=Outbound("", "::2")),), outbound=Outbound("", "::1")),
    Config((replace(ONE, acl="/a.acl"),), (replace(LOCAL, acl="/a.acl"),), acl="/a.acl"),
    Config((replace(ONE, acl="/a.acl"),), (LOCAL,), acl=None),
    Config((ONE, replace(ONE, acl="/b.acl")), (replace(LOCAL, acl="/b.acl"),), acl="/a.acl"),
    Config(dns=WORDS["google_https"] + WORDS["quad9_tls"], dns_cache_size=0, dns_ttl_min=0, dns_ttl_max=60),
    Config(dns=WORDS["system"], ipv6_only=True),
    Config(dns=(*WORDS["google"], NameServer(Transport.TCP, "fe80::1%eth0", 5353))),
    Config(
        (ONE,),
        forbidden_ip=("0.0.0.0/0", "::1"),
        forbidden_port=((25, 25), (6881, 6889)),
        acl_dialect="libev",
        connection_attempt_delay=0.5,
    ),
    Config(
        fast_open=True,
        mptcp=True,
        inbound_send_buffer=1,
        inbound_receive_buffer=2,
        outbound_send_buffer=3,
        outbound_receive_buffer=4,
    ),
    Config((replace(ONE, raw_key=True),)),
    Config(
        (
            replace(
                ONE,
                users=(
                    UserConfig("anna", (Credential(Secret(USER_KEY), 5, 10),), Limits(quota=Quota(5)), "a note"),
                    UserConfig("ben", (Credential(Secret("A" + KEY[1:])),)),
                ),
            ),
        ),
    ),
    Config((replace(ONE, raw_key=True, users=(UserConfig("anna", limits=Limits(connections=3)),)),)),
    Config((replace(ONE, users=(UserConfig("anna", (Credential(Secret(USER_KEY)),)),)),)),
    Config((replace(ONE, destinations=(DestinationConfig("east", Secret(USER_KEY), Address("h.example", 1)),)),)),
    Config(
        (replace(ONE, method=METHODS["rc4-md5"], password=Secret(STRONG), one_time_auth=True, compat="procurator"),),
        (replace(LOCAL, protocol="tunnel", forward=Address("8.8.8.8", 53), socks_reply_port=4112),),
        allow_legacy=True,
        stream_replay="refuse",
        balancer_policy="ordered",
        manager_listen="/run/x.sock",
        manager_dialect="go",
        log_style="python",
    ),
    Config(
        handshake_timeout=1.0,
        keep_alive=0,
        nofile=100,
        log_level="debug",
        log_without_time=True,
        allow_none=True,
        state_dir="/x",
        silent_limit=5,
        bad_handshake="fin",
    ),
]


@pytest.mark.parametrize("config", CONFIGS)
def test_round_trip(config: Config) -> None:
    # A proxy's time-outs are the file's: its own have no place in a link.
    assert load(dump(config), read_link=parse_link) == config
    warnings = load(dump(config), read_link=parse_link).warnings
    assert [warning.text for warning in warnings if "a 2022 method at both ends mends that" not in warning.text] == []


@pytest.mark.parametrize("method", ["aes-256-gcm", "rc4-md5"])
def test_what_the_ports_of_a_manager_have_in_common(method: str) -> None:
    keys = {"server": "127.0.0.1", "method": method, "servers": [], "manager_listen": "/run/x", "allow_legacy": True}
    config = load(json.dumps(keys))
    assert load(dump(config)) == config
    assert load(dump(config)).template == config.template
    assert config.template is not None
    assert config.template.method.name == method


def test_an_empty_list_of_closed_addresses_is_not_the_same_as_none() -> None:
    for networks in (None, ()):
        config = Config(forbidden_ip=networks)
        assert load(dump(config)) == config
    assert json.loads(dump(Config(forbidden_ip=()))) == {"forbidden_ip": []}


def test_lists_are_written_as_people_write_them() -> None:
    servers = (*WORDS["google_tls"][:1], NameServer(Transport.TLS, "1.1.1.1", 853, "1.1.1.1"))
    keys = json.loads(dump(Config(dns=servers, forbidden_port=((25, 25), (6881, 6889)))))
    assert keys == {"dns": ["tls://8.8.8.8:853#dns.google", "tls://1.1.1.1:853"], "forbidden_port": [25, "6881-6889"]}


def test_public_name_servers_are_written_as_their_words() -> None:
    servers = WORDS["google_https"] + WORDS["quad9_tls"] + WORDS["quad9_tls"][1:2]
    assert json.loads(dump(Config(dns=servers)))["dns"] == [
        "google_https",
        "quad9_tls",
        "tls://149.112.112.112:853#dns.quad9.net",
    ]


def test_one_address_to_leave_from_has_the_name_that_most_programs_know() -> None:
    assert json.loads(dump(Config(outbound=Outbound(bind_ipv6="::1")))) == {"outbound_bind_addr": "::1"}
    assert json.loads(dump(Config(outbound=Outbound("192.0.2.1", "::1")))) == {
        "local_ipv4_address": "192.0.2.1",
        "local_ipv6_address": "::1",
    }


def test_the_short_form_is_what_every_program_reads() -> None:
    assert json.loads(dump(Config((ONE,)))) == SERVER
    assert dump(Config((ONE,))) == (
        "{\n"
        '    "server": "203.0.113.5",\n'
        '    "server_port": 8388,\n'
        f'    "method": "{METHOD}",\n'
        f'    "password": "{KEY}"\n'
        "}\n"
    )


def test_one_mode_of_all_stands_at_the_top() -> None:
    assert json.loads(dump(Config((BOTH,), (replace(LOCAL, mode=Mode.TCP_AND_UDP),))))["mode"] == "tcp_and_udp"
    keys = json.loads(dump(Config((BOTH,), (LOCAL,))))
    assert "mode" not in keys
    assert [entry["mode"] for entry in (*keys["servers"], *keys["locals"])] == ["tcp_and_udp", "tcp_only"]


def test_nested_keys() -> None:
    keys = json.loads(dump(Config(log_level="debug", log_without_time=True)))
    assert keys == {"log": {"level": "debug", "format": {"without_time": True}}}


def test_an_object_of_keys() -> None:
    assert load(dump({**SERVER, "_made_by": "shadesocks"})).servers == (ONE,)


def test_every_field_is_written() -> None:
    for field in fields(Config):
        value = getattr(Config(), field.name)
        if isinstance(value, int | float):
            keys: dict[str, Any] = {field.name: not value if isinstance(value, bool) else value + 1}
            changed = replace(Config(), **keys)
            assert load(dump(changed)) == changed, field.name


def test_what_moves_a_cursor_is_escaped_and_read_again() -> None:
    keys = {**SERVER, "plugin": "p", "plugin_opts": "a=\x9b2J\u202e\U000e0041\x1b\né😀"}
    text = dump(keys)
    assert all(char.isprintable() for char in text.replace("\n", ""))
    assert "é😀" in text
    assert json.loads(text) == keys
    plugin = load(text).servers[0].plugin
    assert plugin is not None
    assert plugin.options.reveal() == keys["plugin_opts"]
