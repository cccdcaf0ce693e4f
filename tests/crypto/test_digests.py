"""Digests: the same as the standard library's."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from shadesocks.crypto.digests import blake2b, md5


@given(st.binary(max_size=200))
def test_they_are_those_of_hashlib(data: bytes) -> None:
    assert md5(data, usedforsecurity=False).digest() == hashlib.md5(data, usedforsecurity=False).digest()
    assert blake2b(data, digest_size=8).digest() == hashlib.blake2b(data, digest_size=8).digest()
