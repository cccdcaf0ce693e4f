"""Reads ACL files, in the dialects of shadowsocks-rust and shadowsocks-libev (protocol §18). Every problem at once.

One rule or one section in brackets a line. Where those programs take a line that can never match (a network with a
prefix length too long, a name with a blank in it), here it is a problem: somebody relies on it.

    rule            rust                          libev
    10.0.0.0/8      network or address            network or address
    ||example.com   the name and all below it     a problem: there it would match every name
    |example.com    the name                      likewise
    anything else   a regular expression that is searched for in the name, in lower case

    # …             a comment where it begins     a comment wherever it begins
    long lines      as any                        skipped from 255 bytes on, as fgets() of 256 has it
    not ASCII       || and | take IDN names,      as any
                    other lines are skipped
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from enum import Enum
from typing import Final

from ..core.address import pack_ip
from ..core.errors import ConfigError, Problem
from ..core.names import fold_name
from ..core.networks import Network, parse_network
from .acl import Acl, Rules, Way, compile_patterns, rule_of
from .acl_regex import Dialect, Pattern, Shape, lower_rule, shape_of, translate

_LINE_MAX: Final = 254
"""Bytes of a line that libev reads."""
_SHOWN_MAX: Final = 60
"""Characters of a rule in a message."""


class _Mode(Enum):
    """What is done where no rule matches."""

    PROXY_ALL = Way.PROXY
    BYPASS_ALL = Way.BYPASS
    ALLOW_ALL = True
    BLOCK_ALL = False


_SECTIONS: Final[dict[str, str | _Mode]] = {
    "[proxy_all]": _Mode.PROXY_ALL,
    "[accept_all]": _Mode.PROXY_ALL,
    "[bypass_all]": _Mode.BYPASS_ALL,
    "[reject_all]": _Mode.BYPASS_ALL,
    "[bypass_list]": "bypass",
    "[black_list]": "bypass",
    "[proxy_list]": "proxy",
    "[white_list]": "proxy",
    "[outbound_block_list]": "block",
    "[outbound_allow_list]": "allow",
    "[outbound_allow_all]": _Mode.ALLOW_ALL,
    "[outbound_block_all]": _Mode.BLOCK_ALL,
}
"""What a line in brackets does: it opens a list or sets a mode."""
_RUST_ONLY: Final = frozenset({"[outbound_allow_list]", "[outbound_allow_all]", "[outbound_block_all]"})
_LISTS: Final = ("bypass", "proxy", "block", "allow")

_SECTION_LIKE: Final = re.compile(r"\[[\w -]*\]", re.ASCII)
_ADDRESS_LIKE: Final = re.compile(
    r"\d+(?:\.\d+){3}|[\d.]+/.*|\d+(?:\.\d+){3}[-:].*|\[?[0-9A-Fa-f.]*:[0-9A-Fa-f.:]*(?:[%/\]].*)?"
)
"""What is meant as an address or a network; no host name has a slash or a colon in it."""
_LABELS: Final = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")


def parse_acl(text: str, where: str, dialect: Dialect = "rust") -> Acl:
    """Return what a file says; 10 us a line at most, but for regular expressions.

    Raises:
        ConfigError: a line cannot be understood; with every such line, in their order.
    """
    return _Reader(text.removeprefix("\ufeff"), where, dialect).run()


class _List:
    """One list while it is read."""

    __slots__ = ("below", "exact", "lines", "networks", "patterns")

    def __init__(self) -> None:
        self.exact: Final[dict[str, int]] = {}
        self.below: Final[dict[str, int]] = {}
        self.patterns: Final[list[tuple[int, Pattern]]] = []
        self.networks: Final[list[Network]] = []
        self.lines: Final[list[int]] = []
        """Of the networks."""


class _Reader:
    """One text, from its first line to the `Acl` or to all that is wrong with it."""

    def __init__(self, text: str, where: str, dialect: Dialect) -> None:
        self._text: Final = text
        self._where: Final = where
        self._dialect: Final[Dialect] = dialect
        self._lists: Final = {name: _List() for name in _LISTS}
        self._list = self._lists["bypass"]
        self._default = Way.PROXY
        self._outbound_default = True
        self._problems: Final[list[Problem]] = []
        self._warnings: Final[list[Problem]] = []
        self._line = 0

    def run(self) -> Acl:
        libev = self._dialect == "libev"
        skip = self._skip_in_libev if libev else self._skip_in_rust
        for line, text in enumerate(self._text.split("\n"), 1):
            rule = rule_of(text, self._dialect)
            if not rule or rule[0] == "#":
                continue
            self._line = line
            if not skip(text, rule):
                try:
                    self._take(rule)
                except ValueError as error:
                    self._problems.append(self._problem(line, rule, str(error)))
        lists = {name: self._rules(found) for name, found in self._lists.items()}
        if self._problems:
            raise ConfigError(sorted(self._problems, key=lambda problem: problem.line or 0))
        return Acl(
            where=self._where,
            text=self._text,
            dialect=self._dialect,
            default=self._default,
            outbound_default=self._outbound_default,
            lists=lists,
            allowing=self._lists["allow"].networks,
            warnings=self._warnings,
        )

    def _skip_in_libev(self, text: str, rule: str) -> bool:
        # Most lines are ASCII, whose size is known without another copy.
        size = len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
        if size > _LINE_MAX:
            self._warn(rule, f"this line has more than {_LINE_MAX} bytes, and is skipped as shadowsocks-libev skips it")
        return size > _LINE_MAX

    def _skip_in_rust(self, text: str, rule: str) -> bool:
        if rule.isascii() or rule[0] == "|":
            return False
        self._warn(rule, "this line is not ASCII, and is skipped; write the name as || or |, or in its xn-- form")
        return True

    def _warn(self, rule: str, text: str) -> None:
        self._warnings.append(self._problem(self._line, rule, text))

    def _problem(self, line: int, rule: str, text: str) -> Problem:
        shown = rule if len(rule) <= _SHOWN_MAX else f"{rule[:_SHOWN_MAX]}…"
        return Problem(self._where, line, _printable(shown), _printable(text))

    def _take(self, rule: str) -> None:
        """Take one line.

        Raises:
            ValueError: it cannot be understood; the message says why.
        """
        if rule[0] == "|":
            self._take_name(rule)
        elif rule[0] == "[" and self._take_section(rule):
            pass
        elif _ADDRESS_LIKE.fullmatch(rule):
            self._list.networks.append(_network(rule))
            self._list.lines.append(self._line)
        else:
            self._take_regex(rule)

    def _take_section(self, rule: str) -> bool:
        """Open a list or set a mode; return False where no section is meant."""
        found = _SECTIONS.get(rule)
        if found is None:
            near = get_close_matches(rule.lower(), _SECTIONS, 1, 0.75)
            if not near and not _SECTION_LIKE.fullmatch(rule):
                return False
            known = f"there are {', '.join(_SECTIONS)}; a regular expression of one class stands in ( )"
            hint = f"did you mean {near[0]}?" if near else known
            raise ValueError(f"there is no such section; {hint}")
        if self._dialect == "libev" and rule in _RUST_ONLY:
            raise ValueError("shadowsocks-libev has no such section; read the file in the dialect rust")
        if found is _Mode.PROXY_ALL or found is _Mode.BYPASS_ALL:
            self._default = found.value
        elif isinstance(found, _Mode):
            self._outbound_default = found.value
        else:
            self._list = self._lists[found]
        return True

    def _take_name(self, rule: str) -> None:
        if self._dialect == "libev":
            raise ValueError(
                "shadowsocks-libev has no such rules, and takes it for a regular expression that matches every name; "
                "read the file in the dialect rust, or write (^|\\.)example\\.com$ or ^example\\.com$"
            )
        suffix = rule.startswith("||")
        name = _name(rule[2 if suffix else 1 :].strip())
        self._add(Shape.SUFFIX if suffix else Shape.EXACT, name)

    def _add(self, shape: Shape, name: str) -> None:
        """Take a name. The first line that has it is the one that is quoted."""
        if shape is not Shape.BELOW:
            self._list.exact.setdefault(name, self._line)
        if shape is not Shape.EXACT:
            self._list.below.setdefault(name, self._line)

    def _take_regex(self, rule: str) -> None:
        if " " in rule or "\t" in rule:
            why = "a comment has a line of its own" if "#" in rule else "write one rule a line"
            raise ValueError(f"no name has a blank in it, so this never matches; {why}")
        if self._dialect == "rust":
            rule = lower_rule(rule)
        shaped = shape_of(rule)
        if shaped is not None:
            self._add(*shaped)
        else:
            self._list.patterns.append((self._line, _regex(rule, self._dialect)))

    def _rules(self, found: _List) -> Rules:
        matchers, refused = compile_patterns(found.patterns)
        if refused:
            lines = self._text.split("\n")
            for line, why in refused:
                rule = rule_of(lines[line - 1], self._dialect)
                self._problems.append(self._problem(line, rule, _NO_REGEX.format(why)))
        return Rules(found.exact, found.below, found.patterns, matchers, found.networks, found.lines)


def _printable(text: str) -> str:
    """Return a text that a terminal takes for nothing but text."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


_NO_REGEX: Final = "this is no regular expression that is understood here: {}"


def _regex(rule: str, dialect: Dialect) -> Pattern:
    try:
        return translate(rule, dialect)
    except ValueError as error:
        raise ValueError(_NO_REGEX.format(error)) from None


def _network(rule: str) -> Network:
    try:
        return parse_network(rule)
    except ValueError as error:
        raise ValueError(f"{error}; write an address (192.0.2.1, 2001:db8::1) or a network (192.0.2.0/24)") from None


def _name(text: str) -> str:
    """Return the name of a || or | rule.

    Raises:
        ValueError: it is none; the message says why.
    """
    if pack_ip(text) is not None:
        raise ValueError("addresses stand without |")
    try:
        name = fold_name(text.rstrip("."))
    except ValueError:
        name = ""
    if not _LABELS.fullmatch(name):
        raise ValueError("after | or || goes a host name, as in ||example.com; no blanks, no * and no dot before it")
    return name
