"""Of many keys the one is found that a message was sealed with, and none where it was sealed with another."""

from __future__ import annotations

import pytest

from shadesocks.crypto.aead import CIPHERS, TAG_SIZE
from shadesocks.crypto.methods import METHODS, Edition, is_ready
from shadesocks.crypto.subkeys import subkey_sha1
from shadesocks.crypto.trial import Trial

AEAD = tuple(name for name, method in METHODS.items() if method.edition is Edition.AEAD and is_ready(method))
COUNT = 20


def keys_of(name: str) -> list[bytes]:
    return [number.to_bytes(METHODS[name].key_size) for number in range(1, COUNT + 1)]


def sealed(name: str, key: bytes, salt: bytes, plain: bytes) -> bytes:
    method = METHODS[name]
    out = bytearray(len(plain) + TAG_SIZE)
    CIPHERS[method.cipher](subkey_sha1(key, salt)).encrypt_into(bytes(method.nonce_size), plain, None, out)
    return bytes(out)


def trial(name: str, key: bytes, plain: bytes, begins: bytes = b"") -> Trial:
    salt = b"s" * METHODS[name].salt_size
    return Trial(METHODS[name], salt, sealed(name, key, salt, plain), begins)


@pytest.mark.parametrize("name", AEAD)
@pytest.mark.parametrize("size", [0, 2, 300, 65_519])
def test_the_one_that_fits_is_found(name: str, size: int) -> None:
    keys = keys_of(name)
    plain = (b"\3" + bytes(size))[:size]
    for key in (keys[0], keys[-1]):
        for begins in (b"", b"\1\3\4"):
            assert trial(name, key, plain, begins).find(keys) == key


@pytest.mark.parametrize("name", AEAD)
@pytest.mark.parametrize("size", [2, 300])
def test_nobody_elses_is(name: str, size: int) -> None:
    keys = keys_of(name)
    stranger = bytes(METHODS[name].key_size)
    assert trial(name, stranger, b"\1" * size, b"\1\3\4").find(keys) is None
    assert trial(name, keys[0], b"\1" * size).find([]) is None


@pytest.mark.parametrize("name", AEAD)
@pytest.mark.parametrize("size", [2, 300])
def test_what_is_damaged_is_nobodys(name: str, size: int) -> None:
    keys = keys_of(name)
    salt = b"s" * METHODS[name].salt_size
    good = sealed(name, keys[3], salt, b"\1" * size)
    for at in (0, size - 1, size, size + TAG_SIZE - 1):
        spoiled = bytearray(good)
        spoiled[at] ^= 1
        assert Trial(METHODS[name], salt, bytes(spoiled), b"\1\3\4").find(keys) is None, at


@pytest.mark.parametrize("name", ["aes-256-gcm", "chacha20-ietf-poly1305", "xchacha20-ietf-poly1305"])
def test_a_look_at_the_first_byte_spares_the_tag(name: str) -> None:
    """A long message whose first byte cannot be is refused without its tag, even with the right key."""
    keys = keys_of(name)
    assert trial(name, keys[0], b"\7" * 300, b"\1\3\4").find(keys) is None
    assert trial(name, keys[0], b"\7" * 100, b"\1\3\4").find(keys) == keys[0], "of a short one the tag is no dearer"
