"""Links are read by whoever was handed in, and what they say is judged like a file."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.config import load
from shadesocks.config.hosts import UnfitError
from shadesocks.config.links import NO_PREFIX, has_prefix
from shadesocks.config.load import config_from_links
from shadesocks.config.urls import check_url
from shadesocks.core.errors import ConfigError
from shadesocks.wire.uri import parse_link

from .samples import STRONG, text_of

LINK = f"ss://aes-256-gcm:{STRONG}@h.example:1"


def test_without_a_reader_a_link_is_a_problem() -> None:
    with pytest.raises(ConfigError, match="must pass read_link"):
        load(text_of(outbound_proxy=LINK))
    assert load(text_of(outbound_proxy="")).servers[0].outbound_proxy == ()


def test_the_reader_sees_the_text_as_it_stands() -> None:
    seen: list[str] = []

    def read_link(text: str) -> object:
        seen.append(text)
        return parse_link(text)

    load(text_of(outbound_proxy=LINK), read_link=read_link)  # type: ignore[arg-type]
    assert seen == [LINK]


def test_an_address_of_a_document_belongs_elsewhere() -> None:
    with pytest.raises(ConfigError, match=r"it belongs into online_config\.config_url") as caught:
        load(text_of(servers=["ssconf://h.example/secret"]), read_link=parse_link)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("/?outline=1&prefix=POST%20", True),
        ("?prefix=%16%03%01#tag", True),
        ("/?prefix=&outline=1", False),
        ("/?outline=1#?prefix=x", False),
        ("/?plugin=obfs-local%3Bobfs-host%3Dprefix=x", False),
        ("#prefix=x", False),
    ],
)
def test_a_prefix_of_outline_has_no_effect_and_says_so(query: str, told: bool) -> None:
    text = f"{LINK}{query}"
    assert has_prefix(text) == told
    config = load(json.dumps({"servers": [text]}), read_link=parse_link)
    assert [warning.text == NO_PREFIX for warning in config.warnings] == [True] * told


def test_the_prefix_is_told_however_the_link_came() -> None:
    text = f"{LINK}/?outline=1&prefix=POST%20"
    for config in (
        config_from_links([text], parse_link, role="local"),
        load(None, overrides={"server_url": text}, read_link=parse_link),
        load(f"{text}\n", read_link=parse_link),
    ):
        assert [warning.text for warning in config.warnings] == [NO_PREFIX]


WHOLE = f"ss://aes-256-gcm:{STRONG}@h.example:1/?plugin=v2ray-plugin%3Bhost%3D{STRONG}#tag"
PIECES = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        (
            "%00",
            "%0a",
            "%1b[2J",
            "%",
            "%zz",
            "\n",
            "\x00",
            "\x1b[2J",
            "\ud800",
            "\u202e",
            "@",
            "#",
            "?",
            "/",
            "[::1",
            "${HOME}",
        )
    ),
)


@given(st.integers(0, len(WHOLE)), st.integers(0, 3), PIECES, st.booleans())
def test_a_damaged_link_is_a_clean_error_or_a_server(at: int, lost: int, piece: str, is_document: bool) -> None:
    text = WHOLE[:at] + piece + WHOLE[at + lost :]
    if is_document:
        text = text.replace("ss://", "ssconf://", 1)
    told = ""
    try:
        config = config_from_links([text], parse_link, role="local")
    except ConfigError as error:
        told = "; ".join(problem.text for problem in error.problems)
    else:
        assert config.online is not None or config.servers[0].remarks.isprintable()
    assert told.isprintable()
    assert STRONG not in told or "the plugin " in told  # where it stands in the place of the name


@given(st.text(), PIECES)
def test_what_is_no_address_of_a_document_is_unfit(text: str, piece: str) -> None:
    for each in (text, f"https://h.example/{text}{piece}", f"ssconf://{piece}{text}"):
        told = ""
        try:
            assert check_url(each).startswith(("https://", "http://"))
        except UnfitError as unfit:
            told = str(unfit)
        assert told.isprintable()
