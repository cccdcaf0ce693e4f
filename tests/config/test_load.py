"""From text to Config: everything found at once, at its place, for the end that is started."""

from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.config import (
    DEFAULT_LOCAL,
    Config,
    LocalConfig,
    Mode,
    Outbound,
    ProxyConfig,
    ServerConfig,
    config_from_link,
    config_from_links,
    examine,
    for_local,
    for_server,
    load,
)
from shadesocks.config.model import PluginConfig
from shadesocks.config.reader import read
from shadesocks.config.setting import Role
from shadesocks.core.address import Address
from shadesocks.core.errors import ConfigError, Problem
from shadesocks.core.nameserver import NameServer, Transport
from shadesocks.core.secret import Secret
from shadesocks.crypto.methods import METHODS
from shadesocks.wire.uri import parse_link

from . import samples
from .samples import KEY, METHOD, STRONG, look, problems, text_of, warnings

SERVER = ServerConfig(Address("203.0.113.5", 8388), METHODS[METHOD], Secret(KEY))


def test_the_shortest_config() -> None:
    assert load(text_of()) == Config(servers=(SERVER,))


def test_what_was_read_already_is_not_read_again() -> None:
    reading = read(text_of(server_port=70000), "c.json")
    for _ in range(2):
        (problem,) = examine(reading, where="elsewhere").problems
        assert (problem.where, problem.key) == ("c.json", "server_port")
    assert load(read(text_of())) == load(text_of())
    assert [problem.where for problem in examine(read("{", "c.json")).problems] == ["c.json"]


def test_a_whole_config() -> None:
    config = load(
        """
        {   // everything of ours
            "server": "::", "server_port": "8388", "method": "AES-256-GCM", "password": "mVt5-kd93Qpz_0Lr2xWc",
            "local_address": "[::1]", "local_port": 1081,
            "handshake_timeout": 30, "dial_timeout": 5.5, "idle_timeout": 600, "half_closed_timeout": 60,
            "first_payload_timeout": 0, "drain_timeout": 0, "no_delay": true, "keep_alive": 0, "user_timeout": 60,
            "ipv6_first": true, "nofile": 65536, "event_model": "portable",
            "allow_private": true, "allow_none": true, "strict_first_read": true, "bad_handshake": "reset",
            "mode": "tcp_and_udp", "local_udp_address": "::", "local_udp_port": 1082,
            "udp_associate_addr": "[2001:db8::1]:1083", "udp_require_association": false,
            "udp_socket_per_association": true, "udp_timeout": 60, "udp_max_associations": 1000,
            "udp_max_per_source": 10, "udp_receive_buffer": 4194304, "udp_send_buffer": "65536", "udp_io": "plain",
            "dns": "tls://1.1.1.1", "dns_cache_size": 10, "dns_ttl_min": 5, "dns_ttl_max": 50, "ipv6_only": true,
            "acl": "/etc/x.acl", "acl_dialect": "libev", "forbidden_ip": ["0.0.0.0/0"], "forbidden_port": "25,80-81",
            "connection_attempt_delay": 0.1, "outbound_bind_addr": "192.0.2.1", "outbound_bind_interface": "eth0",
            "outbound_fwmark": 0xff, "outbound_proxy": ["socks5://127.0.0.1"], "fast_open": true, "mptcp": true,
            "inbound_send_buffer_size": 1, "inbound_recv_buffer_size": 2, "outbound_send_buffer_size": 3,
            "outbound_recv_buffer_size": 4,
            "silent_limit": 100, "state_dir": "/var/lib/x", "log_targets": true,
            "log": {"level": 1, "format": {"without_time": true}},
        }
        """
    )
    assert config == Config(
        servers=(
            ServerConfig(
                Address("::", 8388),
                METHODS["aes-256-gcm"],
                Secret(STRONG),
                handshake_timeout=30.0,
                dial_timeout=5.5,
                outbound_proxy=(ProxyConfig("socks5", Address("127.0.0.1", 1080)),),
                mode=Mode.TCP_AND_UDP,
                outbound=Outbound("192.0.2.1", "", "eth0", 255),
                acl="/etc/x.acl",
            ),
        ),
        locals=(
            LocalConfig(
                Address("::1", 1081),
                mode=Mode.TCP_AND_UDP,
                udp_listen=Address("::", 1082),
                udp_associate_address=Address("2001:db8::1", 1083),
                udp_require_association=False,
                udp_socket_per_association=True,
                acl="/etc/x.acl",
            ),
        ),
        dns=(NameServer(Transport.TLS, "1.1.1.1", 853, "1.1.1.1"),),
        dns_cache_size=10,
        dns_ttl_min=5,
        dns_ttl_max=50,
        ipv6_only=True,
        acl="/etc/x.acl",
        acl_dialect="libev",
        forbidden_ip=("0.0.0.0/0",),
        forbidden_port=((25, 25), (80, 81)),
        connection_attempt_delay=0.1,
        outbound=Outbound("192.0.2.1", "", "eth0", 255),
        fast_open=True,
        mptcp=True,
        inbound_send_buffer=1,
        inbound_receive_buffer=2,
        outbound_send_buffer=3,
        outbound_receive_buffer=4,
        udp_timeout=60.0,
        udp_max_associations=1000,
        udp_max_per_source=10,
        udp_receive_buffer=4194304,
        udp_send_buffer=65536,
        udp_io="plain",
        handshake_timeout=30.0,
        dial_timeout=5.5,
        idle_timeout=600.0,
        half_closed_timeout=60.0,
        first_payload_timeout=0.0,
        drain_timeout=0.0,
        no_delay=True,
        keep_alive=0,
        user_timeout=60,
        ipv6_first=True,
        nofile=65536,
        event_model="portable",
        allow_private=True,
        allow_none=True,
        strict_first_read=True,
        bad_handshake="reset",
        silent_limit=100,
        state_dir="/var/lib/x",
        log_level="debug",
        log_without_time=True,
        log_targets=True,
    )
    assert config.warnings == ()


def test_every_problem_at_once_in_the_order_of_the_file() -> None:
    text = """{
        "server": "0.0.0.0",
        "server_port": 70000,
        "password": "mVt5-kd93Qpz_0Lr2xWc",
        "method": "aes-256-gmc",
        "timeout": "soon",
        "mode": "sctp",
        "plugin": "obfs-server"
        "servers": [
            {
                "server": "a b",
                "server_port": 8388,
                "method": "2022-blake3-aes-256-gcm",
                "password": "c2hvcnQ="
            },
            7
        ],
        "locals": [{"local_port": 0, "protocol": "http"}],
        "log": 3
    }"""
    assert problems(text) == [
        "c.json:3: server_port: 70000 is no port; ports are numbers from 1 to 65535",
        "c.json:5: method: no method has this name; the nearest known one is aes-256-gcm",
        "c.json:6: timeout: expected a number of seconds, found text",
        "c.json:7: mode: the word is not known; write tcp_only, tcp_and_udp or udp_only",
        "c.json:8: a comma is missing after this value (column 32)",
        "c.json:11: servers[0].server: this is no host name; names are made of letters, digits, hyphens and dots",
        "c.json:14: servers[0].password: the key of 2022-blake3-aes-256-gcm has 5 bytes, it must have exactly 32; "
        "make one with: shadesocks genkey -m 2022-blake3-aes-256-gcm",
        "c.json:16: servers[1]: expected an object in braces or a link in quotes, found 7",
        "c.json:18: locals[0].local_port: 0 is no port; ports are numbers from 1 to 65535",
        "c.json:18: locals[0].protocol: http comes in a later version; this one serves socks and tunnel",
        "c.json:19: log: expected an object in braces, found 3",
    ]


def test_the_error_carries_the_problems() -> None:
    with pytest.raises(ConfigError) as caught:
        load('{"server": 1,\n"timout": 2}', where="x.json", strict=True)
    assert caught.value.problems[0] == Problem(
        "x.json", 1, "server_port", 'is missing; add the port, as in "server_port": 8388, or give -s HOST:PORT'
    )
    assert caught.value.problems[-1] == Problem(
        "x.json", 2, "timout", "this key is not known; the nearest known one is timeout"
    )
    assert str(caught.value).count("\n") == len(caught.value.problems) - 1


def test_only_one_problem_for_a_value_that_could_not_be_read() -> None:
    assert problems(text_of().replace(f'"{KEY}"', "x")) == [
        "c.json:1: password: text goes in quotes; the only words without them are true, false and null (column 97)"
    ]


@given(st.text() | st.text(alphabet='{}[]:,"\n servers01'))
def test_only_config_errors_on_any_text(text: str) -> None:
    report = examine(text, environ={})
    assert (report.config is None) == bool(report.problems)
    if report.problems:
        with pytest.raises(ConfigError) as caught:
            load(text, environ={})
        assert caught.value.problems == report.problems


_KEYS = (
    "server server_port method password servers shadowsocks locals local_address mode log level format timeout plugin "
    "outbound_proxy dns acl forbidden_ip forbidden_port outbound_bind_addr local_ipv6_address interface "
    "disabled protocol nofile state_dir keep_alive bad_handshake users _x address"
)
_WORDS = st.sampled_from(_KEYS.split())
_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS | st.text(max_size=4), inner, max_size=6),
)


@given(st.dictionaries(_WORDS, _ANY), st.sampled_from(["server", "local", None]))
def test_only_config_errors_on_any_value(keys: dict[str, object], role: Role | None) -> None:
    report = examine(json.dumps(keys), role=role, environ={}, read_link=parse_link)
    assert (report.config is None) == bool(report.problems)


@pytest.mark.parametrize("text", ["[]", "7", '"x"', "null", "true"])
def test_a_config_is_an_object(text: str) -> None:
    assert "a configuration is an object in braces" in problems(text)[0]


# One file for both ends


BOTH_ENDS = """{
    "server": "127.0.0.1", "server_port": 8388, "method": "2022-blake3-aes-256-gcm",
    "password": "hAxTKdG9cJIWmI2jPpxVQ1nBtC0uRmZkYp7sLqEwXyM=",
    "local_address": "0.0.0.0", "local_port": 1080, "allow_private": true, "first_payload_timeout": 0.1,
    "forbidden_ip": "0.0.0.0/0", "workers": 2, "workdir": "/x", "locals": [
        {"local_port": 1081, "client_cache_size": 8, "mode": "tcp_and_udp"}
    ], "balancer": {"check_interval": 10}, "tunnel_port": 53
}"""


def test_each_end_is_told_of_its_own_keys_only() -> None:
    about = {role: [warning.key for warning in look(BOTH_ENDS, role).warnings] for role in ("server", "local", None)}
    assert about["server"] == ["workdir"]
    assert about["local"] == [
        "local_address",
        "locals[0].client_cache_size",
        "tunnel_port",
    ]
    assert {*about["server"], *about["local"]} == {*about[None]}


@pytest.mark.parametrize("role", ["server", "local"])
def test_a_file_of_both_ends_starts_either_without_a_word(role: Role) -> None:
    text = text_of(local_address="127.0.0.1", local_port=1081, allow_private=True, first_payload_timeout=0.2)
    config = load(text, role=role)
    assert config.servers == (SERVER,)
    assert config.locals == (LocalConfig(Address("127.0.0.1", 1081)),)
    assert config.warnings == ()


def test_a_lock_of_the_other_end_does_not_stop_this_one() -> None:
    text = text_of(locals=[{"local_port": 1080, "socks5_auth_config_path": "users.json"}])
    assert problems(text, "server") == []
    assert "without a login" in problems(text, "local")[0]


# What an end needs


@pytest.mark.parametrize("role", ["server", "local"])
def test_an_end_needs_a_server(role: Role) -> None:
    expected = (
        "no server is named; give server, server_port, method and password, or -s, -m and -k, or a link by --server-url"
    )
    assert problems("{}", role) == [f"c.json:1: {expected}"]
    assert problems(None, role) == [f"command line: {expected}"]
    assert problems("{}") == []
    assert len(problems("{", role)) == 1, "what cannot be read lacks nothing"
    with pytest.raises(ConfigError, match=r"^f.json: no server is named"):
        (for_server if role == "server" else for_local)(Config(), where="f.json")


def test_disabled_servers_are_not_there() -> None:
    text = json.dumps({"servers": [{"disabled": True, "server": "x"}], "locals": [{"disabled": True}]})
    assert look(text).config == Config()
    assert "no server is named" in problems(text, "server")[0]


def test_the_client_listens_where_the_others_do_by_default() -> None:
    assert load(text_of(), role="local").locals == (DEFAULT_LOCAL,)
    assert for_local(load(text_of())).locals == (DEFAULT_LOCAL,)
    assert load(text_of(), role="server").locals == ()
    assert str(DEFAULT_LOCAL.address) == "127.0.0.1:1080"


def test_two_entries_on_one_address() -> None:
    entry = {"server": "127.0.0.1", "server_port": 1, "method": METHOD, "password": KEY}
    text = json.dumps({"servers": [entry, entry], "local_port": 1080, "locals": [{}]}, indent=1)
    assert problems(text, "server") == [
        "c.json:9: servers[1]: 127.0.0.1:1 is taken by an entry before this one; choose another port"
    ]
    assert problems(text, "local") == [
        "c.json:18: locals[0]: 127.0.0.1:1080 is taken by an entry before this one; choose another port"
    ]
    with pytest.raises(ConfigError, match="is taken"):
        for_server(load(text))


# Several servers and listeners


def test_servers_of_the_top_and_of_the_list_in_order() -> None:
    entries = [
        {"address": "a.example", "port": 1, "method": METHOD, "password": KEY, "name": "one", "id": "i-1"},
        {"server": "b.example", "server_port": "2", "method": METHOD, "password": KEY, "disabled": False},
    ]
    config = load(text_of(servers=entries, shadowsocks=[{**entries[1], "server": "c.example"}]))
    assert [str(server.address) for server in config.servers] == [
        "203.0.113.5:8388",
        "a.example:1",
        "b.example:2",
        "c.example:2",
    ]
    assert (config.servers[1].remarks, config.servers[1].id) == ("one", "i-1")


def test_a_method_alone_at_the_top_is_no_server() -> None:
    entry = {"server": "a.example", "server_port": 1, "method": METHOD, "password": KEY}
    text = json.dumps({"method": METHOD, "servers": [entry]})
    assert len(load(text).servers) == 1
    assert warnings(text) == ["c.json:1: method: this method is of no server: each entry of servers[] names its own"]


def test_a_list_that_is_none() -> None:
    assert problems(text_of(servers={"server": "x"})) == [
        "c.json:1: servers: expected a list of objects, in square brackets; found an object"
    ]
    assert load(text_of(servers=None)).servers == (SERVER,)


# Links, dialects, secrets


def test_a_config_from_a_link() -> None:
    config = config_from_link(parse_link(f"ss://{METHOD}:{KEY.replace('=', '%3D')}@203.0.113.5:8388#home"))
    assert config.servers[0].remarks == "home"
    assert config.servers[0].password == Secret(KEY)


def test_a_link_says_nothing_of_a_mode_so_both_are_served() -> None:
    link = parse_link("ss://none:@127.0.0.1:1")
    config = config_from_link(link, role="local")
    both = Mode.TCP_AND_UDP
    assert (config.servers[0].mode, config.locals[0].mode) == (both, both)
    assert config.locals[0].address == DEFAULT_LOCAL.address
    assert for_local(config_from_link(link)) == config


def test_a_link_may_name_a_plugin_but_no_path() -> None:
    config = config_from_link(parse_link("ss://aes-256-gcm:x@h.example:1/?plugin=obfs-local%3Bobfs%3Dhttp"))
    assert config.servers[0].plugin == PluginConfig("obfs-local", Secret("obfs=http"))
    with pytest.raises(ConfigError, match=r"^link: this names a plugin by its path"):
        config_from_link(parse_link("ss://aes-256-gcm:x@h.example:1/?plugin=/tmp/x"))


def test_a_config_from_several_links() -> None:
    links = [f"ss://aes-256-gcm:{STRONG}@h.example:{port}" for port in (1, 2)]
    config = config_from_links(links, parse_link, role="local")
    assert [server.address.port for server in config.servers] == [1, 2]
    assert config_from_links(links[:1], parse_link, role="local") == config_from_link(
        parse_link(links[0]), role="local"
    )
    subscribed = config_from_links(["ssconf://h.example/key"], parse_link, role="local")
    assert (subscribed.servers, subscribed.online is None, len(subscribed.locals)) == ((), False, 1)
    with pytest.raises(ConfigError, match=r"^link: this is no usable link"):
        config_from_links([links[0], "ss://x"], parse_link)
    old = [f"ss://rc4-md5:{STRONG}@h.example:1", links[0]]
    with pytest.raises(ConfigError, match="allow_legacy"):
        config_from_links(old, parse_link)
    assert len(config_from_links(old, parse_link, allow_legacy=True).servers) == 2


def test_a_server_of_a_list_may_be_a_link() -> None:
    link = f"ss://aes-256-gcm:{STRONG}@h.example:1#tag"
    entry = {**samples.SERVER, "server_port": 2}
    config = load(text_of(servers=[link, entry], mode="tcp_and_udp"), read_link=parse_link)
    assert [str(server.address) for server in config.servers] == ["203.0.113.5:8388", "h.example:1", "203.0.113.5:2"]
    assert (config.servers[1].remarks, config.servers[1].mode) == ("tag", Mode.TCP_AND_UDP)
    with pytest.raises(ConfigError) as caught:
        load('{"servers": [\n"ss://aes-256-gcm:hunter2@h"]}', where="c.json", read_link=parse_link)
    assert str(caught.value).startswith("c.json:2: servers[0]: this is no usable link: a link names its port")
    assert "hunter2" not in str(caught.value)


def test_identity_keys_are_taken_where_nothing_is_started() -> None:
    text = text_of(password=f"{KEY}:{KEY[::-1][1:]}=")
    with pytest.raises(ConfigError, match="a server has one key"):
        load(text, role="server")
    assert load(text, role="server", starts=False).servers[0].password.reveal().count(":") == 1


def test_dialects_by_name() -> None:
    assert load(text_of(), dialect="rust") == load(text_of())
    with pytest.raises(ConfigError, match=r"^--dialect: no dialect has this name; known are rust"):
        load(text_of(), dialect="klingon")


def test_no_secret_is_shown() -> None:
    config = load(text_of())
    assert KEY not in repr(config)
    assert KEY not in str(config)
    assert config.servers[0].password.reveal() == KEY
    with pytest.raises(TypeError):
        pickle.dumps(config)


@pytest.mark.parametrize("key", ["server", "server_port", "method", "password", "mode", "timeout", "bad_handshake"])
def test_no_message_repeats_a_text_that_stands_in_the_wrong_place(key: str) -> None:
    report = look(text_of({key: "hunter2-and-more!"}), strict=True)
    said = [str(problem) for problem in (*report.problems, *report.warnings)]
    assert said
    assert "hunter2" not in "".join(said)


def test_the_environment_is_the_process_s_own_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHADE_TEST_KEY", KEY)
    assert load(text_of(password="${SHADE_TEST_KEY}")).servers == (SERVER,)


# What clients do not reach


def test_no_closed_addresses_at_all_is_told_to_the_server() -> None:
    sentence = (
        "c.json:1: forbidden_ip: this list is empty, so private networks are open: clients reach the loopback, the "
        "local network and the metadata addresses of the server; to close them, remove it, and write "
        '"allow_private": false'
    )
    empties: tuple[object, ...] = ([], "")
    for empty in empties:
        assert warnings(text_of(forbidden_ip=empty), "server") == [sentence]
        assert warnings(text_of(forbidden_ip=empty), "local") == []
        assert load(text_of(forbidden_ip=empty)).forbidden_ip == ()
    assert warnings(text_of(forbidden_ip=None)) == []
    assert load(text_of(forbidden_ip=None)).forbidden_ip is None


def test_an_address_that_looks_like_a_network_is_one_address() -> None:
    assert load(text_of(forbidden_ip="10.0.0.0")).forbidden_ip == ("10.0.0.0",)
    assert warnings(text_of(forbidden_ip="0.0.0.0/0, 10.0.0.0"), "server") == [
        "c.json:1: forbidden_ip: an address that ends in .0 is one address here, and no network; write its size, as in "
        "10.0.0.0/8"
    ]
    assert warnings(text_of(forbidden_ip="0.0.0.0/0,10.0.0.0/32,::"), "server") == []


def test_a_list_of_closed_addresses_says_what_it_leaves_open() -> None:
    assert warnings(text_of(forbidden_ip="127.0.0.0/8,::1/128,10.0.0.0/8,192.168.0.0/16"), "server") == [
        "c.json:1: forbidden_ip: this list takes the place of the safe default, so these are open: 172.16.0.0/12, "
        "169.254.169.254; add them to close them"
    ]
    whole = "127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,169.254.0.0/16"
    assert warnings(text_of(forbidden_ip=whole), "server") == []


# Files of other programs


def test_the_names_of_shadowsocks_libev_and_the_python_original() -> None:
    keys = {f"tcp_{way}_{what}buf": 9 for way in ("incoming", "outgoing") for what in ("snd", "rcv")}
    config = load(text_of(keys, prefer_ipv6=True, dns_server="1.1.1.1"), strict=True)
    assert config.ipv6_first
    assert [server.host for server in config.dns] == ["1.1.1.1"]
    assert (config.inbound_send_buffer, config.inbound_receive_buffer) == (9, 9)
    assert (config.outbound_send_buffer, config.outbound_receive_buffer) == (9, 9)
    zeros = load(text_of(dict.fromkeys(keys, 0)))
    assert zeros == load(text_of())
    assert zeros.inbound_send_buffer is None
