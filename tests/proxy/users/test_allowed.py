"""Where a user may go: ports, names, networks, and never beyond what the server allows."""

from __future__ import annotations

import pytest

from shadesocks.net.connect import Anywhere
from shadesocks.net.origin import OriginPolicy
from shadesocks.proxy.targets import PORT, RULE
from shadesocks.proxy.users.allowed import Allowed, Narrowed


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


@pytest.mark.parametrize("target", ["10.0.0.0/33", "a b", "1.2.3.4.5", "", "-"])
def test_what_is_no_target(target: str) -> None:
    with pytest.raises(ValueError, match="target"):
        Allowed(None, [target])


def test_a_user_never_goes_beyond_the_server() -> None:
    allowed = Allowed(None, ["localhost", "127.0.0.0/8", "192.0.2.0/24"])
    safe = Narrowed(OriginPolicy(), allowed)
    assert safe.refuse("127.0.0.1", 80, "localhost") is not None
    anywhere = Narrowed(Anywhere(), allowed)
    assert anywhere.refuse("127.0.0.1", 80, "localhost") is None
    assert anywhere.refuse("198.51.100.1", 80) == RULE
    assert Narrowed(Anywhere(), Allowed(None, ["example.org"])).refuse_name("example.com") == RULE
