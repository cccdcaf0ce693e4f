"""A client and a server of stream ciphers, and of one-time auth, made by hand from the specification (protocol §4, §5).

Only aes-256-ctr, which every OpenSSL has: what is looked at here is what stands around a cipher.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from dataclasses import replace
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from shadesocks.config.model import Mode, ServerConfig
from shadesocks.core.address import Address
from shadesocks.core.secret import Secret
from shadesocks.crypto.methods import find_method
from tests.service.rig import HOST

METHOD: Final = "aes-256-ctr"
PASSWORD: Final = "Xei9-ohM7*quah4Aiqu"
IV_SIZE: Final = 16
HASH_SIZE: Final = 10


def _key() -> bytes:
    """EVP_BytesToKey with MD5 (protocol §3)."""
    first = hashlib.md5(PASSWORD.encode(), usedforsecurity=False).digest()
    return first + hashlib.md5(first + PASSWORD.encode(), usedforsecurity=False).digest()


KEY: Final = _key()


def stream_config(**changes: object) -> ServerConfig:
    """A server of the method, over TCP and UDP."""
    entry = ServerConfig(Address(HOST, 0), find_method(METHOD), Secret(PASSWORD), mode=Mode.TCP_AND_UDP)
    return replace(entry, **changes)  # type: ignore[arg-type]  # names of fields


class Coder:
    """One direction: seals or opens, which are the same here."""

    def __init__(self, iv: bytes) -> None:
        self._update = Cipher(algorithms.AES(KEY), modes.CTR(iv)).encryptor().update

    def code(self, data: bytes) -> bytes:
        """Seal or open the next bytes."""
        return self._update(data)


def hashed(key: bytes, data: bytes) -> bytes:
    """The first 80 bits of HMAC-SHA1."""
    return hmac.digest(key, data, "sha1")[:HASH_SIZE]


class StreamClient:
    """What one client sends."""

    def __init__(self, iv: bytes = b"") -> None:
        self.iv = iv or os.urandom(IV_SIZE)
        self._coder = Coder(self.iv)
        self._number = 0

    def plain(self, target: Address, payload: bytes = b"") -> bytes:
        """A request without one-time auth."""
        return self.iv + self._coder.code(target.pack() + payload)

    def flagged(self, target: Address, *, spoil: bool = False) -> bytes:
        """A request with one-time auth; `spoil` breaks its hash."""
        packed = target.pack()
        head = bytes((packed[0] | 0x10,)) + packed[1:]
        mac = hashed(self.iv + KEY, head)
        return self.iv + self._coder.code(head + (bytes(HASH_SIZE) if spoil else mac))

    def chunk(self, payload: bytes, *, spoil: bool = False, size: int | None = None) -> bytes:
        """A chunk of it; `size` lies."""
        mac = hashed(self.iv + struct.pack("!I", self._number), payload)
        self._number += 1
        size = len(payload) if size is None else size
        return self._coder.code(struct.pack("!H", size) + (bytes(HASH_SIZE) if spoil else mac) + payload)

    def more(self, payload: bytes) -> bytes:
        """More payload without one-time auth."""
        return self._coder.code(payload)


def opened(data: bytes) -> bytes:
    """What one direction says, IV and all."""
    return Coder(data[:IV_SIZE]).code(data[IV_SIZE:])


def datagram(target: Address, payload: bytes, iv: bytes = b"") -> bytes:
    """A client's datagram."""
    iv = iv or os.urandom(IV_SIZE)
    return iv + Coder(iv).code(target.pack() + payload)
