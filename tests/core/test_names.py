"""Names as rules compare them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.core.names import NAME_MAX, fold_name, labels_of


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("example.com", "example.com"),
        ("WWW.Example.COM", "www.example.com"),
        ("example.com.", "example.com"),
        ("localhost", "localhost"),
        ("_dmarc.ex-ample.com", "_dmarc.ex-ample.com"),
        ("Bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example.", "xn--bcher-kva.example"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ("a" * 255, "a" * 255),
        ("a" * 255 + ".", "a" * 255),
    ],
)
def test_one_form(host: str, name: str) -> None:
    assert fold_name(host) == name


@pytest.mark.parametrize(
    "host",
    ["", ".", "..", "a..b", ".a", "a..", "a b", "a\n", "\0", "a\x7f", "a" * 256, "ü" * 255, "ü..a", "\ud800", "\u00ad"],
)
def test_no_name(host: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        fold_name(host)


@given(st.one_of(st.text(max_size=40), st.text(st.sampled_from("aA1.-_ü。ß\u200d\u2024\uff0e"), max_size=40)))
def test_folding_twice_changes_nothing(host: str) -> None:
    try:
        name = fold_name(host)
    except ValueError:
        return
    assert fold_name(name) == name
    assert fold_name(f"{name}.") == name
    assert name.isascii()
    assert name == name.lower()
    assert len(name) <= NAME_MAX


def test_labels() -> None:
    assert labels_of("Bücher.Example.") == [b"xn--bcher-kva", b"example"]
    longest = ".".join(["a" * 63] * 3 + ["b" * 61])
    assert len(labels_of(longest)) == 4
    for host in (longest + "b", "x" * 64, "", "a..b"):
        with pytest.raises(ValueError, match=r"."):
            labels_of(host)
