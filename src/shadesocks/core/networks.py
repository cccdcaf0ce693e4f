"""Networks in CIDR form (RFC 4632, RFC 4291 §2.3), and sets of them that say whether they hold an address.

An address is its 4 or 16 bytes. IPv4 in IPv6's clothes (::ffff:0:0/96, RFC 4291 §2.5.5.2) is IPv4, whether a network
is written so or an address comes so; hence ::/0 is all of IPv6 and none of IPv4.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from socket import AF_INET, AF_INET6, inet_pton
from typing import Final, NamedTuple

_MAPPED: Final = bytes(10) + b"\xff\xff"
"""The first 96 bits of an IPv4 address that is written as IPv6."""
_MAPPED_BITS: Final = 96
_LENGTHS: Final = {f"{length:0{width}}": length for width in (1, 2, 3) for length in range(129)}
"""Prefix lengths as they are written. int() would also take signs, blanks, underscores and the digits of any script."""


EVERYBODY: Final = ("0.0.0.0/0", "::/0")
"""Networks that hold all there is, as text."""


class Network(NamedTuple):
    """All addresses that begin with the same bits. A tuple: lists have 100,000 of them."""

    bits: int
    """Of an address: 32 or 128."""
    first: int
    """The lowest address, as a number."""
    length: int
    """How many of the bits are the same in all of them."""

    @property
    def end(self) -> int:
        """The first number behind it."""
        return self.first + (1 << self.bits - self.length)

    def holds(self, packed: bytes) -> bool:
        """True for an address within; packed is 4 or 16 bytes.

        Raises:
            ValueError: it is neither.
        """
        bits, number = _number(packed)
        return bits == self.bits and self.first <= number < self.end


def parse_network(text: str) -> Network:
    """Return what an IP address or a CIDR text stands for; bits behind the prefix may be set.

    Raises:
        ValueError: it is neither; the message says what is wrong.
    """
    host, slash, tail = text.partition("/")
    try:
        packed = inet_pton(AF_INET6 if ":" in host else AF_INET, host)
    except (OSError, ValueError):
        raise ValueError("no IP address stands there") from None
    bits = 8 * len(packed)
    length = _LENGTHS.get(tail, bits + 1) if slash else bits
    if length > bits:
        raise ValueError(f"after / goes a prefix length of 0 to {bits}")
    if length >= _MAPPED_BITS and packed.startswith(_MAPPED):
        packed, bits, length = packed[12:], 32, length - _MAPPED_BITS
    rest = bits - length
    return Network(bits, int.from_bytes(packed) >> rest << rest, length)


def unmapped(packed: bytes) -> bytes:
    """Return the 4 bytes of an IPv4 address that is written as IPv6, any other address as it is."""
    return packed[12:] if len(packed) == 16 and packed.startswith(_MAPPED) else packed


def _number(packed: bytes) -> tuple[int, int]:
    """Return how many bits an address has, and its number."""
    if len(packed) == 4:
        return 32, int.from_bytes(packed)
    if len(packed) != 16:
        raise ValueError("an address has 4 or 16 bytes")
    if packed.startswith(_MAPPED):
        return 32, int.from_bytes(packed[12:])
    return 128, int.from_bytes(packed)


class NetworkSet:
    """Networks that are only asked whether any of them holds an address: 2 us at most, among 100,000."""

    __slots__ = ("_edges_v4", "_edges_v6")

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        # Numbers sort four times as fast as pairs: above the first address, in eight bits how many bits are free.
        ranges: dict[int, list[int]] = {32: [], 128: []}
        for bits, first, length in networks:
            ranges[bits].append(first << 8 | bits - length)
        self._edges_v4: Final = _edges(ranges[32])
        self._edges_v6: Final = _edges(ranges[128])

    def __bool__(self) -> bool:
        return bool(self._edges_v4 or self._edges_v6)

    def holds(self, packed: bytes) -> bool:
        """True where a network holds the address, which is 4 or 16 bytes.

        Raises:
            ValueError: it is neither.
        """
        if len(packed) == 4:  # most are, and a call takes as long as the search
            return bisect_right(self._edges_v4, int.from_bytes(packed)) & 1 == 1
        bits, number = _number(packed)
        return bisect_right(self._edges_v4 if bits == 32 else self._edges_v6, number) & 1 == 1


def _edges(ranges: list[int]) -> list[int]:
    """Return where the union of some ranges begins, ends, begins, ends …: behind an odd count of edges is inside."""
    ranges.sort()
    edges: list[int] = []
    last = -1
    for pair in ranges:
        first = pair >> 8
        end = first + (1 << (pair & 255))
        if first > last:
            edges += first, end
            last = end
        elif end > last:
            edges[-1] = last = end
    return edges


class Prefixes:
    """Networks that are asked which of them is the narrowest around an address."""

    __slots__ = ("_by_length",)

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        by_length: dict[tuple[int, int], set[int]] = {}
        for bits, first, length in networks:
            by_length.setdefault((bits, length), set()).add(first)
        self._by_length: Final = sorted(by_length.items(), reverse=True)
        """Longest prefix first: one look into a set for each length that occurs."""

    def longest(self, packed: bytes) -> int | None:
        """Return the prefix length of the narrowest network around an address, None where there is none.

        It counts the bits of IPv4 for an IPv4 address, in whatever clothes it comes.

        Raises:
            ValueError: the address is neither 4 nor 16 bytes.
        """
        bits, number = _number(packed)
        for (of, length), firsts in self._by_length:
            if of == bits and number >> bits - length << bits - length in firsts:
                return length
        return None
