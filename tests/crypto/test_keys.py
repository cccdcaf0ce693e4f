"""Keys: texts that are keys or are refused."""

from __future__ import annotations

import base64
from hashlib import md5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.core.errors import KeyTextError
from shadesocks.crypto.keys import evp_bytes_to_key, make_key_text, parse_keys
from shadesocks.crypto.methods import METHODS, Edition, Method, find_method

AES_128 = find_method("2022-blake3-aes-128-gcm")
AES_256 = find_method("2022-blake3-aes-256-gcm")
CHACHA = find_method("2022-blake3-chacha20-poly1305")
METHODS_2022 = (AES_128, AES_256, CHACHA)


def text_of(key: bytes) -> str:
    return base64.b64encode(key).decode()


def refusal(name: str, text: str) -> KeyTextError:
    with pytest.raises(KeyTextError) as caught:
        parse_keys(find_method(name), text)
    return caught.value


@given(st.binary(max_size=100), st.integers(0, 70))
def test_evp_is_a_chain_of_which_shorter_keys_are_the_beginning(password: bytes, size: int) -> None:
    key = evp_bytes_to_key(password, size)
    assert len(key) == size
    assert evp_bytes_to_key(password, 80).startswith(key)
    first = md5(password, usedforsecurity=False).digest()
    second = md5(first + password, usedforsecurity=False).digest()
    assert evp_bytes_to_key(password, 32) == first + second


@pytest.mark.parametrize("method", METHODS_2022, ids=lambda method: method.name)
@given(material=st.binary(min_size=32, max_size=32))
def test_a_2022_key_is_read_with_and_without_its_padding(method: Method, material: bytes) -> None:
    key = material[: method.key_size]
    assert parse_keys(method, text_of(key)) == (key,)
    assert parse_keys(method, text_of(key).rstrip("=")) == (key,)


def test_identity_keys_come_first() -> None:
    keys = tuple(bytes([value]) * 16 for value in (1, 2, 3))
    assert parse_keys(AES_128, ":".join(map(text_of, keys))) == keys


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("2022-blake3-aes-256-gcm", text_of(bytes(16)), "key_length"),
        ("2022-blake3-aes-128-gcm", text_of(bytes(32)), "key_length"),
        ("2022-blake3-aes-128-gcm", text_of(bytes(17)), "key_length"),
        ("2022-blake3-aes-128-gcm", "", "key_length"),
        ("2022-blake3-aes-128-gcm", "====", "key_length"),
        ("2022-blake3-aes-128-gcm", text_of(bytes(16)) + ":", "key_length"),
        ("2022-blake3-aes-128-gcm", "correct horse", "bad_base64"),
        ("2022-blake3-aes-128-gcm", text_of(b"\xff" * 16).replace("/", "_"), "bad_base64"),
        ("2022-blake3-aes-128-gcm", text_of(bytes(16)) + "\n", "bad_base64"),
        ("2022-blake3-aes-128-gcm", "ключ", "bad_base64"),
        ("2022-blake3-chacha20-poly1305", text_of(bytes(32)) + ":" + text_of(bytes(32)), "eih_not_supported"),
    ],
)
def test_texts_that_are_no_keys(name: str, text: str, code: str) -> None:
    assert refusal(name, text).code == code


def test_a_refusal_never_repeats_the_text() -> None:
    for text in ("hunter2", "hunter2hunter2hunter2aaa", "hunter2:hunter2"):
        error = refusal("2022-blake3-aes-256-gcm", text)
        assert "hunter2" not in str(error)
        assert "32" in str(error) or "base64" in str(error)


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_any_text_is_the_password_of_an_older_method(text: str) -> None:
    assert parse_keys(find_method("aes-256-gcm"), text) == (evp_bytes_to_key(text.encode(), 32),)


@given(st.text(max_size=60))
def test_any_text_is_keys_or_a_refusal(text: str) -> None:
    for method in METHODS_2022:
        try:
            keys = parse_keys(method, text)
        except KeyTextError as error:
            assert error.code in {"key_length", "bad_base64", "eih_not_supported"}  # noqa: PT017 - one of two ends
        else:
            assert {len(key) for key in keys} == {method.key_size}


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_the_key_of_table_is_the_password(text: str) -> None:
    assert parse_keys(find_method("table"), text) == (text.encode(),)


def test_none_has_no_key() -> None:
    assert parse_keys(find_method("none"), "whatever") == ()


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_a_made_key_is_one_of_its_method(method: Method) -> None:
    asked: list[int] = []

    def random(size: int) -> bytes:
        asked.append(size)
        return bytes(range(size))

    text = make_key_text(method, random)
    assert len(base64.b64decode(text, validate=True)) == asked[0] >= 8
    keys = parse_keys(method, text)
    if method.edition is Edition.AEAD2022:
        assert keys == (bytes(range(method.key_size)),)


# Keys instead of passwords


def test_a_raw_key_is_taken_as_it_is() -> None:
    key = bytes(range(0xE0, 0x100))
    for text in (base64.urlsafe_b64encode(key).decode(), base64.b64encode(key).decode().rstrip("=")):
        assert parse_keys(METHODS["aes-256-gcm"], text, raw=True) == (key,)
        assert parse_keys(METHODS["aes-256-cfb"], text, raw=True) == (key,)
        assert parse_keys(METHODS["2022-blake3-aes-256-gcm"], text, raw=True) == (key,)


def test_a_raw_key_has_the_size_of_its_method() -> None:
    with pytest.raises(KeyTextError) as caught:
        parse_keys(METHODS["aes-128-gcm"], base64.b64encode(bytes(15)).decode(), raw=True)
    assert caught.value.code == "key_length"
