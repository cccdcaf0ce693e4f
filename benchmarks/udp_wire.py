"""The client's half of Shadowsocks UDP, for the load: sessions that seal ahead of time, and open to check.

As `wire.py`: apart from the codec of the server that is measured, and not for
real use. Of the 2022 edition only the two AES methods.
"""

from __future__ import annotations

import hmac
import os
import struct
import time
from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Final

from blake3 import blake3
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .wire import TAG, Account, Method

Endpoint = tuple[str, int]

ADDRESS: Final = 7  # bytes of an IPv4 target
CONTEXT: Final = "shadowsocks 2022 session subkey"


def pack_address(endpoint: Endpoint) -> bytes:
    return b"\x01" + IPv4Address(endpoint[0]).packed + struct.pack(">H", endpoint[1])


def subkey(account: Account, salt: bytes) -> bytes:
    """The key of one datagram (older methods) or of one session (2022; the salt is its id)."""
    if account.method.is_2022:
        return blake3(account.key + salt, derive_key_context=CONTEXT).digest(account.method.size)
    # HKDF-SHA1, spelled out: a tenth of the time of an object for each of a hundred thousand datagrams.
    secret = hmac.digest(salt, account.key, "sha1")
    first = hmac.digest(secret, b"ss-subkey\x01", "sha1")
    return (first + hmac.digest(secret, first + b"ss-subkey\x02", "sha1"))[: account.method.size]


def answer_size(method: Method, size: int) -> int:
    """Bytes on the wire of an answer that carries `size` bytes from an IPv4 address, without padding."""
    head = 16 + 1 + 8 + 8 + 2 if method.is_2022 else method.salt_size
    return head + ADDRESS + size + (0 if method.is_old else TAG)


class WrongAnswer(Exception):
    """A datagram came that opens to something else than was due."""


class Session:
    """One client: its session id and packet ids (2022), and the source address it speaks from."""

    def __init__(self, account: Account, source: str = "127.0.0.1", session_id: bytes | None = None) -> None:
        self._account = account
        self.source = source
        self.id = os.urandom(8) if session_id is None else session_id
        self._next = 0
        if account.method.is_2022:
            self._encrypt = Cipher(algorithms.AES(account.key), modes.ECB()).encryptor().update  # noqa: S305 - SIP022
            self._cipher = AESGCM(subkey(account, self.id))

    def seal(self, target: Endpoint, payload: bytes, now: float | None = None) -> bytes:
        """A datagram that no server has seen yet. 2022: good for 30 s from now."""
        plain = pack_address(target) + payload
        if not self._account.method.is_2022:
            return seal_under(self._account, os.urandom(self._account.method.salt_size), plain)
        separate = self.id + struct.pack(">Q", self._next)
        self._next += 1
        stamp = int(time.time() if now is None else now)
        body = struct.pack(">BQH", 0, stamp, 0) + plain
        return self._encrypt(separate) + self._cipher.encrypt(separate[4:], body, None)

    def open(self, datagram: bytes) -> tuple[Endpoint, bytes]:
        """Who answered, and with what; raises when that was not an answer to this session (2022)."""
        answered, sender, payload = open_answer(self._account, datagram)
        if answered and answered != self.id:
            raise WrongAnswer("it belongs to another session")
        return sender, payload


def open_answer(account: Account, datagram: bytes) -> tuple[bytes, Endpoint, bytes]:
    """The session that is answered (2022; else nothing), who answers, and with what."""
    method, answered = account.method, b""
    if method.is_2022:
        block = Cipher(algorithms.AES(account.key), modes.ECB()).decryptor()  # noqa: S305 - SIP022 names ECB
        separate = block.update(datagram[:16])
        plain = AESGCM(subkey(account, separate[:8])).decrypt(separate[4:], datagram[16:], None)
        kind, _stamp, answered, padding = struct.unpack_from(">BQ8sH", plain)
        if kind != 1:
            raise WrongAnswer(f"it has the type {kind}")
        plain = plain[19 + padding :]
    else:
        salt, sealed = datagram[: method.salt_size], datagram[method.salt_size :]
        if method.is_old:
            plain = method.cipher(account.key).decrypt(salt, sealed, None)
        else:
            plain = method.cipher(subkey(account, salt)).decrypt(bytes(method.nonce_size), sealed, None)
    if plain[:1] != b"\x01":
        raise WrongAnswer("it does not come from an IPv4 address")
    return answered, (str(IPv4Address(plain[1:5])), int.from_bytes(plain[5:7], "big")), plain[ADDRESS:]


def seal_under(account: Account, salt: bytes, plain: bytes) -> bytes:
    """A datagram of the older methods; one of the ancestors' has neither a subkey nor a tag."""
    if account.method.is_old:
        return salt + account.method.cipher(account.key).encrypt(salt, plain, None)
    return salt + account.method.cipher(subkey(account, salt)).encrypt(bytes(account.method.nonce_size), plain, None)


def sources(count: int, net: int = 1) -> list[str]:
    """That many addresses in 127.`net`.0.0/16."""
    return [f"127.{net}.{number // 250}.{number % 250 + 1}" for number in range(count)]


def make_sessions(account: Account, count: int, net: int = 1) -> list[Session]:
    """That many clients, each with an address of its own."""
    return [Session(account, source) for source in sources(count, net)]


def seal_all(sessions: Sequence[Session], target: Endpoint, size: int, count: int) -> list[bytes]:
    """`count` datagrams of `size` bytes of payload, the sessions in turns; each payload begins with its number."""
    now, rest = time.time(), bytes(size - 8)
    return [
        sessions[number % len(sessions)].seal(target, struct.pack(">Q", number) + rest, now) for number in range(count)
    ]
