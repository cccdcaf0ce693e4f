"""The client's half of Shadowsocks TCP, written for a load generator: seal ahead of time, open only to check.

Kept apart from `shadesocks` on purpose: a bench that shared the codec of the
server it measures would agree with its mistakes. Streams are sealed into
memory before a clock starts, so that during a sample the load side makes
nothing but system calls. Not for real use: nothing here is silent or safe.
"""

from __future__ import annotations

import base64
import os
import struct
from dataclasses import dataclass
from hashlib import md5
from ipaddress import AddressValueError, IPv4Address
from typing import Final, Protocol

from blake3 import blake3
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .old_wire import AesCfb, OldChaCha20, Rc4Md5, StreamCipher

TAG: Final = 16
LENGTH_CHUNK: Final = 2 + TAG


class Aead(Protocol):
    """What the three ciphers have in common."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None, /) -> bytes: ...
    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None, /) -> bytes: ...


class XChaCha20Poly1305:
    """XChaCha20-Poly1305 out of ChaCha20: a subkey by HChaCha20, then the cipher of RFC 8439."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None, /) -> bytes:
        return self._inner(nonce).encrypt(bytes(4) + nonce[16:], data, associated_data)

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None, /) -> bytes:
        return self._inner(nonce).decrypt(bytes(4) + nonce[16:], data, associated_data)

    def _inner(self, nonce: bytes) -> ChaCha20Poly1305:
        # One block of ChaCha20 is state + rounds(state); HChaCha20 wants rounds(state) alone, in the
        # words where `state` is known: 0-3 (the constants) and 12-15 (the nonce).
        block = Cipher(algorithms.ChaCha20(self._key, nonce[:16]), None).encryptor().update(bytes(64))
        words = struct.unpack("<16I", block)
        known = struct.unpack("<8I", b"expand 32-byte k" + nonce[:16])
        out = [(words[i] - word) & 0xFFFFFFFF for i, word in zip((0, 1, 2, 3, 12, 13, 14, 15), known, strict=True)]
        return ChaCha20Poly1305(struct.pack("<8I", *out))


@dataclass(frozen=True, slots=True)
class Method:
    """A cipher as the load side needs it. `size` is that of key and of salt; what is old has a vector for a salt."""

    name: str
    size: int
    cipher: type[AESGCM] | type[ChaCha20Poly1305] | type[XChaCha20Poly1305] | type[StreamCipher]
    nonce_size: int = 12

    @property
    def is_2022(self) -> bool:
        return self.name.startswith("2022-")

    @property
    def is_old(self) -> bool:
        """Of the ancestors: a stream cipher, with nothing that says whether what came is what was sent."""
        return issubclass(self.cipher, StreamCipher)

    @property
    def salt_size(self) -> int:
        return self.nonce_size if self.is_old else self.size

    @property
    def overhead(self) -> int:
        """Bytes that the wire has for a chunk beside its payload."""
        return 0 if self.is_old else LENGTH_CHUNK + TAG

    @property
    def max_payload(self) -> int:
        """The largest chunk the edition allows, which is what fast clients send. The old ones know none."""
        return 0xFFFF if self.is_2022 or self.is_old else 0x3FFF


METHODS: Final = {
    method.name: method
    for method in (
        Method("aes-128-gcm", 16, AESGCM),
        Method("aes-256-gcm", 32, AESGCM),
        Method("chacha20-ietf-poly1305", 32, ChaCha20Poly1305),
        Method("xchacha20-ietf-poly1305", 32, XChaCha20Poly1305, 24),
        Method("2022-blake3-aes-128-gcm", 16, AESGCM),
        Method("2022-blake3-aes-256-gcm", 32, AESGCM),
        Method("2022-blake3-chacha20-poly1305", 32, ChaCha20Poly1305),
        Method("aes-256-cfb", 32, AesCfb, 16),
        Method("chacha20", 32, OldChaCha20, 8),
        Method("rc4-md5", 16, Rc4Md5, 16),
    )
}


@dataclass(frozen=True, slots=True)
class Account:
    """A method, and the password that both ends are configured with."""

    method: Method
    password: str

    @property
    def key(self) -> bytes:
        if self.method.is_2022:
            return base64.b64decode(self.password)
        key = block = b""
        while len(key) < self.method.size:
            block = md5(block + self.password.encode(), usedforsecurity=False).digest()
            key += block
        return key[: self.method.size]


def make_account(method: Method) -> Account:
    """A fresh random password. Hex for the older methods, since it travels inside links and command lines."""
    random = os.urandom(method.size)
    return Account(method, base64.b64encode(random).decode() if method.is_2022 else random.hex())


def pack_target(target: tuple[str, int]) -> bytes:
    """An IPv4 address or a name, and a port, as SOCKS5 and Shadowsocks write them."""
    host, port = target
    try:
        packed = b"\x01" + IPv4Address(host).packed
    except AddressValueError:
        packed = struct.pack(">BB", 3, len(host)) + host.encode("ascii")
    return packed + struct.pack(">H", port)


class Cipherer:
    """One direction of one connection: a session key and its nonce counter."""

    def __init__(self, method: Method, key: bytes, salt: bytes) -> None:
        if method.is_2022:
            subkey = blake3(key + salt, derive_key_context="shadowsocks 2022 session subkey").digest(method.size)
        else:
            subkey = HKDF(SHA1(), method.size, salt, b"ss-subkey").derive(key)  # noqa: S303 - SIP004 names SHA-1
        self._aead: Aead = method.cipher(subkey)
        self._nonce_size = method.nonce_size
        self._count = 0

    def _nonce(self) -> bytes:
        nonce = self._count.to_bytes(self._nonce_size, "little")
        self._count += 1
        return nonce

    def seal(self, data: bytes) -> bytes:
        return self._aead.encrypt(self._nonce(), data, None)

    def open(self, data: bytes) -> bytes:
        return self._aead.decrypt(self._nonce(), data, None)


class OldCipherer:
    """The same of an old method, which goes on where it stopped."""

    def __init__(self, method: Method, key: bytes, salt: bytes) -> None:
        cipher = method.cipher(key)
        assert isinstance(cipher, StreamCipher)
        self.seal, self.open = cipher.sealing(salt), cipher.opening(salt)


def make_cipherer(account: Account, salt: bytes) -> Cipherer | OldCipherer:
    return (OldCipherer if account.method.is_old else Cipherer)(account.method, account.key, salt)


class Sealer:
    """The client's stream to the server: first `head`, then any number of `chunk`."""

    def __init__(self, account: Account, salt: bytes | None = None) -> None:
        self._method = account.method
        self.salt = os.urandom(account.method.salt_size) if salt is None else salt
        self._cipherer = make_cipherer(account, self.salt)

    def head(self, target: tuple[str, int], first: bytes, now: int) -> bytes:
        """Salt, address and first payload: what a client sends in its first write.

        The same salt and the same arguments give the same size, so that a
        stream sealed earlier can have its head replaced by one with a later `now`.
        (With an old method what follows may open to something else then: one that only counts bytes does not mind.)
        """
        address = pack_target(target)
        if not self._method.is_2022:
            return self.salt + self.chunk(address + first)
        variable = address + struct.pack(">H", 0) + first
        fixed = struct.pack(">BQH", 0, now, len(variable))
        return self.salt + self._cipherer.seal(fixed) + self._cipherer.seal(variable)

    def chunk(self, data: bytes) -> bytes:
        if self._method.is_old:
            return self._cipherer.seal(data)
        return self._cipherer.seal(struct.pack(">H", len(data))) + self._cipherer.seal(data)

    def fill(self, out: bytearray, at: int, size: int) -> int:
        """Write chunks that carry `size` zero bytes to `out` from `at`; return where they end."""
        whole = bytes(min(size, self._method.max_payload))
        while size:
            sealed = self.chunk(whole[:size])
            out[at : at + len(sealed)] = sealed
            at += len(sealed)
            size -= min(size, len(whole))
        return at


class Opener:
    """The server's stream to the client, opened to check it; slow and simple."""

    def __init__(self, account: Account, request_salt: bytes) -> None:
        self._account = account
        self._request_salt = request_salt
        self._buffer = bytearray()
        self._cipherer: Cipherer | OldCipherer | None = None
        self._wanted: int | None = None
        self._first = True

    def feed(self, data: bytes) -> bytes:
        """Return the plaintext that became complete with `data`; raises when a tag or a header is wrong."""
        self._buffer += data
        plain = b""
        method = self._account.method
        if self._cipherer is None:
            if len(self._buffer) < method.salt_size:
                return plain
            self._cipherer = make_cipherer(self._account, self._take(method.salt_size))
        if method.is_old:
            return self._cipherer.open(self._take(len(self._buffer)))
        while True:
            if self._wanted is None:
                size = answer_header_size(method) if self._first and method.is_2022 else LENGTH_CHUNK
                if len(self._buffer) < size:
                    return plain
                self._wanted = self._length(self._cipherer.open(self._take(size)))
                self._first = False
            if len(self._buffer) < self._wanted + TAG:
                return plain
            plain += self._cipherer.open(self._take(self._wanted + TAG))
            self._wanted = None

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _length(self, header: bytes) -> int:
        if len(header) > 2 and (header[0] != 1 or header[9:-2] != self._request_salt):
            raise ValueError("the response header has the wrong type, or is not an answer to this request")
        return int.from_bytes(header[-2:], "big")


def answer_header_size(method: Method) -> int:
    """The sealed first header of a 2022 response (type, stamp, request salt, length)."""
    return 1 + 8 + method.size + 2 + TAG


def answer_size(method: Method, size: int) -> int:
    """Bytes on the wire of a first answer of `size` bytes in one chunk."""
    header = answer_header_size(method) + TAG if method.is_2022 else method.overhead
    return method.salt_size + header + size


def upload_size(method: Method, size: int) -> int:
    """Bytes on the wire of `size` bytes in the largest chunks (without the head)."""
    chunks = -(-size // method.max_payload)
    return size + chunks * method.overhead
