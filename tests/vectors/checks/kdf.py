"""kdf.json: passwords, keys and subkeys."""

from __future__ import annotations

from shadesocks.core.errors import KeyTextError
from shadesocks.crypto import keys, subkeys, subkeys_2022
from shadesocks.crypto.methods import find_method
from shadesocks.crypto.stream import rc4_md5_key as key_of_stream
from shadesocks.crypto.table import table_of
from tests.vectors.vector import Mismatch, Vector, same


def evp_bytes_to_key(vector: Vector) -> str:
    """A password becomes a key of each length."""
    key = keys.evp_bytes_to_key(vector.text("password").encode(), vector.number("key_len"))
    same(key, vector.data("key_hex"), "key")
    return ""


def hkdf_sha1(vector: Vector) -> str:
    """A master key and a salt become an AEAD stream's key."""
    if "password" in vector and "method" in vector:
        (key,) = keys.parse_keys(find_method(vector.text("method")), vector.text("password"))
        same(key, vector.data("key_hex"), "key")
    same(subkeys.subkey_sha1(vector.data("key_hex"), vector.data("salt_hex")), vector.data("subkey_hex"), "subkey")
    return ""


def blake3_session(vector: Vector) -> str:
    """A pre-shared key and a salt become a 2022 stream's key."""
    same(
        subkeys_2022.subkey_blake3(vector.data("psk_hex"), vector.data("salt_hex")), vector.data("subkey_hex"), "subkey"
    )
    return ""


def blake3_identity(vector: Vector) -> str:
    """A pre-shared key and a salt become the key of an identity header."""
    same(
        subkeys_2022.identity_subkey(vector.data("psk_hex"), vector.data("salt_hex")),
        vector.data("subkey_hex"),
        "subkey",
    )
    return ""


def psk_hash(vector: Vector) -> str:
    """The name of a key in an identity header."""
    same(subkeys_2022.key_hash(vector.data("psk_hex")), vector.data("hash16_hex"), "hash")
    return ""


def psk_text(vector: Vector) -> str:
    """A configured password is read as keys, or refused."""
    method, text = find_method(vector.text("method")), vector.text("text")
    if "error" not in vector:
        same([key.hex() for key in keys.parse_keys(method, text)], vector.fields["keys_hex"], "keys")
        return ""
    try:
        keys.parse_keys(method, text)
    except KeyTextError as error:
        return error.code
    raise Mismatch("accepted")


def table(vector: Vector) -> str:
    """A password becomes the list of method table, and the way back."""
    (key,) = keys.parse_keys(find_method("table"), vector.text("password"))
    sealed, opened = table_of(key)
    same(sealed, vector.data("encrypt_table_hex"), "table that seals")
    same(opened, vector.data("decrypt_table_hex"), "table that opens")
    return ""


def rc4_md5_key(vector: Vector) -> str:
    """A key and an IV become the RC4 key of one stream."""
    same(key_of_stream(vector.data("key_hex"), vector.data("iv_hex")), vector.data("rc4_key_hex"), "key")
    return ""
