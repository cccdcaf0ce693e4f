"""How AEAD-2022 datagrams are covered: their separate header, and their body (protocol §7.5).

    AES        ECB(separate) || GCM(body)                             separate = session id(8) || packet id(u64be)
               key of the body from the session id; nonce = separate[4:16]
    chacha20   nonce(24) || XChaCha20-Poly1305(separate || body)      key = the pre-shared key itself

Between the separate header and the body of AES may stand identity headers (`identity.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from struct import Struct
from typing import Final, Protocol

from ..core.errors import AuthenticationError, RemoteProtocolError
from ..crypto.aead import CIPHERS, TAG_SIZE, InvalidTag, Keyed
from ..crypto.block import BLOCK_SIZE, Block
from ..crypto.methods import Method
from ..crypto.subkeys_2022 import subkey_blake3
from .identity import PacketIdentities
from .shadow import Random

ID_SIZE: Final = 8
"""Of a session id, and of a packet id."""
BODY_MIN: Final = Struct(">BQH").size
"""Bytes of the shortest body: type, time stamp, size of padding."""
GCM_MIN: Final = BLOCK_SIZE + BODY_MIN + TAG_SIZE
_NONCE_SIZE: Final = 24


class Looks(Protocol):
    """How what comes in is opened."""

    separate: bytes
    """The separate header of the packet that was looked at last."""

    def open(self, keyed: Keyed | None, packet: memoryview, out: memoryview, at: int) -> int:
        """Open the body of the packet that was just looked at into `out[at:]`; return its end there."""


class Cover(Looks, Protocol):
    """How separate header and body are covered: one for a method with its key, and each side."""

    overhead: int
    """Bytes that covering adds to the body."""

    def identify(self, packet: memoryview, source: Hashable, out: memoryview, at: int) -> bytes:
        """Set `separate` and return the session id in it; raises RemoteProtocolError."""

    def key(self, session_id: bytes) -> Keyed | None:
        """Return what opens and seals the bodies of a session."""

    def seal(self, keyed: Keyed | None, separate: bytes, body: memoryview, out: memoryview, at: int) -> int:
        """Cover a body; return its end in `out`."""


class Gcm:
    """AES: a block for the separate header, GCM for the body, its key from the session id."""

    __slots__ = ("_front", "_front_size", "_make", "_open_block", "_psk", "overhead", "separate")

    def __init__(self, method: Method, psk: bytes, random: Random, identities: Sequence[bytes] = ()) -> None:
        self._psk = psk
        block = Block(psk)
        self._open_block = block.open
        self._front: Callable[[bytes], bytes] = block.seal
        self._front_size = BLOCK_SIZE
        if identities:
            chain = PacketIdentities((*identities, psk))
            self._front, self._front_size = chain.front, chain.size
        self._make = CIPHERS[method.cipher]
        self.overhead = self._front_size + TAG_SIZE
        self.separate = b""

    def identify(self, packet: memoryview, source: Hashable, out: memoryview, at: int) -> bytes:
        if len(packet) < GCM_MIN:
            raise RemoteProtocolError("truncated_header")
        separate = self.separate = self._open_block(packet[:BLOCK_SIZE])
        return separate[:ID_SIZE]

    def key(self, session_id: bytes) -> Keyed:
        return Keyed(self._make, subkey_blake3(self._psk, session_id))

    def open(self, keyed: Keyed | None, packet: memoryview, out: memoryview, at: int) -> int:
        assert keyed is not None, "this cover has a key for each session"
        end = at + len(packet) - BLOCK_SIZE - TAG_SIZE
        try:
            (keyed.live or keyed.cipher()).decrypt_into(self.separate[4:], packet[BLOCK_SIZE:], None, out[at:end])
        except InvalidTag:
            raise AuthenticationError from None
        return end

    def seal(self, keyed: Keyed | None, separate: bytes, body: memoryview, out: memoryview, at: int) -> int:
        assert keyed is not None, "this cover has a key for each session"
        begin = at + self._front_size
        end = begin + len(body) + TAG_SIZE
        out[at:begin] = self._front(separate)
        (keyed.live or keyed.cipher()).encrypt_into(separate[4:], body, None, out[begin:end])
        return end


class XChaCha:
    """chacha20: a random nonce, and everything else under the pre-shared key."""

    __slots__ = ("_aead", "_random", "overhead", "separate")

    def __init__(self, method: Method, psk: bytes, random: Random) -> None:
        self._aead = CIPHERS[f"x{method.cipher}"](psk)
        self._random = random
        self.overhead = _NONCE_SIZE + BLOCK_SIZE + TAG_SIZE
        self.separate = b""

    def identify(self, packet: memoryview, source: Hashable, out: memoryview, at: int) -> bytes:
        end = at + len(packet) - _NONCE_SIZE - TAG_SIZE
        if end < at + BLOCK_SIZE + BODY_MIN:
            raise RemoteProtocolError("truncated_header")
        try:
            self._aead.decrypt_into(bytes(packet[:_NONCE_SIZE]), packet[_NONCE_SIZE:], None, out[at:end])
        except InvalidTag:
            raise AuthenticationError from None
        self.separate = bytes(out[at : at + BLOCK_SIZE])
        # the body moves to where the other cover would have opened it
        out[at : end - BLOCK_SIZE] = bytes(out[at + BLOCK_SIZE : end])
        return self.separate[:ID_SIZE]

    def key(self, session_id: bytes) -> None:
        return None

    def open(self, keyed: Keyed | None, packet: memoryview, out: memoryview, at: int) -> int:
        return at + len(packet) - self.overhead

    def seal(self, keyed: Keyed | None, separate: bytes, body: memoryview, out: memoryview, at: int) -> int:
        begin = at + _NONCE_SIZE
        end = begin + BLOCK_SIZE + len(body) + TAG_SIZE
        nonce = self._random(_NONCE_SIZE)
        out[at:begin] = nonce
        self._aead.encrypt_into(nonce, separate + bytes(body), None, out[begin:end])
        return end


COVERS: Final[dict[str, Callable[[Method, bytes, Random], Cover]]] = {
    "aes-gcm": Gcm,
    "chacha20-poly1305": XChaCha,
}
