"""Addresses: there and back, at every cut, and refused only with declared words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.core.address import ADDRESS_MAX, Address, pack_ip, pack_zoned, parse_address
from shadesocks.core.errors import LocalProtocolError, RemoteProtocolError

PORT = st.integers(0, 65535)
NAME = st.text(st.characters(codec="ascii", min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=255)
HOST = st.one_of(NAME, st.ip_addresses().map(str))


def refusal(data: bytes) -> str:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_address(data)
    return caught.value.code


@pytest.mark.parametrize(
    ("host", "port", "packed"),
    [
        ("127.0.0.1", 80, "017f0000010050"),
        ("::1", 443, "040000000000000000000000000000000101bb"),
        ("::ffff:192.0.2.128", 80, "0400000000000000000000ffffc00002800050"),
        ("a", 1, "0301610001"),
        ("1.2.3", 80, "0305312e322e330050"),
        ("example.com", 0, "030b6578616d706c652e636f6d0000"),
    ],
)
def test_known_forms(host: str, port: int, packed: str) -> None:
    data = bytes.fromhex(packed)
    assert Address(host, port).pack() == data
    assert parse_address(data) == (Address(host, port), len(data))


@given(HOST, PORT)
def test_round_trip(host: str, port: int) -> None:
    packed = Address(host, port).pack()
    assert len(packed) <= ADDRESS_MAX
    address, size = parse_address(packed)
    assert (address.port, size) == (port, len(packed))
    if pack_ip(host) is None:
        assert address.host == host
    else:
        assert pack_ip(address.host) == pack_ip(host)
        assert Address(address.host, port) == address


@given(HOST, PORT, st.binary(max_size=30), st.binary(max_size=30))
def test_bytes_around_do_not_matter(host: str, port: int, before: bytes, after: bytes) -> None:
    packed = Address(host, port).pack()
    wanted = parse_address(packed)
    assert wanted[1] == len(packed)
    for buffer in (packed + after, bytearray(packed + after), memoryview(packed + after)):
        assert parse_address(buffer) == wanted
    assert parse_address(before + packed + after, len(before)) == wanted


@given(HOST, PORT)
def test_every_cut_is_truncated_and_nothing_else(host: str, port: int) -> None:
    packed = Address(host, port).pack()
    for cut in range(len(packed)):
        assert refusal(packed[:cut]) == "truncated"


@given(st.binary(max_size=300))
def test_any_bytes_give_an_address_or_a_declared_word(data: bytes) -> None:
    try:
        address, size = parse_address(data)
    except RemoteProtocolError as error:
        assert error.code in {"truncated", "bad_atyp", "empty_domain", "bad_domain"}  # noqa: PT017 - one of two ends
    else:
        assert 0 < size <= len(data)
        assert size <= ADDRESS_MAX
        assert address.host
        assert 0 <= address.port <= 65535


@pytest.mark.parametrize("kind", [0, 2, 5, 0x10, 0x11, 0x13, 0x14, 0xFF])
def test_unknown_types_are_refused_at_their_first_byte(kind: int) -> None:
    assert refusal(bytes((kind,))) == "bad_atyp"


@pytest.mark.parametrize("name", [b"a\0b", b"a b", b"a\nb", b"a\x7f", b"\xff\xfe", b"\t"])
def test_names_that_forge_lines_or_are_no_text_are_refused(name: bytes) -> None:
    assert refusal(b"\x03" + bytes((len(name),)) + name + b"\0\x50") == "bad_domain"


def test_empty_name() -> None:
    assert refusal(bytes.fromhex("03000050")) == "empty_domain"


def test_name_in_utf8_is_kept_and_leaves_as_idna() -> None:
    raw = "bücher.example".encode()
    address, _ = parse_address(b"\x03" + bytes((len(raw),)) + raw + b"\0\x50")
    assert address.host == "bücher.example"
    assert address.pack()[2:-2] == b"xn--bcher-kva.example"


def test_name_that_spells_an_address_is_that_address() -> None:
    address, _ = parse_address(b"\x03\x09192.0.2.1\0\x50")
    assert address == Address("192.0.2.1", 80)
    assert address.pack()[0] == 1


@pytest.mark.parametrize("host", ["", "a" * 256, "ü" * 300, "a b", "a\0b", "ü\n", ".ü..", "\udc80"])
def test_hosts_without_a_form_are_our_mistake(host: str) -> None:
    with pytest.raises(LocalProtocolError):
        Address(host, 1).pack()


def test_text_brackets_ipv6_only() -> None:
    assert str(Address("::1", 80)) == "[::1]:80"
    assert str(Address("h", 80)) == "h:80"


def test_is_a_value() -> None:
    assert Address("h", 1) == Address("h", 1)
    assert len({Address("h", 1), Address("h", 1)}) == 1
    with pytest.raises(AttributeError):
        Address("h", 1).host = "i"  # type: ignore[misc]


def test_a_zone_does_not_change_what_an_address_is() -> None:
    assert pack_zoned("fe80::1%eth0") == pack_zoned("fe80::1") == pack_ip("fe80::1")
    assert pack_zoned("192.0.2.1") == bytes((192, 0, 2, 1))
    assert pack_zoned("192.0.2.1%eth0") is pack_zoned("name.example") is None
