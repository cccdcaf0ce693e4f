"""Datagrams made and opened by hand, good ones and bad ones, from the specification and not from our package.

Called by the UDP probes, for either side: they are a client towards our server, and a server towards our client.
A second implementation on purpose, as `craft.py` is for TCP (protocol §6, §7.5 to §7.7).
"""

from __future__ import annotations

import os
import struct
import time
from dataclasses import dataclass
from typing import Final

from blake3 import blake3
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tests.socks_udp import Address, parse_address

from .craft import block, hchacha20, is_2022, master_key, salt_size, tag_of

REQUEST, REPLY = 0, 1
"""The types of a 2022 header."""
ID_MAX: Final = (1 << 64) - 1

_Aead = AESGCM | ChaCha20Poly1305


def new_session() -> bytes:
    return os.urandom(8)


@dataclass(frozen=True, slots=True)
class Opened:
    """What an authentic datagram says; an AEAD datagram has no header, so only the last two."""

    session: bytes
    packet_id: int
    kind: int
    stamp: int
    client_session: bytes
    """Whom a reply is for; empty in a request."""
    address: Address
    payload: bytes


class UdpCrafter:
    """Seals and opens the datagrams of one method and password; whose ids and sessions they bear, the caller says."""

    def __init__(self, method: str, password: str) -> None:
        self.method = method
        self.is_2022 = is_2022(method)
        self._key = master_key(method, password)

    # -- what stands inside

    def header(
        self,
        *,
        kind: int = REQUEST,
        shift: int = 0,
        stamp: int | None = None,
        client_session: bytes = b"",
        padding: bytes = b"",
        padlen: int | None = None,
    ) -> bytes:
        """What precedes the address in 2022, nothing in AEAD; `shift` moves the clock, `padlen` lies."""
        if not self.is_2022:
            return b""
        stamp = int(time.time()) + shift if stamp is None else stamp
        padlen = len(padding) if padlen is None else padlen
        return struct.pack("!BQ", kind, stamp) + client_session + struct.pack("!H", padlen) + padding

    def request(
        self, address: bytes, payload: bytes, session: bytes, packet_id: int, *, shift: int = 0, padding: bytes = b""
    ) -> bytes:
        """A client's datagram as it should be."""
        return self.seal(self.header(shift=shift, padding=padding) + address + payload, session, packet_id)

    def reply(
        self, address: bytes, payload: bytes, session: bytes, packet_id: int, client_session: bytes, *, shift: int = 0
    ) -> bytes:
        """A server's datagram as it should be."""
        header = self.header(kind=REPLY, shift=shift, client_session=client_session)
        return self.seal(header + address + payload, session, packet_id)

    # -- what it is wrapped in

    def seal(self, body: bytes, session: bytes, packet_id: int) -> bytes:
        """An authentic datagram around any body."""
        separate = session + struct.pack("!Q", packet_id)
        if not self.is_2022:
            salt = os.urandom(salt_size(self.method))
            aead, nonce = self._with_salt(salt)
            return salt + aead.encrypt(nonce, body, None)
        if "chacha20" in self.method:
            nonce = os.urandom(24)
            return nonce + self._xchacha(self._key, nonce).encrypt(bytes(4) + nonce[16:], separate + body, None)
        return self._front(separate) + AESGCM(self._subkey(session)).encrypt(separate[4:16], body, None)

    def _front(self, separate: bytes) -> bytes:
        """What stands before the body."""
        return block(self._key, separate)

    def open(self, datagram: bytes, kind: int) -> Opened:
        """What the datagram says, as the side that expects this type reads it; raises when it is not authentic."""
        if not self.is_2022:
            size = salt_size(self.method)
            aead, nonce = self._with_salt(datagram[:size])
            address, payload = parse_address(aead.decrypt(nonce, datagram[size:], None))
            return Opened(b"", 0, kind, 0, b"", address, payload)
        if "chacha20" in self.method:
            nonce = datagram[:24]
            plain = self._xchacha(self._key, nonce).decrypt(bytes(4) + nonce[16:], datagram[24:], None)
            separate, body = plain[:16], plain[16:]
        else:
            cipher = Cipher(algorithms.AES(self._key), modes.ECB())  # noqa: S305 - one block, as SIP022 has it
            separate = cipher.decryptor().update(datagram[:16])
            body = AESGCM(self._subkey(separate[:8])).decrypt(separate[4:16], datagram[16:], None)
        said, stamp = struct.unpack_from("!BQ", body)
        at = 9 + (8 if kind == REPLY else 0)
        (padlen,) = struct.unpack_from("!H", body, at)
        address, payload = parse_address(body[at + 2 + padlen :])
        packet_id = int.from_bytes(separate[8:], "big")
        return Opened(separate[:8], packet_id, said, stamp, body[9:at], address, payload)

    def _subkey(self, session: bytes) -> bytes:
        state = blake3(self._key + session, derive_key_context="shadowsocks 2022 session subkey")
        return state.digest(len(self._key))

    def _with_salt(self, salt: bytes) -> tuple[_Aead, bytes]:
        sha1 = hashes.SHA1()  # noqa: S303 - SIP004 names it
        subkey = HKDF(sha1, len(self._key), salt, b"ss-subkey").derive(self._key)
        if self.method.startswith("xchacha20"):
            return self._xchacha(subkey, bytes(24)), bytes(12)
        return AESGCM(subkey) if "aes" in self.method else ChaCha20Poly1305(subkey), bytes(12)

    @staticmethod
    def _xchacha(key: bytes, nonce: bytes) -> ChaCha20Poly1305:
        """XChaCha20-Poly1305 for this nonce: ChaCha20-Poly1305 under a derived key, with four zeros and the rest."""
        return ChaCha20Poly1305(hchacha20(key, nonce[:16]))


class IdentityUdpCrafter(UdpCrafter):
    """Seals the datagrams of a user, with one header that names somebody; opens answers to him."""

    def __init__(self, method: str, server: str, user: str, *, named: str | None = None) -> None:
        """As of `IdentityCrafter`."""
        super().__init__(method, user)
        self._server = master_key(method, server)
        self._tag = tag_of(master_key(method, named or user))

    def _front(self, separate: bytes) -> bytes:
        mixed = bytes(one ^ other for one, other in zip(self._tag, separate, strict=True))
        return block(self._server, separate) + block(self._server, mixed)
