"""Values by kind: what is taken, and the sentence for what is not."""

from __future__ import annotations

import pytest

from shadesocks.config.hosts import UnfitError
from shadesocks.config.reader import BROKEN, Mark, Node
from shadesocks.config.settings import SETTINGS
from shadesocks.config.values import convert, nearest, shown
from shadesocks.crypto.methods import METHODS

_FILE = Mark("c.json", 1, 1)
_FLAG = Mark("--flag")

Scalar = str | int | float | bool | None


def value_of(name: str, value: Scalar | tuple[Node, ...], mark: Mark = _FILE) -> object:
    return convert(SETTINGS[name], Node(value, mark))


def unfit(name: str, value: Scalar | tuple[Node, ...], mark: Mark = _FILE) -> str:
    with pytest.raises(UnfitError) as caught:
        value_of(name, value, mark)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("server_port", 1, 1),
        ("server_port", "65535", 65535),
        ("server_port", 8388.0, 8388),
        ("timeout", 300, 300.0),
        ("timeout", "2.5", 2.5),
        ("keep_alive", 0, 0),
        ("nofile", "65536", 65536),
        ("no_delay", False, False),
        ("bad_handshake", "FIN", "fin"),
        ("log_level", "warn", "warning"),
        ("log_level", "TRACE", "trace"),
        ("log_level", 0, "info"),
        ("log_level", "2", "trace"),
        ("log_level", 3, "trace"),
        ("method", "plain", METHODS["none"]),
        ("method", "AEAD_AES_256_GCM", METHODS["aes-256-gcm"]),
        ("server", "[2001:db8::1]", "2001:db8::1"),
        ("remarks", "", ""),
        ("inbound_send_buffer", 65536, 65536),
        ("inbound_send_buffer", "0", None),
        ("outbound_bind_address", "", ""),
        ("outbound_bind_address", "fe80::1%eth0", "fe80::1%eth0"),
        ("outbound_bind_interface", "wg0.5", "wg0.5"),
        ("acl", "/etc/x.acl", "/etc/x.acl"),
        ("connection_attempt_delay", "0.01", 0.01),
        ("forbidden_ip", "", ()),
        ("forbidden_ip", "127.0.0.0/8,::1/128", ("127.0.0.0/8", "::1/128")),
        ("forbidden_ip", " 10.0.0.0 , fc00::/7,", ("10.0.0.0", "fc00::/7")),
        ("forbidden_port", 25, ((25, 25),)),
        ("forbidden_port", "25, 6881-6889 ,1 - 2", ((25, 25), (6881, 6889), (1, 2))),
        ("forbidden_port", "", ()),
    ],
)
def test_fit(name: str, given: Scalar, value: object) -> None:
    made = value_of(name, given)
    assert made == value
    assert type(made) is type(value)


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("server_port", 0, "0 is no port; ports are numbers from 1 to 65535"),
        ("server_port", 65536, "65536 is no port; ports are numbers from 1 to 65535"),
        ("server_port", 80.5, "expected a port: a number from 1 to 65535, found 80.5"),
        ("server_port", "http", "expected a port: a number from 1 to 65535, found text"),
        ("server_port", True, "expected a port: a number from 1 to 65535, found true"),
        ("server_port", "\uff11", "expected a port: a number from 1 to 65535, found text"),
        ("timeout", 0, "0 is too small; the least is 0.001 s"),
        ("timeout", 60_000_000, "6e+07 is too large; the most is 31536000 s; the unit is seconds, not milliseconds"),
        ("timeout", float("inf"), "expected a number of seconds, found inf"),
        ("timeout", "-1", "expected a number of seconds, found text"),
        ("keep_alive", -1, "-1 is too small; the least is 0"),
        ("keep_alive", 1.5, "expected a whole number, found 1.5"),
        ("nofile", 3, "3 is too small; the least is 64"),
        ("no_delay", "true", "expected true or false, without quotes, found text"),
        ("no_delay", 1, "expected true or false, without quotes, found 1"),
        ("password", 12345, "expected a password: text in quotes, found 12345"),
        ("password", (), "expected a password: text in quotes, found a list"),
        ("bad_handshake", "silence", "the word is not known; write silent, reset or fin; the nearest is silent"),
        ("bad_handshake", "x", "the word is not known; write silent, reset or fin"),
        ("protocol", "sock", "the word is not known; write socks or tunnel; the nearest is socks"),
        ("protocol", "http", "http comes in a later version; this one serves socks and tunnel"),
        ("log_level", 4, "expected a level: error, warning, info, debug or trace, or a number from 0 to 3, found 4"),
        (
            "log_level",
            "loud",
            "the word is not known; write error, warning, info, debug or trace",
        ),
        ("method", "aes-256-gcn", "no method has this name; the nearest known one is aes-256-gcm"),
        ("method", "hunter2", "no method has this name; one that always works is 2022-blake3-aes-256-gcm"),
        (
            "method",
            "SM4-GCM",
            "sm4-gcm is known, but not available in this version; "
            "use 2022-blake3-aes-256-gcm or aes-256-gcm at both ends",
        ),
        ("server", (), "expected one host, found a list; several servers are written as servers[]"),
        ("inbound_send_buffer", -1, "-1 is too small; the least is 0"),
        ("inbound_send_buffer", 2**31, "2.14748e+09 is too large; the most is 2147483647 bytes"),
        ("inbound_send_buffer", True, "expected a whole number of bytes; 0 for the system's own, found true"),
        (
            "outbound_bind_interface",
            "eth0 hunter2",
            "this is no name of a network interface, such as eth0; it has 15 letters at most",
        ),
        ("connection_attempt_delay", 0, "0 is too small; the least is 0.01 s"),
        ("connection_attempt_delay", 250, "250 is too large; the most is 60 s; the unit is seconds, not milliseconds"),
        ("acl_dialect", "python", "the word is not known; write rust or libev"),
        ("forbidden_ip", 7, "expected networks: text in quotes, commas between several, or a list of texts, found 7"),
        ("forbidden_ip", "hunter2", "no IP address stands there; networks are written as in 10.0.0.0/8 or fc00::/7"),
        (
            "forbidden_ip",
            "::1,10.0.0.0/33",
            "item 2: after / goes a prefix length of 0 to 32; networks are written as in 10.0.0.0/8 or fc00::/7",
        ),
        ("forbidden_port", 0, "0 is no port; ports are numbers from 1 to 65535"),
        ("forbidden_port", "smtp", "this is neither a port nor a range of ports, such as 6881-6889"),
        (
            "forbidden_port",
            "25,9-8",
            "item 2: ports are numbers from 1 to 65535, and a range begins with the smaller one",
        ),
        (
            "forbidden_port",
            "65536",
            "ports are numbers from 1 to 65535, and a range begins with the smaller one",
        ),
        (
            "forbidden_port",
            None,
            "expected ports: a number, text such as 25,6881-6889, or a list of these, found null",
        ),
    ],
)
def test_unfit(name: str, given: Scalar | tuple[Node, ...], sentence: str) -> None:
    assert unfit(name, given) == sentence


def test_lists() -> None:
    def nodes(*values: Scalar) -> tuple[Node, ...]:
        return tuple(Node(value, _FILE) for value in values)

    assert value_of("forbidden_port", nodes(25, "6881-6889,25", "26")) == ((25, 25), (6881, 6889), (26, 26))
    assert value_of("forbidden_ip", nodes("::1", "10.0.0.0/8")) == ("::1", "10.0.0.0/8")
    assert value_of("forbidden_ip", ()) == value_of("forbidden_port", ()) == ()
    assert unfit("forbidden_port", nodes(25, True)) == (
        "item 2: expected ports: a number, text such as 25,6881-6889, or a list of these, found true"
    )
    assert "found a list in a list" in unfit("forbidden_ip", (Node(nodes("::1"), _FILE),))


def test_what_could_not_be_read_in_a_list_is_not_told_again() -> None:
    assert value_of("forbidden_port", (Node(BROKEN, _FILE), Node(25, _FILE))) == ((25, 25),)


def test_the_text_of_a_flag() -> None:
    assert value_of("no_delay", "true", _FLAG) is True
    assert value_of("timeout", "0.5", _FLAG) == 0.5
    assert unfit("timeout", "soon", _FLAG) == "expected a number of seconds"
    assert unfit("log_level", "9", _FLAG) == "expected a level"
    assert unfit("no_delay", "yes", _FLAG) == "expected true or false, without quotes"


def test_the_nearest_word() -> None:
    assert nearest("Timout", ["timeout", "mode"]) == "timeout"
    assert nearest("zzz", ["timeout", "mode"]) is None


def test_values_are_named_but_texts_are_not_shown() -> None:
    values: list[Scalar | tuple[Node, ...] | dict[str, object]] = [None, True, 7, 1.5, "secret", "", (), {}]
    assert [shown(Node(value, _FILE)) for value in values] == [  # type: ignore[arg-type]
        "null",
        "true",
        "7",
        "1.5",
        "text",
        "an empty text",
        "a list",
        "an object",
    ]
