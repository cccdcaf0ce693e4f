"""The salts of AEAD datagrams: at least the last 1,000,000, in memory, apart from those of streams.

Datagrams come by the hundred thousand a second, so they have a table of their own: none may push the salt of a
stream out. It is not kept over a restart: a datagram that is replayed then is one datagram more, as the network
may deliver one twice anyway, and 12 MiB need not be written to a disk at that rate.

**Shape.** A salt is hashed (SipHash, keyed for each process: Python's own `hash`) to one of 65,536 buckets and a mark
of 32 bits. A bucket is 48 marks, the newest first; a new one pushes the oldest out.

**How long it remembers.** A salt is gone when 48 later ones fell into its bucket. Of the next million, the number
that do is Poisson with mean 15.3, and P(X >= 48) = 2e-11.

**How often it is wrong.** A mark is looked for at any byte of its bucket: 189 places, 2^-32 each: one datagram in 23
million is dropped for nothing, where networks drop one in thousands.

**What it costs**: 0.4 us, and 12 MiB once some 10,000 datagrams came; nothing before the first.

**Several processes** may have one table: it is made before they fork, with the key that Python's `hash` has by then.
They lock each bucket for the moment in which they look and write.
"""

from __future__ import annotations

from mmap import mmap
from typing import Final

from .record_lock import RecordLock

BUCKETS: Final = 1 << 16
"""With a bucket of 192 bytes that is 12 MiB."""
MARKS: Final = 48
"""In one bucket."""

_MARK_SIZE: Final = 4
_BUCKET_SIZE: Final = MARKS * _MARK_SIZE
_MARK_BITS: Final = (1 << 8 * _MARK_SIZE) - 1


class PacketSalts:
    """Remembers the salts of datagrams that authenticated, and of our own. One for a process, or for all that fork."""

    __slots__ = ("_lock", "_table")

    def __init__(self, *, shared: bool = False) -> None:
        """Make an empty table; `shared` is for several processes that are forked after this."""
        self._lock = RecordLock() if shared else None
        self._table = mmap(-1, BUCKETS * _BUCKET_SIZE)  # no page is resident before it is written

    def known(self, salt: bytes) -> bool:
        """True when the salt was recorded."""
        code = hash(salt)
        at = (code & BUCKETS - 1) * _BUCKET_SIZE
        return (code >> 16 & _MARK_BITS).to_bytes(_MARK_SIZE) in self._table[at : at + _BUCKET_SIZE]

    def insert(self, salt: bytes) -> bool:
        """Record a salt in one step with the look-up; False when it was there already."""
        code = hash(salt)
        if self._lock is None:
            return self._insert(code)
        with self._lock.at(code & BUCKETS - 1):
            return self._insert(code)

    def _insert(self, code: int) -> bool:
        at = (code & BUCKETS - 1) * _BUCKET_SIZE
        mark = (code >> 16 & _MARK_BITS).to_bytes(_MARK_SIZE)
        table = self._table
        bucket = table[at : at + _BUCKET_SIZE]
        if mark in bucket:
            return False
        table[at : at + _BUCKET_SIZE] = mark + bucket[:-_MARK_SIZE]
        return True

    def close(self) -> None:
        """Give the memory back."""
        self._table.close()
        if self._lock is not None:
            self._lock.close()
