"""What one side makes of the other's stream, without sockets: the codecs driven as the relay drives them.

Used by the vectors and the fuzzers. Pieces go in as the network would deliver them; what comes
out is the target, the payload and, where the stream was refused, the reason word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shadesocks.core.address import Address
from shadesocks.core.errors import RemoteProtocolError, ReplayError
from shadesocks.wire.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from shadesocks.wire.shadow import Opens, Seals, Shadow, ShadowRequest

OUT_SPARE = 4096
"""Room for salt, headers, address and padding in front of the first chunk."""
HELD_MAX = 0x10000 + 16
"""Room for a chunk that an opener holds."""
ANYWHERE = Address("target.example", 1)


class Hearing:
    """One direction of a stream, as its receiver hears it."""

    def __init__(self) -> None:
        self.payload = bytearray()
        """All that would have been forwarded."""
        self.word = ""
        """Why the stream was refused, "truncated" when it ended inside something; empty if it was not."""
        self._opener: Opens | None = None
        self._open = False
        self._held = b""

    def feed(self, piece: bytes) -> None:
        """Take the next bytes; after a refusal they are discarded."""
        if self.word:
            return
        try:
            self._take(piece)
        except RemoteProtocolError as error:
            self.word = error.code

    def end(self) -> None:
        """The peer's end of file."""
        if not self.word and (not self._open or self._held or (self._opener is not None and not self._opener.clean)):
            self.word = "truncated"

    def hears(self, pieces: Iterable[bytes]) -> None:
        """Take all pieces and the end of file."""
        for piece in pieces:
            self.feed(piece)
        self.end()

    def _take(self, piece: bytes) -> None:
        if self._opener is None:
            self.payload += piece
            return
        source = memoryview(self._held + piece)
        out = memoryview(bytearray(len(source) + HELD_MAX))
        used, made = self._opener.open(source, len(source), out)
        self.payload += out[:made]
        self._held = bytes(source[used:])


class ServerHearing(Hearing):
    """A server that hears a request."""

    def __init__(
        self,
        shadow: Shadow,
        now: int = 0,
        *,
        known: Callable[[bytes], bool] = lambda _salt: False,
        insert: Callable[[bytes, int], bool] = lambda _salt, _stamp: True,
        random: Callable[[int], bytes] = bytes,
        strict_first_read: bool = False,
    ) -> None:
        super().__init__()
        self.request: ShadowRequest | None = None
        """Set once the header authenticated."""
        self._insert = insert
        self._least = shadow.first_read_size if strict_first_read else 0
        self._reader = Reader(shadow.read_request(known, lambda: now, random))

    def _take(self, piece: bytes) -> None:
        if self.request is not None:
            super()._take(piece)
            return
        if len(piece) < self._least:
            raise RemoteProtocolError("short_first_read")
        self._least = 0
        # A scratch buffer as the real one is: the next read overwrites it.
        scratch = bytearray(piece)
        request = self._reader.feed(memoryview(scratch))
        scratch[:] = bytes(len(scratch))
        if request is None:
            return
        if request.salt and not self._insert(request.salt, request.stamp):
            raise ReplayError
        self.request = request
        self.payload += request.first
        self._opener = request.opener
        self._open = True
        if self._reader.rest:
            super()._take(self._reader.rest)


class ClientHearing(Hearing):
    """A client that hears the answer to a request of its own."""

    def __init__(self, shadow: Shadow, request_salt: bytes, now: int = 0) -> None:
        super().__init__()
        _, self._opener = shadow.open_stream(ANYWHERE, lambda: now, lambda _size: request_salt)
        self._open = True


def say(sealer: Seals | None, payloads: Iterable[bytes]) -> bytes:
    """Seal payloads, one call each; return all bytes of the stream."""
    stream = bytearray()
    for payload in payloads:
        if sealer is None:
            stream += payload
            continue
        source = memoryview(payload)
        out = memoryview(bytearray(len(source) + OUT_SPARE + len(source) // 0x1000 * 64))
        stream += out[: sealer.seal(source, len(source), out)]
    return bytes(stream)


def make_request(shadow: Shadow, target: Address, payloads: Iterable[bytes], *, salt: bytes, now: int = 0) -> bytes:
    """Return a client's whole stream. `payloads` are sealed one call each; the first may be empty."""
    sealer, _ = shadow.open_stream(target, lambda: now, lambda size: salt if size == len(salt) else bytes(size))
    return say(sealer, payloads)


def make_response(
    shadow: Shadow, payloads: Iterable[bytes], *, salt: bytes, request_salt: bytes, now: int = 0
) -> bytes:
    """Return the whole stream of a server that answers the request with `request_salt`."""
    server = ServerHearing(shadow, now, random=lambda _size: salt)
    server.feed(make_request(shadow, ANYWHERE, [b"?"], salt=request_salt, now=now))
    if server.request is None:
        raise AssertionError(f"our own request was refused: {server.word}")
    return say(server.request.sealer, payloads)
