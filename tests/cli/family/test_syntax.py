"""The three ways in which old programs read their command lines."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.cli.family.program import Flag, Syntax
from shadesocks.cli.family.syntax import WrongFlagError, getopt, gnu, go_flags, one_word

FLAGS = (
    Flag(("-p",), "", "PORT"),
    Flag(("-k", "--password"), "", "PASSWORD"),
    Flag(("-v",), ""),
    Flag(("-q",), ""),
    Flag(("--fast-open",), ""),
    Flag(("--pid-file",), "", "FILE"),
    Flag(("--prefer-ipv6",), ""),
    Flag(("-core",), "", "COUNT"),
    Flag(("-auth",), ""),
)


def met(syntax: Syntax, words: str) -> list[tuple[str, str]]:
    return [(each.name, each.text) for each in syntax(FLAGS, words.split())]


@pytest.mark.parametrize("syntax", [getopt, gnu])
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("-p 8388", [("-p", "8388")]),
        ("-p8388", [("-p", "8388")]),
        ("-vp8388", [("-v", ""), ("-p", "8388")]),
        ("-vvq", [("-v", ""), ("-v", ""), ("-q", "")]),
        ("-p -v", [("-p", "-v")]),
        ("--password=x=y", [("--password", "x=y")]),
        ("--password x", [("--password", "x")]),
        ("--password=", [("--password", "")]),
        ("--fa --pi x", [("--fast-open", ""), ("--pid-file", "x")]),
        ("-v -- -q", [("-v", "")]),
        ("", []),
    ],
)
def test_getopt(syntax: Syntax, words: str, expected: list[tuple[str, str]]) -> None:
    assert met(syntax, words) == expected


def test_a_word_that_is_no_flag_ends_them_or_does_not() -> None:
    assert met(getopt, "-v word -q") == [("-v", "")]
    assert met(getopt, "-v - -q") == [("-v", "")]
    assert met(gnu, "-v word - -q") == [("-v", ""), ("-q", "")]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("-core 2", [("-core", "2")]),
        ("-core=2", [("-core", "2")]),
        ("--core 2", [("-core", "2")]),
        ("-auth -v", [("-auth", ""), ("-v", "")]),
        ("-auth=true --v=1 -q=F", [("-auth", ""), ("-v", "")]),
        ("-p -v", [("-p", "-v")]),
        ("-v word -q", [("-v", "")]),
        ("-v -- -q", [("-v", "")]),
        ("-v - -q", [("-v", "")]),
    ],
)
def test_go(words: str, expected: list[tuple[str, str]]) -> None:
    assert met(go_flags, words) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("-p 8388 -v", [("-p", "8388"), ("-v", "")]),
        ("word -v other", [("-v", "")]),
        ("-p -v", [("-p", "-v")]),
    ],
)
def test_one_word(words: str, expected: list[tuple[str, str]]) -> None:
    assert met(one_word, words) == expected


@pytest.mark.parametrize(
    ("syntax", "words", "sentence"),
    [
        (getopt, "-x", "-x: there is no such flag"),
        (getopt, "-vx", "-x: there is no such flag"),
        (getopt, "--x", "--x: there is no such flag"),
        (getopt, "--p", "--p: this may be --password or --pid-file or --prefer-ipv6; write it in full"),
        (getopt, "--fast-open=x", "--fast-open: this flag takes no value"),
        (getopt, "-p", "-p: a value is missing after it"),
        (gnu, "word --password", "--password: a value is missing after it"),
        (go_flags, "-x", "-x: there is no such flag"),
        (go_flags, "--x=1", "-x: there is no such flag"),
        (go_flags, "-vq", "-vq: there is no such flag"),
        (go_flags, "-v=maybe", "-v: this is true or false"),
        (go_flags, "-p", "-p: a value is missing after it"),
        (one_word, "-p8388", "-p8388: there is no such flag"),
        (one_word, "--fast", "--fast: there is no such flag"),
        (one_word, "-k", "-k: a value is missing after it"),
    ],
)
def test_what_has_not_the_form_is_a_sentence(syntax: Syntax, words: str, sentence: str) -> None:
    with pytest.raises(WrongFlagError) as caught:
        met(syntax, words)
    assert str(caught.value) == sentence


WORDS = st.lists(st.text(alphabet="-pkvq=word8:", max_size=8), max_size=6)


@pytest.mark.parametrize("syntax", [getopt, gnu, go_flags, one_word])
@given(words=WORDS)
def test_any_words_are_flags_or_a_sentence(syntax: Syntax, words: list[str]) -> None:
    with suppress(WrongFlagError):
        assert all(each.name in each.flag.names for each in syntax(FLAGS, words))
