"""The method table: complete, consistent, and found by any spelling."""

from __future__ import annotations

import pytest

from shadesocks.crypto import stream
from shadesocks.crypto.aead import CIPHERS
from shadesocks.crypto.methods import ALIASES, METHODS, Edition, Method, find_method, is_ready

READY = {
    "aes-128-gcm": (16, 12, 0x3FFF),
    "aes-192-gcm": (24, 12, 0x3FFF),
    "aes-256-gcm": (32, 12, 0x3FFF),
    "chacha20-ietf-poly1305": (32, 12, 0x3FFF),
    "xchacha20-ietf-poly1305": (32, 24, 0x3FFF),
    "aes-128-ocb": (16, 12, 0x3FFF),
    "aes-192-ocb": (24, 12, 0x3FFF),
    "aes-256-ocb": (32, 12, 0x3FFF),
    "chacha20-poly1305": (32, 8, 0x3FFF),
    "2022-blake3-aes-128-gcm": (16, 12, 0xFFFF),
    "2022-blake3-aes-256-gcm": (32, 12, 0xFFFF),
    "2022-blake3-chacha20-poly1305": (32, 12, 0xFFFF),
}
"""Protocol §6 and §7: bytes of key and salt, of the nonce, of the longest payload of a chunk."""

ONLY_OLD = {"aes-128-ocb", "aes-192-ocb", "aes-256-ocb", "chacha20-poly1305"}
"""AEAD methods that only the last Python version spoke."""

OLD = {
    **{
        f"{block}-{size * 8}-{mode}": (size, 16)
        for block in ("aes", "camellia")
        for size in (16, 24, 32)
        for mode in ("cfb", "cfb1", "cfb8", "ofb", "ctr")
    },
    "bf-cfb": (16, 8),
    "cast5-cfb": (16, 8),
    "des-cfb": (8, 8),
    "idea-cfb": (16, 8),
    "rc2-cfb": (16, 8),
    "seed-cfb": (16, 16),
    "rc4": (16, 0),
    "rc4-md5": (16, 16),
    "rc4-md5-6": (16, 6),
    "salsa20": (32, 8),
    "salsa20-ctr": (32, 8),
    "chacha20": (32, 8),
    "chacha20-ietf": (32, 12),
    "xchacha20": (32, 24),
    "table": (0, 0),
}
"""Protocol §4: bytes of key and IV."""


@pytest.mark.parametrize("name", READY)
def test_sizes_of_the_methods_that_run(name: str) -> None:
    method = find_method(name)
    assert is_ready(method)
    assert (method.key_size, method.nonce_size, method.max_payload) == READY[name]
    assert method.salt_size == method.key_size


def test_exactly_these_and_none_run() -> None:
    assert {name for name, method in METHODS.items() if is_ready(method)} == {*READY, *OLD, "none"}


@pytest.mark.parametrize("name", OLD)
def test_sizes_of_the_stream_ciphers(name: str) -> None:
    method = find_method(name)
    assert (method.edition, method.key_size, method.salt_size) == (Edition.STREAM, *OLD[name])
    assert is_ready(method)


def test_what_is_legacy() -> None:
    assert {name for name, method in METHODS.items() if method.legacy} == {*OLD, *ONLY_OLD}


def test_every_stream_cipher_is_of_use() -> None:
    assert {find_method(name).cipher for name in OLD} == set(stream.CIPHERS)


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_each_row_is_consistent(method: Method) -> None:
    assert METHODS[method.name] is method
    assert method.name == method.name.lower()
    if method.edition is Edition.STREAM:
        stream.CIPHERS[method.cipher](bytes(method.key_size)).seal(bytes(method.salt_size))
    elif method.cipher:
        CIPHERS[method.cipher](bytes(method.key_size))
    assert bool(method.max_payload) == (method.edition in (Edition.AEAD, Edition.AEAD2022))
    assert method.name.startswith("2022-") == (method.edition is Edition.AEAD2022)


@pytest.mark.parametrize("alias", ALIASES)
def test_aliases_lead_to_a_row_and_hide_none(alias: str) -> None:
    assert find_method(alias) is METHODS[ALIASES[alias]]
    assert alias not in METHODS


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("AES-256-GCM", "aes-256-gcm"),
        ("AEAD_CHACHA20_POLY1305", "chacha20-ietf-poly1305"),
        ("Plain", "none"),
        ("aes-128-cfb128", "aes-128-cfb"),
        ("mbedtls:aes-256-cfb128", "aes-256-cfb"),
        ("mbedtls:camellia-128-cfb128", "camellia-128-cfb"),
        ("mbedtls:aes-192-ctr", "aes-192-ctr"),
        ("mbedtls:aes-256-gcm", "aes-256-gcm"),
        ("sodium:aes-256-gcm", "aes-256-gcm"),
        ("Sodium:ChaCha20", "chacha20"),
    ],
)
def test_spellings(spelling: str, name: str) -> None:
    assert find_method(spelling).name == name


def test_the_old_poly1305_is_not_the_ietf_one() -> None:
    assert find_method("chacha20-poly1305") is not find_method("chacha20-ietf-poly1305")


@pytest.mark.parametrize(
    "name", ["", "aes-512-gcm", " aes-256-gcm", "2022-blake3-aes-192-gcm", "mbedtls:none", "sodium:"]
)
def test_unknown_names(name: str) -> None:
    with pytest.raises(KeyError):
        find_method(name)
