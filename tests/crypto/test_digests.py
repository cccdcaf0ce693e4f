"""Digests: the same as the standard library's."""

from __future__ import annotations

import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st

from shadesocks.crypto.digests import blake2b, compare_digest, hmac_sha1, md5


@given(st.binary(max_size=200))
def test_they_are_those_of_hashlib(data: bytes) -> None:
    assert md5(data, usedforsecurity=False).digest() == hashlib.md5(data, usedforsecurity=False).digest()
    assert blake2b(data, digest_size=8).digest() == hashlib.blake2b(data, digest_size=8).digest()


@given(st.binary(max_size=100), st.binary(max_size=300))
def test_a_code_is_that_of_hmac(key: bytes, data: bytes) -> None:
    """Of a view, too, and for a key of any length."""
    code = hmac.digest(key, data, "sha1")
    assert hmac_sha1(key, data) == hmac_sha1(key, memoryview(bytearray(data))) == code
    assert compare_digest(code, memoryview(code))
    assert not compare_digest(code, code[:-1])
