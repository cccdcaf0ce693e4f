"""Addresses of documents: https:// only, but from this machine; no sentence repeats a part of one."""

from __future__ import annotations

import pytest

from shadesocks.config.hosts import UnfitError
from shadesocks.config.urls import URL_MAX, check_url, host_of, is_url


@pytest.mark.parametrize(
    "text", ["postgresql+psycopg://u:p@h/db", "postgresql://h/db", "sqlite:///a.db", "SQLITE:////tmp/a.db"]
)
def test_a_scheme_makes_a_url(text: str) -> None:
    assert is_url(text)


@pytest.mark.parametrize(
    "text", ["users.db", "/var/lib/a:b/users.db", "./postgresql:/x", "C:/users.db", "://x", "1x://y"]
)
def test_all_else_is_a_path(text: str) -> None:
    assert not is_url(text)


@pytest.mark.parametrize(
    ("text", "url", "host"),
    [
        ("https://h.example/a/b?c=d,e", "https://h.example/a/b?c=d,e", "h.example"),
        (" HTTPS://h.example:8443/a ", "https://h.example:8443/a", "h.example:8443"),
        ("ssconf://h.example/key.json#My%20server", "https://h.example/key.json", "h.example"),
        ("https://h.example", "https://h.example/", "h.example"),
        ("https://h.example?token=1", "https://h.example/?token=1", "h.example"),
        ("https://[2001:db8::1]:444/a", "https://[2001:db8::1]:444/a", "[2001:db8::1]:444"),
        ("http://127.0.0.1:8080/a", "http://127.0.0.1:8080/a", "127.0.0.1:8080"),
        ("http://[::1]/a", "http://[::1]/a", "[::1]"),
        ("http://localhost/a", "http://localhost/a", "localhost"),
    ],
)
def test_what_is_taken(text: str, url: str, host: str) -> None:
    assert check_url(text) == url
    assert check_url(url) == url
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "begins with https:// or ssconf://"),
        ("h.example/secret", "begins with https:// or ssconf://"),
        ("ftp://h.example/secret", "begins with https:// or ssconf://"),
        ("file:///secret", "begins with https:// or ssconf://"),
        ("https://h.example/a secret", "begins with https:// or ssconf://"),
        ("https://h.example/secret\r\nHost: x", "begins with https:// or ssconf://"),
        ("https://h.example/" + "secret" * URL_MAX, "begins with https:// or ssconf://"),
        ("https://" + "secret" * 100_000 + "#\nx", "begins with https:// or ssconf://"),  # at once, and not in hours
        ("https://h.example/sécret", "begins with https:// or ssconf://"),
        ("http://h.example/secret", "would let anybody on the way read the keys"),
        ("http://127.0.0.1.example/secret", "would let anybody on the way read the keys"),
        ("http://192.168.1.1/secret", "would let anybody on the way read the keys"),
        ("https://user:secret@h.example/", "no user and no password"),
        ("https://h.example:0/secret", "ports are numbers from 1 to 65535"),
        ("https://h.example:x/secret", "ports are numbers from 1 to 65535"),
        ("https:///secret", "the host is empty"),
        ("https://:443/secret", "the host is empty"),
        ("https://-h/secret", "this is no host name"),
    ],
)
def test_what_is_not_taken_and_why(text: str, sentence: str) -> None:
    with pytest.raises(UnfitError) as caught:
        check_url(text)
    assert sentence in str(caught.value)
    assert "secret" not in str(caught.value).replace("its secret stands in the path", "")
