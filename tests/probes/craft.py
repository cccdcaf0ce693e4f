"""Handshakes made by hand, good ones and every kind of bad one, from the specification and not from our package.

Called by the probe table, which needs bytes our own client would never send. A second implementation on purpose:
a mistake in the package's codec must not be able to hide in the tests. Only TCP, only the client's side.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import os
import struct
import time
from collections.abc import Sequence
from typing import Final, Protocol

from blake3 import blake3
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SALTS: Final = {"aes-128-gcm": 16, "aes-192-gcm": 24, "2022-blake3-aes-128-gcm": 16}
"""Key and salt sizes; 32 for every method not named here."""


class _Aead(Protocol):
    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...


def is_2022(method: str) -> bool:
    return method.startswith("2022-")


def salt_size(method: str) -> int:
    return SALTS.get(method, 32)


def _quarter(s: list[int], a: int, b: int, c: int, d: int) -> None:
    for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        s[x] = (s[x] + s[y]) & 0xFFFFFFFF
        mixed = s[z] ^ s[x]
        s[z] = (mixed << turn | mixed >> (32 - turn)) & 0xFFFFFFFF


def hchacha20(key: bytes, nonce: bytes) -> bytes:
    """The subkey of XChaCha20 (draft-irtf-cfrg-xchacha §2.2): the ChaCha20 block function without its last addition."""
    s = list(struct.unpack("<16L", b"expand 32-byte k" + key + nonce))
    for _ in range(10):
        for column in range(4):
            _quarter(s, column, column + 4, column + 8, column + 12)
        for column in range(4):
            _quarter(s, column, 4 + (column + 1) % 4, 8 + (column + 2) % 4, 12 + (column + 3) % 4)
    return struct.pack("<8L", *s[:4], *s[12:])


class _XChaCha20Poly1305:
    def __init__(self, key: bytes) -> None:
        self._key = key

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes:
        inner = ChaCha20Poly1305(hchacha20(self._key, nonce[:16]))
        return inner.encrypt(bytes(4) + nonce[16:], data, associated_data)


def master_key(method: str, password: str) -> bytes:
    """The pre-shared key of 2022, EVP_BytesToKey otherwise (protocol §3)."""
    if is_2022(method):
        return base64.b64decode(password)
    key = block = b""
    while len(key) < salt_size(method):
        block = hashlib.md5(block + password.encode(), usedforsecurity=False).digest()
        key += block
    return key[: salt_size(method)]


class Sealer:
    """One direction of one stream: seals pieces with the nonce that comes next."""

    def __init__(self, method: str, password: str, salt: bytes) -> None:
        key = master_key(method, password)
        if is_2022(method):
            subkey = blake3(key + salt, derive_key_context="shadowsocks 2022 session subkey").digest(len(key))
        else:
            sha1 = hashes.SHA1()  # noqa: S303 - SIP004 names it
            subkey = HKDF(sha1, len(key), salt, b"ss-subkey").derive(key)
        self._nonce_size = 24 if method.startswith("xchacha20") else 12
        self._aead: _Aead
        if "aes" in method:
            self._aead = AESGCM(subkey)
        elif self._nonce_size == 24:
            self._aead = _XChaCha20Poly1305(subkey)
        else:
            self._aead = ChaCha20Poly1305(subkey)
        self._count = itertools.count()

    def seal(self, piece: bytes) -> bytes:
        return self._aead.encrypt(next(self._count).to_bytes(self._nonce_size, "little"), piece, None)

    def chunk(self, payload: bytes, *, size: int | None = None) -> bytes:
        """Length and payload; `size` lies about the length."""
        return self.seal(struct.pack("!H", len(payload) if size is None else size)) + self.seal(payload)


class Crafter:
    """Makes the first flight of clients of one method and password. Every salt is new unless given."""

    def __init__(self, method: str, password: str) -> None:
        self.method = method
        self.password = password

    def _open(self, salt: bytes | None = None) -> tuple[bytes, Sealer]:
        salt = salt or os.urandom(salt_size(self.method))
        return salt, Sealer(self.method, self.password, salt)

    def good(self, address: bytes, first: bytes = b"", *, shift: int = 0, kind: int = 0, padding: bytes = b"") -> bytes:
        """A handshake as it should be; `shift` moves the clock, `kind` is the header type (0: a client's)."""
        if not is_2022(self.method):
            return self.chunks([address + first])
        if not first:
            padding = padding or b"\x00"
        return self.variable(address + struct.pack("!H", len(padding)) + padding + first, shift=shift, kind=kind)

    def chunks(self, payloads: Sequence[bytes], *, size: int | None = None) -> bytes:
        """AEAD: the chunks as given; `size` lies about the first one's length."""
        salt, sealer = self._open()
        head, *rest = payloads
        return salt + sealer.chunk(head, size=size) + b"".join(sealer.chunk(payload) for payload in rest)

    def variable(self, body: bytes, *, shift: int = 0, stamp: int | None = None, kind: int = 0) -> bytes:
        """2022: a fixed header and a variable header with this body, whatever is in it."""
        salt, sealer = self._open()
        stamp = int(time.time()) + shift if stamp is None else stamp
        return salt + sealer.seal(struct.pack("!BQH", kind, stamp, len(body))) + sealer.seal(body)


def tag_of(key: bytes) -> bytes:
    """What names a key in an identity header (SIP023): the first 16 bytes of its BLAKE3 hash."""
    return blake3(key).digest(16)


def block(key: bytes, plain: bytes) -> bytes:
    """One block of AES."""
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(plain)  # noqa: S305 - one block, as SIP023 has it


class IdentityCrafter(Crafter):
    """Makes the first flight of clients of a server with users: behind the salt one header that names somebody."""

    def __init__(self, method: str, server: str, user: str, *, named: str | None = None) -> None:
        """`server` is the server's key, `user` the one that seals; `named` is the one in the header, where it lies."""
        super().__init__(method, user)
        self._server = master_key(method, server)
        self._tag = tag_of(master_key(method, named or user))

    def _open(self, salt: bytes | None = None) -> tuple[bytes, Sealer]:
        salt, sealer = super()._open(salt)
        state = blake3(self._server + salt, derive_key_context="shadowsocks 2022 identity subkey")
        return salt + block(state.digest(len(self._server)), self._tag), sealer


def bad_addresses(port: int) -> dict[str, bytes]:
    """Address headers against the rules, which authenticate all the same (protocol §2)."""
    tail = struct.pack("!H", port)
    return {
        **{f"atyp {kind:#04x}": bytes([kind, 127, 0, 0, 1]) + tail for kind in (0, 2, 5, 0x11, 0xFF)},
        "empty name": b"\x03\x00" + tail,
        "name with NUL": b"\x03\x0a127.0.0.\x001" + tail,
        "name with line feed": b"\x03\x0alocalhost\n" + tail,
    }
