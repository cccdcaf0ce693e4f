"""The listeners of the client: their addresses, modes, datagrams and tunnels."""

from __future__ import annotations

import json

import pytest

from shadesocks.config import DEFAULT_LOCAL, LocalConfig, Mode, for_local, load
from shadesocks.core.address import Address

from .samples import SERVER as SERVER_KEYS
from .samples import look, problems, text_of, warnings


def test_listeners() -> None:
    text = text_of(local_port=1080, locals=[{"local_address": "::1"}, {"local_port": "1082", "protocol": "SOCKS"}])
    assert load(text).locals == (
        LocalConfig(Address("127.0.0.1", 1080)),
        LocalConfig(Address("::1", 1080)),
        LocalConfig(Address("127.0.0.1", 1082)),
    )


def test_a_listener_that_everybody_reaches_warns_the_client() -> None:
    text = text_of(local_address="0.0.0.0", local_port=1080)
    assert warnings(text, "server") == []
    assert warnings(text, "local") == [
        "c.json:1: local_address: whoever can reach this address can use the proxy, without a password; "
        "127.0.0.1 is for this machine"
    ]


# UDP of a listener


def listeners(text: str) -> list[LocalConfig]:
    report = look(text, "local")
    assert report.config is not None, report.problems
    return list(report.config.locals)


@pytest.mark.parametrize(
    ("top", "own", "expected"),
    [
        ({}, {}, Mode.TCP_ONLY),
        ({"mode": "udp_only"}, {}, Mode.UDP_ONLY),
        ({"mode": "tcp_and_udp"}, {"mode": "tcp_only"}, Mode.TCP_ONLY),
        ({}, {"mode": "tcp_and_udp"}, Mode.TCP_AND_UDP),
    ],
)
def test_the_mode_of_a_listener(top: dict[str, object], own: dict[str, object], expected: Mode) -> None:
    assert [local.mode for local in listeners(text_of(top, locals=[own]))] == [expected]


@pytest.mark.parametrize("mode", Mode)
def test_the_default_listener_has_the_mode_of_the_file(mode: Mode) -> None:
    text = text_of(mode=mode.value)
    assert listeners(text) == list(for_local(load(text)).locals)
    assert [(local.address, local.mode) for local in listeners(text)] == [(DEFAULT_LOCAL.address, mode)]


def test_modes_say_what_is_served() -> None:
    assert [(mode.value, mode.tcp, mode.udp) for mode in Mode] == [
        ("tcp_only", True, False),
        ("tcp_and_udp", True, True),
        ("udp_only", False, True),
    ]


@pytest.mark.parametrize(
    ("keys", "where"),
    [
        ({}, "127.0.0.1:1080"),
        ({"local_port": 1081}, "127.0.0.1:1081"),
        ({"local_udp_port": 1053}, "127.0.0.1:1053"),
        ({"local_udp_address": "::1"}, "[::1]:1080"),
        (
            {"local_address": "::1", "local_port": 1, "local_udp_address": "127.0.0.1", "local_udp_port": 2},
            "127.0.0.1:2",
        ),
    ],
)
def test_datagrams_come_in_where_connections_do_unless_it_is_said(keys: dict[str, object], where: str) -> None:
    assert [str(local.udp_address) for local in listeners(text_of(locals=[{**keys, "mode": "tcp_and_udp"}]))] == [where]
    assert [str(local.udp_address) for local in listeners(text_of(keys, mode="tcp_and_udp"))] == [where]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("203.0.113.9", Address("203.0.113.9", 0)),
        ("203.0.113.9:1080", Address("203.0.113.9", 1080)),
        ("2001:db8::9", Address("2001:db8::9", 0)),
        ("[2001:db8::9]", Address("2001:db8::9", 0)),
        ("[2001:db8::9]:5", Address("2001:db8::9", 5)),
        ("home.example:5", Address("home.example", 5)),
    ],
)
def test_what_associations_are_answered_with(text: str, expected: Address) -> None:
    (local,) = listeners(text_of(mode="tcp_and_udp", udp_associate_addr=text))
    assert local.udp_associate_address == expected


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (7, "expected a host and perhaps a port in quotes, found 7"),
        ("a b", "this is no host name; names are made of letters, digits, hyphens and dots"),
        ("h:x", "expected a port: a number from 1 to 65535, found text"),
        ("h:0", "0 is no port; ports are numbers from 1 to 65535"),
        (":5", "the host is empty; write a name or an IP address"),
    ],
)
def test_what_no_association_can_be_answered_with(value: object, sentence: str) -> None:
    assert problems(text_of(udp_associate_addr=value)) == [f"c.json:1: udp_associate_addr: {sentence}"]


def test_what_the_top_says_of_associations_holds_for_every_listener_that_does_not() -> None:
    top = {"mode": "tcp_and_udp", "udp_associate_addr": "h.example", "udp_require_association": False}
    own = {"local_port": 2, "udp_associate_addr": "i.example", "udp_socket_per_association": True}
    first, second = listeners(text_of(top, locals=[{}, own]))
    assert first.udp_associate_address == Address("h.example", 0)
    assert second.udp_associate_address == Address("i.example", 0)
    assert [local.udp_require_association for local in (first, second)] == [False, False]
    assert [local.udp_socket_per_association for local in (first, second)] == [False, True]


def test_keys_about_udp_without_udp_warn_the_client() -> None:
    text = text_of(locals=[{"local_udp_port": 1053, "udp_associate_addr": "h.example"}])
    said = 'has no effect: this listener serves no UDP; write "mode": "tcp_and_udp", or give -U'
    assert warnings(text, "server") == []
    assert warnings(text, "local") == [
        f"c.json:1: locals[0].local_udp_port: {said}",
        f"c.json:1: locals[0].udp_associate_addr: {said}",
    ]


def test_an_address_for_datagrams_that_is_of_no_listener() -> None:
    text = text_of(mode="tcp_and_udp", local_udp_port=1053, locals=[{"local_port": 1081}])
    assert warnings(text) == ["c.json:1: local_udp_port: this is of no listener: each entry of locals[] names its own"]


@pytest.mark.parametrize(
    ("server", "local", "transport"), [("tcp_only", "tcp_and_udp", "UDP"), ("udp_only", "tcp_and_udp", "TCP")]
)
def test_a_listener_whose_servers_all_have_it_off(server: str, local: str, transport: str) -> None:
    text = json.dumps({"servers": [{**SERVER_KEYS, "mode": server}], "locals": [{"mode": local}]})
    assert warnings(text, "local") == [
        f"c.json:1: locals[0].mode: this listener serves {transport}, but every server has it off; it goes to them all "
        "the same, and they may not answer: give one of them the mode tcp_and_udp"
    ]
    assert warnings(text, "server") == []


def test_servers_that_say_nothing_of_udp_are_asked_for_it_without_a_word() -> None:
    assert warnings(text_of(locals=[{"mode": "tcp_and_udp"}])) == []


def test_one_port_number_serves_tcp_for_one_entry_and_udp_for_another() -> None:
    entry = {**SERVER_KEYS, "mode": "tcp_only"}
    assert problems(json.dumps({"servers": [entry, {**entry, "mode": "udp_only"}]}), "server") == []
    assert problems(json.dumps({"servers": [{**entry, "mode": "udp_only"}] * 2}), "server") == [
        "c.json:1: servers[1]: 203.0.113.5:8388 is taken for UDP by an entry before this one; choose another port"
    ]
    other = {"mode": "tcp_and_udp", "local_port": 1081, "local_udp_port": 1080}
    text = text_of(locals=[{"mode": "tcp_and_udp"}, other])
    assert problems(text, "local") == [
        "c.json:1: locals[1]: 127.0.0.1:1080 is taken for UDP by an entry before this one; choose another port"
    ]
    assert problems(text_of(udp_socket_per_association=True, locals=[{"mode": "tcp_and_udp"}, other]), "local") == []


# Tunnels


def test_a_tunnel_has_one_target() -> None:
    (local,) = listeners(text_of(locals=[{"protocol": "tunnel", "forward_address": "9.9.9.9", "forward_port": "53"}]))
    assert (local.protocol, local.forward) == ("tunnel", Address("9.9.9.9", 53))
    assert listeners(text_of(protocol="tunnel", forward_address="::1", forward_port=7))[0].forward == Address("::1", 7)


def test_a_tunnel_without_a_target_is_refused() -> None:
    text = "is missing; a tunnel leads to one target: give forward_address and forward_port, or -f HOST:PORT"
    assert problems(text_of(locals=[{"protocol": "tunnel"}])) == [
        f"c.json:1: locals[0].forward_address: {text}",
        f"c.json:1: locals[0].forward_port: {text}",
    ]


def test_a_target_of_no_tunnel_warns_the_client() -> None:
    said = 'has no effect: only a listener with "protocol": "tunnel" has one target'
    assert warnings(text_of(locals=[{"forward_port": 53}]), "local") == [f"c.json:1: locals[0].forward_port: {said}"]


def test_the_port_of_socks_answers() -> None:
    first, second = listeners(text_of(socks_reply_port=4112, locals=[{}, {"local_port": 2, "socks_reply_port": 1}]))
    assert (first.socks_reply_port, second.socks_reply_port) == (4112, 1)
