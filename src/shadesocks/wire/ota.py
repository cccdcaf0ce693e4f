"""One-time authentication of stream ciphers (protocol §5): what 2015 put upon them, and 2017 gave up.

    request    (ATYP|10) || host || port || hash || chunk*         then sealed as any stream
    chunk      size(u16be) || hash || payload
    datagram   (ATYP|10) || host || port || payload || hash

A hash is the first 10 bytes of HMAC-SHA1. That of the header has the key IV || KEY, and covers from ATYP to port with
the flag set, and nothing behind it; that of a chunk has the key IV || number(u32be), IV always being the request's.
Answers are never coded so. The size of a chunk is covered by nothing: what made it be abandoned.
"""

from __future__ import annotations

from typing import Final

from ..core.address import Buffer
from ..core.errors import AuthenticationError
from ..crypto.digests import compare_digest, hmac_sha1
from .shadow import Opens, Seals, read_max_of

FLAG: Final = 0x10
"""Of ATYP."""
HASH_SIZE: Final = 10

PAYLOAD_MAX: Final = 16 * 1024
"""Bytes of one chunk of ours: no Python client sent more at once, so the old servers were tested with no more."""
_HEAD_SIZE: Final = 2 + HASH_SIZE
_NUMBERS: Final = 1 << 32
_READ_MAX: Final = 64 * 1024
"""Bytes read for one call of an opener: 5,461 chunks without payload, which take 40 to 100 ms."""


def hash_of(key: bytes, data: Buffer) -> bytes:
    """The hash of a header, a chunk or a datagram."""
    return hmac_sha1(key, data)[:HASH_SIZE]


def check(key: bytes, data: Buffer, claimed: Buffer, code: str) -> None:
    """Raise AuthenticationError with that code unless the claimed hash is the one of the data."""
    if not compare_digest(hash_of(key, data), claimed):
        raise AuthenticationError(code)


class OtaSealer:
    """A client's direction: payload to chunks, which another sealer then seals."""

    __slots__ = ("_inner", "_iv", "_number", "read_max")

    def __init__(self, inner: Seals, iv: bytes) -> None:
        self._inner = inner
        self._iv = iv
        self._number = 0
        self.read_max = read_max_of(inner)

    @property
    def owes(self) -> bool:
        """See `shadow.Seals`."""
        return self._inner.owes

    def seal(self, source: memoryview, size: int, out: memoryview) -> int:
        """See `shadow.Seals`. A chunk adds 12 bytes."""
        seal = self._inner.seal
        made = seal(source, 0, out) if self._inner.owes else 0
        at = 0
        while at < size:
            data = source[at : min(at + PAYLOAD_MAX, size)]
            key = self._iv + self._number.to_bytes(4)
            head = len(data).to_bytes(2) + hash_of(key, data)
            made += seal(memoryview(head), _HEAD_SIZE, out[made:])
            made += seal(data, len(data), out[made:])
            self._number = (self._number + 1) % _NUMBERS
            at += len(data)
        return made


class OtaOpener:
    """A server's direction: what another opener opened, to the payload of the chunks that are whole and good."""

    __slots__ = ("_held", "_inner", "_iv", "_number", "read_max")

    def __init__(self, inner: Opens, iv: bytes) -> None:
        self._inner = inner
        self._iv = iv
        self._number = 0
        self._held = b""
        """The beginning of a chunk, opened and not yet checked: 64 KiB at most."""
        self.read_max = min(_READ_MAX, read_max_of(inner))

    @property
    def started(self) -> bool:
        """See `shadow.Opens`."""
        return self._inner.started

    @property
    def clean(self) -> bool:
        """True between chunks."""
        return not self._held and self._inner.clean

    def open(self, source: memoryview, end: int, out: memoryview) -> tuple[int, int]:
        """See `shadow.Opens`. The payload of every chunk that became whole is moved together at the front of `out`.

        Raises:
            AuthenticationError: `ota_chunk_hmac`. Nothing of `out` may be looked at.
        """
        at = len(self._held)
        out[:at] = self._held
        used, opened = self._inner.open(source, end, out[at:])
        upto = at + opened
        at = made = 0
        while upto - at >= _HEAD_SIZE:
            body = at + _HEAD_SIZE
            after = body + (out[at] << 8 | out[at + 1])
            if after > upto:
                break
            key = self._iv + self._number.to_bytes(4)
            check(key, out[body:after], out[at + 2 : body], "ota_chunk_hmac")
            self._number = (self._number + 1) % _NUMBERS
            out[made : made + after - body] = out[body:after]
            made += after - body
            at = after
        self._held = bytes(out[at:upto])
        return used, made
