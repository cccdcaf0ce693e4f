"""Rules of other programs in Python's syntax: the same names match, or a sentence says why not."""

from __future__ import annotations

import re
from typing import Literal

import pytest

from shadesocks.proxy.acl_regex import Pattern, Shape, lower_rule, shape_of, translate

NAMES = ("a.b", "x.a.b", "xa.b", "a.b.c", "y.x.a.b", "b", "axb", "a-b", "x.a-b", "_a.b")


@pytest.mark.parametrize(
    ("rule", "shape", "name"),
    [
        (r"(^|\.)a\.b$", Shape.SUFFIX, "a.b"),
        (r"(?:^|\.)a\.b$", Shape.SUFFIX, "a.b"),
        (r"(\.|^)a\.b$", Shape.SUFFIX, "a.b"),
        (r"^(.*\.)?a\.b$", Shape.SUFFIX, "a.b"),
        (r"^(?:.+\.)?a\.b$", Shape.SUFFIX, "a.b"),
        (r"^a\.b$", Shape.EXACT, "a.b"),
        (r"^b$", Shape.EXACT, "b"),
        (r"\.a\.b$", Shape.BELOW, "a.b"),
        (r".*\.b$", Shape.BELOW, "b"),
        (r"^.+\.a\.b$", Shape.BELOW, "a.b"),
        (r"(^|\.)a-b$", Shape.SUFFIX, "a-b"),
        (r"(^|\.)a\-b$", Shape.SUFFIX, "a-b"),
        (r"(^|\.)_a\.b$", Shape.SUFFIX, "_a.b"),
    ],
)
def test_common_shapes_are_what_they_stand_for(rule: str, shape: Shape, name: str) -> None:
    assert shape_of(rule) == (shape, name)
    for host in NAMES:
        stands = {
            Shape.EXACT: host == name,
            Shape.BELOW: host.endswith(f".{name}"),
            Shape.SUFFIX: f".{host}".endswith(f".{name}"),
        }
        assert stands[shape] == bool(re.search(rule, host)), host


@pytest.mark.parametrize(
    "rule",
    [
        r"(^|\.)a.b$",  # any character between them
        r"(^|\.)a\.b",  # and a.b.c
        r"a\.b$",  # and xa.b
        r"(.*\.)?a\.b$",  # likewise
        r"(^|\.)a\.b\.$",
        r"(^|\.)\.b$",
        r"(^|\.)(a|b)$",
        r"(^|\.)A$",
        r"^$",
        "a",
    ],
)
def test_others_stay_expressions(rule: str) -> None:
    assert shape_of(rule) is None


@pytest.mark.parametrize(
    ("rule", "lowered"),
    [
        ("ADS", "ads"),
        (r"\SAD\D\.COM$", r"\Sad\D\.com$"),
        ("[A-Z]X", "[a-z]x"),
        ("(?P<N>A)", "(?P<n>a)"),
        (r"\\A", r"\\a"),
        ("ads", "ads"),
    ],
)
def test_lower_case(rule: str, lowered: str) -> None:
    assert lower_rule(rule) == lowered


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("ads", "ads"),
        (r"(a|b)\.c", r"(?:a|b)\.c"),
        (r"a\z", r"a\Z"),
        (r"a\hb\H", r"a[ \t]b[^ \t]"),
        (r"a\x{2e}b\x{a}", r"a\x2eb\x0a"),
        (r"[[:digit:][:alpha:]_]+", r"[0-9a-zA-Z_]+"),
        (r"[[:^x:]]", None),
        (r"[]a]", r"[]a]"),
        (r"[^]a]", r"[^]a]"),
        (r"[a\]b]", r"[a\]b]"),
        (r"[\h.]", r"[ \t.]"),
        (r"[a|b]", r"[a\|b]"),
        (r"[\x{2d}a]", r"[\x2da]"),
        (r"(?#why)a", "a"),
        (r"(?i)a|b", "(?i:a|b)"),
        (r"(?u)a", "a"),
        (r"(?s)a", "a"),
        (r"(?i-s:a)", "(?i:a)"),
        (r"(?-i:a)", "(?-i:a)"),
        (r"(?:a)(?=b)(?!c)(?<=a)(?<!d)", "(?:a)(?=b)(?!c)(?<=a)(?<!d)"),
        (r"a{2,3}?", "a{2,3}?"),
        ("a{b", "a{b"),
    ],
)
@pytest.mark.parametrize("dialect", ["rust", "libev"])
def test_syntax_is_translated(rule: str, text: str | None, dialect: Literal["rust", "libev"]) -> None:
    if text is None:
        with pytest.raises(ValueError, match="no class that is known"):
            translate(rule, dialect)
        return
    assert translate(rule, dialect).text == text
    re.compile(text)


@pytest.mark.parametrize(
    ("rule", "text"),
    [(r"[a&&b]", r"[a\&\&b]"), (r"[a~~b]", r"[a\~\~b]"), (r"[a[b]", r"[a\[b]"), ("a++", "a++"), ("(?>a)", "(?>a)")],
)
def test_what_pcre_takes_and_rust_takes_otherwise(rule: str, text: str) -> None:
    assert translate(rule, "libev").text == text
    if rule != "(?>a)":
        with pytest.raises(ValueError, match=r"."):
            translate(rule, "rust")


@pytest.mark.parametrize(
    ("rule", "alone"),
    [
        (r"(a)\1", Pattern(r"(a)\1", alone=True, anchored=False)),
        (r"^(?P<x>a)(?P=x)", Pattern(r"^(?P<x>a)(?P=x)", alone=True, anchored=True)),
        (r"(?<x>a)", Pattern(r"(?P<x>a)", alone=True, anchored=False)),
        (r"(?'x'a)", Pattern(r"(?P<x>a)", alone=True, anchored=False)),
    ],
)
def test_expressions_that_refer_to_their_groups_stay_alone(rule: str, alone: Pattern) -> None:
    assert translate(rule, "libev") == alone


@pytest.mark.parametrize(
    ("rule", "anchored"),
    [
        ("^a", True),
        (r"\Aa", True),
        ("^a|b", False),
        ("^(a|b)", True),
        ("(^a)", False),
        ("(?i)^a", False),
        ("a^", False),
    ],
)
def test_which_are_tried_at_the_beginning_only(rule: str, anchored: bool) -> None:
    assert translate(rule, "rust").anchored is anchored


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("(a", "( is not closed"),
        ("a)(b", ") closes nothing"),
        ("[a", "[ is not closed"),
        ("[]&&", "[ is not closed"),
        ("x[^]--", "[ is not closed"),
        ("a\\", "stands at the end"),
        (r"\p{Greek}", r"\p is not understood"),
        (r"\Qa.b\E", r"\Q is not understood"),
        (r"[\R]", r"\R is not understood"),
        ("a(?R)?", "at the very beginning"),
        ("(?x)a # b", "of flags, only i"),
        ("(?|a)", "(?| is not understood"),
        ("(*FAIL)", "(*F is not understood"),
        ("(?(1)a)", "(?( is not understood"),
        ("a(?i)b", "at the very beginning"),
        ("a{,3}", "write {0,n}"),
        ("[a--b]", "another meaning"),
        ("a|", "matches every name"),
        ("|a", "matches every name"),
        ("a||b", "matches every name"),
        ("(?i)", "matches every name"),
        ("(" * 51 + ")" * 51, "groups in groups"),
    ],
)
def test_what_has_no_equal_is_refused(rule: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        translate(rule, "rust")


def test_an_empty_alternative_within_a_group_says_what_is_meant() -> None:
    assert translate("(www\\.|)a", "rust").text == "(?:www\\.|)a"
