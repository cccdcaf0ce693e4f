"""AEAD-2022 streams, SIP022 §3.1 (protocol §7.1 to §7.3).

    request    salt || AEAD(fixed, 11) || AEAD(variable) || chunk*
      fixed      type=0 || time stamp(u64be) || size of variable(u16be)
      variable   address || size of padding(u16be) || padding || first payload
    response   salt || AEAD(fixed, 11 + salt) || AEAD(first payload) || chunk*
      fixed      type=1 || time stamp(u64be) || salt of the request || size of the first payload(u16be)

The fixed header of the answer is its first size field: nonces 0, 1, 2 and on. Between salt and fixed header of a
request may stand identity headers (`identity.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from struct import Struct
from typing import Final

from ..core.address import Address, parse_address
from ..core.errors import AuthenticationError, RemoteProtocolError, ReplayError
from ..crypto.aead import TAG_SIZE
from ..crypto.block import BLOCK_SIZE
from ..crypto.methods import Method
from ..crypto.subkeys_2022 import subkey_blake3
from .chunks import Opener, Sealer, SealStart
from .identity import ByIdentity, StreamIdentities, key_of, stream_tag, unknown_user
from .shadow import Known, Parser, Random, ShadowRequest, WallClock

REQUEST: Final = 0
RESPONSE: Final = 1
SKEW_MAX: Final = 30
"""Seconds a time stamp may differ from our clock, inclusive (SIP022 §3.1.3)."""
PADDING_MAX: Final = 900
"""Bytes of padding a sender may add (SIP022 §3.1.3)."""

_FIXED: Final = Struct(">BQH")


Padding = Callable[[int, Random], bytes]
"""(size of the first payload, random) -> the padding of a request; 1 to 900 bytes where there is no payload."""


def default_padding(size: int, random: Random) -> bytes:
    """Pad only a request without payload: it must carry one of the two (SIP022 §3.1.3). Zeros: it is sealed."""
    return b"" if size else bytes(1 + int.from_bytes(random(2)) % PADDING_MAX)


def check_stamp(stamp: int, now: int) -> None:
    """Raise ReplayError when the time stamp is more than 30 s away, either way; no value wraps."""
    if abs(stamp - now) > SKEW_MAX:
        raise ReplayError("bad_timestamp", f"the time stamp differs from our clock by {stamp - now} s")


class Aead2022Shadow:
    """An AEAD-2022 method with its pre-shared key."""

    __slots__ = ("_identities", "_key", "_method", "_padding", "_users", "first_read_size")

    def __init__(
        self,
        method: Method,
        key: bytes,
        padding: Padding = default_padding,
        *,
        identities: Sequence[bytes] = (),
        users: ByIdentity | None = None,
    ) -> None:
        """A client's `key` has the `identities` before it; a server's `users` have each a key of his own."""
        self._method = method
        self._key = key
        self._padding = padding
        self._identities = StreamIdentities((*identities, key)) if identities else None
        self._users = users
        header = 0 if users is None else BLOCK_SIZE
        self.first_read_size = method.salt_size + header + _FIXED.size + TAG_SIZE

    def read_request(self, known: Known, wall: WallClock, random: Random) -> Parser[ShadowRequest]:
        """Read salt and both headers; see `shadow.Shadow`."""
        salt = bytes((yield self._method.salt_size))
        sealed = yield self.first_read_size - len(salt)
        if known(salt):
            raise ReplayError
        opener = Opener(self._method, None)
        key, user = self._key, None
        if self._users is not None:
            tag = stream_tag(key, salt, sealed[:BLOCK_SIZE])
            user = self._users(tag)
            sealed = sealed[BLOCK_SIZE:]
            if user is None:
                raise self._nobody(opener, salt, sealed)
            key = key_of(user, tag)
        opener.rekey(subkey_blake3(key, salt))
        kind, stamp, size = _FIXED.unpack(opener.take(sealed))
        if kind != REQUEST:
            raise RemoteProtocolError("bad_type")
        check_stamp(stamp, wall())
        variable = opener.take((yield size + TAG_SIZE))
        try:
            target, at = parse_address(variable)
        except RemoteProtocolError as error:
            raise RemoteProtocolError("truncated_header" if error.code == "truncated" else error.code) from None
        padding = int.from_bytes(variable[at : at + 2])
        at += 2
        if at > size:
            raise RemoteProtocolError("truncated_header")
        if at + padding > size:
            raise RemoteProtocolError("padding_overrun")
        if not padding and at == size:
            raise RemoteProtocolError("no_payload_no_padding")
        sealer = Sealer(self._method, self._response_start(key, salt, wall, random), owes=False)
        return ShadowRequest(target, memoryview(variable)[at + padding :], opener, sealer, salt, stamp, user)

    def _nobody(self, opener: Opener, salt: bytes, sealed: memoryview) -> RemoteProtocolError:
        """Do for an unknown tag what is done for a known one with a wrong key, so that time tells nothing."""
        opener.rekey(subkey_blake3(self._key, salt))
        with suppress(AuthenticationError):
            opener.take(sealed)
        return unknown_user()

    def _response_start(self, key: bytes, request_salt: bytes, wall: WallClock, random: Random) -> SealStart:
        def start(sealer: Sealer, source: memoryview, size: int, out: memoryview) -> tuple[int, int]:
            salt = random(self._method.salt_size)
            sealer.rekey(subkey_blake3(key, salt))
            out[: len(salt)] = salt
            taken = min(size, self._method.max_payload)
            fixed = _FIXED.pack(RESPONSE, wall(), 0)[:-2] + request_salt + taken.to_bytes(2)
            made = sealer.put(fixed, out, len(salt))
            return taken, sealer.put(source[:taken], out, made)

        return start

    def open_stream(self, target: Address, wall: WallClock, random: Random) -> tuple[Sealer, Opener]:
        """Begin a stream as a client; see `shadow.Shadow`."""
        salt = random(self._method.salt_size)
        address = target.pack()

        def seal_start(sealer: Sealer, source: memoryview, size: int, out: memoryview) -> tuple[int, int]:
            sealer.rekey(subkey_blake3(self._key, salt))
            head = salt if self._identities is None else salt + self._identities.headers(salt)
            out[: len(head)] = head
            padding = self._padding(size, random)
            taken = min(size, self._method.max_payload - len(address) - 2 - len(padding))
            variable = b"".join((address, len(padding).to_bytes(2), padding, source[:taken]))
            made = sealer.put(_FIXED.pack(REQUEST, wall(), len(variable)), out, len(head))
            return taken, sealer.put(variable, out, made)

        def open_start(opener: Opener, source: memoryview, at: int, end: int) -> int | None:
            salt_size = self._method.salt_size
            body = at + salt_size + _FIXED.size + salt_size + TAG_SIZE
            if end < body:
                return None
            opener.rekey(subkey_blake3(self._key, bytes(source[at : at + salt_size])))
            fixed = opener.take(source[at + salt_size : body])
            kind, stamp, _ = _FIXED.unpack_from(fixed)
            if kind != RESPONSE:
                raise RemoteProtocolError("bad_type")
            check_stamp(stamp, wall())
            if fixed[9:-2] != salt:
                raise AuthenticationError("request_salt_mismatch")
            opener.expect(int.from_bytes(fixed[-2:]))
            return body

        return Sealer(self._method, seal_start, owes=True), Opener(self._method, open_start)
