"""Links: every form of SIP002 in, one form out, and no secret in what goes wrong."""

from __future__ import annotations

import base64
import re
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.core.errors import ProtocolError, ShadesocksError
from shadesocks.crypto.methods import METHODS, Edition
from shadesocks.wire.uri import Link, UriError, format_link, parse_link

KEY_16 = base64.b64encode(bytes(range(200, 216))).decode()
KEY_32 = base64.b64encode(bytes(range(200, 232))).decode()
PLAIN = Link("aes-256-gcm", "pw", "example.com", 443)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "text",
    [
        "ss://YWVzLTI1Ni1nY206cHc@example.com:443",
        "ss://YWVzLTI1Ni1nY206cHc=@example.com:443/",
        "ss://YWVzLTI1Ni1nY206cHc%3D@example.com:443/?unknown=1&plugin=",
        "ss://aes-256-gcm:pw@example.com:443",
        "ss://AES-256-GCM:%70%77@example.com:443/some/path",
        "SS://aes-256-gcm:pw@example.com:443",
        "  ss://aes-256-gcm:pw@example.com:443\n",
        "ss://" + b64("aes-256-gcm:pw@example.com:443"),
        "ss://" + b64("aes-256-gcm:pw@example.com:443").rstrip("="),
        "ss://" + b64("aes-256-gcm:pw@example.com:443").replace("=", "%3D") + "/",
    ],
)
def test_every_form_reads_as_the_same_link(text: str) -> None:
    assert parse_link(text) == PLAIN


def test_password_of_the_plain_form_starts_after_the_first_colon() -> None:
    assert parse_link("ss://aes-256-gcm:a:b:c@h:1") == Link("aes-256-gcm", "a:b:c", "h", 1)


def test_userinfo_ends_at_the_last_at_sign() -> None:
    assert parse_link("ss://aes-256-gcm:a@b/c@h:1") == Link("aes-256-gcm", "a@b/c", "h", 1)


def test_legacy_password_may_hold_every_separator() -> None:
    link = parse_link("ss://" + b64("aes-256-cfb:a@b:c/#?d@[2001:db8::1]:8388") + "#home")
    assert link == Link("aes-256-cfb", "a@b:c/#?d", "2001:db8::1", 8388, tag="home")


def test_both_base64_alphabets_are_read() -> None:
    standard = b64("aes-256-gcm:~~??>>ÿÿ")
    assert set("+/") & set(standard)
    url = standard.replace("+", "-").replace("/", "_").rstrip("=")
    for userinfo in (standard, url):
        assert parse_link(f"ss://{userinfo}@h:1") == Link("aes-256-gcm", "~~??>>ÿÿ", "h", 1)


def test_key_of_2022_is_read_encoded_raw_and_from_base64() -> None:
    method = "2022-blake3-aes-256-gcm"
    encoded = KEY_32.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
    for userinfo in (f"{method}:{encoded}", f"{method}:{KEY_32}", b64(f"{method}:{KEY_32}")):
        assert parse_link(f"ss://{userinfo}@h:1").password == KEY_32


@pytest.mark.parametrize(
    ("query", "plugin", "options"),
    [
        ("", None, None),
        ("?plugin=", None, None),
        ("?plugin=%3Ba%3Db", None, None),
        ("?plugin=obfs-local", "obfs-local", None),
        ("?plugin=obfs-local%3B", "obfs-local", None),
        ("?plugin=obfs-local;obfs=http", "obfs-local", "obfs=http"),
        ("?x=1&plugin=v2ray-plugin%3Bpath%3D%2Fa%5C%3Bb&y", "v2ray-plugin", r"path=/a\;b"),
        ("?plugin=p%3Ba+b%2Bc", "p", "a b+c"),
    ],
)
def test_plugin(query: str, plugin: str | None, options: str | None) -> None:
    for path in ("", "/"):
        link = parse_link("ss://aes-256-gcm:pw@h:1" + path + query)
        assert (link.plugin, link.plugin_opts) == (plugin, options)


@pytest.mark.parametrize(
    ("suffix", "tag"), [("", None), ("#", ""), ("#a%20b+c", "a b+c"), ("#%E2%98%83", "☃"), ("#a?b@c#d", "a?b@c#d")]
)
def test_tag(suffix: str, tag: str | None) -> None:
    assert parse_link("ss://aes-256-gcm:pw@h:1" + suffix).tag == tag


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "bad_scheme"),
        ("ss:/aes-256-gcm:pw@h:1", "bad_scheme"),
        ("https://example.com", "bad_scheme"),
        ("ss://", "bad_userinfo"),
        ("ss://%%%", "bad_userinfo"),
        ("ss://@h:1", "bad_userinfo"),
        ("ss://!!!@h:1", "bad_userinfo"),
        ("ss://ünïcode@h:1", "bad_userinfo"),
        ("ss://YWVzLTI1Ni1nY20@h:1", "bad_userinfo"),
        ("ss://__46eA@h:1", "bad_userinfo"),
        ("ss://aes-256-gcm:%ff@h:1", "bad_userinfo"),
        ("ss://aes-256-gcm:\udcff@h:1", "bad_userinfo"),
        ("ss://aes-256-gcm:pw@h:1#\udcff", "bad_userinfo"),
        ("ss://" + b64("aes-256-gcm:pw"), "bad_userinfo"),
        ("ss://" + b64("pw@example.com:443"), "bad_userinfo"),
        ("ss://" + b64("aes-256-gcm:pw@example.com"), "bad_port"),
        ("ss://aes-256-gcm:pw@", "bad_host"),
        ("ss://aes-256-gcm:pw@:443", "bad_host"),
        ("ss://aes-256-gcm:pw@2001:db8::1:443", "bad_host"),
        ("ss://aes-256-gcm:pw@[2001:db8::zz]:443", "bad_host"),
        ("ss://aes-256-gcm:pw@[192.0.2.1]:443", "bad_host"),
        ("ss://aes-256-gcm:pw@[2001:db8::1:443", "bad_host"),
        ("ss://aes-256-gcm:pw@a b:443", "bad_host"),
        ("ss://aes-256-gcm:pw@" + "a" * 256 + ":443", "bad_host"),
        ("ss://aes-256-gcm:pw@h", "bad_port"),
        ("ss://aes-256-gcm:pw@h:", "bad_port"),
        ("ss://aes-256-gcm:pw@[2001:db8::1]", "bad_port"),
        ("ss://aes-256-gcm:pw@h:0", "bad_port"),
        ("ss://aes-256-gcm:pw@h:65536", "bad_port"),
        ("ss://aes-256-gcm:pw@h:-1", "bad_port"),
        ("ss://aes-256-gcm:pw@h:٤٤٣", "bad_port"),
        ("ss://aes-256-gcm:pw@h:" + "1" * 5000, "bad_port"),
        ("ss://foo:pw@h:1", "bad_method"),
        ("ss://:pw@h:1", "bad_method"),
        ("ss://2022-blake3-aes-256-gcm:" + KEY_16 + "@h:1", "bad_key"),
        ("ss://2022-blake3-aes-256-gcm:no%20key@h:1", "bad_key"),
        ("ss://2022-blake3-aes-256-gcm:@h:1", "bad_key"),
        ("ss://2022-blake3-chacha20-poly1305:" + KEY_32 + ":" + KEY_32 + "@h:1", "bad_key"),
    ],
)
def test_what_is_no_link_is_refused_with_its_word(text: str, code: str) -> None:
    with pytest.raises(UriError) as caught:
        parse_link(text)
    assert caught.value.code == code
    assert isinstance(caught.value, ProtocolError)


@pytest.mark.parametrize(
    "text",
    [
        "ss://aes-256-gcm:hunter2secret@h",
        "ss://hunter2secret:pw@h:1",
        "ss://hunter2secret@h:1",
        "ss://hunter2secret",
        "hunter2secret://h:1",
        "ss://aes-256-gcm:hunter2secret%ff@h:1",
        "ss://" + b64("aes-256-gcm:hunter2secret\udcff".encode(errors="replace").decode()) + "@[hunter2secret]:1",
        "ss://2022-blake3-aes-256-gcm:hunter2secret@h:1",
        "ss://aes-256-gcm:pw@hunter2secret:hunter2secret",
    ],
)
def test_an_error_and_all_it_drags_along_repeat_nothing_of_the_link(text: str) -> None:
    with pytest.raises(UriError) as caught:
        parse_link(text)
    error: BaseException | None = caught.value
    shown = "".join(traceback.format_exception(caught.value))
    assert "hunter2secret" not in "\n".join(line for line in shown.splitlines() if "UriError" in line)
    while error is not None:
        assert "hunter2secret" not in repr(error.args)
        assert not hasattr(error, "object"), "a codec error carries the bytes it failed on"
        error = error.__cause__ or error.__context__


def test_repr_hides_the_password_and_the_options() -> None:
    shown = repr(Link("aes-256-gcm", "hunter2", "h", 1, "plugin", "key=hunter2", "tag"))
    assert "hunter2" not in shown
    assert "aes-256-gcm" in shown


def test_2022_is_written_percent_encoded_and_others_as_base64() -> None:
    method = "2022-blake3-aes-256-gcm"
    text = format_link(Link(method, KEY_32, "h", 1))
    assert text == f"ss://{method}:{KEY_32.replace('+', '%2B').replace('/', '%2F').replace('=', '%3D')}@h:1"
    assert format_link(PLAIN) == "ss://YWVzLTI1Ni1nY206cHc@example.com:443"


def test_slash_stands_before_a_query_only() -> None:
    link = Link("aes-256-gcm", "pw", "2001:db8::1", 443, "p", r"a=\;b", "ä b")
    assert format_link(link) == "ss://YWVzLTI1Ni1nY206cHc@[2001:db8::1]:443/?plugin=p%3Ba%3D%5C%3Bb#%C3%A4%20b"


def test_method_is_written_in_lower_case() -> None:
    assert parse_link(format_link(Link("AES-256-GCM", "pw", "h", 1))).method == "aes-256-gcm"


def test_name_beyond_ascii_is_written_as_idna() -> None:
    text = format_link(Link("aes-256-gcm", "pw", "bücher.example", 443))
    assert text.isascii()
    assert parse_link(text).host == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("link", "code"),
    [
        (Link("foo", "pw", "h", 1), "bad_method"),
        (Link("2022-blake3-aes-256-gcm", "pw", "h", 1), "bad_key"),
        (Link("aes-256-gcm", "\ud800", "h", 1), "bad_key"),
        (Link("none", "\ud800", "h", 1), "bad_key"),
        (Link("aes-256-gcm", "pw", "", 1), "bad_host"),
        (Link("aes-256-gcm", "pw", "a/b", 1), "bad_host"),
        (Link("aes-256-gcm", "pw", "a:b", 1), "bad_host"),
        (Link("aes-256-gcm", "pw", "h", 0), "bad_port"),
        (Link("aes-256-gcm", "pw", "h", 65536), "bad_port"),
    ],
)
def test_what_parse_would_refuse_is_not_written(link: Link, code: str) -> None:
    with pytest.raises(UriError) as caught:
        format_link(link)
    assert caught.value.code == code


def test_what_is_no_text_in_a_tag_is_replaced() -> None:
    assert parse_link(format_link(Link("aes-256-gcm", "pw", "h", 1, tag="a\ud800"))).tag == "a?"


TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
METHOD = st.sampled_from(sorted(name for name, method in METHODS.items() if method.edition is not Edition.AEAD2022))
HOST = st.one_of(
    st.from_regex(re.compile(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z]{1,10}){0,3}", re.ASCII), fullmatch=True),
    st.ip_addresses().map(str),
)


@given(
    METHOD,
    TEXT,
    HOST,
    st.integers(1, 65535),
    st.one_of(st.none(), st.text(st.characters(codec="utf-8", exclude_characters=";"), min_size=1, max_size=20)),
    TEXT,
    st.one_of(st.none(), TEXT),
)
def test_round_trip(
    method: str, password: str, host: str, port: int, plugin: str | None, options: str, tag: str | None
) -> None:
    link = Link(method, password, host, port, plugin, (options or None) if plugin else None, tag)
    text = format_link(link)
    assert text.isascii()
    assert parse_link(text) == link
    assert format_link(parse_link(text)) == text


@given(st.binary(min_size=32, max_size=32), HOST, st.integers(1, 65535))
def test_round_trip_of_keys(key: bytes, host: str, port: int) -> None:
    link = Link("2022-blake3-chacha20-poly1305", base64.b64encode(key).decode(), host, port)
    assert parse_link(format_link(link)) == link


def test_error_is_one_of_ours() -> None:
    assert issubclass(UriError, ShadesocksError)
