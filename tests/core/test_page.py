"""Pages: what an http:// URL names, and what is none."""

from __future__ import annotations

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import LocalProtocolError
from shadesocks.core.page import parse_page

PAGES = {
    "http://detectportal.firefox.com/success.txt": (("detectportal.firefox.com", 80), "detectportal.firefox.com"),
    "HTTP://Example.COM": (("example.com", 80), "example.com"),
    "http://example.com:8080/?a=b": (("example.com", 8080), "example.com:8080"),
    "http://[2001:db8::1]:81/": (("2001:db8::1", 81), "[2001:db8::1]:81"),
    "http://192.0.2.1/x": (("192.0.2.1", 80), "192.0.2.1"),
    "http://bücher.example/": (("xn--bcher-kva.example", 80), "xn--bcher-kva.example"),
}


@pytest.mark.parametrize(("url", "said"), PAGES.items())
def test_pages(url: str, said: tuple[tuple[str, int], str]) -> None:
    page = parse_page(url)
    assert (page.target, page.authority) == (Address(*said[0]), said[1])


@pytest.mark.parametrize(
    "url",
    [
        *("", "example.com", "https://example.com/", "http://", "http:///x", "http://user@example.com/"),
        *("http://example.com:0x50/", "http://example.com:99999/", "http://[::1/", "http://example.com/ü"),
        *("http://example.com/a b", f"http://{'a' * 300}/", "http://a b/"),
    ],
)
def test_what_is_no_page(url: str) -> None:
    with pytest.raises(LocalProtocolError) as refused:
        parse_page(url)
    assert refused.value.code == "bad_url"
