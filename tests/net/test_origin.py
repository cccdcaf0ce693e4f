"""The special addresses: complete against the registries, in any spelling, and our own listeners."""

from __future__ import annotations

import ipaddress
import socket
from itertools import product
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.core.address import pack_ip
from shadesocks.core.networks import NetworkSet, parse_network
from shadesocks.net import origin
from shadesocks.net.origin import FORBIDDEN, NOT_AN_ADDRESS, OWN, TABLE, OriginPolicy, is_local, special

if TYPE_CHECKING:
    from collections.abc import Iterator


def words(text: str) -> list[str]:
    return text.split()


REGISTRY_V4: Final = words("""
    0.0.0.0/8 0.0.0.0/32 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.0.0/29
    192.0.0.8/32 192.0.0.9/32 192.0.0.10/32 192.0.0.170/32 192.0.0.171/32 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24
    192.88.99.0/24 192.88.99.2/32 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24
    240.0.0.0/4 255.255.255.255/32
""")
"""IANA IPv4 special-purpose address registry, 2025-10."""

REGISTRY_V6: Final = words("""
    ::1/128 ::/128 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001:1::1/128 2001:1::2/128 2001:1::3/128 2001:2::/48
    2001:3::/32 2001:4:112::/48 2001:10::/28 2001:20::/28 2001:30::/28 2001:db8::/32 2620:4f:8000::/48 3fff::/20
    5f00::/16 fc00::/7 fe80::/10
""")
"""IANA IPv6 special-purpose address registry, 2025-10, without the blocks whose addresses carry others."""

OTHERS: Final = words("224.0.0.0/4 ::/96 fec0::/10 ff00::/8 4000::/3 6000::/3 8000::/3 a000::/3 c000::/3 e000::/4")
"""Multicast, the former site-local, and what is not allocated as global unicast."""

PUBLIC: Final = words("""
    1.0.0.0 1.1.1.1 8.8.8.8 9.9.9.9 9.255.255.255 11.0.0.0 93.184.216.34 100.63.255.255 100.128.0.0 100.0.0.1
    126.255.255.255 128.0.0.0 168.63.129.15 168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0
    191.255.255.255 192.0.1.0 192.0.1.255 192.0.3.0 192.31.195.255 192.31.197.0 192.52.192.255 192.52.194.0
    192.88.98.255 192.88.100.0 192.167.255.255 192.169.0.0 192.175.47.255 192.175.49.0 198.17.255.255 198.20.0.0
    198.51.99.255 198.51.101.0 203.0.112.255 203.0.114.0 223.255.255.255
    2000:: 2001:200:: 2001:db7:ffff:ffff:ffff:ffff:ffff:ffff 2001:db9:: 2001:4860:4860::8888 2003::1
    2606:4700:4700::1111 2620:4f:7fff::1 2620:4f:8001::1 2a00:1450:4001:80e::200e 3ffe:ffff::1 3fff:1000::
    ::ffff:8.8.8.8 ::ffff:1.1.1.1 64:ff9b::8.8.8.8 64:ff9b::101:101 2002:808:808::1 2002:101:101:1::
    2001:0:4136:e378:8000:63bf:f7f7:f7f7 2a00:1450::5efe:808:808 2a00:1450::200:5efe:101:101
""")

TARGETS: Final = {
    "0.0.0.0": "unspecified",
    "10.0.0.1": "private",
    "100.64.0.1": "shared",
    "100.100.100.200": "metadata",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "168.63.129.16": "metadata",
    "169.254.169.254": "metadata",
    "172.16.0.1": "private",
    "192.0.0.9": "reserved",
    "192.168.1.1": "private",
    "198.19.255.255": "benchmark",
    "224.0.0.251": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "broadcast",
}


def spellings(ip: str) -> Iterator[str]:
    """Return the ways to write an IPv4 address that one library or another takes."""
    a, b, c, d = packed = socket.inet_aton(ip)
    number = int.from_bytes(packed)
    yield ip
    yield f"{number}"
    yield f"{number:#x}"
    yield f"{number:#X}"
    yield f"0{number:o}"
    yield f"0000{number:o}"
    yield f"{a}.{number & 0xFFFFFF}"
    yield f"{a}.{b}.{number & 0xFFFF}"
    yield f"{a:#x}.{number & 0xFFFFFF:#x}"
    yield f"{a:#x}.{b:#x}.{c:#x}.{d:#x}"
    yield f"0{a:o}.0{b:o}.0{c:o}.0{d:o}"
    yield f"0{a:o}.{b:#x}.{c}.{d}"
    yield f"{ip}."
    yield f"[{ip}]"
    yield f" {ip}"
    yield f"{ip} "
    yield f"{ip}%lo"
    yield f"{a}。{b}。{c}。{d}"
    yield "".join(chr(0xFEE0 + ord(char)) if char != "." else char for char in ip)


def spellings_v6(ip: str) -> Iterator[str]:
    """Return the IPv6 addresses that carry an IPv4 address, or mean it."""
    packed = socket.inet_aton(ip)
    high, low = packed[:2].hex(), packed[2:].hex()
    inverted = bytes(byte ^ 255 for byte in packed)
    yield f"::ffff:{ip}"
    yield f"::FFFF:{ip}"
    yield f"::ffff:{high}:{low}"
    yield f"0:0:0:0:0:ffff:{ip}"
    yield f"0000:0000:0000:0000:0000:FFFF:{high.upper()}:{low.upper()}"
    yield f"::ffff:{ip}%1"
    yield f"::{ip}"
    yield f"::{high}:{low}"
    yield f"::ffff:0:{ip}"
    yield f"64:ff9b::{ip}"
    yield f"64:ff9b::{high}:{low}"
    yield f"0064:FF9B:0:0:0:0:{ip}"
    yield f"64:ff9b:1::{ip}"
    yield f"64:ff9b:1:{high}:{low[:2]}:{low[2:]}00::"
    yield f"2002:{high}:{low}::1"
    yield f"2002:{high}:{low}:1:2:3:4:5"
    yield f"2001:0:{high}:{low}::f7f7:f7f7"
    yield f"2001:0:808:808::{inverted[:2].hex()}:{inverted[2:].hex()}"
    yield f"2a00:1450::5efe:{ip}"
    yield f"2a00:1450::200:5efe:{ip}"


def addresses(host: str) -> list[str]:
    """Return what a host leads to without asking anybody: a literal itself, a name what the system takes it for."""
    if pack_ip(host) is not None:
        return [host]
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return []
    return [str(address[0]) for _, _, _, _, address in found]


class TestTable:
    @pytest.mark.parametrize("prefix", [*REGISTRY_V4, *REGISTRY_V6, *OTHERS])
    def test_every_block_is_special_from_end_to_end(self, prefix: str) -> None:
        block = ipaddress.ip_network(prefix)
        for address in (block[0], block[1 % block.num_addresses], block[block.num_addresses // 2], block[-1]):
            assert special(str(address)), address
            assert special(address.packed) == special(str(address))

    @pytest.mark.parametrize("ip", PUBLIC)
    def test_what_lies_between_them_is_not(self, ip: str) -> None:
        assert special(ip) is None

    @pytest.mark.parametrize("row", TABLE, ids=lambda row: row.prefix)
    def test_every_row_is_a_block_with_a_word_and_a_source(self, row: origin.Row) -> None:
        ipaddress.ip_network(row.prefix)  # raises for bits beyond the length
        assert row.source
        assert bool(row.word) != (row.carried is not None), "what is judged by its content has no word of its own"

    @pytest.mark.parametrize(
        ("ip", "word"),
        [
            *TARGETS.items(),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::2", "v4-compatible"),
            ("fe80::1", "link-local"),
            ("fe80::1%eth0", "link-local"),
            ("fd00::1", "private"),
            ("fd00:ec2::254", "metadata"),
            ("fd00:ec2::23", "metadata"),
            ("fd00:c1::a9fe:a9fe", "metadata"),
            ("fd20:ce::254", "metadata"),
            ("fe80::a9fe:a9fe%eth0", "metadata"),
            ("ff02::1", "multicast"),
            ("2001:db8::1", "documentation"),
            ("2001:2::1", "benchmark"),
            ("2001:100::", "reserved"),
            ("::ffff:127.0.0.1", "loopback"),
            ("64:ff9b::a9fe:a9fe", "metadata"),
            ("2002:a00:1::", "private"),
            ("169.254.170.2", "metadata"),
            ("169.254.1.1", "link-local"),
            ("192.0.2.1", "documentation"),
        ],
    )
    def test_the_longest_prefix_gives_the_word(self, ip: str, word: str) -> None:
        assert special(ip) == word

    @pytest.mark.parametrize(
        "host", ["", "localhost", "127.1", "example.com", "1.2.3.4.", "1.2.3", "01.2.3.4", "::g", "[::1]", "\0", "é"]
    )
    def test_a_name_is_no_address_and_not_public(self, host: str) -> None:
        assert special(host) == NOT_AN_ADDRESS

    @pytest.mark.parametrize("packed", [b"", b"\1\2\3", b"\1\2\3\4\5", bytes(15), bytes(17)])
    def test_bytes_of_another_size_are_not_public(self, packed: bytes) -> None:
        assert special(packed) == NOT_AN_ADDRESS

    @given(st.ip_addresses())
    def test_what_the_standard_library_closes_is_closed(
        self, address: ipaddress.IPv4Address | ipaddress.IPv6Address
    ) -> None:
        """Not the other way round, nor for the blocks whose addresses carry others."""
        carriers = map(ipaddress.ip_network, ("::ffff:0:0/96", "64:ff9b::/96", "2001::/32", "2002::/16"))
        if not address.is_global and not any(address in block for block in carriers):
            assert special(address.packed)

    @given(st.ip_addresses(v=4))
    def test_whatever_is_special_is_so_in_every_clothing(self, address: ipaddress.IPv4Address) -> None:
        word = special(str(address))
        for ip in (f"::ffff:{address}", f"64:ff9b::{address}"):
            assert special(ip) == word


class TestSpellings:
    HOSTS: Final = [host for ip in TARGETS for host in (*spellings(ip), *spellings_v6(ip))]

    def test_are_many(self) -> None:
        assert len(set(self.HOSTS)) > 500

    @pytest.mark.parametrize("ip", TARGETS)
    def test_none_of_them_leads_to_a_special_address(self, ip: str) -> None:
        policy = OriginPolicy()
        for host in (*spellings(ip), *spellings_v6(ip)):
            for address in addresses(host):
                assert policy.refuse(address, 80), (host, address)

    @pytest.mark.parametrize("ip", TARGETS)
    def test_a_plain_spelling_is_refused_by_its_name(self, ip: str) -> None:
        assert OriginPolicy().refuse(ip, 80) == TARGETS[ip]

    def test_some_are_names_to_us_and_addresses_to_the_system(self) -> None:
        """Otherwise the test above would prove little."""
        as_names = [host for host in self.HOSTS if pack_ip(host) is None and addresses(host)]
        assert len(as_names) > 100
        assert "127.1" in as_names

    def test_what_the_system_takes_a_name_for_is_what_is_judged(self) -> None:
        """A zero in front means octal to one and nothing to another: 10.0.0.1, or 8.0.0.1."""
        assert special("010.0.0.1") == NOT_AN_ADDRESS
        assert [special(ip) for ip in addresses("010.0.0.1")] in ([None], ["private"], [])


class TestIsLocal:
    @pytest.mark.parametrize("ip", ["127.0.0.1", "0.0.0.0"])
    def test_this_host(self, ip: str) -> None:
        assert is_local(ip)

    @pytest.mark.parametrize("ip", ["192.0.2.77", "8.8.8.8", "2001:db8::77"])
    def test_other_hosts(self, ip: str) -> None:
        assert not is_local(ip)

    def test_every_address_of_an_interface(self) -> None:
        names = {address[4][0] for address in socket.getaddrinfo(None, 0, type=socket.SOCK_STREAM)}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            try:
                sock.connect(("192.0.2.1", 9))
            except OSError:
                pass  # no route: loopback is all there is
            else:
                names.add(sock.getsockname()[0])
        for ip in names - {"::1", "::"}:
            assert is_local(str(ip)), ip

    def test_where_any_address_can_be_bound(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(origin, "_can_bind", lambda _family, _ip: True)
        assert is_local("127.0.0.1")
        assert not is_local("8.8.8.8")
        assert not is_local("2001:db8::77")

    @pytest.mark.parametrize("ip", ["127.0.0.2", "127.255.255.254", "0.0.0.0", "::", "::1", "224.0.0.1", "ff02::1"])
    def test_this_host_where_any_address_can_be_bound(self, ip: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """What is sent to these leaves from another address."""
        monkeypatch.setattr(origin, "_can_bind", lambda _family, _ip: True)
        assert is_local(ip)

    def test_in_doubt(self) -> None:
        assert is_local("fe80::1"), "cannot be bound without its zone, so nobody knows"


class Host:
    """A host with addresses of its own, and a count of how often it was asked."""

    def __init__(self, *local: str) -> None:
        self.local = set(local)
        self.asked: list[str] = []
        self.now = 0.0

    def is_local(self, ip: str) -> bool:
        self.asked.append(ip)
        return ip in self.local


def policy_of(
    host: Host, *, own_ports: set[int], own_hosts: tuple[str, ...] = (), private: bool = False
) -> OriginPolicy:
    return OriginPolicy(
        allow_private=private,
        own_ports=own_ports,
        own_hosts=own_hosts,
        is_local=host.is_local,
        clock=lambda: host.now,
    )


class TestOriginPolicy:
    def test_is_closed_by_default(self) -> None:
        assert OriginPolicy().refuse("10.0.0.1", 80) == "private"
        assert OriginPolicy().refuse("8.8.8.8", 80) is None

    @pytest.mark.parametrize("ip", TARGETS)
    def test_a_switch_opens_all_of_it(self, ip: str) -> None:
        assert OriginPolicy(allow_private=True).refuse(ip, 80) is None

    @pytest.mark.parametrize("private", [False, True])
    def test_a_name_is_refused_always(self, private: bool) -> None:
        assert OriginPolicy(allow_private=private).refuse("localhost", 80) == NOT_AN_ADDRESS

    @pytest.mark.parametrize(("private", "ip"), [*product([False, True], ["8.8.8.8", "2a00:1450::1"])])
    def test_own_listeners_stay_closed_on_every_address(self, private: bool, ip: str) -> None:
        policy = policy_of(Host("8.8.8.8", "2a00:1450::1"), own_ports={443}, private=private)
        assert policy.refuse(ip, 443) == OWN
        assert policy.refuse(ip, 80) is None
        assert policy.refuse("9.9.9.9", 443) is None

    @pytest.mark.parametrize("ip", ["127.0.0.1", "0.0.0.0", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::1"])
    def test_nor_does_the_switch_open_them(self, ip: str) -> None:
        policy = OriginPolicy(allow_private=True, own_ports={8388})
        assert policy.refuse(ip, 8388) == OWN
        assert policy.refuse(ip, 8389) is None

    @pytest.mark.parametrize(
        "ip", ["9.9.9.9", "::ffff:9.9.9.9", "64:ff9b::9.9.9.9", "2002:909:909::1", "2a00:1450::1", "2A00:1450:0::1"]
    )
    def test_the_address_before_a_nat_is_ours_too(self, ip: str) -> None:
        policy = policy_of(Host(), own_ports={443}, own_hosts=("9.9.9.9", "2a00:1450::1"))
        assert policy.refuse(ip, 443) == OWN
        assert policy.refuse(ip, 80) is None

    @pytest.mark.parametrize(
        "ip",
        [
            "10.1.2.3",
            "::ffff:10.1.2.3",
            "64:ff9b::10.1.2.3",
            "2002:a01:203::1",
            "2a00::5efe:10.1.2.3",
            "2002:808:808::5efe:10.1.2.3",
        ],
    )
    def test_what_is_forbidden_is_so_in_every_clothing(self, ip: str) -> None:
        policy = OriginPolicy(forbidden=NetworkSet([parse_network("10.0.0.0/8")]))
        assert policy.refuse(ip, 80) == FORBIDDEN
        assert policy.refuse("127.0.0.1", 80) is None

    @pytest.mark.parametrize("ip", ["0.0.0.0", "::", "::ffff:0.0.0.0", "64:ff9b::"])
    def test_where_loopback_is_forbidden_so_is_what_leads_to_it(self, ip: str) -> None:
        """The Python original forbade 127.0.0.0/8 and ::1 by default, and a connect to 0.0.0.0 went there."""
        policy = OriginPolicy(forbidden=NetworkSet(map(parse_network, ("127.0.0.0/8", "::1"))))
        assert policy.refuse(ip, 80) == FORBIDDEN
        assert policy.refuse("10.0.0.1", 80) is None

    def test_listeners_come_and_go(self) -> None:
        ports: set[int] = set()
        policy = policy_of(Host("8.8.8.8"), own_ports=ports)
        assert policy.refuse("8.8.8.8", 443) is None
        ports.add(443)
        assert policy.refuse("8.8.8.8", 443) == OWN
        ports.remove(443)
        assert policy.refuse("8.8.8.8", 443) is None

    def test_the_host_is_asked_seldom(self) -> None:
        host = Host()
        policy = policy_of(host, own_ports={443})
        for _ in range(5):
            policy.refuse("8.8.8.8", 443)
            policy.refuse("9.9.9.9", 80)
        assert host.asked == ["8.8.8.8"]

    def test_new_addresses_of_the_host_are_seen(self) -> None:
        host = Host()
        policy = policy_of(host, own_ports={443})
        assert policy.refuse("8.8.8.8", 443) is None
        host.local.add("8.8.8.8")
        host.now += 10
        assert policy.refuse("8.8.8.8", 443) == OWN

    def test_many_targets_take_no_more_memory(self) -> None:
        host = Host()
        policy = policy_of(host, own_ports={443})
        for number in range(3000):
            policy.refuse(str(ipaddress.IPv4Address((8 << 24) + number)), 443)
        assert len(set(host.asked)) == 3000
        policy.refuse("8.0.0.0", 443)
        assert host.asked.count("8.0.0.0") == 2, "the first was forgotten meanwhile"
