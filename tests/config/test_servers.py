"""One server: what it must have, its time-outs, its password, method none, and the proxy before it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest

from shadesocks.config import Config, Mode, Outbound, ProxyConfig, ServerConfig, for_local, load
from shadesocks.config.hosts import is_loopback
from shadesocks.config.servers import LABEL_MAX
from shadesocks.core.address import Address
from shadesocks.core.errors import ConfigError
from shadesocks.core.secret import Secret
from shadesocks.crypto.keys import make_key_text
from shadesocks.crypto.methods import METHODS, Method, is_ready
from shadesocks.wire.uri import parse_link

from .samples import KEY, METHOD, SERVER, STRONG, look, problems, text_of, warnings


def config_of(text: str) -> Config:
    config = look(text).config
    assert config is not None, look(text).problems
    return config


def test_all_that_is_missing_is_told() -> None:
    assert problems('{"servers": [\n{}]}') == [
        'c.json:2: servers[0].server: is missing; add the host, as in "server": "203.0.113.5", or give -s HOST:PORT',
        'c.json:2: servers[0].server_port: is missing; add the port, as in "server_port": 8388, or give -s HOST:PORT',
        'c.json:2: servers[0].method: is missing; add a method, as in "method": "2022-blake3-aes-256-gcm", or give -m '
        "METHOD",
        "c.json:2: servers[0].password: is missing; make one with: shadesocks genkey -m METHOD",
    ]


# Time-outs


@pytest.mark.parametrize(
    ("top", "own", "expected"),
    [
        ({}, {}, (59.0, 10.0)),
        ({"timeout": 300}, {}, (300.0, 300.0)),
        ({"timeout": 300, "dial_timeout": 5}, {}, (300.0, 5.0)),
        ({"handshake_timeout": 20}, {"timeout": 7}, (7.0, 7.0)),
        ({"timeout": 300}, {"handshake_timeout": 7}, (7.0, 300.0)),
        ({"timeout": 300}, {"handshake_timeout": 7, "timeout": 8}, (7.0, 8.0)),
    ],
)
def test_timeouts(top: dict[str, object], own: dict[str, object], expected: tuple[float, float]) -> None:
    server = config_of(json.dumps({**top, "servers": [{**SERVER, **own}]})).servers[0]
    assert (server.handshake_timeout, server.dial_timeout) == expected


def test_the_timeout_of_the_file_is_that_of_the_config() -> None:
    config = config_of(text_of(timeout=300))
    assert (config.handshake_timeout, config.dial_timeout) == (300.0, 300.0)


@pytest.mark.parametrize(
    ("top", "own", "expected"),
    [
        ({}, {}, Mode.TCP_ONLY),
        ({"mode": "tcp_and_udp"}, {}, Mode.TCP_AND_UDP),
        ({"mode": "tcp_and_udp"}, {"mode": "UDP_only"}, Mode.UDP_ONLY),
        ({}, {"mode": "tcp_and_udp"}, Mode.TCP_AND_UDP),
    ],
)
def test_the_mode_of_the_file_and_one_s_own(top: dict[str, object], own: dict[str, object], expected: Mode) -> None:
    text = json.dumps({**top, "servers": [{**SERVER, **own}]})
    assert config_of(text).servers[0].mode is expected
    assert warnings(text) == []


def test_a_link_serves_both_whatever_the_mode_of_the_file() -> None:
    for mode in Mode:
        (server,) = config_of(text_of(outbound_proxy=LINK, mode=mode.value)).servers
        assert server.mode is mode
        (hop,) = server.outbound_proxy
        assert isinstance(hop, ServerConfig)
        assert hop.mode is Mode.TCP_AND_UDP


# Passwords


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if is_ready(method)])
def test_the_keys_that_we_make_fit_and_are_strong(method: str) -> None:
    key = make_key_text(METHODS[method], lambda size: bytes(range(7, 7 + size)))
    entry = {**SERVER, "server": "127.0.0.1", "method": method, "password": key}
    told = warnings(json.dumps({"servers": [entry], "allow_legacy": True}))
    assert len(told) == METHODS[method].legacy, told


@pytest.mark.parametrize(
    ("method", "password", "sentence"),
    [
        (METHOD, KEY[:22] + "==", "the key of 2022-blake3-aes-256-gcm has 16 bytes, it must have exactly 32"),
        (METHOD, "not base64!", "the key of 2022-blake3-aes-256-gcm is not base64 (alphabet A-Z a-z 0-9 + /)"),
        (METHOD, "", "the password is empty"),
        ("aes-256-gcm", "", "the password is empty"),
    ],
)
def test_a_key_that_does_not_fit(method: str, password: str, sentence: str) -> None:
    assert problems(text_of(method=method, password=password)) == [
        f"c.json:1: password: {sentence}; make one with: shadesocks genkey -m {method}"
    ]


def test_identity_keys_are_for_clients() -> None:
    text = text_of(password=f"{KEY}:{KEY}", outbound_proxy=f"ss://{METHOD}:{KEY}:{KEY}@h.example:1".replace("+", "%2B"))
    for role in ("local", None):
        server = load(text, role=role, read_link=parse_link).servers[0]
        assert server.password == Secret(f"{KEY}:{KEY}")
    with pytest.raises(ConfigError) as caught:
        load(text, where="c.json", role="server", read_link=parse_link)
    assert [str(problem) for problem in caught.value.problems] == [
        "c.json:1: password: a server has one key; several, with colons between, are for clients: the last is the "
        "user's, and stands in the server's list of users"
    ]


def test_more_identity_keys_than_anybody_has() -> None:
    assert load(text_of(password=":".join([KEY] * 17))).servers
    assert problems(text_of(password=":".join([KEY] * 18)))[0].startswith(
        "c.json:1: password: there are 18 keys; 16 and the own are the most"
    )


def test_a_password_is_not_needed_for_none() -> None:
    server = config_of(text_of(server="::1", method="none", password=...)).servers[0]
    assert server.password == Secret("")


def test_a_weak_password_warns() -> None:
    assert warnings(text_of(method="aes-256-gcm", password="barfoo!")) == [
        "c.json:1: password: this password is weak: whoever records the traffic can guess it at home; "
        "make one with: shadesocks genkey -m aes-256-gcm"
    ]
    assert warnings(text_of(method="aes-256-gcm", password=STRONG)) == []


def test_a_key_that_is_not_random_warns() -> None:
    assert warnings(text_of(password="A" * 43 + "=")) == [
        "c.json:1: password: this key is not random, so it can be guessed; make one with: shadesocks genkey -m "
        "2022-blake3-aes-256-gcm"
    ]


def test_a_password_from_the_environment() -> None:
    text = text_of(password="${SS_KEY}")
    config = look(text, environ={"SS_KEY": KEY}).config
    assert config is not None
    assert config.servers[0].password == Secret(KEY)
    assert problems(text) == ["c.json:1: password: the environment has no variable SS_KEY; set it and start again"]
    assert "exactly 32" in problems(text, environ={"SS_KEY": "aGk="})[0]
    plain = config_of(text_of(method="aes-256-gcm", password="x${SS_KEY}")).servers[0]
    assert plain.password == Secret("x${SS_KEY}")


# Method none


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("LocalHost.", True),
        ("0.0.0.0", False),
        ("::", False),
        ("128.0.0.1", False),
        ("localhost.example", False),
    ],
)
def test_none_is_for_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback
    text = text_of(server=host, method="none", password="")
    assert problems(text) == (
        []
        if loopback
        else [
            "c.json:1: method: method none neither hides nor protects anything, so it is refused away from loopback; "
            "choose another method, or allow it with allow_none (--allow-none)"
        ]
    )
    assert problems(text_of(server=host, method="none", allow_none=True)) == []


# Outbound proxies

LINK = f"ss://{METHOD}:{KEY.replace('=', '%3D')}@proxy.example:443"
PROXY = ServerConfig(Address("proxy.example", 443), METHODS[METHOD], Secret(KEY), mode=Mode.TCP_AND_UDP)


@pytest.mark.parametrize("link", [LINK, [LINK]])
def test_a_proxy_for_all_and_one_s_own(link: object) -> None:
    entry = {**SERVER, "server_port": 1, "outbound_proxy": LINK.replace("443", "444")}
    none = {**SERVER, "server_port": 2, "outbound_proxy": ""}
    config = config_of(text_of(outbound_proxy=link, servers=[entry, none]))
    assert [server.outbound_proxy for server in config.servers] == [
        (PROXY,),
        (replace(PROXY, address=Address("proxy.example", 444)),),
        (),
    ]


@pytest.mark.parametrize(
    ("link", "sentence"),
    [
        ("ftp://127.0.0.1:1080", "this is no usable link: a proxy's begins with ss://, socks5:// or http://"),
        (
            "ss://x",
            "this is no usable link: between ss:// and the last @ a link holds method:password, percent-encoded "
            "or as base64",
        ),
        (7, "a link in quotes is expected"),
        ({"a": 1}, "a link in quotes is expected"),
        (
            "ss://none:@proxy.example:1",
            "method none neither hides nor protects anything, so it is refused away from loopback; "
            "choose another method, or allow it with allow_none (--allow-none)",
        ),
        (
            "ss://rc4-md5:x@proxy.example:1",
            "method rc4-md5 does not notice when somebody on the way changes the data, and recorded traffic can be "
            "decrypted with the server's own help, so it is refused; choose another method, or allow it with "
            "allow_legacy (--allow-legacy)",
        ),
        (
            f"ss://aes-256-gcm:{STRONG}@proxy.example:1?plugin=x",
            "a proxy on the way has no plugin: that would connect by itself, and not through the others",
        ),
    ],
)
def test_a_proxy_that_cannot_be(link: object, sentence: str) -> None:
    assert problems(text_of(outbound_proxy=link)) == [f"c.json:1: outbound_proxy: {sentence}"]
    entry = {**SERVER, "outbound_proxy": link}
    assert problems(json.dumps({"servers": [entry]})) == [f"c.json:1: servers[0].outbound_proxy: {sentence}"]


def test_a_proxy_is_dialled_in_the_file_s_time() -> None:
    (proxy,) = config_of(text_of(outbound_proxy=LINK, timeout=7)).servers[0].outbound_proxy
    assert isinstance(proxy, ServerConfig)
    assert proxy.dial_timeout == 7.0


def test_a_chain_in_its_order() -> None:
    links = ["socks5://127.0.0.1", LINK, "http://user:p%40ss@[2001:db8::1]:3128"]
    assert config_of(text_of(outbound_proxy=links)).servers[0].outbound_proxy == (
        ProxyConfig("socks5", Address("127.0.0.1", 1080)),
        PROXY,
        ProxyConfig("http", Address("2001:db8::1", 3128), "user", Secret("p@ss")),
    )


def test_a_chain_has_so_many_servers_at_most() -> None:
    assert problems(text_of(outbound_proxy=[LINK, "socks5://h", LINK])) == []
    assert problems(text_of(outbound_proxy=[LINK, "socks5://h", LINK, LINK])) == [
        "c.json:1: outbound_proxy: 2 ss:// proxies in a chain are the most; leave one out"
    ]


def test_each_hop_has_its_problem_in_its_place() -> None:
    text = json.dumps({**SERVER, "outbound_proxy": ["https://h", LINK, 7, "socks5://h:0"]}, indent=0)
    assert problems(text) == [
        "c.json:7: outbound_proxy[0]: HTTPS proxies cannot be had; only http:// is spoken, and what passes through it "
        "can be an ss:// hop",
        "c.json:9: outbound_proxy[2]: a link in quotes is expected",
        "c.json:10: outbound_proxy[3]: a port is missing or wrong; ports are numbers from 1 to 65535",
    ]


@pytest.mark.parametrize("empty", ["", [], None])
def test_a_server_switches_the_proxy_of_the_file_off(empty: object) -> None:
    config = config_of(json.dumps({"outbound_proxy": LINK, "servers": [{**SERVER, "outbound_proxy": empty}]}))
    assert config.servers[0].outbound_proxy == ((PROXY,) if empty is None else ())


def test_a_hop_says_nothing_of_how_it_is_reached() -> None:
    top = {"outbound_proxy": LINK, "outbound_fwmark": 7, "acl": "x.acl", "mode": "tcp_only"}
    own = {**SERVER, "outbound_proxy": [LINK]}
    config = config_of(json.dumps({**top, "servers": [own]}))
    assert config.servers[0].outbound_proxy == (PROXY,)
    assert config.servers[0].outbound == Outbound(fwmark=7)


# From where connections leave


@pytest.mark.parametrize(
    ("top", "own", "expected"),
    [
        ({}, {}, Outbound()),
        ({"outbound_bind_addr": "192.0.2.1"}, {}, Outbound("192.0.2.1")),
        ({"outbound_bind_addr": "fe80::1%eth0"}, {}, Outbound("", "fe80::1%eth0")),
        ({"outbound_bind_addr": "192.0.2.1"}, {"outbound_bind_addr": "192.0.2.2"}, Outbound("192.0.2.2")),
        ({"outbound_bind_addr": "192.0.2.1"}, {"outbound_bind_addr": "::2"}, Outbound("192.0.2.1", "::2")),
        ({"outbound_bind_addr": "192.0.2.1"}, {"outbound_bind_addr": ""}, Outbound()),
        (
            {"local_ipv4_address": "192.0.2.1", "local_ipv6_address": "::1"},
            {"local_ipv4_address": ""},
            Outbound("", "::1"),
        ),
        (
            {"outbound_bind_addr": "192.0.2.1", "local_ipv6_address": "::1", "local_ipv4_address": "192.0.2.1"},
            {},
            Outbound("192.0.2.1", "::1"),
        ),
        ({"outbound_bind_addr": "", "local_ipv6_address": "::1"}, {}, Outbound("", "::1")),
        ({"interface": "eth0", "outbound_fwmark": 255}, {}, Outbound("", "", "eth0", 255)),
        (
            {"outbound_bind_interface": "eth0", "outbound_fwmark": 255},
            {"outbound_bind_interface": "", "outbound_fwmark": 0, "outbound_bind_addr": "::1"},
            Outbound("", "::1"),
        ),
        ({"outbound_fwmark": 2**32 - 1}, {"interface": "wg0"}, Outbound("", "", "wg0", 2**32 - 1)),
    ],
)
def test_each_part_is_one_s_own_or_the_file_s(
    top: dict[str, object], own: dict[str, object], expected: Outbound
) -> None:
    config = config_of(json.dumps({**top, "servers": [{**SERVER, **own}]}))
    assert config.servers[0].outbound == expected
    if not own:
        assert config.outbound == expected
        assert config_of(text_of(top)).servers[0].outbound == expected


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        (
            {"outbound_bind_addr": "h.example"},
            "outbound_bind_addr: an IP address is expected here, and this is none; look at its numbers, dots and "
            "colons",
        ),
        (
            {"local_ipv4_address": "::1"},
            "local_ipv4_address: this is an address of the other family; its key is local_ipv6_address",
        ),
        (
            {"local_ipv6_address": "127.0.0.1"},
            "local_ipv6_address: this is an address of the other family; its key is local_ipv4_address",
        ),
        (
            {"local_ipv4_address": "192.0.2.1", "outbound_bind_addr": "192.0.2.2"},
            "outbound_bind_addr: another address of this family is given beside this one; keep one of the two",
        ),
        (
            {"interface": "a b"},
            "interface: this is no name of a network interface, such as eth0; it has 15 letters at most",
        ),
        ({"outbound_fwmark": 2**32}, "outbound_fwmark: 4.29497e+09 is too large; the most is 4294967295"),
    ],
)
def test_from_where_nothing_leaves(keys: dict[str, object], sentence: str) -> None:
    assert problems(text_of(keys)) == [f"c.json:1: {sentence}"]
    assert problems(json.dumps({"servers": [{**SERVER, **keys}]})) == [f"c.json:1: servers[0].{sentence}"]


# Rules


@pytest.mark.parametrize(
    ("top", "own", "expected"),
    [
        (..., ..., None),
        ("a.acl", ..., "/etc/x/a.acl"),
        ("a.acl", "../b.acl", "/etc/x/../b.acl"),
        ("a.acl", "/b.acl", "/b.acl"),
        ("a.acl", "", None),
        ("", ..., None),
        (..., "b.acl", "/etc/x/b.acl"),
    ],
)
def test_the_rules_of_the_file_and_one_s_own(top: object, own: object, expected: str | None) -> None:
    entry = {} if own is ... else {"acl": own}
    keys = {"servers": [{**SERVER, **entry}], "locals": [entry], **({} if top is ... else {"acl": top})}
    config = load(json.dumps(keys), base="/etc/x")
    assert (config.servers[0].acl, config.locals[0].acl) == (expected, expected)
    assert config.acl == (f"/etc/x/{top}" if top and top is not ... else None)


def test_the_default_listener_has_the_rules_of_the_file() -> None:
    config = load(text_of(acl="/a.acl"), role="local")
    assert [local.acl for local in config.locals] == ["/a.acl"]
    assert for_local(load(text_of(acl="/a.acl"))) == config
    assert load(text_of(acl="a.acl")).acl == "a.acl"


def test_a_path_that_is_none() -> None:
    assert problems(text_of(acl="a\0")) == ["c.json:1: acl: a path holds no NUL"]
    assert problems(text_of(acl=7)) == ["c.json:1: acl: expected the path of a file in quotes, found 7"]


# Old ciphers

_OLD = "does not notice when somebody on the way changes the data, and recorded traffic can be decrypted with the "
_OLD += "server's own help"


def old(allowed: bool, **own: object) -> str:
    """A configuration in our own form of one server with a password."""
    return json.dumps({"servers": [{**SERVER, "password": STRONG, **own}], "allow_legacy": allowed})


def test_an_old_cipher_is_refused_unless_it_is_allowed() -> None:
    assert problems(old(False, method="aes-256-cfb")) == [
        f"c.json:1: servers[0].method: method aes-256-cfb {_OLD}, so it is refused; choose another method, or "
        "allow it with allow_legacy (--allow-legacy)"
    ]
    assert problems(old(True, method="aes-256-cfb")) == []


@pytest.mark.parametrize("method", [method for method in METHODS.values() if method.legacy], ids=lambda m: m.name)
def test_every_old_cipher_is_refused_or_warned_about(method: Method) -> None:
    assert len(problems(old(False, method=method.name))) == 1
    text = old(True, method=method.name)
    assert config_of(text).servers[0].method is method
    assert len(warnings(text)) == 1


def test_an_old_cipher_of_many_servers_is_warned_about_once() -> None:
    servers = [{**SERVER, "method": "rc4-md5", "password": STRONG, "server_port": port} for port in (1, 2, 3)]
    said = f"c.json:1: servers[0].method: method rc4-md5 {_OLD}; a 2022 method at both ends mends that"
    said += " (and 2 more like this)"
    assert warnings(json.dumps({"servers": servers, "allow_legacy": True})) == [said]


def test_what_an_old_cipher_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shadesocks.crypto.stream_extra", None)
    monkeypatch.delattr("shadesocks.crypto.stream_extra", raising=False)
    monkeypatch.setattr("shadesocks.crypto.available._HERE", set())
    assert problems(old(True, method="salsa20")) == [
        "c.json:1: servers[0].method: salsa20 needs pycryptodomex: pip install 'shadesocks[legacy]'"
    ]


def test_what_the_other_end_wants_is_the_server_s_own_else_the_file_s() -> None:
    own = {**SERVER, "method": "aes-128-cfb", "password": STRONG, "one_time_auth": False, "compat": "procurator"}
    other = {**own, "server_port": 1, "one_time_auth": None, "compat": None}
    config = config_of(json.dumps({"allow_legacy": True, "one_time_auth": True, "servers": [own, other]}))
    assert [(server.one_time_auth, server.compat) for server in config.servers] == [
        (False, "procurator"),
        (True, "none"),
    ]


def test_one_time_auth_of_a_method_that_needs_none_warns() -> None:
    said = f"has no effect: method {METHOD} authenticates everything by itself"
    text = json.dumps({"servers": [{**SERVER, "one_time_auth": True}]})
    assert warnings(text) == [f"c.json:1: servers[0].one_time_auth: {said}"]


def test_a_name_forges_no_line_and_moves_no_cursor() -> None:
    name = "home\x1b[2J\nERROR forged\x9b\u202e\x00"
    entry = {**json.loads(text_of()), "remarks": name, "id": f"{name}{'y' * 1000}"}
    server = config_of(json.dumps({"servers": [entry]})).servers[0]
    assert server.remarks == "home?[2J?ERROR forged???"
    assert server.id.startswith("home?[2J?ERROR")
    assert len(server.id) == LABEL_MAX
