"""Hosts, ports and addresses: what is taken, and the sentence for what is not."""

from __future__ import annotations

import pytest

from shadesocks.config.hosts import UnfitError, check_host, check_ip, check_port, split_port


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


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("h.example:1", "h.example", "1"),
        ("h.example", "h.example", ""),
        ("[::1]:1", "[::1]", "1"),
        ("[::1]", "[::1]", ""),
        ("::1", "::1", ""),
        ("fe80::1%eth0", "fe80::1%eth0", ""),
    ],
)
def test_host_and_port(text: str, host: str, port: str) -> None:
    assert split_port(text) == (host, port)


@pytest.mark.parametrize("text", ["127.0.0.1", "::", "fe80::1%eth0"])
def test_ips(text: str) -> None:
    assert check_ip(text) == text
    if ":" in text:
        assert check_ip(f"[{text}]", brackets=True) == text


@pytest.mark.parametrize("text", ["", "h.example", "10.1", "010.0.0.1", "127.0.0.1%eth0", "fe80::1%", "[::1]", "::1 "])
def test_no_ips(text: str) -> None:
    with pytest.raises(UnfitError):
        check_ip(text)


def test_only_ipv6_stands_in_brackets() -> None:
    with pytest.raises(UnfitError, match="only IPv6"):
        check_ip("[127.0.0.1]", brackets=True)


def test_ports() -> None:
    assert [check_port(text) for text in ("1", "0080", "65535")] == [1, 80, 65535]
    for text in ("", "0", "65536", "x", "-1", "1.0", "\uff11", "9" * 5000):
        with pytest.raises(UnfitError, match="ports are numbers from 1 to 65535"):
            check_port(text)
