"""Name servers: addresses, URLs and words, each in every spelling; what cannot be one; what cannot stand together."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.config import Config
from shadesocks.config.hosts import UnfitError
from shadesocks.config.nameservers import WORDS, parse_name_server, written
from shadesocks.core.nameserver import NameServer, Transport

from .samples import look, problems, text_of

UDP, TCP, TLS, HTTPS = Transport.UDP, Transport.TCP, Transport.TLS, Transport.HTTPS


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("1.1.1.1", NameServer(UDP, "1.1.1.1", 53)),
        ("1.1.1.1:5353", NameServer(UDP, "1.1.1.1", 5353)),
        ("udp://1.1.1.1", NameServer(UDP, "1.1.1.1", 53)),
        ("TCP://1.1.1.1:54", NameServer(TCP, "1.1.1.1", 54)),
        ("2620:fe::fe", NameServer(UDP, "2620:fe::fe", 53)),
        ("[2620:fe::fe]", NameServer(UDP, "2620:fe::fe", 53)),
        ("[2620:fe::fe]:54", NameServer(UDP, "2620:fe::fe", 54)),
        ("tcp://2620:fe::fe", NameServer(TCP, "2620:fe::fe", 53)),
        ("fe80::1%eth0", NameServer(UDP, "fe80::1%eth0", 53)),
        ("[fe80::1%eth0]:54", NameServer(UDP, "fe80::1%eth0", 54)),
        ("tls://1.1.1.1", NameServer(TLS, "1.1.1.1", 853, "1.1.1.1")),
        ("tls://[fe80::1%eth0]:1", NameServer(TLS, "fe80::1%eth0", 1, "fe80::1")),
        ("tls://8.8.8.8#dns.google", NameServer(TLS, "8.8.8.8", 853, "dns.google")),
        ("https://dns.example", NameServer(HTTPS, "dns.example", 443, "", "/dns-query")),
        ("https://dns.example:8443/x/y?z", NameServer(HTTPS, "dns.example", 8443, "", "/x/y?z")),
        ("https://dns.example/", NameServer(HTTPS, "dns.example", 443, "", "/")),
        ("https://dns.example/dns-query{?dns}", NameServer(HTTPS, "dns.example", 443, "", "/dns-query")),
        ("https://[::1]/q", NameServer(HTTPS, "::1", 443, "", "/q")),
        ("system", NameServer(Transport.SYSTEM)),
        ("SYSTEM", NameServer(Transport.SYSTEM)),
    ],
)
def test_name_servers(text: str, server: NameServer) -> None:
    assert parse_name_server(text) == (server,)
    (again,) = written([server])
    assert parse_name_server(again) == (server,)


def test_words() -> None:
    words = {f"{name}{suffix}" for name in ("google", "cloudflare", "quad9") for suffix in ("", "_tls", "_https")}
    assert WORDS.keys() == words | {"system"}
    for word in words:
        servers = parse_name_server(word)
        assert len({server.host for server in servers}) == len(servers) == 4
        assert sum(":" in server.host for server in servers) == 2
    assert parse_name_server("google")[2] == NameServer(UDP, "2001:4860:4860::8888", 53)
    assert parse_name_server("cloudflare_tls")[0] == NameServer(TLS, "1.1.1.1", 853, "cloudflare-dns.com")
    assert parse_name_server("quad9_https")[0] == NameServer(HTTPS, "9.9.9.9", 443, "dns.quad9.net", "/dns-query")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dns.example", "a name server is an IP address, a URL"),
        ("opendns", "one of the words system, google"),
        ("tls://dns.google", "as in tls://8.8.8.8#dns.google"),
        ("quic://1.1.1.1", "a URL that begins with udp://, tcp://, tls://, https://"),
        ("1.1.1.1#x", "asked in the clear has no certificate"),
        ("https://1.1.1.1/#x", "must show its host"),
        ("https://1.1.1.1#x", "must show its host"),
        ("tls://1.1.1.1#", "the host is empty"),
        ("unix:///run/dns.sock", "Unix sockets"),
        ("1.1.1.1:0", "ports are numbers"),
        ("https://", "the host is empty"),
        ("https://h/a b", "characters that no URL has"),
        ("https://u:hunter2@h/", "have no login"),
        ("https://h:0/", "ports are numbers"),
        ("1.1.1", "a name server is an IP address"),
        ("", "a name server is an IP address"),
    ],
)
def test_no_name_servers(text: str, words: str) -> None:
    with pytest.raises(UnfitError) as caught:
        parse_name_server(text)
    assert words in str(caught.value)
    assert "hunter2" not in str(caught.value)


@given(st.text(alphabet="0123456789.:/[]%#@{?}udptlshs ") | st.text())
def test_only_one_error_on_any_text(text: str) -> None:
    for link in (text, f"tls://{text}", f"https://{text}"):
        try:
            servers = parse_name_server(link)
        except UnfitError:
            continue
        assert tuple(server for again in written(servers) for server in parse_name_server(again)) == servers


# In a configuration


def dns(value: object) -> tuple[NameServer, ...]:
    report = look(text_of(dns=value))
    assert report.config is not None, report.problems
    return report.config.dns


def test_a_text_with_commas_is_a_list() -> None:
    expected = (NameServer(UDP, "1.1.1.1", 53), NameServer(TCP, "::1", 53))
    for value in ("1.1.1.1, tcp://[::1]:53,", ["1.1.1.1", "tcp://::1"], ["1.1.1.1,tcp://::1", "1.1.1.1"]):
        assert dns(value) == expected
    assert dns("") == dns([]) == dns(None) == Config().dns == ()
    assert dns("google") == WORDS["google"]


@pytest.mark.parametrize("key", ["dns", "dns_server", "nameserver"])
def test_its_other_names(key: str) -> None:
    config = look(text_of({key: "8.8.8.8"}), strict=True).config
    assert config is not None
    assert config.dns == (NameServer(UDP, "8.8.8.8", 53),)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("system,1.1.1.1", "system is the system's own resolver, which stands alone; remove it, or the others"),
        (["system", "google_tls"], "system is the system's own resolver, which stands alone; remove it, or the others"),
        (
            "google,quad9_https",
            "plain and encrypted name servers stand side by side, so names would go out in the clear now and then; "
            "keep the ones or the others",
        ),
        (
            {"name_servers": []},
            'an object of resolver options cannot be had here; write the name servers as text, as in "dns": '
            '"1.1.1.1, 9.9.9.9"',
        ),
        (["1.1.1.1", ["9.9.9.9"]], "expected a list of texts, found a list in a list"),
        (
            ["1.1.1.1", "unix://x"],
            "item 2: name servers on Unix sockets are not supported; give an IP address and a port",
        ),
        (
            53,
            "expected name servers: text in quotes, commas between several, or a list of texts, found 53",
        ),
        (
            [53],
            "expected name servers: text in quotes, commas between several, or a list of texts, found 53",
        ),
    ],
)
def test_what_cannot_be(value: object, sentence: str) -> None:
    assert problems(text_of(dns=value)) == [f"c.json:1: dns: {sentence}"]


def test_encrypted_ones_of_both_kinds_stand_together() -> None:
    assert dns("google_tls,quad9_https") == WORDS["google_tls"] + WORDS["quad9_https"]


def test_the_times_of_the_cache() -> None:
    config = look(text_of(dns_cache_size=0, dns_ttl_min="60", dns_ttl_max=60)).config
    assert config is not None
    assert (config.dns_cache_size, config.dns_ttl_min, config.dns_ttl_max) == (0, 60, 60)
    assert problems(json.dumps({"dns_ttl_min": 61, "dns_ttl_max": 60}, indent=0)) == [
        "c.json:3: dns_ttl_max: dns_ttl_max (60 s) is less than dns_ttl_min (61 s); change one of them"
    ]
    assert problems(text_of(dns_ttl_min=7200)) == [
        "c.json:1: dns_ttl_min: dns_ttl_max (3600 s) is less than dns_ttl_min (7200 s); change one of them"
    ]
