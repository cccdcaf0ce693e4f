"""The IVs of stream ciphers, for servers that refuse repeats: at least the last 1,000,000, in memory.

The table of datagrams serves (`replay_packets.py`), since an IV may have as few as 6 bytes and no room for a sign of
ours. It is not kept over a restart: a stream cipher can be replayed with its bytes changed anyway, which no memory
sees. Nothing is kept before the first IV is recorded, so servers that take repeats cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from .replay_packets import PacketSalts


class StreamSalts:
    """Remembers IVs, those of requests and our own. A `replay.Salts`."""

    __slots__ = ("_seen", "notes")

    def __init__(self, seen: PacketSalts | None = None) -> None:
        """Remember in a table of its own, or in one that several processes `seen` in it."""
        self.notes: list[str] = []
        """Always empty: there is no file."""
        self._seen = seen

    def known(self, salt: bytes) -> bool:
        """True when the IV was recorded."""
        return self._seen is not None and self._seen.known(salt)

    def insert(self, salt: bytes, stamp: int = 0) -> bool:
        """Record an IV in one step with the look-up; False when it was there already. The stamp means nothing here."""
        if self._seen is None:
            self._seen = PacketSalts()
        return self._seen.insert(salt)

    def fresh(self, size: int, draw: Callable[[int], bytes]) -> bytes:
        """Return a new IV for an answer of ours; sent back to us it is refused, where requests are recorded at all."""
        salt = draw(size)
        if self._seen is not None:
            self._seen.insert(salt)
        return salt

    def leave_file(self) -> None:
        """Do nothing: there is none."""

    def close(self) -> None:
        """Give the memory back."""
        if self._seen is not None:
            self._seen.close()
            self._seen = None
