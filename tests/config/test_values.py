"""Values by kind: what is taken, and the sentence for what is not."""

from __future__ import annotations

import pytest

from shadesocks.config.reader import Mark, Node
from shadesocks.config.settings import SETTINGS
from shadesocks.config.values import UnfitError, check_host, convert, nearest, shown
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
        ("protocol", "sock", "the word is not known; write socks"),
        ("protocol", "http", "http comes in a later version; this one serves socks"),
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
            "RC4-MD5",
            "rc4-md5 is an old stream cipher without integrity, and comes in a later version; "
            "use 2022-blake3-aes-256-gcm or aes-256-gcm at both ends",
        ),
        (
            "method",
            "aes-256-ocb",
            "aes-256-ocb is known, but not available in this version; "
            "use 2022-blake3-aes-256-gcm or aes-256-gcm at both ends",
        ),
        ("server", (), "expected one host, found a list; several servers are written as servers[]"),
    ],
)
def test_unfit(name: str, given: Scalar | tuple[Node, ...], sentence: str) -> None:
    assert unfit(name, given) == sentence


def test_the_text_of_a_flag() -> None:
    assert value_of("no_delay", "true", _FLAG) is True
    assert value_of("timeout", "0.5", _FLAG) == 0.5
    assert unfit("timeout", "soon", _FLAG) == "expected a number of seconds"
    assert unfit("log_level", "9", _FLAG) == "expected a level"
    assert unfit("no_delay", "yes", _FLAG) == "expected true or false, without quotes"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "::",
        "2001:db8::1",
        "::ffff:10.0.0.1",
        "fe80::1%eth0",
        "localhost",
        "example.org",
        "example.org.",
        "my_host-1",
        "bücher.example",
        "a" * 63 + ".example",
        "1.2.3.4.example",
    ],
)
def test_hosts(host: str) -> None:
    assert check_host(host) == host


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        ("", "the host is empty; write a name or an IP address"),
        ("ss://x@h:1", "a host is expected here, not a link; links are given by --server-url or to `connect`"),
        ("h.example:8388", "a host without a port is expected here; the port has a key of its own"),
        ("[::1]:8388", "this is no IPv6 address; look at its colons and digits"),
        ("2001:db8::g", "this is no IPv6 address; look at its colons and digits"),
        ("fe80::1%", "this is no IPv6 address; look at its colons and digits"),
        ("[h.example]", "only IPv6 addresses stand in brackets"),
        (
            "10.0.0.256",
            "this looks like an IPv4 address and is none: four numbers from 0 to 255 with dots between",
        ),
        ("10.1", "this looks like an IPv4 address and is none: four numbers from 0 to 255 with dots between"),
        ("-x.example", "this is no host name; names are made of letters, digits, hyphens and dots"),
        ("a..example", "this is no host name; names are made of letters, digits, hyphens and dots"),
        ("a\nb", "this is no host name; names are made of letters, digits, hyphens and dots"),
        ("a" * 64, "this is no host name; names are made of letters, digits, hyphens and dots"),
        ("x." * 200 + "example", "this is no host name; names are made of letters, digits, hyphens and dots"),
        ("ü" * 70, "this is no host name; a name with letters beyond a to z must follow IDNA"),
    ],
)
def test_no_hosts(host: str, sentence: str) -> None:
    with pytest.raises(UnfitError) as caught:
        check_host(host)
    assert str(caught.value) == sentence


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
