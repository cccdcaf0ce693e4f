"""Networks and sets of them, against the standard library's slower ones."""

from __future__ import annotations

import ipaddress
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.core.networks import Network, NetworkSet, Prefixes, parse_network, unmapped


def packed(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


@pytest.mark.parametrize(
    ("text", "bits", "first", "length"),
    [
        ("192.0.2.7", 32, "192.0.2.7", 32),
        ("192.0.2.7/24", 32, "192.0.2.0", 24),
        ("0.0.0.0/0", 32, "0.0.0.0", 0),
        ("255.255.255.255/1", 32, "128.0.0.0", 1),
        ("10.0.0.0/08", 32, "10.0.0.0", 8),
        ("2001:db8::1", 128, "2001:db8::1", 128),
        ("2001:DB8::1/32", 128, "2001:db8::", 32),
        ("::/0", 128, "::", 0),
        ("::ffff:127.0.0.1", 32, "127.0.0.1", 32),
        ("::ffff:127.0.0.1/104", 32, "127.0.0.0", 8),
        ("::ffff:0:0/96", 32, "0.0.0.0", 0),
        ("::ffff:0:0/95", 128, "::fffe:0:0", 95),
        ("::127.0.0.1/104", 128, "::7f00:0", 104),
    ],
)
def test_a_network_is_read(text: str, bits: int, first: str, length: int) -> None:
    assert parse_network(text) == Network(bits, int(ipaddress.ip_address(first)), length)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "/8",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/+8",
        "10.0.0.0/ 8",
        "10.0.0.0/1_0",
        "10.0.0.0/8/8",
        "10.0.0.0/255.0.0.0",
        "10.0.0.0/٨",
        "10.0.0.0/00000008",
        "10.0.0",
        "10",
        "010.0.0.1",
        "0x7f.1",
        " 10.0.0.1",
        "10.0.0.1\0",
        "::1/129",
        "::1::",
        "fe80::1%eth0",
        "[::1]",
        "example.com",
        "\ud800",
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"no IP address stands there|prefix length of 0 to (32|128)"):
        parse_network(text)


SET: Final = NetworkSet(
    map(
        parse_network,
        ["10.0.0.0/8", "10.1.0.0/16", "11.0.0.0/8", "192.0.2.255", "2001:db8::/32", "::ffff:198.51.100.1"],
    )
)


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("9.255.255.255", False),
        ("10.0.0.0", True),
        ("10.1.2.3", True),
        ("10.255.255.255", True),
        ("11.255.255.255", True),
        ("12.0.0.0", False),
        ("192.0.2.254", False),
        ("192.0.2.255", True),
        ("192.0.3.0", False),
        ("198.51.100.1", True),
        ("::ffff:10.0.0.1", True),
        ("::ffff:9.0.0.1", False),
        ("::10.0.0.1", False),
        ("2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", False),
        ("2001:db8::", True),
        ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", True),
        ("2001:db9::", False),
    ],
)
def test_edges(address: str, inside: bool) -> None:
    assert SET.holds(packed(address)) is inside


@pytest.mark.parametrize(
    ("address", "plain"), [("::ffff:10.0.0.1", "10.0.0.1"), ("10.0.0.1", "10.0.0.1"), ("::10.0.0.1", "::10.0.0.1")]
)
def test_clothes_come_off(address: str, plain: str) -> None:
    assert unmapped(packed(address)) == packed(plain)


def test_the_families_are_apart() -> None:
    """All of IPv6 is none of IPv4, in whatever clothes, and the other way round."""
    v4, v6 = NetworkSet([parse_network("0.0.0.0/0")]), NetworkSet([parse_network("::/0")])
    for address, is_v4 in (("8.8.8.8", True), ("::ffff:8.8.8.8", True), ("2001::1", False), ("::1", False)):
        assert v4.holds(packed(address)) is is_v4
        assert v6.holds(packed(address)) is not is_v4


def test_an_empty_set_holds_nothing() -> None:
    assert not NetworkSet()
    assert not NetworkSet().holds(packed("0.0.0.0"))
    assert NetworkSet([parse_network("::1")])


@pytest.mark.parametrize("wrong", [b"", b"abc", bytes(5), bytes(17)])
def test_what_is_no_address_is_refused(wrong: bytes) -> None:
    """And not taken to be outside: that would let it pass a list of what is forbidden."""
    for ask in (SET.holds, Prefixes().longest, parse_network("::1").holds):
        with pytest.raises(ValueError, match="4 or 16 bytes"):
            ask(wrong)


def test_the_longest_prefix_counts() -> None:
    prefixes = Prefixes(map(parse_network, ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "fc00::/7"]))
    wanted = {"10.1.2.3": 32, "10.1.2.4": 16, "::ffff:10.2.0.0": 8, "8.8.8.8": 0, "fd00::1": 7, "2001::": None}
    assert {address: prefixes.longest(packed(address)) for address in wanted} == wanted


# Few bits in use, so that networks meet, nest and touch.
NUMBERS: Final = st.integers(0, 63)
V4: Final = st.builds(
    lambda number, length: f"{ipaddress.IPv4Address(number << 26)}/{length}", NUMBERS, st.integers(0, 8)
)
V6: Final = st.builds(
    lambda number, length: f"{ipaddress.IPv6Address(number << 122)}/{length}", NUMBERS, st.integers(0, 8)
)
MAPPED: Final = st.builds(
    lambda number, length: f"::ffff:{ipaddress.IPv4Address(number << 26)}/{length + 96}", NUMBERS, st.integers(0, 8)
)
ADDRESSES: Final = st.builds(
    lambda number, rest, wide: (number << 122 | rest).to_bytes(16) if wide else (number << 26 | rest).to_bytes(4),
    NUMBERS,
    st.integers(0, 2),
    st.booleans(),
)


@given(st.lists(st.one_of(V4, V6, MAPPED), max_size=8), ADDRESSES)
def test_sets_are_what_their_networks_are(texts: list[str], address: bytes) -> None:
    holding = [network for network in map(parse_network, texts) if network.holds(address)]
    assert NetworkSet(map(parse_network, texts)).holds(address) == bool(holding)
    assert Prefixes(map(parse_network, texts)).longest(address) == max(
        (found.length for found in holding), default=None
    )


@given(st.one_of(V4, V6), ADDRESSES)
def test_a_network_is_what_the_library_says(text: str, address: bytes) -> None:
    theirs = ipaddress.ip_network(text, strict=False)
    ip = ipaddress.ip_address(address)
    network = parse_network(text)
    # Their sixteen bytes of IPv4 are no IPv4.
    assert network.holds(address) == (ip in theirs)
    assert (network.first, network.length) == (int(theirs.network_address), theirs.prefixlen)
