"""Texts of anybody, thrown at the reader of access lists: an `Acl` or every problem, in bounded time."""

from __future__ import annotations

import re
from typing import Final, Literal

from hypothesis import example, given
from hypothesis import strategies as st

from shadesocks.core.errors import ConfigError
from shadesocks.core.names import fold_name
from shadesocks.core.networks import NetworkSet, parse_network
from shadesocks.proxy.acl_file import parse_acl
from shadesocks.proxy.acl_regex import translate

WORDS: Final = st.sampled_from(
    [
        *("[proxy_all]", "[bypass_list]", "[outbound_block_list]", "[outbound_allow_list]", "[proxy_lst]", "[", "]"),
        *("10.0.0.0/8", "::/0", "::ffff:1.2.3.4/97", "1.2.3.4/33", "fe80::1%0", "||", "|", "a.example", "bücher", "#"),
        *(
            "(^|\\.)",
            "(?:",
            "(?i)",
            "(?P<n>",
            "(?=",
            "(?#",
            "(",
            ")",
            "\\",
            "\\1",
            "\\z",
            "\\x{2e}",
            "[[:alpha:]",
            "[^",
        ),
        *("&&", "--", "~~", "*", "+", "?", "{2,}", "{,2}", "{9999999999}", "$", "^", ".", " ", "\t", "\r", "\n", "\n"),
        *("\0", "\ufeff", "\u2028", "\udc80", "a" * 300),
    ]
)
TEXT: Final = st.one_of(st.text(max_size=80), st.lists(WORDS, max_size=14).map("".join))
DIALECT: Final = st.sampled_from(["rust", "libev"])


@given(TEXT, DIALECT)
@example("[[a]\n", "rust")
@example("(" * 5000, "libev")
@example("[[:a:" * 5000, "libev")
@example("[" * 5000, "rust")
@example("(?#" * 5000, "rust")
@example("|" * 5000, "rust")
@example("||" + "ü" * 5000, "rust")
@example("a{1,60000}" * 50, "rust")
@example("(?i:" * 40 + "a" + "{1,9})" * 40, "rust")
@example("1" * 5000, "rust")
@example(":" * 5000, "rust")
def test_acl(text: str, dialect: Literal["rust", "libev"]) -> None:
    try:
        acl = parse_acl(text, "x", dialect)
    except ConfigError as error:
        assert error.problems  # noqa: PT017 - one of two ends
        lines = [problem.line for problem in error.problems]
        assert lines == sorted(line for line in lines if line is not None)
        assert all(str(problem).isprintable() for problem in error.problems)  # noqa: PT017
        return
    count = text.count("\n") + 1
    assert all(warning.line is not None and 1 <= warning.line <= count for warning in acl.warnings)
    for packed in (bytes(4), bytes(16), bytes(10) + b"\xff\xff" + bytes(4)):
        assert acl.client_ip(packed) is acl.explain_client_ip(packed).decision
        assert acl.admits(packed) is acl.explain_admits(packed).decision
        assert acl.outbound_ip(packed) is acl.explain_outbound_ip(packed).decision


@given(st.lists(WORDS, max_size=8).map("".join), DIALECT)
def test_a_translation_that_compiles_stands_beside_others(rule: str, dialect: Literal["rust", "libev"]) -> None:
    """Else one rule would change what its neighbours mean."""
    try:
        pattern = translate(rule, dialect)
        re.compile(pattern.text, re.ASCII)
    except (ValueError, OverflowError, re.error):
        return
    if not pattern.alone:
        assert re.compile(pattern.text).groups == 0
        re.compile(f"(?:^never$)|(?:{pattern.text})|(?:^nowhere$)", re.ASCII)


@given(TEXT, TEXT)
def test_names_and_networks(host: str, tail: str) -> None:
    for text in (host, f"{host}/{tail}", f"::ffff:1.2.3.4/{tail}"):
        try:
            network = parse_network(text)
        except ValueError:
            continue
        assert NetworkSet([network]).holds(network.first.to_bytes(network.bits // 8)) or network.bits == 128
    try:
        name = fold_name(host)
    except ValueError:
        return
    assert name.isascii()
