"""Chunks: the hot loop that seals and opens the bulk of a TCP stream.

    chunk = AEAD(size, u16be) || AEAD(payload)          nonces count on: +2 a chunk

Both AEAD editions have the same chunks (SIP004; SIP022 §3.1.2) and differ in the bytes
before them, which are a `start`: a function that is called once, at the first bytes,
and gives way. The relay calls `seal` and `open` with its shared buffers; a call runs
through as many chunks as fit, makes nothing but memoryviews, and keeps no payload.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..core.errors import AuthenticationError, RemoteProtocolError
from ..crypto.aead import CIPHERS, TAG_SIZE, InvalidTag, Keyed
from ..crypto.methods import Method

SIZE_SIZE: Final = 2 + TAG_SIZE
"""Bytes of the sealed size field."""
OVERHEAD: Final = SIZE_SIZE + TAG_SIZE
"""Bytes a chunk adds to its payload."""

SealStart = Callable[["Sealer", memoryview, int, memoryview], tuple[int, int]]
"""(sealer, source, size, out) -> (bytes taken from the source, bytes written to out)"""
OpenStart = Callable[["Opener", memoryview, int, int], int | None]
"""(opener, source, at, end) -> where the chunks begin, or None while bytes are missing"""

_size_field: Final = bytearray(2)
"""Where the opened size field goes; read before anything else can run."""


class Sealer:
    """One direction of a stream, from plain to sealed."""

    __slots__ = ("_count", "_keyed", "_start", "method", "owes")

    def __init__(self, method: Method, start: SealStart, *, owes: bool) -> None:
        self.method = method
        self._start: SealStart | None = start
        self.owes = owes
        """True while the header is to be sent even if no payload comes: a client's, before its first `seal`."""
        self._count = 0
        self._keyed: Keyed

    def rekey(self, key: bytes) -> None:
        """Take the stream's key, and count nonces from 0. Called by the start, once the salt is drawn."""
        self._keyed = Keyed(CIPHERS[self.method.cipher], key)

    def seal(self, source: memoryview, size: int, out: memoryview) -> int:
        """Seal `size` bytes of `source` into `out`; return how many bytes it holds then.

        `out` is another buffer, with room for `sealed_size(size)` bytes. The first call may have size 0:
        it writes what stands before the first payload.
        """
        at = made = 0
        start = self._start
        if start is not None:
            self._start = None
            self.owes = False
            at, made = start(self, source, size, out)
        encrypt = self._keyed.cipher().encrypt_into
        nonce_size = self.method.nonce_size
        step = self.method.max_payload
        count = self._count
        while at < size:
            end = at + step
            if end > size:
                end = size
            body = made + SIZE_SIZE
            after = body + end - at + TAG_SIZE
            encrypt(count.to_bytes(nonce_size, "little"), (end - at).to_bytes(2), None, out[made:body])
            encrypt((count + 1).to_bytes(nonce_size, "little"), source[at:end], None, out[body:after])
            count += 2
            made = after
            at = end
        self._count = count
        return made

    def put(self, plain: bytes | memoryview, out: memoryview, at: int) -> int:
        """Seal one message without a size field into `out` from `at`; return where it ends. For headers."""
        end = at + len(plain) + TAG_SIZE
        self._keyed.cipher().encrypt_into(
            self._count.to_bytes(self.method.nonce_size, "little"), plain, None, out[at:end]
        )
        self._count += 1
        return end


class Opener:
    """One direction of a stream, from sealed to plain."""

    __slots__ = ("_count", "_due", "_keyed", "_start", "method")

    def __init__(self, method: Method, start: OpenStart | None) -> None:
        self.method = method
        self._start = start
        self._count = 0
        self._due = 0
        self._keyed: Keyed

    @property
    def started(self) -> bool:
        """False until the peer's salt, and what belongs to it, was read and found good."""
        return self._start is None

    @property
    def clean(self) -> bool:
        """True between chunks: an end of file here cuts nothing (of the opener; held bytes are the relay's)."""
        return not self._due

    def rekey(self, key: bytes) -> None:
        """Take the stream's key, and count nonces from 0."""
        self._keyed = Keyed(CIPHERS[self.method.cipher], key)

    def expect(self, size: int) -> None:
        """The next message is a payload of that size: its size field came inside a header (SIP022 §3.1.3)."""
        self._due = size + TAG_SIZE

    def open(self, source: memoryview, end: int, out: memoryview) -> tuple[int, int]:
        """Open what is whole in `source[:end]` into `out`; return (bytes used, bytes of payload).

        `out` is another buffer, with room for `end` bytes. Bytes that were not used come again at the
        next call, in front.

        Raises:
            AuthenticationError: a tag does not match. Nothing of `out` may be looked at.
            RemoteProtocolError: `length_too_large`, or what the start of the stream raises.
        """
        at = made = 0
        if self._start is not None:
            began = self._start(self, source, 0, end)
            if began is None:
                return 0, 0
            self._start = None
            at = began
        decrypt = self._keyed.cipher().decrypt_into
        nonce_size = self.method.nonce_size
        limit = self.method.max_payload
        count = self._count
        due = self._due
        try:
            while True:
                if not due:
                    after = at + SIZE_SIZE
                    if after > end:
                        break
                    decrypt(count.to_bytes(nonce_size, "little"), source[at:after], None, _size_field)
                    count += 1
                    size = _size_field[0] << 8 | _size_field[1]
                    if size > limit:
                        raise RemoteProtocolError("length_too_large")
                    due = size + TAG_SIZE
                    at = after
                after = at + due
                if after > end:
                    break
                upto = made + due - TAG_SIZE
                decrypt(count.to_bytes(nonce_size, "little"), source[at:after], None, out[made:upto])
                count += 1
                made = upto
                at = after
                due = 0
        except InvalidTag:
            raise AuthenticationError from None
        self._count = count
        self._due = due
        return at, made

    def take(self, sealed: bytes | memoryview) -> bytearray:
        """Open one message without a size field. For headers and the first chunk, off the hot path.

        Raises:
            AuthenticationError: the tag does not match.
        """
        plain = bytearray(len(sealed) - TAG_SIZE)
        try:
            self._keyed.cipher().decrypt_into(
                self._count.to_bytes(self.method.nonce_size, "little"), sealed, None, plain
            )
        except InvalidTag:
            raise AuthenticationError from None
        self._count += 1
        return plain


def sealed_size(method: Method, size: int) -> int:
    """Return the most bytes that `size` bytes of payload become as chunks, without a start."""
    return size + -(-size // method.max_payload) * OVERHEAD
