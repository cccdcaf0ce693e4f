"""What a plugin is told: options with their escapes, and the variables of SIP003."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.core.address import Address
from shadesocks.wire.plugin_options import Pair, environment, format_options, loopback_of, parse_options


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", []),
        (";;", []),
        ("tls", [("tls", None)]),
        ("a=1;b;c=", [("a", "1"), ("b", None), ("c", "")]),
        (r"path=/a\;b\=c\\d", [("path", r"/a;b=c\d")]),
        ("k=v=w", [("k", "v=w")]),
        ("=v", [("", "v")]),
        ("=", [("", "")]),
        ("a\\", [("a\\", None)]),
    ],
)
def test_options_are_read(text: str, pairs: list[Pair]) -> None:
    assert parse_options(text) == pairs


def test_what_would_split_is_escaped() -> None:
    assert format_options([("a=b", "c;d\\"), ("tls", None)]) == r"a\=b=c\;d\\;tls"


@given(st.lists(st.tuples(st.text(min_size=1), st.none() | st.text())))
def test_what_is_written_is_read_again(pairs: list[Pair]) -> None:
    assert parse_options(format_options(pairs)) == pairs


@given(st.text())
def test_any_text_is_read_and_written_in_one_form(text: str) -> None:
    pairs = parse_options(text)
    assert parse_options(format_options(pairs)) == pairs


def test_the_variables_are_those_of_the_specification() -> None:
    told = environment(Address("2001:db8::5", 443), Address("::1", 50003), r"a=\;")
    assert told == {
        "SS_REMOTE_HOST": "2001:db8::5",
        "SS_REMOTE_PORT": "443",
        "SS_LOCAL_HOST": "::1",
        "SS_LOCAL_PORT": "50003",
        "SS_PLUGIN_OPTIONS": r"a=\;",
    }
    assert "SS_PLUGIN_OPTIONS" not in environment(Address("proxy.example", 1), Address("127.0.0.1", 2))


@pytest.mark.parametrize(("host", "loopback"), [("::", "::1"), ("0.0.0.0", "127.0.0.1"), ("a.example", "127.0.0.1")])
def test_the_loopback_is_of_the_servers_family(host: str, loopback: str) -> None:
    assert loopback_of(host) == loopback
