"""Modes of block ciphers that OpenSSL, or its binding, has not: built on single blocks. Used by `stream.py` only.

    CTR     block n of the key stream = E(IV + n), as one big-endian number of 16 bytes
    CFB8    byte n = data ^ first byte of E(the 16 bytes sealed before it)
    CFB1    bit n = data ^ first bit of E(the 128 bits sealed before it), the highest bit of a byte first

Whatever is known beforehand goes through OpenSSL in a few calls for a whole read. When CFB is sealed nothing is: each
byte, or bit, waits for the one before it: CFB8 then costs 0.8 s a MB, CFB1 6 to 7 s (docs/adr/0015).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..core.address import Buffer

Encrypt = Callable[[Buffer], bytes]
"""Blocks to blocks, each for itself."""

_BLOCK: Final = 16
_COUNTER_BITS: Final = (1 << 8 * _BLOCK) - 1
_RUN: Final = 256
_RUN_BYTES: Final = bytes(range(_RUN))


def xor(data: Buffer, key: Buffer) -> bytes:
    """Add two texts of one size; as numbers, which is linear and has no loop of ours."""
    return (int.from_bytes(data, "little") ^ int.from_bytes(key, "little")).to_bytes(len(data), "little")


class Counter:
    """CTR, both ways."""

    __slots__ = ("_count", "_encrypt", "_rest")

    def __init__(self, encrypt: Encrypt, iv: bytes) -> None:
        self._encrypt = encrypt
        self._count = int.from_bytes(iv)
        self._rest = b""
        """Key bytes of the last block that were not used yet."""

    def __call__(self, data: Buffer, out: memoryview) -> None:
        """See `stream.Update`."""
        size = len(data)
        key = self._rest
        if size > len(key):
            key += self._encrypt(self._blocks(-(-(size - len(key)) // _BLOCK)))
        self._rest = key[size:]
        out[:size] = xor(data, key[:size])

    def _blocks(self, count: int) -> bytes:
        """Return the next counters, made in runs that differ in their last byte only."""
        runs = []
        while count:
            low = self._count % _RUN
            some = min(count, _RUN - low)
            run = bytearray((self._count - low).to_bytes(_BLOCK) * some)
            run[_BLOCK - 1 :: _BLOCK] = _RUN_BYTES[low : low + some]
            runs.append(run)
            self._count = self._count + some & _COUNTER_BITS
            count -= some
        return b"".join(runs)


def _first_bytes(encrypt: Encrypt, line: bytes, size: int) -> bytearray:
    """Return the first byte of each block that begins at one of the first `size` bytes of a line.

    Blocks 16 apart do not overlap and lie in a row: 16 calls see them all.
    """
    first = bytearray(size)
    view = memoryview(line)
    for at in range(min(_BLOCK, size)):
        blocks = (size - at + _BLOCK - 1) // _BLOCK
        first[at::_BLOCK] = encrypt(view[at : at + blocks * _BLOCK])[::_BLOCK]
    return first


class _Line:
    """What CFB keeps between two calls, where bytes will do."""

    __slots__ = ("_encrypt", "_last")

    def __init__(self, encrypt: Encrypt, iv: bytes) -> None:
        self._encrypt = encrypt
        self._last = iv
        """The last 16 bytes that were sealed."""


class Cfb8Opener(_Line):
    """CFB8, from sealed to plain."""

    __slots__ = ()

    def __call__(self, data: Buffer, out: memoryview) -> None:
        """See `stream.Update`."""
        size = len(data)
        line = self._last + data
        self._last = line[size:]
        out[:size] = xor(data, _first_bytes(self._encrypt, line, size))


class Cfb8Sealer(_Line):
    """CFB8, from plain to sealed."""

    __slots__ = ()

    def __call__(self, data: Buffer, out: memoryview) -> None:
        """See `stream.Update`."""
        encrypt = self._encrypt
        line = bytearray(self._last) + data
        view = memoryview(line)
        for at in range(len(data)):
            line[at + _BLOCK] ^= encrypt(view[at : at + _BLOCK])[0]
        self._last = bytes(view[len(data) :])
        out[: len(data)] = view[_BLOCK:]


class Cfb1Opener(_Line):
    """CFB1, from sealed to plain."""

    __slots__ = ()

    def __call__(self, data: Buffer, out: memoryview) -> None:
        """See `stream.Update`."""
        size = len(data)
        line = self._last + data
        self._last = line[size:]
        bits = int.from_bytes(line)
        keep = (1 << 8 * len(line)) - 1
        highest = int.from_bytes(b"\x80" * size)
        key = 0
        for shift in range(8):  # what begins `shift` bits into a byte
            shifted = (bits << shift & keep).to_bytes(len(line))
            key |= (int.from_bytes(_first_bytes(self._encrypt, shifted, size)) & highest) >> shift
        out[:size] = (int.from_bytes(data) ^ key).to_bytes(size)


class Cfb1Sealer:
    """CFB1, from plain to sealed."""

    __slots__ = ("_encrypt", "_last")

    def __init__(self, encrypt: Encrypt, iv: bytes) -> None:
        self._encrypt = encrypt
        self._last = int.from_bytes(iv)
        """The last 128 bits that were sealed."""

    def __call__(self, data: Buffer, out: memoryview) -> None:
        """See `stream.Update`."""
        encrypt, last = self._encrypt, self._last
        for at, byte in enumerate(bytes(data)):
            for shift in range(7, -1, -1):
                bit = (byte >> shift ^ encrypt(last.to_bytes(_BLOCK))[0] >> 7) & 1
                last = (last << 1 | bit) & _COUNTER_BITS
            out[at] = last & 0xFF
        self._last = last
