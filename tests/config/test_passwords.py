"""The estimate of a password's strength: what must warn, and what must not."""

from __future__ import annotations

import base64
import random

import pytest

from shadesocks.config.passwords import ENOUGH_BITS, KEY_BYTES_DISTINCT, is_weak_key, strength


@pytest.mark.parametrize(
    "password",
    [
        "a",
        "12345678",
        "password",
        "Password123",
        "mypassword",
        "barfoo!",
        "qwertyuiop1",
        "aaaaaaaaaaaaaaaaaaaaaaaa",
        "abcabcabcabcabcabcabcabc",
        "abcdefghijklmnopqrstuvwxyz",
        "98765432109876543210",
        "Tr0ub4dor",
        "",
    ],
)
def test_weak(password: str) -> None:
    assert strength(password) < ENOUGH_BITS


@pytest.mark.parametrize(
    "password",
    ["mVt5-kd93Qpz_0Lr2xWc", "correct horse battery staple", "7f3b9c2e8a1d4056f2", "пароль из нескольких слов"],
)
def test_strong(password: str) -> None:
    assert strength(password) >= ENOUGH_BITS


@pytest.mark.parametrize("size", [16, 24, 32])
def test_random_keys_are_strong(size: int) -> None:
    source = random.Random(size)  # noqa: S311 - a fixed sequence for a test
    for _ in range(200):
        key = source.randbytes(size)
        assert strength(base64.b64encode(key).decode()) >= ENOUGH_BITS
        assert not is_weak_key(key)


def test_keys_that_are_not_random() -> None:
    assert is_weak_key(bytes(32))
    assert is_weak_key(b"ab" * 16)
    assert not is_weak_key(bytes(range(KEY_BYTES_DISTINCT)))
