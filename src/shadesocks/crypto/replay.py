"""The memory of salts: a handshake that comes a second time is a replay (design §6, protocol §6 and §7.3).

Called by the server's inbound: `known` early, on the bare salt; `insert` once the address behind it authenticated
and parsed, and before anything is dialled. Insert earlier, and a prober fills the store or burns the salt of a
client that is still on its way. Its own salts, which an AEAD server takes from `fresh`, are known too, or its bytes
could be reflected.

One store serves all ports of a process: salts are random, so those of different keys do not meet.
A store belongs to one thread. It never logs and never waits, but for the lock of another process (microseconds).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .methods import Edition

if TYPE_CHECKING:
    from collections.abc import Callable


class Salts(Protocol):
    """What every store does."""

    @property
    def notes(self) -> list[str]:
        """Sentences for the operator (memory only, a file set aside); whoever logs them empties the list.

        Look at it after opening, and from time to time: a disk that fails later is told here too.
        """

    def known(self, salt: bytes) -> bool:
        """True when the salt was recorded: an early look-up, before any decryption."""

    def insert(self, salt: bytes, stamp: int) -> bool:
        """Record a salt in one step with the look-up; False when it was there already.

        `stamp` is the header's time stamp, already judged to be within 30 s; 0 for an edition that has none.
        """

    def fresh(self, size: int, draw: Callable[[int], bytes]) -> bytes:
        """Return a new salt for an answer of ours; sent back to us, it is refused. `draw` gives random bytes."""

    def leave_file(self) -> None:
        """Go on in memory, and leave the file to another process: one that shares it with nobody."""

    def close(self) -> None:
        """Give up the store. Its file stays."""


def open_salts(directory: str | None, edition: Edition, *, clock: Callable[[], float], shared: bool = False) -> Salts:
    """Open the store of an edition in a directory, or in memory where there is none or it cannot be used.

    Args:
        directory: where the file is kept, made if missing; None keeps the salts in memory.
        edition: AEAD2022 keeps exact salts for a minute or two, the others the last million; STREAM has no file.
        clock: seconds of a monotonic clock.
        shared: other processes use the same directory at this moment, and say so too. Open it after the fork.
    """
    if edition is Edition.STREAM:
        from .replay_stream import StreamSalts

        return StreamSalts()
    from .replay_file import SaltFile

    if edition is Edition.AEAD2022:
        from .replay_2022 import LAYOUT_2022, Salts2022

        return Salts2022(SaltFile(LAYOUT_2022, directory, shared=shared), clock)
    from .replay_aead import AEAD_LAYOUT, AeadSalts

    return AeadSalts(SaltFile(AEAD_LAYOUT, directory, shared=shared))
