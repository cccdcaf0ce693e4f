"""The salts of AEAD streams: at least the last 1,000,000, in one table of 24 MiB that outlives the process.

A salt is hashed, all but its first four bytes, with the file's own key to one of 98,304 buckets and a mark of
48 bits. A bucket is 42 marks,
the newest first; a new one pushes the oldest out, so the table forgets like a queue, bucket by bucket.

**How long it remembers.** A salt is gone when 42 later ones fell into its bucket. Of the next million, the
number that do is Poisson with mean 10^6 / 98,304 = 10.17, and P(X >= 42) = 7e-14: of a whole million, 7e-8 of
a salt is expected to be missing. (A table of 2^17 buckets of 31 marks would be as good, but its buckets cross
pages: a process killed in between would leave half of one.)

**How often it is wrong.** A new salt's mark is 48 random bits. It is looked for at any byte of the bucket, not only
where marks begin: 247 places, each equal with 2^-48 whatever stands there, zeros too: 9e-13 for each salt.

**Our own salts** are not in the table: `fresh` begins them with four bytes of that same hash, which nobody without the
file's key can tell from random ones, and whoever sends one back to us is known by it, however old it is. A stranger's
salt begins so with 2^-32: 2.3e-10 more for each new salt, and the million is left to the salts of clients.

**What it costs** (one AMD EPYC, 2 cores, CPython 3.11, ext4, a table in use; us): `known` 1.5, `insert` 2.7, but
1.4 right after `known` of the same salt: 2.9 for both. With `shared` 1.6 times that. The kernel's pwrite is 1.2 of it.
A mapped table would save about 1.5, but each new salt would make another 4 KiB of it resident: 24 MiB after some
20,000 connections.
"""

from __future__ import annotations

import os
from struct import Struct
from typing import TYPE_CHECKING, Final

from .digests import blake2b
from .replay_file import PAGE, Layout

if TYPE_CHECKING:
    from collections.abc import Callable

    from .replay_file import SaltFile

BUCKETS: Final = 98_304
"""3 * 2^15; with a bucket of 256 bytes that is 24 MiB."""
MARKS: Final = 42
"""In one bucket: as many as 256 bytes hold."""

_BUCKET_STEP: Final = 256
"""Bytes from one bucket to the next: a divisor of the page."""
_MARK_SIZE: Final = 6
_BUCKET_SIZE: Final = MARKS * _MARK_SIZE
_SIGN_SIZE: Final = 4
_DIGEST: Final = Struct(f">I{_MARK_SIZE}s{_SIGN_SIZE}s")
"""The hash of a salt without its first four bytes: what chooses its bucket (2^32 choices fill 98,304 buckets evenly
to 1 in 40,000), its mark, and how it begins if it is ours."""

AEAD_LAYOUT: Final = Layout(
    name="aead.salts",
    title=b"shadesocks aead salts, version 1, 98304 buckets of 42 marks\n",
    size=PAGE + BUCKETS * _BUCKET_STEP,
)

_OURS: Final = b"\0" * _MARK_SIZE
"""Stands for a mark and its bucket where the salt is our own: found, wherever one looks."""

_Spot = tuple[bytes, int, bytes, bytes]
"""A salt, where its bucket begins, its mark, and the bucket's marks."""


class AeadSalts:
    """Remembers the last million salts and more; never says that it knows one of them not."""

    __slots__ = ("_file", "_hash", "_last")

    def __init__(self, file: SaltFile) -> None:
        self._file = file
        self._hash = blake2b(key=file.key, digest_size=_DIGEST.size)
        self._last: _Spot | None = None
        """The last salt looked up: mostly the one that is inserted next, and then its bucket need not be read again."""

    @property
    def notes(self) -> list[str]:
        """Sentences for the operator; whoever logs them empties the list."""
        return self._file.notes

    def known(self, salt: bytes) -> bool:
        """True when the salt was recorded: an early look-up, before any decryption."""
        try:
            _, _, mark, bucket = self._look_up(salt)
        except OSError as error:
            self._file.leave_disk(error)
            _, _, mark, bucket = self._look_up(salt)
        return mark in bucket

    def insert(self, salt: bytes, stamp: int = 0) -> bool:
        """Record a salt in one step with the look-up; False when it was there already. The stamp means nothing here."""
        file = self._file
        try:
            if not file.shared:
                return self._insert(salt)
            with file.lock:
                last = self._last
                if last is not None:  # where it belongs is known; what stands there may be another process's by now
                    self._last = *last[:3], os.pread(file.fd, _BUCKET_SIZE, last[1])
                return self._insert(salt)
        except OSError as error:
            file.leave_disk(error)
            self._last = None
            return self._insert(salt)

    def fresh(self, size: int, draw: Callable[[int], bytes]) -> bytes:
        """Return a new salt of ours, known from the start. `draw` gives random bytes."""
        rest = draw(size - _SIGN_SIZE)
        return self._digest(rest)[2] + rest

    def leave_file(self) -> None:
        """Go on in memory, and leave the file to another process."""
        self._file.leave_file()

    def close(self) -> None:
        """Give up the table. Its file stays."""
        self._file.close()

    def _look_up(self, salt: bytes) -> _Spot:
        choice, mark, sign = self._digest(salt[_SIGN_SIZE:])
        if salt.startswith(sign):
            return salt, 0, _OURS, _OURS
        at = PAGE + choice % BUCKETS * _BUCKET_STEP
        self._last = spot = salt, at, mark, os.pread(self._file.fd, _BUCKET_SIZE, at)
        return spot

    def _digest(self, rest: bytes) -> tuple[int, bytes, bytes]:
        hasher = self._hash.copy()
        hasher.update(rest)
        return _DIGEST.unpack(hasher.digest())

    def _insert(self, salt: bytes) -> bool:
        last = self._last
        if last is None or last[0] != salt:
            last = self._look_up(salt)
        self._last = None
        _, at, mark, bucket = last
        if mark in bucket:
            return False
        os.pwrite(self._file.fd, mark + bucket[:-_MARK_SIZE], at)
        return True
