"""A shadow stream that a child could break, for tests of what carries it: XOR in small chunks with a check byte.

    client   HEAD || chunk*     server   SALT || chunk*     chunk = size(1) || payload ^ KEY || check(1)

It has what the relay must cope with: a header that is owed, a start that comes first, chunks that are cut anywhere,
bytes that are bad. The check byte is the payload's sum, so a flipped bit is always found.
"""

from __future__ import annotations

from typing import Final

from shadesocks.core.errors import AuthenticationError

HEAD: Final = b"<head>"
SALT: Final = b"<salt>"
CHUNK_MAX: Final = 50
"""Payload of a chunk: small, so that every read holds several and cuts one."""
OVERHEAD: Final = 2

_XOR: Final = bytes(byte ^ 0x55 for byte in range(256))


class XorSealer:
    """Plain to sealed; `start` goes in front. A header is owed, a salt is not."""

    def __init__(self, start: bytes) -> None:
        self._start = start
        self._owed = start == HEAD

    @property
    def owes(self) -> bool:
        return self._owed

    def seal(self, source: memoryview, size: int, out: memoryview) -> int:
        plain = bytes(source[:size])
        made = b"".join((self._start, *(chunk(plain[at : at + CHUNK_MAX]) for at in range(0, size, CHUNK_MAX))))
        self._start = b""
        self._owed = False
        out[: len(made)] = made
        return len(made)


class XorOpener:
    """Sealed to plain; `start` must come first."""

    def __init__(self, start: bytes) -> None:
        self._start = start

    @property
    def started(self) -> bool:
        return not self._start

    @property
    def clean(self) -> bool:
        return True  # a chunk's size stays with the chunk, in what the relay holds

    def open(self, source: memoryview, end: int, out: memoryview) -> tuple[int, int]:
        at = made = 0
        if self._start:
            size = len(self._start)
            if source[: min(size, end)] != self._start[: min(size, end)]:
                raise AuthenticationError
            if end < size:
                return 0, 0
            at, self._start = size, b""
        while at < end and (after := at + source[at] + OVERHEAD) <= end:
            plain = bytes(source[at + 1 : after - 1]).translate(_XOR)
            if sum(plain) & 0xFF != source[after - 1]:
                raise AuthenticationError
            out[made : made + len(plain)] = plain
            made += len(plain)
            at = after
        return at, made


def chunk(plain: bytes) -> bytes:
    return bytes((len(plain),)) + plain.translate(_XOR) + bytes((sum(plain) & 0xFF,))


def sealed(payload: bytes, start: bytes = b"") -> bytes:
    """The stream of a payload."""
    out = memoryview(bytearray(len(start) + len(payload) * 3 + 64))
    return bytes(out[: XorSealer(start).seal(memoryview(payload), len(payload), out)])


def opened(stream: bytes, start: bytes = b"") -> bytes:
    """The payload of the whole chunks of a stream; fails on a bad one."""
    out = memoryview(bytearray(len(stream) + 64))
    _, made = XorOpener(start).open(memoryview(stream), len(stream), out)
    return bytes(out[:made])
