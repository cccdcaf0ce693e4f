"""What the rules of an ACL say: tables, and any rules against an evaluator that goes through them one by one."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Final, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.proxy.acl import Acl, Ruling, Way
from shadesocks.proxy.acl_file import parse_acl

Dialect = Literal["rust", "libev"]
PROXY, BYPASS = Way.PROXY, Way.BYPASS


def ip(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


def acl(*lines: str, dialect: Dialect = "rust") -> Acl:
    return parse_acl("\n".join(lines), "x.acl", dialect)


CLIENT: Final = (
    "[bypass_list]",
    r"(^|\.)both\.x$",
    r"(^|\.)by\.x$",
    "10.0.0.0/8",
    "2001:db8::/32",
    "[proxy_list]",
    r"(^|\.)both\.x$",
    r"(^|\.)pr\.x$",
    "10.1.0.0/16",
    "192.0.2.0/24",
)


@pytest.mark.parametrize(
    ("name", "rust", "libev"),
    [
        ("by.x", BYPASS, BYPASS),
        ("a.by.x", BYPASS, BYPASS),
        ("pr.x", PROXY, PROXY),
        ("both.x", PROXY, BYPASS),
        ("other.x", None, None),
    ],
)
@pytest.mark.parametrize("mode", ["[proxy_all]", "[bypass_all]"])
def test_names_of_a_client(name: str, rust: Way | None, libev: Way | None, mode: str) -> None:
    assert acl(mode, *CLIENT).client_host(name) is rust
    assert acl(mode, *CLIENT, dialect="libev").client_host(name) is libev


@pytest.mark.parametrize(
    ("address", "way"),
    [
        ("10.2.0.1", BYPASS),
        ("10.1.0.1", BYPASS),  # both lists: bypass first
        ("192.0.2.1", PROXY),
        ("::ffff:10.2.0.1", BYPASS),
        ("::ffff:192.0.2.1", PROXY),
        ("2001:db8::1", BYPASS),
        ("8.8.8.8", None),
        ("2001::1", None),
    ],
)
@pytest.mark.parametrize("dialect", ["rust", "libev"])
def test_addresses_of_a_client(address: str, way: Way | None, dialect: Dialect) -> None:
    for mode, default in (("[proxy_all]", PROXY), ("[bypass_all]", BYPASS)):
        assert acl(mode, *CLIENT, dialect=dialect).client_ip(ip(address)) is (way or default)


@pytest.mark.parametrize(
    ("mode", "addresses", "rust", "libev"),
    [
        ("[proxy_all]", [], PROXY, PROXY),
        ("[proxy_all]", ["8.8.8.8"], PROXY, PROXY),
        ("[proxy_all]", ["8.8.8.8", "10.2.0.1"], BYPASS, BYPASS),
        ("[proxy_all]", ["192.0.2.1"], PROXY, PROXY),
        ("[bypass_all]", [], BYPASS, BYPASS),
        ("[bypass_all]", ["8.8.8.8"], BYPASS, BYPASS),
        ("[bypass_all]", ["10.2.0.1", "192.0.2.1"], PROXY, PROXY),
        ("[bypass_all]", ["10.1.0.1"], PROXY, BYPASS),  # both lists: libev looks into bypass first, as always
    ],
)
def test_a_name_that_is_not_decided_goes_the_way_of_its_addresses(
    mode: str, addresses: list[str], rust: Way, libev: Way
) -> None:
    packed = [ip(address) for address in addresses]
    assert acl(mode, *CLIENT).client_addresses(packed) is rust
    assert acl(mode, *CLIENT, dialect="libev").client_addresses(packed) is libev


@pytest.mark.parametrize(
    ("lines", "needed"),
    [
        (["[proxy_all]", "[bypass_list]", "10.0.0.0/8"], True),
        (["[proxy_all]", "[proxy_list]", "10.0.0.0/8"], False),
        (["[bypass_all]", "[bypass_list]", "10.0.0.0/8"], False),
        (["[bypass_all]", "[proxy_list]", "::1"], True),
        (["[bypass_all]", "[proxy_list]", "||a.x"], False),
    ],
)
def test_addresses_are_asked_for_when_they_can_turn_the_default_round(lines: list[str], needed: bool) -> None:
    assert acl(*lines).needs_addresses is needed


@pytest.mark.parametrize(
    ("mode", "address", "rust", "libev"),
    [
        ("[accept_all]", "10.2.0.1", False, False),
        ("[accept_all]", "::ffff:10.2.0.1", False, False),
        ("[accept_all]", "192.0.2.1", True, True),
        ("[accept_all]", "8.8.8.8", True, True),
        ("[reject_all]", "192.0.2.1", True, True),
        ("[reject_all]", "::ffff:192.0.2.1", True, True),
        ("[reject_all]", "8.8.8.8", False, False),
        ("[reject_all]", "10.2.0.1", False, False),
        ("[reject_all]", "10.1.0.1", True, False),  # both lists: rust looks into the white one only
    ],
)
def test_clients_of_a_server(mode: str, address: str, rust: bool, libev: bool) -> None:
    assert acl(mode, *CLIENT).admits(ip(address)) is rust
    assert acl(mode, *CLIENT, dialect="libev").admits(ip(address)) is libev


SERVER: Final = (
    "[outbound_block_list]",
    "||blocked.x",
    "127.0.0.0/8",
    "192.0.2.0/25",
    "[outbound_allow_list]",
    "||allowed.x",
    "||blocked.x",
    "192.0.2.0/24",
    "198.51.100.0/24",
)


@pytest.mark.parametrize(
    ("name", "address", "refused_by_default", "refused_when_blocking"),
    [
        (None, "127.0.0.1", True, True),
        (None, "::ffff:127.0.0.1", True, True),
        (None, "192.0.2.1", True, True),  # both lists
        (None, "192.0.2.200", False, False),
        (None, "198.51.100.1", False, False),
        (None, "::ffff:198.51.100.1", False, False),
        (None, "8.8.8.8", False, True),
        ("blocked.x", "8.8.8.8", True, True),
        ("a.blocked.x", "198.51.100.1", True, True),
        ("allowed.x", "8.8.8.8", False, False),
        ("allowed.x", "127.0.0.1", True, True),  # a name that is allowed and points where nobody may go
        ("other.x", "8.8.8.8", False, True),
        ("other.x", "127.0.0.1", True, True),
        ("other.x", "198.51.100.1", False, False),
    ],
)
def test_targets_of_a_server(
    name: str | None, address: str, refused_by_default: bool, refused_when_blocking: bool
) -> None:
    assert acl(*SERVER).refuse_target(name, ip(address)) is refused_by_default
    blocking = acl(*SERVER, "[outbound_block_all]")
    assert blocking.refuse_target(name, ip(address)) is refused_when_blocking
    assert not blocking.outbound_default


def test_the_modes_of_the_two_roles_are_apart() -> None:
    both = acl("[reject_all]", "[outbound_allow_all]")
    assert not both.admits(ip("8.8.8.8"))
    assert not both.refuse_target("a.x", ip("8.8.8.8"))


@pytest.mark.parametrize(
    ("address", "length"),
    [
        ("10.1.2.3", 24),
        ("::ffff:10.1.2.3", 24),
        ("10.9.9.9", 0),
        ("169.254.169.254", 32),
        ("fd00::1", 8),
        ("fe80::1", None),
        ("127.0.0.1", 0),
    ],
)
def test_the_narrowest_network_that_opens_an_address(address: str, length: int | None) -> None:
    """Of those that are allowed: what is in another list opens nothing."""
    rules = acl(
        "[outbound_allow_list]",
        "0.0.0.0/0",
        "10.1.0.0/16",
        "10.1.2.0/24",
        "169.254.169.254",
        "fd00::/8",
        "||a.x",
        "[outbound_block_list]",
        "fe80::/10",
        "[proxy_list]",
        "127.0.0.0/8",
    )
    assert rules.opened(ip(address)) == length


def test_the_line_that_decided_is_named() -> None:
    rules = acl("[bypass_all]", "[proxy_list]", " ||a.x ", "|b.a.x", "c[0-9]", "c1", "10.0.0.0/8", "10.1.0.0/16")
    assert rules.explain_client_host("b.a.x") == Ruling(PROXY, 3, "||a.x")
    assert rules.explain_client_host("c1") == Ruling(PROXY, 5, "c[0-9]")
    assert rules.explain_client_host("d") == Ruling(None)
    assert rules.explain_client_ip(ip("10.1.2.3")) == Ruling(PROXY, 7, "10.0.0.0/8")
    assert rules.explain_client_ip(ip("::ffff:10.1.2.3")) == Ruling(PROXY, 7, "10.0.0.0/8")
    assert rules.explain_client_ip(ip("11.1.2.3")) == Ruling(BYPASS)
    assert rules.explain_client_addresses([ip("11.1.2.3"), ip("10.1.2.3")]) == Ruling(PROXY, 7, "10.0.0.0/8")
    assert rules.explain_client_addresses([ip("11.1.2.3")]) == Ruling(BYPASS)
    assert rules.explain_admits(ip("10.1.2.3")) == Ruling(True, 7, "10.0.0.0/8")
    assert rules.explain_admits(ip("11.1.2.3")) == Ruling(False)


def test_the_line_without_its_comment() -> None:
    rules = acl("10.0.0.0/8 # lan", "^a # one", dialect="libev")
    assert rules.explain_client_ip(ip("10.1.2.3")) == Ruling(BYPASS, 1, "10.0.0.0/8")
    assert rules.explain_client_host("ab") == Ruling(BYPASS, 2, "^a")


@pytest.mark.parametrize(
    ("name", "address", "ruling"),
    [
        ("blocked.x", "127.0.0.1", Ruling(True, 2, "||blocked.x")),
        ("allowed.x", "127.0.0.1", Ruling(True, 3, "127.0.0.0/8")),
        ("allowed.x", "198.51.100.1", Ruling(False, 6, "||allowed.x")),
        ("other.x", "198.51.100.1", Ruling(False, 9, "198.51.100.0/24")),
        (None, "8.8.8.8", Ruling(False)),
    ],
)
def test_the_line_that_refused_a_target(name: str | None, address: str, ruling: Ruling[bool]) -> None:
    assert acl(*SERVER).explain_refuse_target(name, ip(address)) == ruling


# Any rules, against an evaluator that keeps them in lists and goes through them.


@dataclass
class Naive:
    """The rules as they stand in the file, one after the other."""

    dialect: Dialect
    default: Way = PROXY
    outbound: bool = True
    lists: dict[str, list[str]] = field(default_factory=lambda: {"by": [], "pr": [], "bl": [], "al": []})

    def has_name(self, which: str, name: str) -> bool:
        for rule in self.lists[which]:
            if rule.startswith("||"):
                if name == rule[2:] or name.endswith("." + rule[2:]):
                    return True
            elif rule.startswith("|"):
                if name == rule[1:]:
                    return True
            elif rule[0] not in "0123456789:" and re.search(rule, name):
                return True
        return False

    def has_ip(self, which: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        forms = [address]
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            forms = [address.ipv4_mapped]
        nets = [ipaddress.ip_network(rule, strict=False) for rule in self.lists[which] if rule[0] in "0123456789:"]
        return any(form in net for form in forms for net in nets)

    def ips(self, which: str) -> bool:
        return any(rule[0] in "0123456789:" for rule in self.lists[which])

    def client_host(self, name: str) -> Way | None:
        order = (("pr", PROXY), ("by", BYPASS))
        for which, way in order if self.dialect == "rust" else order[::-1]:
            if self.has_name(which, name):
                return way
        return None

    def client_ip(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> Way:
        return BYPASS if self.has_ip("by", address) else PROXY if self.has_ip("pr", address) else self.default

    def admits(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        if self.default is PROXY:
            return not self.has_ip("by", address)
        return self.has_ip("pr", address) and not (self.dialect == "libev" and self.has_ip("by", address))

    def refuses(self, name: str | None, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        if (name is not None and self.has_name("bl", name)) or self.has_ip("bl", address):
            return True
        if (name is not None and self.has_name("al", name)) or self.has_ip("al", address):
            return False
        return not self.outbound


LABEL: Final = st.sampled_from(["a", "b", "ab", "a-b", "x1"])
NAME: Final = st.lists(LABEL, min_size=1, max_size=4).map(".".join)
HEAD: Final = st.sampled_from(
    [r"(^|\.)", r"(?:^|\.)", "^", r"\.", r".*\.", r"^(.*\.)?", r"^(?:.+\.)?", "", "(^a|b)", "[ab]+", "^(.)", "(?i)"]
)
TAIL: Final = st.sampled_from(["$", "", r"\.", ".$", "x?$", "|^a$", r"(\.a)+$"])
REGEX: Final = st.builds(lambda head, name, tail: head + name.replace(".", r"\.") + tail, HEAD, NAME, TAIL)
V4: Final = st.builds(lambda a, b, n: f"{a}.{b}.0.1/{n}", st.integers(0, 3), st.integers(0, 3), st.integers(0, 32))
V6: Final = st.builds(lambda a, n: f"{a}::1/{n}", st.integers(0, 3), st.integers(0, 128))
RULES: Final = {
    "rust": st.one_of(NAME.map("||{}".format), NAME.map("|{}".format), REGEX, V4, V6),
    "libev": st.one_of(REGEX, V4, V6),
}
SECTION: Final = {
    "by": ["[bypass_list]", "[black_list]"],
    "pr": ["[proxy_list]", "[white_list]"],
    "bl": ["[outbound_block_list]"],
    "al": ["[outbound_allow_list]"],
}
MODE: Final[dict[str, Way | bool]] = {
    "[proxy_all]": PROXY,
    "[accept_all]": PROXY,
    "[bypass_all]": BYPASS,
    "[reject_all]": BYPASS,
    "[outbound_block_all]": False,
    "[outbound_allow_all]": True,
}
ADDRESS: Final = st.one_of(
    st.builds(lambda a, b, c: ipaddress.IPv4Address(bytes((a, b, 0, c))), *[st.integers(0, 3)] * 3),
    st.builds(lambda a, c: ipaddress.IPv6Address(a << 112 | c), *[st.integers(0, 3)] * 2),
    st.builds(lambda a, b: ipaddress.IPv6Address(f"::ffff:{a}.{b}.0.1"), *[st.integers(0, 3)] * 2),
)


@st.composite
def files(draw: st.DrawFn) -> tuple[str, Naive]:
    """Draw a file, and the same as an evaluator."""
    dialect: Dialect = draw(st.sampled_from(["rust", "libev"]))
    naive = Naive(dialect)
    lines: list[str] = []
    which = "by"
    names = ["by", "pr", "bl", "al"] if dialect == "rust" else ["by", "pr", "bl"]
    modes = [mode for mode in MODE if dialect == "rust" or not mode.startswith("[outbound")]
    for _ in range(draw(st.integers(0, 12))):
        kind = draw(st.integers(0, 9))
        if kind == 0:
            mode = draw(st.sampled_from(modes))
            lines.append(mode)
            decided = MODE[mode]
            if isinstance(decided, Way):
                naive.default = decided
            else:
                naive.outbound = decided
        elif kind <= 3:
            which = draw(st.sampled_from(names))
            lines.append(draw(st.sampled_from(SECTION[which])))
        else:
            rule = draw(RULES[dialect])
            naive.lists[which].append(rule)
            lines.append(rule)
    return "\n".join(lines), naive


@given(files(), NAME, ADDRESS, ADDRESS)
def test_any_rules_mean_what_they_say(
    made: tuple[str, Naive],
    name: str,
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
    other: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    text, naive = made
    rules = parse_acl(text, "x.acl", naive.dialect)
    packed = address.packed
    opposite = "by" if naive.default is PROXY else "pr"
    assert rules.default is naive.default
    assert rules.client_host(name) is naive.client_host(name)
    assert rules.client_ip(packed) is naive.client_ip(address)
    assert rules.needs_addresses == naive.ips(opposite)
    turned = [
        naive.has_ip(opposite, each) if naive.dialect == "rust" else naive.client_ip(each) is not naive.default
        for each in (address, other)
    ]
    way = naive.default.other if any(turned) else naive.default
    assert rules.client_addresses([packed, other.packed]) is way
    assert rules.admits(packed) == naive.admits(address)
    for asked in (None, name):
        assert rules.refuse_target(asked, packed) == naive.refuses(asked, address)
        assert rules.explain_refuse_target(asked, packed).decision == naive.refuses(asked, address)
    # Whoever explains decides the same, and quotes a line that is there.
    lines = ["", *text.split("\n")]
    for ruling, decision in (
        (rules.explain_client_host(name), rules.client_host(name)),
        (rules.explain_client_ip(packed), rules.client_ip(packed)),
        (rules.explain_client_addresses([packed, other.packed]), way),
        (rules.explain_admits(packed), rules.admits(packed)),
        (rules.explain_outbound_host(name), rules.outbound_host(name)),
        (rules.explain_outbound_ip(packed), rules.outbound_ip(packed)),
    ):
        assert ruling.decision is decision
        assert lines[ruling.line or 0] == ruling.rule
