"""Texts of links, plain and base64; everything else is left to other readers."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.config.link_list import LINE_MAX, find_links

ONE, TWO = "ss://YWVzLTI1Ni1nY206cHc@h.example:1#one", "ss://YWVzLTI1Ni1nY206cHc@h.example:2"
TEXT = f"\ufeff# mine\n\n{ONE}\r\n   {TWO}  \nssconf://h.example/a#b\nvmess://abc\nvmess://def\nrubbish\n"


def test_lines() -> None:
    found = find_links(TEXT)
    assert found is not None
    assert [(each.line, each.text) for each in found.servers] == [(3, ONE), (4, TWO)]
    assert [each.text for each in found.documents] == ["ssconf://h.example/a#b"]
    assert found.left_out == "lines that are no ss:// links are left out: 1 without a scheme, 2 of vmess://"


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes])
@pytest.mark.parametrize("padding", [True, False])
def test_base64(encode: object, padding: bool) -> None:
    for text in (ONE, f"{ONE}\n{TWO}\n", f"{ONE}\n??>>~~\n{TWO}"):
        coded = encode(text.encode()).decode()  # type: ignore[operator]
        found = find_links(coded if padding else coded.strip().rstrip("="))
        assert found is not None
        assert [each.text for each in found.servers] == [line for line in text.splitlines() if "://" in line]
        assert {each.line for each in found.servers} == {1}


def test_what_panels_write_before_it() -> None:
    found = find_links(f"STATUS=4.2GB left\nREMARKS=x\n{ONE}")
    assert found is not None
    assert (len(found.servers), found.left_out) == (1, "")


def test_no_shadowsocks_at_all() -> None:
    found = find_links("trojan://a\nvless://b")
    assert found is not None
    assert found.servers == found.documents == ()
    assert found.left_out.endswith("1 of trojan://, 1 of vless://")


def test_a_line_without_end() -> None:
    found = find_links(f"{ONE}\nss://{'x' * LINE_MAX}")
    assert found is not None
    assert [each.text for each in found.servers] == [ONE]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "# only a comment",
        "{}",
        f'{{"servers": ["{ONE}"]}}',
        f"// {ONE}\n{{}}",
        "hello",
        "aGVsbG8=",
        "e30=",
        "[]",
    ],
)
def test_other_texts(text: str) -> None:
    assert find_links(text) is None


@given(st.text())
def test_any_text(text: str) -> None:
    found = find_links(text)
    assert found is None or len(found.servers) + len(found.documents) <= len(text)
