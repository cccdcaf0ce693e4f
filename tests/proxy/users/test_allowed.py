"""Where a user may go: ports, names, networks, and never beyond what the server allows."""

from __future__ import annotations

import gc
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.core.limits import FREE, Limits
from shadesocks.net.connect import Anywhere
from shadesocks.net.origin import OriginPolicy
from shadesocks.proxy.acl_file import parse_acl
from shadesocks.proxy.targets import PORT, RULE, TargetRules
from shadesocks.proxy.users.allowed import Allowed, Narrowed, allowed_of


def test_without_rules_all_is_allowed() -> None:
    allowed = Allowed(None, None)
    assert allowed.refuse_name("example.org") is None
    assert allowed.refuse("192.0.2.1", 25, "example.org") is None


def test_ports() -> None:
    allowed = Allowed(((80, 80), (8000, 8999)), None)
    assert [allowed.refuse("192.0.2.1", port) for port in (79, 80, 81, 8000, 8999, 9000)] == [
        PORT, None, PORT, None, None, PORT,
    ]  # fmt: skip
    assert Allowed((), None).refuse("192.0.2.1", 80) == PORT


@pytest.mark.parametrize(
    ("host", "word"),
    [
        ("example.org", None),
        ("Example.ORG.", None),
        ("www.example.org", None),
        ("notexample.org", RULE),
        ("org", RULE),
        ("bücher.example", None),
        ("x.wild.example", None),
        ("192.0.2.1", None),
    ],
)
def test_names(host: str, word: str | None) -> None:
    allowed = Allowed(None, ["example.org", "xn--bcher-kva.example", "*.wild.example"])
    assert allowed.refuse_name(host) == word
    if not host[0].isdigit():
        assert allowed.refuse("198.51.100.1", 443, host) == word


def test_addresses() -> None:
    allowed = Allowed(None, ["192.0.2.0/24", "2001:db8::/32", "198.51.100.7"])
    assert allowed.refuse("192.0.2.200", 1) is None
    assert allowed.refuse("::ffff:192.0.2.200", 1) is None
    assert allowed.refuse("2001:db8::1", 1) is None
    assert allowed.refuse("198.51.100.7", 1) is None
    assert allowed.refuse("198.51.100.8", 1) == RULE
    assert allowed.refuse_name("example.org") is None, "its address decides"
    assert allowed.refuse("198.51.100.8", 1, "example.org") == RULE


def test_an_address_is_no_name() -> None:
    assert Allowed(None, ["example.org"]).refuse("192.0.2.1", 80, "192.0.2.1") == RULE
    assert Allowed(None, ["example.org"]).refuse("192.0.2.1", 80, "no host at all") == RULE
    assert Allowed(None, []).refuse("192.0.2.1", 80) == RULE
    assert Allowed(None, []).refuse_name("example.org") == RULE


@pytest.mark.parametrize("target", ["10.0.0.0/33", "a b", "1.2.3.4.5", "", "-", "0x7f000001", "*.::1", "*"])
def test_what_is_no_target_allows_nothing(target: str) -> None:
    allowed = Allowed(None, [target])
    assert allowed.refuse("127.0.0.1", 80, target) == RULE
    assert allowed.refuse("::1", 80, target) == allowed.refuse_unseen(target, 80) == RULE


def test_a_user_never_goes_beyond_the_server() -> None:
    allowed = Allowed(None, ["localhost", "127.0.0.0/8", "192.0.2.0/24"])
    safe = Narrowed(OriginPolicy(), allowed)
    assert safe.refuse("127.0.0.1", 80, "localhost") is not None
    anywhere = Narrowed(Anywhere(), allowed)
    assert anywhere.refuse("127.0.0.1", 80, "localhost") is None
    assert anywhere.refuse("198.51.100.1", 80) == RULE
    assert Narrowed(Anywhere(), Allowed(None, ["example.org"])).refuse_name("example.com") == RULE


@pytest.mark.parametrize("target", ["2001:db8::7", "[2001:db8::7]", "2001:db8::7/128", "2001:0db8:0::7"])
def test_an_address_may_be_written_in_many_ways(target: str) -> None:
    allowed = Allowed(None, [target])
    assert allowed.refuse("2001:db8::7", 1) is None
    assert allowed.refuse("2001:db8::8", 1) == RULE


def test_an_address_with_a_zone() -> None:
    allowed = Allowed(None, ["fe80::1%eth0"])
    assert allowed.refuse("fe80::1%eth1", 1) is None, "the server's own rules say which may be reached"
    assert allowed.refuse("fe80::2%eth0", 1) == RULE


@pytest.mark.parametrize(
    ("name", "port", "word"),
    [
        ("example.org", 443, None),
        ("www.example.org", 443, None),
        ("example.org", 80, PORT),
        ("example.com", 443, RULE),
        ("example.com", 80, PORT),
    ],
)
def test_a_name_that_others_look_up_is_judged_as_a_name(name: str, port: int, word: str | None) -> None:
    """Its addresses, though one might be allowed, are not known here."""
    assert Allowed(((443, 443),), ["example.org", "0.0.0.0/0", "::/0"]).refuse_unseen(name, port) == word
    assert Allowed(((443, 443),), None).refuse_unseen(name, port) == (PORT if port == 80 else None)


def test_users_with_the_same_rules_share_them() -> None:
    assert allowed_of(FREE) is None
    assert allowed_of(Limits(connections=3)) is None
    one = allowed_of(Limits(ports=((80, 80),), connections=3))
    assert one is not None
    assert allowed_of(Limits(ports=((80, 80),))) is one
    assert allowed_of(Limits(ports=((80, 81),))) is not one
    assert allowed_of(Limits(ports=((80, 80),), targets=())) is not one
    assert allowed_of(Limits(ports=((443, 443),))) is not None
    gc.collect()
    assert one.refuse("192.0.2.1", 80) is None


# Whatever is asked: what either refuses is refused, and nothing else is.

HOSTS: Final = (
    "127.0.0.1",
    "10.1.2.3",
    "8.8.8.8",
    "9.9.9.9",
    "::1",
    "::ffff:8.8.8.8",
    "::ffff:127.0.0.1",
    "64:ff9b::8.8.8.8",
    "2606:4700::1",
    "fe80::1%eth0",
    "0.0.0.0",
    "169.254.169.254",
)
NAMES: Final = (
    "",
    "good.example",
    "a.good.example",
    "GOOD.example.",
    "evil.example",
    "bücher.example",
    "localhost",
    "1.2",
)
JUDGES: Final = (
    Anywhere(),
    OriginPolicy(own_ports={8388}),
    OriginPolicy(allow_private=True, own_ports={8388}),
    TargetRules(OriginPolicy(), parse_acl("[outbound_block_list]\n||evil.example\n8.8.8.0/24\n", "a"), [(25, 25)]),
    TargetRules(OriginPolicy(), parse_acl("[outbound_block_all]\n[outbound_allow_list]\n||good.example\n", "a")),
)
TARGETS: Final = (*(host for host in HOSTS), "8.8.8.0/24", "0.0.0.0/0", "::/0", "::ffff:0:0/96")
ports = st.tuples(st.integers(0, 65_535), st.integers(0, 65_535)).map(lambda pair: (min(pair), max(pair)))
some_ports = st.none() | st.lists(ports | st.sampled_from([(25, 25), (80, 80), (443, 443)]), max_size=4).map(tuple)
some_targets = st.none() | st.lists(
    st.sampled_from([*TARGETS, "good.example", "*.example", "evil.example", "xn--bcher-kva.example", "localhost"]),
    max_size=5,
).map(tuple)


@given(
    judge=st.sampled_from(JUDGES),
    ports=some_ports,
    targets=some_targets,
    ip=st.sampled_from(HOSTS) | st.ip_addresses().map(str),
    port=st.sampled_from([25, 80, 443, 8388]) | st.integers(0, 65_535),
    host=st.sampled_from(NAMES),
)
def test_what_either_refuses_is_refused(judge: Any, ports: Any, targets: Any, ip: str, port: int, host: str) -> None:
    allowed = allowed_of(Limits(ports=ports, targets=targets)) or Allowed(None, None)
    both = allowed.narrow(judge)
    assert (both.refuse(ip, port, host) is None) == (
        judge.refuse(ip, port, host) is None and allowed.refuse(ip, port, host) is None
    )
    assert (both.refuse_name(host) is None) == (judge.refuse_name(host) is None and allowed.refuse_name(host) is None)
    if targets is None:
        assert (allowed.refuse(ip, port, host) is None) == (ports is None or any(a <= port <= b for a, b in ports))
    if allowed.refuse_name(host) is not None:
        assert allowed.refuse(ip, port, host) is not None, "what is refused by name has no address that is allowed"
    if host and allowed.refuse_unseen(host, port) is None:
        assert allowed.refuse(ip, port, host) is None, "where nothing is looked up here, no more is allowed"
