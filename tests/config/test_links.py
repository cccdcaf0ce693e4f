"""Links are read by whoever was handed in, and what they say is judged like a file."""

from __future__ import annotations

import json

import pytest

from shadesocks.config import load
from shadesocks.config.links import NO_PREFIX, has_prefix
from shadesocks.config.load import config_from_links
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
