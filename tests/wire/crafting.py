"""AEAD-2022 datagrams made by hand, with anything in them: SIP022 §3.2 written once more, over the bare ciphers."""

from __future__ import annotations

from struct import pack
from typing import Final

from blake3 import blake3
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shadesocks.crypto.aead import XChaCha20Poly1305
from shadesocks.crypto.methods import METHODS

from .codecs import key_of

UP: Final = 0
DOWN: Final = 1
_SUBKEY: Final = "shadowsocks 2022 session subkey"


def up(stamp: int, message: bytes, padding: bytes = b"", kind: int = UP, announced: int | None = None) -> bytes:
    """The body of a client's packet; `announced` is the size of the padding as the header states it."""
    return pack(">BQH", kind, stamp, len(padding) if announced is None else announced) + padding + message


def down(
    stamp: int,
    client_id: bytes,
    message: bytes,
    padding: bytes = b"",
    kind: int = DOWN,
    announced: int | None = None,
) -> bytes:
    """The body of a server's packet to a client."""
    size = len(padding) if announced is None else announced
    return pack(">BQ", kind, stamp) + client_id + pack(">H", size) + padding + message


def craft(name: str, session_id: bytes, packet_id: int, body: bytes, nonce: bytes = b"n" * 24) -> bytes:
    """Cover a body with the method's fixed key, as anybody who has the key can."""
    key, separate = key_of(name), session_id + packet_id.to_bytes(8)
    if METHODS[name].cipher == "aes-gcm":
        block = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(separate)  # noqa: S305 - SIP022's
        subkey = blake3(key + session_id, derive_key_context=_SUBKEY).digest(len(key))
        return block + AESGCM(subkey).encrypt(separate[4:], body, None)
    sealed = bytearray(len(separate) + len(body) + 16)
    XChaCha20Poly1305(key).encrypt_into(nonce, separate + body, None, sealed)
    return nonce + bytes(sealed)
