"""Where a target may stand: the table of special addresses, and the judgement made from it.

Called by `connect` (and by the packet loop) with the very address that is then connected to, after names were
resolved; so spellings and names that change their answer gain nothing. Closed by default: every block of
IANA's two special-purpose registries, multicast, everything that is not allocated as global unicast, the
addresses at which clouds answer machines of their own, and any IPv6 address that carries such an IPv4 address within.
A table of ours, and not the flags of `ipaddress`: those changed meaning between releases (CVE-2024-4032).

Blocks that the registries call globally reachable are closed too: anycast (192.0.0.9 and .10, 2001:1::1 to ::3, AMT)
ends at the nearest router, which is the server's own network; AS112 is a sink for names; the others carry no
targets of anybody. 64:ff9b::/96, 2002::/16 and Teredo do carry them, and are judged by the addresses within.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from socket import AF_INET, AF_INET6, SOCK_DGRAM, inet_ntop, inet_pton, socket
from time import monotonic
from typing import Final, Protocol


@dataclass(frozen=True, slots=True)
class Row:
    """One block of addresses that is not for the public, or whose addresses carry others."""

    prefix: str
    word: str
    """What the block is, in a word for logs; empty where the addresses within decide."""
    source: str
    """Where it is defined."""
    carried: Callable[[bytes], tuple[bytes, ...]] | None = None
    """Returns the IPv4 addresses within one of the block, all of which must be public."""


_V4_TABLE: Final = (
    Row("0.0.0.0/32", "unspecified", "RFC 1122 §3.2.1.3; a connect to it reaches this host"),
    Row("0.0.0.0/8", "reserved", "RFC 791 §3.2: this network"),
    Row("10.0.0.0/8", "private", "RFC 1918"),
    Row("100.64.0.0/10", "shared", "RFC 6598: carrier-grade NAT"),
    Row("100.100.100.200/32", "metadata", "Alibaba Cloud; the other clouds' are below, or in link-local"),
    Row("127.0.0.0/8", "loopback", "RFC 1122 §3.2.1.3"),
    Row("168.63.129.16/32", "metadata", "Azure: the host's agent, at a public address"),
    Row("169.254.0.0/16", "link-local", "RFC 3927"),
    Row("169.254.169.254/32", "metadata", "AWS, Azure, Google, Oracle, DigitalOcean, Hetzner, OpenStack"),
    Row("169.254.170.2/32", "metadata", "AWS: credentials of containers"),
    Row("169.254.170.23/32", "metadata", "AWS: credentials of pods"),
    Row("169.254.42.42/32", "metadata", "Scaleway"),
    Row("169.254.0.23/32", "metadata", "Tencent Cloud"),
    Row("172.16.0.0/12", "private", "RFC 1918"),
    Row("192.0.0.0/24", "reserved", "RFC 6890: IETF protocol assignments"),
    Row("192.0.0.192/32", "metadata", "Oracle Cloud, before 2020"),
    Row("192.0.2.0/24", "documentation", "RFC 5737"),
    Row("192.31.196.0/24", "as112", "RFC 7535"),
    Row("192.52.193.0/24", "amt", "RFC 7450: multicast relays"),
    Row("192.88.99.0/24", "6to4-relay", "RFC 7526, RFC 6751"),
    Row("192.168.0.0/16", "private", "RFC 1918"),
    Row("192.175.48.0/24", "as112", "RFC 7534"),
    Row("198.18.0.0/15", "benchmark", "RFC 2544"),
    Row("198.51.100.0/24", "documentation", "RFC 5737"),
    Row("203.0.113.0/24", "documentation", "RFC 5737"),
    Row("224.0.0.0/4", "multicast", "RFC 5771"),
    Row("240.0.0.0/4", "reserved", "RFC 1112 §4"),
    Row("255.255.255.255/32", "broadcast", "RFC 919 §7"),
)


_V6_TABLE: Final = (
    # Outside of 2000::/3, the one block from which global unicast is allocated (RFC 4291 §2.4, RFC 3513).
    Row("::/3", "reserved", "RFC 4291 §2.4"),
    Row("::/96", "v4-compatible", "RFC 4291 §2.5.5.1"),
    Row("::/128", "unspecified", "RFC 4291 §2.5.2; a connect to it reaches this host"),
    Row("::1/128", "loopback", "RFC 4291 §2.5.3"),
    Row("::ffff:0:0/96", "", "RFC 4291 §2.5.5.2: the kernel takes it for IPv4", lambda ip: (ip[12:],)),
    Row("64:ff9b::/96", "", "RFC 6052 §2.1: NAT64", lambda ip: (ip[12:],)),
    Row("64:ff9b:1::/48", "nat64", "RFC 8215: a local translator, whose layout cannot be known"),
    Row("100::/64", "discard", "RFC 6666"),
    Row("100:0:0:1::/64", "reserved", "RFC 9780: dummy prefix"),
    Row("4000::/2", "reserved", "RFC 4291 §2.4"),
    Row("5f00::/16", "segment-routing", "RFC 9602"),
    Row("8000::/1", "reserved", "RFC 4291 §2.4"),
    Row("fc00::/7", "private", "RFC 4193"),
    Row("fd00:42::42/128", "metadata", "Scaleway"),
    Row("fd00:100::100:200/128", "metadata", "Alibaba Cloud"),
    Row("fd00:a9fe:a9fe::1/128", "metadata", "Akamai, Linode"),
    Row("fd00:c1::a9fe:a9fe/128", "metadata", "Oracle Cloud"),
    Row("fd00:ec2::23/128", "metadata", "AWS: credentials of pods"),
    Row("fd00:ec2::254/128", "metadata", "AWS"),
    Row("fd20:ce::254/128", "metadata", "Google Cloud"),
    Row("fe80::/10", "link-local", "RFC 4291 §2.5.6"),
    Row("fe80::a9fe:a9fe/128", "metadata", "OpenStack, Linode"),
    Row("fec0::/10", "site-local", "RFC 3879"),
    Row("ff00::/8", "multicast", "RFC 4291 §2.7"),
    # Within.
    Row("2001::/23", "reserved", "RFC 2928: IETF protocol assignments"),
    Row("2001::/32", "", "RFC 4380 §4: Teredo; server, client", lambda ip: (ip[4:8], bytes(b ^ 255 for b in ip[12:]))),
    Row("2001:2::/48", "benchmark", "RFC 5180"),
    Row("2001:3::/32", "amt", "RFC 7450: multicast relays"),
    Row("2001:4:112::/48", "as112", "RFC 7535"),
    Row("2001:10::/28", "orchid", "RFC 4843"),
    Row("2001:20::/28", "orchid", "RFC 7343"),
    Row("2001:30::/28", "drone", "RFC 9374"),
    Row("2001:db8::/32", "documentation", "RFC 3849"),
    Row("2002::/16", "", "RFC 3056 §2: 6to4", lambda ip: (ip[2:6],)),
    Row("2620:4f:8000::/48", "as112", "RFC 7534"),
    Row("3fff::/20", "documentation", "RFC 9637"),
)

TABLE: Final = _V4_TABLE + _V6_TABLE
"""Every row. Where several hold an address, the longest prefix counts."""

NOT_AN_ADDRESS: Final = "not-an-address"
"""The word for what is no address in its one canonical spelling."""
_OF_EVERY_HOST: Final = frozenset({"loopback", "unspecified", "multicast", "broadcast"})
"""Words for what is this host wherever that is, or may end there."""
OWN: Final = "own"
"""The word for a listener of this process."""
FORBIDDEN: Final = "forbidden"
"""The word for what the operator closed."""

_ISATAP: Final = (b"\0\0\x5e\xfe", b"\2\0\x5e\xfe")
"""The middle of an ISATAP interface identifier (RFC 5214 §6.1), under any prefix; an IPv4 address follows."""

_LOOPBACK_V4: Final = b"\x7f\0\0\1"
_LOOPBACK_V6: Final = bytes(15) + b"\1"

_Range = tuple[bytes, bytes, str, Callable[[bytes], tuple[bytes, ...]] | None]
"""First and last address, and the row's word and `carried`."""


def _index(rows: tuple[Row, ...]) -> tuple[tuple[_Range, ...], ...]:
    """Return for each first byte the ranges that such an address may be in, longest prefix first."""
    index: list[list[tuple[int, _Range]]] = [[] for _ in range(256)]
    for row in rows:
        base, _, length = row.prefix.partition("/")
        low = _pack(base)
        rest = 8 * len(low) - int(length)
        high = (int.from_bytes(low) | (1 << rest) - 1).to_bytes(len(low))
        for first in range(low[0], high[0] + 1):
            index[first].append((rest, (low, high, row.word, row.carried)))
    return tuple(tuple(entry for _, entry in sorted(ranges, key=lambda pair: pair[0])) for ranges in index)


def _pack(ip: str) -> bytes:
    """Return the bytes of an address, b"" for anything else. A zone does not change what an address is."""
    try:
        return inet_pton(AF_INET6, ip.partition("%")[0]) if ":" in ip else inet_pton(AF_INET, ip)
    except (OSError, ValueError):
        return b""


_V4: Final = _index(_V4_TABLE)
_V6: Final = _index(_V6_TABLE)


def special(ip: str | bytes) -> str | None:
    """Return the word for what a special address is, None for a public one.

    Takes an address as text, or as its 4 or 16 bytes. 0.2 us for most of IPv4, 0.5 for most of IPv6, as text.
    """
    packed = _pack(ip) if isinstance(ip, str) else ip
    if len(packed) == 4:
        for low, high, word, _ in _V4[packed[0]]:
            if low <= packed <= high:
                return word
        return None
    if len(packed) == 16:
        return _special_v6(packed)
    return NOT_AN_ADDRESS


def _special_v6(packed: bytes) -> str | None:
    for low, high, word, carried in _V6[packed[0]]:
        if low <= packed <= high:
            if carried is None:
                return word
            break
    return next(filter(None, map(special, leads_to(packed))), None)


def prefix_of(packed: bytes) -> int:
    """Return the length of the prefix of the special block that holds an address: 8 for 10.1.2.3; 0 for none.

    Where an address within is what is special, its block's behind 96 bits: 104 for 64:ff9b::10.1.2.3.
    """
    if len(packed) == 4:
        return _block(_V4, packed)[0]
    length, word = _block(_V6, packed)
    if word:
        return length
    return max((96 + prefix_of(within) for within in leads_to(packed) if special(within)), default=0)


def _block(index: tuple[tuple[_Range, ...], ...], packed: bytes) -> tuple[int, str]:
    """Return prefix length and word of the narrowest block that holds an address."""
    for low, high, word, _ in index[packed[0]]:
        if low <= packed <= high:
            return 8 * len(packed) - (int.from_bytes(low) ^ int.from_bytes(high)).bit_length(), word
    return 0, ""


def leads_to(packed: bytes) -> tuple[bytes, ...]:
    """Return the other addresses at which a packet to this one may end: those within it, and loopback for "this host".

    They may lead further in their turn: ::ffff:0.0.0.0 to 0.0.0.0, and that to 127.0.0.1.
    """
    if len(packed) == 4:
        return () if any(packed) else (_LOOPBACK_V4,)
    if not any(packed):
        return _LOOPBACK_V6, _LOOPBACK_V4
    within = (packed[12:],) if packed[8:12] in _ISATAP else ()
    for low, high, _, carried in _V6[packed[0]]:
        if low <= packed <= high:
            return within if carried is None else within + carried(packed)
    return within


def everywhere(packed: bytes) -> tuple[bytes, ...]:
    """Return an address, and all that it leads to."""
    further = leads_to(packed)
    return (packed, *(each for one in further for each in everywhere(one))) if further else (packed,)


def is_local(ip: str) -> bool:
    """True when the address is one of this host's: only those can be bound.

    In doubt, true: who asks wants to keep something closed.
    """
    family = AF_INET6 if ":" in ip else AF_INET
    if not _can_bind(family, ip):
        return False
    # Where `ip_nonlocal_bind` is set (fail-over set-ups) any address can be bound, one for documentation too.
    if not _can_bind(family, "2001:db8::1" if family == AF_INET6 else "192.0.2.1"):
        return True
    # What reaches every host comes from another address than it went to: 127.0.0.2 from 127.0.0.1.
    return special(ip) in _OF_EVERY_HOST or _pack(_source_to(family, ip)) == _pack(ip)


def _can_bind(family: int, ip: str) -> bool:
    try:
        with socket(family, SOCK_DGRAM) as sock:
            sock.bind((ip, 0))
    except OSError as error:
        return error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
    return True


def _source_to(family: int, ip: str) -> str:
    """Return the address from which this host would talk to another: the very same one when it is its own."""
    try:
        with socket(family, SOCK_DGRAM) as sock:
            sock.connect((ip, 9))
            return str(sock.getsockname()[0])
    except OSError:
        return ""


class Forbidden(Protocol):
    """A set of networks; `core.networks.NetworkSet`."""

    def holds(self, packed: bytes) -> bool:
        """True for an address, of 4 or 16 bytes, that is in one of them."""


class OriginPolicy:
    """Says which addresses may be dialled. One for a process, asked before each connection and each datagram."""

    __slots__ = (
        "_allow_private",
        "_clock",
        "_forbidden",
        "_is_local",
        "_local",
        "_local_until",
        "_own_hosts",
        "_own_ports",
    )

    _LOCAL_AGE: Final = 10.0
    """Seconds that an answer of `is_local` holds: a server on port 443 is asked for most targets, at 10 us each."""
    _LOCAL_MOST: Final = 1024
    """Answers kept at once; some 100 bytes each."""

    def __init__(
        self,
        *,
        allow_private: bool = False,
        forbidden: Forbidden | None = None,
        own_ports: Container[int] = (),
        own_hosts: Iterable[str] = (),
        is_local: Callable[[str], bool] = is_local,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Make a policy.

        Args:
            allow_private: take special addresses like others. This process's own listeners stay closed.
            forbidden: closed instead of the special addresses, and with them whatever leads to one (`leads_to`).
            own_ports: of the listeners of this process, whatever address they are bound to; looked into at
                each call, so that it may change.
            own_hosts: addresses that lead to this host though none of its interfaces has them, as behind
                the NAT of a cloud.
            is_local: tells this host's addresses from others.
            clock: seconds of a monotonic clock.
        """
        self._allow_private = allow_private
        self._forbidden = forbidden
        self._own_ports = own_ports
        self._own_hosts = frozenset(map(_pack, own_hosts))
        self._is_local = is_local
        self._clock = clock
        self._local: dict[bytes, bool] = {}
        self._local_until = 0.0

    def refuse_name(self, _host: str) -> str | None:
        """Allow: what a name means is what is judged."""
        return None

    def refuse_unseen(self, _name: str, _port: int) -> str | None:
        """Allow a name that is looked up elsewhere: what it means is not known here."""
        return None

    def refuse(self, ip: str, port: int, _host: str = "") -> str | None:
        """Return the word for why this address may not be dialled, None when it may."""
        return self.closed(ip) or self.own(ip, port)

    def closed(self, ip: str) -> str | None:
        """Return the word for why nobody may be dialled at this address, whatever the port."""
        if self._forbidden is not None:
            packed = _pack(ip)
            if not packed:
                return NOT_AN_ADDRESS
            return FORBIDDEN if any(map(self._forbidden.holds, everywhere(packed))) else None
        word = special(ip)
        return word if not self._allow_private or word == NOT_AN_ADDRESS else None

    def own(self, ip: str, port: int) -> str | None:
        """Return the word for a listener of this process."""
        return OWN if port in self._own_ports and any(map(self._is_own, everywhere(_pack(ip)))) else None

    def _is_own(self, packed: bytes) -> bool:
        return packed in self._own_hosts or self._is_local_lately(packed)

    def _is_local_lately(self, packed: bytes) -> bool:
        now = self._clock()
        if now >= self._local_until or len(self._local) >= self._LOCAL_MOST:
            self._local.clear()
            self._local_until = now + self._LOCAL_AGE
        local = self._local.get(packed)
        if local is None:
            text = inet_ntop(AF_INET if len(packed) == 4 else AF_INET6, packed)
            local = self._local[packed] = self._is_local(text)
        return local
