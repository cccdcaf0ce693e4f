"""Links to proxies that are no Shadowsocks servers: what is taken, and the sentence for what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.config import ProxyConfig
from shadesocks.config.hops import parse_proxy, scheme_of
from shadesocks.config.hosts import UnfitError
from shadesocks.core.address import Address
from shadesocks.core.secret import Secret


@pytest.mark.parametrize(
    ("link", "proxy"),
    [
        ("socks5://127.0.0.1", ProxyConfig("socks5", Address("127.0.0.1", 1080))),
        ("SOCKS5H://h.example:1/", ProxyConfig("socks5", Address("h.example", 1))),
        ("socks://[::1]", ProxyConfig("socks5", Address("::1", 1080))),
        (" http://h.example ", ProxyConfig("http", Address("h.example", 80))),
        ("http://[fe80::1%eth0]:8080", ProxyConfig("http", Address("fe80::1%eth0", 8080))),
        ("socks5://u:p@h:1", ProxyConfig("socks5", Address("h", 1), "u", Secret("p"))),
        ("socks5://u@h:1", ProxyConfig("socks5", Address("h", 1), "u")),
        ("socks5://:@h:1", ProxyConfig("socks5", Address("h", 1))),
        ("http://a%3ab%40:p@q:r%2F%C3%A9@h", None),
        ("http://a%40:p@q:r%2F%C3%A9@h", ProxyConfig("http", Address("h", 80), "a@", Secret("p@q:r/é"))),
        ("socks5://a%3ab:p@h", ProxyConfig("socks5", Address("h", 1080), "a:b", Secret("p"))),
        ("socks5://u:${NAME}@h", ProxyConfig("socks5", Address("h", 1080), "u", Secret("from outside"))),
    ],
)
def test_proxies(link: str, proxy: ProxyConfig | None) -> None:
    if proxy is None:
        with pytest.raises(UnfitError, match="cannot hold a colon"):
            parse_proxy(link, {})
    else:
        assert parse_proxy(link, {"NAME": "from outside"}) == proxy


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("", "begins with ss://, socks5:// or http://"),
        ("127.0.0.1:1080", "begins with ss://, socks5:// or http://"),
        ("vmess://hunter2@h:1", "begins with ss://, socks5:// or http://"),
        ("https://h:1", "only http:// is spoken"),
        ("socks4://h:1", "socks5:// is spoken"),
        ("socks5://", "the host is empty"),
        ("socks5://u:hunter2@", "the host is empty"),
        ("socks5://hunter2 x:1", "this is no host name"),
        ("socks5://h:99999", "ports are numbers from 1 to 65535"),
        ("socks5://h:1/hunter2", "ends with its host and port"),
        ("socks5://u:12/34@h:1", "ends with its host and port"),
        ("socks5://u:hunter#2@h:1", "ends with its host and port"),
        ("socks5://h:1?x=hunter2", "ends with its host and port"),
        ("socks5://:hunter2@h:1", "a password without a user"),
        ("socks5://u:hunter2%ff@h:1", "UTF-8, percent-encoded"),
        ("socks5://u:${HUNTER}@h:1", "the environment has no variable HUNTER"),
        (f"socks5://u:{'hunter2' * 40}@h:1", "255 bytes at most"),
        (f"socks5://{'hunter2' * 40}:p@h:1", "255 bytes at most"),
    ],
)
def test_what_is_no_proxy_has_a_sentence_that_repeats_nothing(link: str, words: str) -> None:
    with pytest.raises(UnfitError) as caught:
        parse_proxy(link, {})
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@given(st.text())
def test_only_one_error_on_any_text(text: str) -> None:
    for link in (text, f"socks5://{text}", f"http://{text}"):
        try:
            parse_proxy(link, {})
        except UnfitError:
            continue


def test_schemes() -> None:
    assert [scheme_of(text) for text in ("SS://x", " ss://x", "x", "ss:x")] == ["ss", "ss", "", ""]


def test_a_proxy_shows_no_password() -> None:
    assert "hunter2" not in repr(parse_proxy("http://u:hunter2@h", {}))
