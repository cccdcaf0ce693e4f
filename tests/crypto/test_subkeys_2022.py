"""Subkeys of 2022: of everything they should depend on, and of nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.crypto.subkeys import subkey_sha1
from shadesocks.crypto.subkeys_2022 import identity_subkey, key_hash, subkey_blake3


@pytest.mark.parametrize("size", [16, 32])
def test_a_subkey_depends_on_key_salt_and_purpose(size: int) -> None:
    derivations = (subkey_sha1, subkey_blake3, identity_subkey)
    key, salt = bytes(range(size)), bytes(range(100, 100 + size))
    assert len({derive(key, salt) for derive in derivations}) == len(derivations)
    for derive in derivations:
        subkey = derive(key, salt)
        assert len(subkey) == size
        assert derive(salt, key) != subkey
        assert derive(key, salt[:-1] + b"\0") != subkey


def test_a_subkey_of_16_bytes_begins_the_output_for_the_same_material() -> None:
    assert subkey_blake3(bytes(32), bytes(8))[:16] == subkey_blake3(bytes(16), bytes(24))


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_key_hash_names_a_key(one: bytes, other: bytes) -> None:
    assert len(key_hash(one)) == 16
    assert (key_hash(one) == key_hash(other)) == (one == other)
