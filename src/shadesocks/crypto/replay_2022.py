"""The salts of AEAD-2022 streams: an exact set, kept for 64 s and more (SIP022 §3.1.5 wants 60 s and no filter).

Two generations: the young one takes new salts, the old one is only looked at. When the young one is 64 s old, the old
one goes, the young one takes its place, and a new one begins; so a salt stays for 64 to 128 s, longer on a
server with little to do, which never forgets its last 4,096. The old set is not dropped at once (2.6 ms for 60,000)
but two salts with each insert.

**Clocks.** Ages are measured by the monotonic clock alone. The wall clock comes in through the stamps: `insert`
takes none that is not later than every stamp forgotten, so a forgotten salt cannot be replayed whatever the clock does.
While it runs evenly no client meets that rule: a stamp is at most 30 s ahead when it is recorded and at most 30 s
behind when it is new, and 64 s lie between. When the clock is set back, new stamps may be those of forgotten salts,
and are refused until they are later. Only stamps of authenticated clients count: a server whose clock alone was wrong
has forgotten none from the future.

**The file** keeps both generations, so that a restart forgets nothing, and is how processes that share it tell each
other. Page 0 holds the number of the young generation; even generations live in pages 1, 3, 5 …, odd ones in pages
2, 4, 6 …, as records of 64 bytes that carry their generation's number. A record with another number is left over from
two generations ago and ends the reading. Nothing is read back but at the start and, where it is shared, what others
wrote. It is written and not flushed: a killed process loses nothing, and a machine that lost its power mostly takes
longer to start than a stamp takes to grow stale.

What it costs (measured as in `replay_aead`; us): `known` 0.2, `insert` 2.0; with `shared` 5.6.
"""

from __future__ import annotations

import os
from struct import Struct
from typing import TYPE_CHECKING, Final

from .replay_file import PAGE, STATE_AT, Layout

if TYPE_CHECKING:
    from collections.abc import Callable

    from .replay_file import SaltFile

GENERATION_AGE: Final = 64.0
"""Seconds a generation takes salts, at least: 30 s ahead and 30 s behind, and some for rounding to whole seconds."""
GENERATION_LEAST: Final = 4096
"""Salts below which a generation goes on taking more: half a megabyte that spares small servers all forgetting."""

LAYOUT_2022: Final = Layout(
    name="aead2022.salts",
    title=b"shadesocks aead2022 salts, version 1, records of 64\n",
    size=PAGE,
)

_STAMP_MAX: Final = 2**64 - 1
_STATE: Final = Struct("<QQ")
"""In page 0: number of the young generation, least stamp that is taken."""
_RECORD: Final = Struct("<QQB15x32s")
"""Number of its generation, stamp, size of the salt, salt."""
_FIRST_GENERATION: Final = 2
"""So that the zeros of a new file are no record of it, nor of the one before."""
_RECORDS_A_PAGE: Final = PAGE // _RECORD.size


def _record_at(generation: int, index: int) -> int:
    page, rest = divmod(index, _RECORDS_A_PAGE)
    return PAGE * (1 + 2 * page + (generation & 1)) + rest * _RECORD.size


class _Generation:
    """Salts that came in one stretch of time, and how many records of them stand in the file."""

    __slots__ = ("count", "latest", "number", "salts")

    def __init__(self, number: int) -> None:
        self.number = number
        self.salts: set[bytes] = set()
        self.count = 0
        self.latest = -1
        """The latest stamp among them."""

    def add(self, salt: bytes, stamp: int) -> None:
        self.salts.add(salt)
        self.count += 1
        self.latest = max(self.latest, stamp)

    def read_on(self, fd: int) -> None:
        """Add the records of this generation that stand in the file and were not read yet."""
        while True:
            at = _record_at(self.number, self.count)
            room = PAGE - at % PAGE
            piece = os.pread(fd, room, at)
            for number, stamp, size, salt in _RECORD.iter_unpack(piece[: len(piece) // _RECORD.size * _RECORD.size]):
                if number != self.number:
                    return
                self.add(salt[:size], stamp)
            if len(piece) < room:
                return


class Salts2022:
    """Remembers every salt for a minute at least, and none that it was not given."""

    __slots__ = ("_clock", "_dying", "_file", "_least", "_old", "_turn_at", "_young")

    def __init__(self, file: SaltFile, clock: Callable[[], float]) -> None:
        self._file = file
        self._clock = clock
        self._dying: set[bytes] = set()
        """The generation before the old one, on its way out."""
        self._old = _Generation(0)
        self._young = _Generation(_FIRST_GENERATION)
        self._least = 0
        """No stamp below is taken: one more than the latest that was forgotten."""
        self._turn_at = 0.0
        try:
            self._load()
        except OSError as error:
            file.leave_disk(error)
            self._load()

    @property
    def notes(self) -> list[str]:
        """Sentences for the operator; whoever logs them empties the list."""
        return self._file.notes

    def known(self, salt: bytes) -> bool:
        """True when the salt was recorded: an early look-up, before any decryption.

        What another process recorded since our last `insert` is not seen here, only there.
        """
        return salt in self._young.salts or salt in self._old.salts

    def insert(self, salt: bytes, stamp: int) -> bool:
        """Record a salt in one step with the look-up; False when it was there, or may have been.

        It may have been when a salt that is forgotten had the same stamp or a later one.
        """
        now = self._clock()
        file = self._file
        try:
            if not file.shared:
                return self._insert(salt, stamp, now)
            with file.lock:
                self._catch_up(now)
                return self._insert(salt, stamp, now)
        except OSError as error:
            file.leave_disk(error)
            return self._insert(salt, stamp, now)

    def fresh(self, size: int, draw: Callable[[int], bytes]) -> bytes:
        """Return a new salt of ours. It need not be known: an answer's header says that it is one (SIP022 §3.1.3)."""
        return draw(size)

    def leave_file(self) -> None:
        """Go on in memory, and leave the file to another process."""
        self._file.leave_file()

    def close(self) -> None:
        """Give up the set. Its file stays."""
        self._file.close()

    def _insert(self, salt: bytes, stamp: int, now: float) -> bool:
        if self.known(salt) or stamp < self._least:
            return False
        if now >= self._turn_at and len(self._young.salts) >= GENERATION_LEAST and not self._dying:
            self._turn(now)
        young = self._young
        record = _RECORD.pack(young.number, stamp, len(salt), salt)
        os.pwrite(self._file.fd, record, _record_at(young.number, young.count))
        young.add(salt, stamp)
        for _ in range(min(2, len(self._dying))):
            self._dying.pop()
        return True

    def _turn(self, now: float) -> None:
        """Begin a generation; the state comes first, since a file longer than it need be does no harm."""
        young, fd = self._young, self._file.fd
        least = max(self._least, min(self._old.latest + 1, _STAMP_MAX))
        os.pwrite(fd, _STATE.pack(young.number + 1, least), STATE_AT)
        os.ftruncate(fd, _record_at(young.number, young.count))
        self._shift(least, now)

    def _shift(self, least: int, now: float) -> None:
        self._least = least
        self._dying = self._old.salts
        self._old = self._young
        self._young = _Generation(self._old.number + 1)
        self._turn_at = now + GENERATION_AGE

    def _load(self) -> None:
        """Read both generations. They are as good as new: their ages are not known, and longer is safe."""
        fd = self._file.fd
        number, self._least = self._read_state()
        self._old = _Generation(number - 1)
        self._old.read_on(fd)
        self._young = _Generation(number)
        self._young.read_on(fd)
        self._turn_at = self._clock() + GENERATION_AGE

    def _catch_up(self, now: float) -> None:
        """Take in what other processes wrote."""
        fd = self._file.fd
        number, least = self._read_state()
        if number == self._young.number + 1:
            self._young.read_on(fd)
            self._shift(least, now)
        elif number != self._young.number:
            self._load()
        self._young.read_on(fd)

    def _read_state(self) -> tuple[int, int]:
        number, least = _STATE.unpack(os.pread(self._file.fd, _STATE.size, STATE_AT))
        return max(number, _FIRST_GENERATION), least
