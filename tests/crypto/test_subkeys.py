"""Subkeys of AEAD streams: HKDF as the RFC writes it, of everything it should depend on."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.crypto.subkeys import deriver_sha1, subkey_sha1


def by_the_rfc(key: bytes, salt: bytes) -> bytes:
    """RFC 5869 §2.2 and §2.3, up to 40 bytes."""
    extracted = hmac.digest(salt, key, "sha1")
    first = hmac.digest(extracted, b"ss-subkey\x01", "sha1")
    return (first + hmac.digest(extracted, first + b"ss-subkey\x02", "sha1"))[: len(key)]


@pytest.mark.parametrize("size", [16, 24, 32])
@given(material=st.binary(min_size=64, max_size=64))
def test_a_subkey_is_the_one_of_the_rfc(size: int, material: bytes) -> None:
    key, salt = material[:size], material[-size:]
    assert deriver_sha1(key)(salt) == subkey_sha1(key, salt) == by_the_rfc(key, salt)


def test_a_subkey_depends_on_key_and_salt() -> None:
    key, salt = bytes(range(32)), bytes(range(100, 132))
    subkey = subkey_sha1(key, salt)
    assert len(subkey) == 32
    assert subkey_sha1(salt, key) != subkey
    assert subkey_sha1(key, salt[:-1] + b"\0") != subkey
