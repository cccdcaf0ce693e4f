"""Which process has seen which packets of a session: so that no datagram is taken twice by two workers (SIP022 §3.2.4).

A session's datagrams all come to one process, as long as its client stays where it is. When it moves they may come to
another, and so may a replay from any address. So the highest packet id of each session, and the process that took it,
stand in memory that all of them have, made before they fork. Whoever takes over a session begins above that id; while
a session stays where it is, its process has the whole window for itself.

A table of 8,192 buckets of 8 sessions, 2 MiB, of which nothing is resident before it is written. In a full bucket the
session that was heard longest ago makes room: its process writes it again with the next packet, and until then its
packets of the last 30 s could be taken once more by another. That takes nine live sessions in one bucket, which of
16,384 are 2 in 10,000 buckets (Poisson, mean 2).

**What it costs**: 7 us a datagram, for the lock most of it, where the table of AEAD salts alone takes 1.4.
"""

from __future__ import annotations

import os
from mmap import mmap
from struct import Struct
from typing import Final

from .record_lock import RecordLock
from .window import Window

BUCKETS: Final = 8192
SESSIONS: Final = 8
"""In one bucket."""

_SESSION: Final = Struct(">8sQIQ")
"""Session id, highest packet id, process, the time it was heard at."""
_ID_SIZE: Final = 8
_SIZE: Final = 32
"""Bytes of one: a divisor of the page."""
_BUCKET_SIZE: Final = SESSIONS * _SIZE


class SharedWindows:
    """The sessions of all processes. Made before they fork."""

    __slots__ = ("_lock", "_table")

    def __init__(self) -> None:
        self._lock = RecordLock()
        self._table = mmap(-1, BUCKETS * _BUCKET_SIZE)

    def claim(self, session_id: bytes, window: Window, packet_id: int, now: int) -> bool:
        """Take a packet that authenticated for this process; False where another may have taken it before.

        `window` is what this process has seen of the session; from what the others have, it is closed here.
        """
        number = hash(session_id) % BUCKETS
        process = os.getpid()
        with self._lock.at(number):
            at = self._find(number, session_id)
            known, highest, owner, _ = _SESSION.unpack_from(self._table, at)
            if known == session_id and owner != process:
                window.close_until(highest)
                if not window.fresh(packet_id):
                    return False
            _SESSION.pack_into(self._table, at, session_id, max(window.highest, packet_id), process, now)
        return True

    def _find(self, number: int, session_id: bytes) -> int:
        """Return where a session stands, or where it is to stand."""
        table, start = self._table, number * _BUCKET_SIZE
        oldest, since = start, -1
        for at in range(start, start + _BUCKET_SIZE, _SIZE):
            if table[at : at + _ID_SIZE] == session_id:
                return at
            heard_at = _SESSION.unpack_from(table, at)[3]
            if since < 0 or heard_at < since:
                oldest, since = at, heard_at
        return oldest

    def close(self) -> None:
        """Give the memory back."""
        self._table.close()
        self._lock.close()
