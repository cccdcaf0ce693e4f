"""Forbidden targets, in every spelling that one library or another takes for one of them: the attacker's table.

Each is what stands on the wire before the port: the address type, and the host as bytes, as text, or as a name of a
zone that leads there. What a spelling must meet is a word: refused as an address, as no name, or as no address at all.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.dns_server import How, Name


@dataclass(frozen=True, slots=True)
class Spelling:
    """One target, without its port."""

    label: str
    wire: bytes
    words: frozenset[str]
    """How it may be refused."""


DENIED: Final = frozenset({"denied"})
NO_NAME: Final = frozenset({"no_name"})
EITHER: Final = DENIED | NO_NAME
"""It is an address to one door, which knows IDNA, and no name to another."""
MALFORMED: Final = frozenset({"malformed", "bad_domain", "bad_address"})

V4: Final[dict[str, str]] = {
    "loopback": "127.0.0.1",
    "loopback 2": "127.0.0.2",
    "loopback, first": "127.0.0.0",
    "loopback, last": "127.255.255.255",
    "unspecified": "0.0.0.0",
    "this network": "0.1.2.3",
    "private 10": "10.0.0.1",
    "private 172": "172.16.0.1",
    "private 172, last": "172.31.255.254",
    "private 192": "192.168.1.1",
    "carrier-grade NAT": "100.64.0.1",
    "carrier-grade NAT, last": "100.127.255.255",
    "link-local": "169.254.1.1",
    "metadata of most clouds": "169.254.169.254",
    "metadata of AWS containers": "169.254.170.2",
    "metadata of AWS pods": "169.254.170.23",
    "metadata of Alibaba": "100.100.100.200",
    "metadata of Azure": "168.63.129.16",
    "metadata of Oracle, before 2020": "192.0.0.192",
    "metadata of Scaleway": "169.254.42.42",
    "metadata of Tencent": "169.254.0.23",
    "protocol assignments": "192.0.0.1",
    "documentation 1": "192.0.2.1",
    "documentation 2": "198.51.100.1",
    "documentation 3": "203.0.113.1",
    "benchmarks": "198.18.0.1",
    "6to4 relay": "192.88.99.1",
    "all hosts": "224.0.0.1",
    "mDNS": "224.0.0.251",
    "SSDP": "239.255.255.250",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
}

V6: Final[dict[str, str]] = {
    "loopback": "::1",
    "unspecified": "::",
    "unique local": "fd00::1",
    "unique local, first": "fc00::",
    "link-local": "fe80::1",
    "site-local": "fec0::1",
    "metadata of AWS": "fd00:ec2::254",
    "metadata of AWS pods": "fd00:ec2::23",
    "metadata of Google": "fd20:ce::254",
    "metadata of Oracle": "fd00:c1::a9fe:a9fe",
    "metadata of Scaleway": "fd00:42::42",
    "metadata of Linode": "fd00:a9fe:a9fe::1",
    "metadata of OpenStack": "fe80::a9fe:a9fe",
    "all nodes": "ff02::1",
    "all nodes of this host": "ff01::1",
    "mDNS": "ff02::fb",
    "multicast of a site": "ff05::2",
    "documentation": "2001:db8::1",
    "documentation 2": "3fff::1",
    "discard": "100::1",
    "benchmarks": "2001:2::1",
    "ORCHID": "2001:20::1",
    "segment routing": "5f00::1",
    "not allocated": "4000::1",
    "reserved": "e000::1",
    "local NAT64": "64:ff9b:1::7f00:1",
}

MUCH_SPELT: Final = ("127.0.0.1", "0.0.0.0", "10.0.0.1", "169.254.169.254", "192.168.1.1", "100.100.100.200")


def clothes(ip: str) -> Iterator[tuple[str, str]]:
    """Return the IPv6 addresses that carry an IPv4 address, or mean it."""
    packed = socket.inet_aton(ip)
    high, low = packed[:2].hex(), packed[2:].hex()
    inverted = bytes(byte ^ 255 for byte in packed)
    yield "mapped", f"::ffff:{ip}"
    yield "compatible", f"::{ip}"
    yield "translated", f"::ffff:0:{ip}"
    yield "NAT64", f"64:ff9b::{ip}"
    yield "local NAT64", f"64:ff9b:1::{ip}"
    yield "6to4", f"2002:{high}:{low}::1"
    yield "Teredo's server", f"2001:0:{high}:{low}::f7f7:f7f7"
    yield "Teredo's client", f"2001:0:808:808::{inverted[:2].hex()}:{inverted[2:].hex()}"
    yield "ISATAP", f"2a00:1450::5efe:{ip}"
    yield "ISATAP, unique", f"2a00:1450::200:5efe:{ip}"
    yield "ISATAP in 6to4", f"2002:808:808::5efe:{ip}"


def numerals(ip: str) -> Iterator[str]:
    """Return the ways to write an IPv4 address that are not the one way."""
    a, b, c, d = packed = socket.inet_aton(ip)
    number = int.from_bytes(packed)
    yield f"{number}"
    yield f"{number:#x}"
    yield f"{number:#X}"
    yield f"0{number:o}"
    yield f"0000{number:o}"
    yield f"{number + (1 << 32)}"
    yield f"{a}.{number & 0xFFFFFF}"
    yield f"{a}.{b}.{number & 0xFFFF}"
    yield f"{a:#x}.{number & 0xFFFFFF:#x}"
    yield f"{a:#x}.{b:#x}.{c:#x}.{d:#x}"
    yield f"0{a:o}.0{b:o}.0{c:o}.0{d:o}"
    yield f"0{a:o}.{b:#x}.{c}.{d}"
    yield f"0{a:03}.0{b:03}.0{c:03}.0{d:03}"
    yield f"{a + 256}.{b}.{c}.{d}"
    yield f"{ip}."
    yield f"{ip}.."
    yield f".{ip}"
    yield f"[{ip}]"
    yield f"{ip}%lo"
    yield f"{ip}:80"
    yield f"{ip}/32"
    yield f"+{ip}"
    yield f"user@{ip}"


def foreign_numerals(ip: str) -> Iterator[str]:
    """Return the ways to write it with what IDNA takes for digits and dots."""
    yield "".join(chr(0xFEE0 + ord(char)) if char != "." else char for char in ip)
    yield "".join(chr(0xFEE0 + ord(char)) for char in ip)
    for dot in "。．｡":
        yield ip.replace(".", dot)
    yield ip.replace("1", "①").replace("2", "②")
    yield ip.replace("1", "¹")
    yield ip.replace("0", "\u0660").replace("1", "\u0661")
    yield ip.replace(".", "\u00ad.")
    yield ip.replace(".", "\u200b.")


def texts_v6() -> Iterator[str]:
    """Return spellings of ::1, of a mapped 127.0.0.1 and of others that need their colons."""
    yield from ("::1", "0:0:0:0:0:0:0:1", "0000:0000:0000:0000:0000:0000:0000:0001", "::0001", "0::1", "::0.0.0.1")
    yield from ("::", "0::0", "::0", "::FFFF:127.0.0.1", "::fFfF:7F00:1", "0:0:0:0:0:ffff:127.0.0.1")
    yield from ("FE80::1", "FD00:EC2::254", "64:FF9B::A9FE:A9FE", "2002:7F00:1::", "::1%1", "::1%lo", "fe80::1%eth0")
    yield from ("fe80::1%lo", "fe80::1%1", "ff02::1%1", "::ffff:127.0.0.1%1", "fd00::1%eth0", "fe80::a9fe:a9fe%2")
    yield from ("::1%25lo", "::%0x1", "::1%0")


def odd_texts_v6() -> Iterator[str]:
    """Return the same, as nobody should take them."""
    yield from ("[::1]", "[::1", "::1]", "::1.", "::01.0.0.1", "::127.1", "::ffff:127.1", "::ffff:0x7f000001", ":::1")
    yield from ("::1%", "fe80::1%", "fe80::1%99999999999999999999", "fe80::1%no-such-interface-here", "::1/128")
    yield from ("0:0:0:0:0:0:0:0:1", "00000::1", "1::%eth0%eth1", "::ffff:2130706433", "::%é")


CONTROLS: Final = (
    b"127.0.0.1\0",
    b"127.0.0.1\0.good.test",
    b"\x00127.0.0.1",
    b"\0",
    b"localhost\0",
    b"localhost\n",
    b"localhost\r\nHost: a",
    b" localhost",
    b"127.0.0.1 ",
    b"127.0.0.1\t",
    b"127.0.0.1 good.test",
    b"\x7flocalhost",
    b"\x1b[2Jlocalhost",
    b"loc\xffalhost",
    b"\xc0\xae127",
    b"\xed\xa0\x80",
)

HOSTS: Final = """
127.0.0.1 localhost nas.hosts.test
::1 localhost ip6-localhost
10.0.0.7 router.hosts.test
169.254.169.254 metadata.google.internal instance-data
fe80::1%lo scoped.hosts.test
0.0.0.0 blocked.hosts.test
"""
"""A hosts file."""

LONG: Final = ".".join(("x" * 63, "x" * 63, "x" * 63, "x" * 56, "test"))
"""A name of 253 characters: with its dot and its zero, no more go on the wire."""


def zone() -> dict[str, Name]:
    """Return names that lead to forbidden addresses."""
    names: dict[str, Name] = {}
    for number, ip in enumerate((*V4.values(), *V6.values())):
        names[f"n{number}.test"] = Name([ip])
    for ip in ("127.0.0.1", "10.0.0.1", "169.254.169.254"):
        for number, (_, dressed) in enumerate(clothes(ip)):
            names[f"c{number}.{ip.replace('.', '-')}.test"] = Name([dressed])
    names |= {
        "both.test": Name(["127.0.0.1", "::1"]),
        "many.test": Name([*V4.values(), *V6.values()]),
        "alias.test": Name(["127.0.0.1"], aliases=[("a.far.test", 60)]),
        "aliases.test": Name(["10.0.0.1", "fd00::1"], aliases=[(f"a{n}.far.test", 60) for n in range(8)]),
        "alias-of-localhost.test": Name(["127.0.0.1"], aliases=[("localhost", 0)]),
        "alias-of-number.test": Name(["127.0.0.1"], aliases=[("2130706433", 60)]),
        "alias-of-length.test": Name(["127.0.0.1"], aliases=[(LONG, 60)]),
        "zero.test": Name(["127.0.0.1"], ttl=0),
        "late.test": Name(["127.0.0.1"], delay=0.02),
        "cut.test": Name(["127.0.0.1", "::1"], how=How.TRUNCATED),
        "xn--bcher-kva.test": Name(["127.0.0.1"]),
        "under_score.test": Name(["192.168.0.1"]),
        "127.0.0.1.nip.test": Name(["127.0.0.1"]),
        "0x7f.1.test": Name(["127.0.0.1"]),
        LONG: Name(["127.0.0.1"]),
    }
    return names


LOST: Final = {
    "loop.test": Name(how=How.LOOP),
    "nothing.test": Name(how=How.NODATA),
    "failure.test": Name(how=How.SERVFAIL),
}
"""Names that lead nowhere."""


def _text(label: str, text: str | bytes, words: frozenset[str]) -> Spelling:
    raw = text.encode() if isinstance(text, str) else text
    return Spelling(f"{label}: {raw!r}", b"\3" + bytes((len(raw),)) + raw, words)


def table() -> list[Spelling]:
    """Return all of them."""
    rows: list[Spelling] = []
    for label, ip in V4.items():
        rows.append(Spelling(f"{label}: {ip} in 4 bytes", b"\1" + socket.inet_aton(ip), DENIED))
        rows.append(_text(label, ip, DENIED))
        rows.append(Spelling(f"{label}: {ip}, mapped", b"\4" + bytes(10) + b"\xff\xff" + socket.inet_aton(ip), DENIED))
    for label, ip in V6.items():
        rows.append(Spelling(f"{label}: {ip} in 16 bytes", b"\4" + socket.inet_pton(socket.AF_INET6, ip), DENIED))
        rows.append(_text(label, ip, DENIED))
    for ip in MUCH_SPELT:
        rows += [_text("numeral", text, NO_NAME) for text in numerals(ip)]
        rows += [_text("foreign numeral", text, EITHER) for text in foreign_numerals(ip)]
        for label, dressed in clothes(ip):
            packed = socket.inet_pton(socket.AF_INET6, dressed)
            rows.append(Spelling(f"{label}: {dressed} in 16 bytes", b"\4" + packed, DENIED))
            rows.append(_text(label, dressed.upper(), DENIED))
    rows += [_text("text", text, DENIED) for text in texts_v6()]
    rows += [_text("odd text", text, NO_NAME) for text in odd_texts_v6()]
    rows += [_text("foreign numeral", text, EITHER) for text in ("：：1", "::１", "［::1］")]
    rows += [_text("control", text, MALFORMED) for text in CONTROLS]
    rows += [Spelling("no name", b"\3\0", MALFORMED), _text("only a dot", ".", NO_NAME)]
    rows += [_text("too long", "x." * 127 + "x", NO_NAME), _text("too long a label", "x" * 64, NO_NAME)]
    for name in zone():
        rows.append(_text("name", name, DENIED))
    for name in ("BOTH.Test", "both.test.", "both。test", "ｂｏｔｈ.test", "bücher.test", "BÜCHER.TEST."):
        rows.append(_text("name", name, DENIED))
    for line in HOSTS.split("\n"):
        rows += [_text("name of the hosts file", name, DENIED) for name in line.split()[1:]]
    rows += [_text("name of the hosts file", name, DENIED) for name in ("LOCALHOST", "localhost.", "Instance-Data.")]
    rows += [_text("name without an address", name, NO_NAME) for name in LOST]
    found: dict[bytes, Spelling] = {}
    for row in rows:
        known = found.get(row.wire, row)
        found[row.wire] = Spelling(known.label, row.wire, known.words & row.words)
    return list(found.values())


TABLE: Final = table()
