"""The rules of an ACL file, and what they say of names, of addresses and of clients (protocol §18).

    role     asked about          lists                                      else
    client   name of a target     proxy, bypass (libev: bypass, proxy)       its addresses, or the default
             address of a target  bypass, proxy                              the default
    server   address of a client  black (= bypass) or white (= proxy), by the mode
             name of a target     outbound block, outbound allow             its address
             address of a target  outbound block, outbound allow             the outbound default

Names are in the form of `core/names.py`, addresses are their 4 or 16 bytes; IPv4 within IPv6 is IPv4. Nothing here
resolves or waits: an `Acl` is made by `acl_file.py` and then only asked, until its file says something else (`become`).
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Generic, TypeVar

from ..core.errors import Problem
from ..core.networks import Network, NetworkSet, Prefixes, parse_network
from .acl_regex import Dialect, Pattern


class Way(Enum):
    """How a client reaches a target."""

    PROXY = "proxy"
    """Through the server."""
    BYPASS = "bypass"
    """Directly."""

    @property
    def other(self) -> Way:
        return Way.BYPASS if self is Way.PROXY else Way.PROXY


Decision = TypeVar("Decision")


@dataclass(frozen=True, slots=True)
class Ruling(Generic[Decision]):
    """What was decided, and by which line."""

    decision: Decision
    line: int | None = None
    """Counted from 1; None where no rule matched."""
    rule: str = ""
    """The text of that line."""


_TOGETHER: Final = 500
"""Patterns in one expression: what `re` compiles it to stays small enough to be compiled in a moment."""

Matcher = Callable[[str], object]


def compile_patterns(patterns: Sequence[tuple[int, Pattern]]) -> tuple[list[Matcher], list[tuple[int, str]]]:
    """Return what to call with a name until one says something, and (line, why) of each pattern that `re` refuses."""
    matchers: list[Matcher] = []
    refused: list[tuple[int, str]] = []
    kinds: dict[bool, list[tuple[int, Pattern]]] = {True: [], False: []}
    apart: list[tuple[int, Pattern]] = []
    for pair in patterns:
        (apart if pair[1].alone else kinds[pair[1].anchored]).append(pair)
    for anchored, those in kinds.items():
        for at in range(0, len(those), _TOGETHER):
            some = those[at : at + _TOGETHER]
            try:
                made = _compile("|".join(f"(?:{pattern.text})" for _, pattern in some))
            except ValueError:  # one of them at least; alone each has its own message
                apart += some
            else:
                # A match is tried at the beginning only, a search at every character.
                matchers.append(made.match if anchored else made.search)
    for line, pattern in apart:
        try:
            matchers.append(_compile(pattern.text).search)
        except ValueError as error:
            refused.append((line, str(error)))
    return matchers, refused


def _compile(text: str) -> re.Pattern[str]:
    """Compile an expression.

    Raises:
        ValueError: it is none.
    """
    try:
        return re.compile(text, re.ASCII)
    except re.error as error:
        raise ValueError(error.msg) from None
    except (OverflowError, RecursionError) as error:
        raise ValueError(f"it is too much: {error}") from None


class Rules:
    """The rules of one list."""

    __slots__ = ("_below", "_exact", "_labels", "_lines", "_matchers", "_networks", "_patterns")

    def __init__(
        self,
        exact: Mapping[str, int],
        below: Mapping[str, int],
        patterns: Sequence[tuple[int, Pattern]],
        matchers: Sequence[Matcher],
        networks: Sequence[Network],
        lines: Iterable[int],
    ) -> None:
        """Make a list.

        Args:
            exact: names, each with its line.
            below: names, each with its line, for all that ends in a dot and one of them.
            patterns: regular expressions, in the order of their lines.
            matchers: the same, compiled.
            networks: of addresses.
            lines: of those networks.
        """
        self._exact: Final = exact
        self._below: Final = below
        self._labels: Final = max((name.count(".") + 1 for name in below), default=0)
        """Of the longest of those names: a name of a hundred labels is not looked up a hundred times."""
        self._patterns: Final = patterns
        self._matchers: Final = matchers
        self._networks: Final = NetworkSet(networks)
        self._lines: Final = array("L", lines)

    @property
    def has_networks(self) -> bool:
        """True where the list has rules for addresses."""
        return bool(self._networks)

    def match_name(self, name: str) -> bool:
        """True where a rule matches the name."""
        if name in self._exact:
            return True
        below, at = self._below, len(name)
        for _ in range(self._labels):
            at = name.rfind(".", 0, at)
            if at < 0:
                break
            if name[at + 1 :] in below:
                return True
        return bool(self._matchers) and any(match(name) for match in self._matchers)

    def match_address(self, packed: bytes) -> bool:
        """True where a network holds the address."""
        return self._networks.holds(packed)

    def line_of_name(self, name: str) -> int | None:
        """Return the first line that matches the name. Slow: it looks at every pattern by itself."""
        found = [self._exact[name]] if name in self._exact else []
        tails = (name[at + 1 :] for at, letter in enumerate(name) if letter == ".")
        found += [self._below[tail] for tail in tails if tail in self._below]
        found += [line for line, pattern in self._patterns if _compile(pattern.text).search(name)][:1]
        return min(found, default=None)

    def line_of_address(self, packed: bytes, text: Callable[[int], str]) -> int | None:
        """Return the first line whose network holds the address. Slow: it reads every network again.

        A file may have 100,000, and a service never asks; so they are not kept one by one.
        """
        if not self.match_address(packed):
            return None
        return next(line for line in self._lines if parse_network(text(line)).holds(packed))


Row = tuple[Rules, Decision]
"""A list, and what is decided where it matches. Of several rows the first that matches counts."""


def rule_of(line: str, dialect: Dialect) -> str:
    """Return the rule that a line holds: without blanks around it and, in libev's dialect, without a comment."""
    return (line.partition("#")[0] if dialect == "libev" else line).strip()


class Acl:
    """What one file says."""

    __slots__ = (
        "_allowing",
        "_clients",
        "_dialect",
        "_hosts",
        "_ips",
        "_opposite",
        "_targets",
        "_text",
        "admits_default",
        "default",
        "needs_addresses",
        "outbound_default",
        "warnings",
        "where",
    )

    def __init__(
        self,
        *,
        where: str,
        text: str,
        dialect: Dialect,
        default: Way,
        outbound_default: bool,
        lists: Mapping[str, Rules],
        allowing: Iterable[Network],
        warnings: Sequence[Problem],
    ) -> None:
        """Put the lists in their order.

        Args:
            where: what messages call the file.
            text: of the file; what `explain_*` quotes.
            dialect: whose order it is.
            default: of clients. For the clients of a server `PROXY` is to accept.
            outbound_default: true where targets are allowed that no rule matches.
            lists: `bypass`, `proxy`, `block`, `allow`.
            allowing: the networks of `allow`.
            warnings: lines that do nothing.
        """
        bypass, proxy = (lists["bypass"], Way.BYPASS), (lists["proxy"], Way.PROXY)
        libev = dialect == "libev"
        self.where = where
        self.warnings = tuple(warnings)
        """Lines that are skipped, and why."""
        self.default = default
        """For targets of a client that no rule matches."""
        self.outbound_default = outbound_default
        """True where a server's targets are allowed that no rule matches."""
        self.admits_default = default is Way.PROXY
        """True where a server's clients are accepted that no rule matches."""
        self._dialect = dialect
        self._text = text
        self._hosts: tuple[Row[Way], ...] = (bypass, proxy) if libev else (proxy, bypass)
        self._ips: tuple[Row[Way], ...] = (bypass, proxy)
        opposite = proxy if default is Way.BYPASS else bypass
        self.needs_addresses = opposite[0].has_networks
        """True where a name that is not decided is to be resolved, and its addresses asked about."""
        # libev judges each address as if it had been given; rust asks nothing but the list that can change the way.
        self._opposite: tuple[Row[Way], ...] = self._ips if libev else (opposite,)
        self._targets: tuple[Row[bool], ...] = ((lists["block"], False), (lists["allow"], True))
        black, white = (lists["bypass"], False), (lists["proxy"], True)
        self._clients: tuple[Row[bool], ...] = (
            (black,) if self.admits_default else (black, white) if libev else (white,)
        )
        self._allowing = Prefixes(allowing)

    def says_as(self, other: Acl) -> bool:
        """True where both files say the same, in the same dialect."""
        return (self._text, self._dialect) == (other._text, other._dialect)

    def become(self, other: Acl) -> None:
        """Say what another file says, to everybody who asks from now on: its file was changed."""
        for name in Acl.__slots__:
            setattr(self, name, getattr(other, name))

    # A client's targets.

    def client_host(self, name: str) -> Way | None:
        """Return the way to a name; None where its addresses decide if `needs_addresses`, and else the default."""
        return _by_name(self._hosts, name)

    def client_ip(self, packed: bytes) -> Way:
        """Return the way to an address."""
        return _by_address(self._ips, packed) or self.default

    def client_addresses(self, addresses: Iterable[bytes]) -> Way:
        """Return the way to a name that is not decided, from its addresses: one can turn the default round."""
        turned = self.default.other
        if any(_by_address(self._opposite, packed) is turned for packed in addresses):
            return turned
        return self.default

    # A server's clients and targets.

    def admits(self, packed: bytes) -> bool:
        """True when a client with this address is accepted."""
        decision = _by_address(self._clients, packed)
        return self.admits_default if decision is None else decision

    def outbound_host(self, name: str) -> bool | None:
        """Return False for a name that is blocked, True for one that is allowed, None where no rule matches."""
        return _by_name(self._targets, name)

    def outbound_ip(self, packed: bytes) -> bool | None:
        """Return False for an address that is blocked, True for one that is allowed, None where no rule matches."""
        return _by_address(self._targets, packed)

    def refuse_target(self, name: str | None, packed: bytes) -> bool:
        """True when this address must not be dialled, for whoever asked for that name or, with None, for the address.

        An address that is blocked is so under any name: who owns the name chooses its addresses. One that is not
        needs the name or the address allowed, or the default.
        """
        named = None if name is None else self.outbound_host(name)
        if named is False:
            return True
        allowed = self.outbound_ip(packed)
        if allowed is None:
            allowed = self.outbound_default if named is None else named
        return not allowed

    def opened(self, packed: bytes) -> int | None:
        """Return the prefix length of the narrowest network of [outbound_allow_list] that holds the address, or None.

        In bits of IPv4 where the address is IPv4, in whatever clothes.
        """
        return self._allowing.longest(packed)

    # The same with the line that decided: for people, not for connections.

    def explain_client_host(self, name: str) -> Ruling[Way | None]:
        """Return what `client_host` does, and why."""
        return self._name_ruling(self._hosts, name)

    def explain_client_ip(self, packed: bytes) -> Ruling[Way]:
        """Return what `client_ip` does, and why."""
        return self._address_ruling(self._ips, packed) or Ruling(self.default)

    def explain_client_addresses(self, addresses: Iterable[bytes]) -> Ruling[Way]:
        """Return what `client_addresses` does, and why."""
        for packed in addresses:
            ruling = self._address_ruling(self._opposite, packed)
            if ruling is not None and ruling.decision is not self.default:
                return ruling
        return Ruling(self.default)

    def explain_admits(self, packed: bytes) -> Ruling[bool]:
        """Return what `admits` does, and why."""
        return self._address_ruling(self._clients, packed) or Ruling(self.admits_default)

    def explain_outbound_host(self, name: str) -> Ruling[bool | None]:
        """Return what `outbound_host` does, and why."""
        return self._name_ruling(self._targets, name)

    def explain_outbound_ip(self, packed: bytes) -> Ruling[bool | None]:
        """Return what `outbound_ip` does, and why."""
        return self._address_ruling(self._targets, packed) or Ruling(None)

    def explain_refuse_target(self, name: str | None, packed: bytes) -> Ruling[bool]:
        """Return what `refuse_target` does, and why."""
        named: Ruling[bool | None] = Ruling(None) if name is None else self.explain_outbound_host(name)
        by_address: Ruling[bool | None] = self.explain_outbound_ip(packed)
        for ruling, decision in ((named, False), (by_address, False), (named, True), (by_address, True)):
            if ruling.decision is decision:
                return Ruling(not decision, ruling.line, ruling.rule)
        return Ruling(not self.outbound_default)

    def _name_ruling(self, rows: Sequence[Row[Decision]], name: str) -> Ruling[Decision | None]:
        for rules, decision in rows:
            line = rules.line_of_name(name)
            if line is not None:
                return Ruling(decision, line, self._rules_text()(line))
        return Ruling(None)

    def _address_ruling(self, rows: Sequence[Row[Decision]], packed: bytes) -> Ruling[Decision] | None:
        text = self._rules_text()
        for rules, decision in rows:
            line = rules.line_of_address(packed, text)
            if line is not None:
                return Ruling(decision, line, text(line))
        return None

    def _rules_text(self) -> Callable[[int], str]:
        lines = self._text.split("\n")
        return lambda line: rule_of(lines[line - 1], self._dialect)


def _by_name(rows: Sequence[Row[Decision]], name: str) -> Decision | None:
    for rules, decision in rows:
        if rules.match_name(name):
            return decision
    return None


def _by_address(rows: Sequence[Row[Decision]], packed: bytes) -> Decision | None:
    for rules, decision in rows:
        if rules.match_address(packed):
            return decision
    return None
