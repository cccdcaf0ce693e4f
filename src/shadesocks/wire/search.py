"""Looks for whose key somebody has who says nothing of it: many users on one AEAD port (outline-ss-server's way).

The first chunk of a stream, or a datagram, is tried with one key after the other: those that were used from the same
address first, then all others, last used first. A search is driven from outside, some keys at a time, so that a
wrong key among ten thousand keeps nobody waiting.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from ..crypto.trial import Trial
    from .identity import Holder

STEP: Final = 16
"""Keys tried in one go: 0.13 ms, what a handshake costs anyway."""


class Keyring(Protocol):
    """The keys of many, and who of them was here lately."""

    def candidates(self, group: bytes) -> Iterator[bytes]:
        """Yield all keys, those first that were used last from these addresses (`net.datagrams.group_of`)."""

    def near(self, group: bytes) -> Sequence[bytes]:
        """Return the keys that were used from these addresses, the last one first."""

    def holder(self, key: bytes) -> Holder | None:
        """Return whose key this is; None: nobody's, or nobody's any more."""

    def used(self, key: bytes, group: bytes) -> None:
        """Somebody at these addresses has the key."""


class Search:
    """One search. Keys that come while it runs may be missed, those that go are not found.

    A key that is found for the same address meanwhile is tried next: who opens ten connections at once is looked for
    once.
    """

    __slots__ = ("_keyring", "_left", "_newest", "_trial", "group", "key")

    def __init__(self, trial: Trial, keyring: Keyring, group: bytes) -> None:
        self._trial = trial
        self._keyring = keyring
        self._left = keyring.candidates(group)
        self._newest = b""
        """What was used last from there, when it was tried."""
        self.group = group
        self.key = b""
        """What fits, once it is found."""

    def step_near(self) -> bool:
        """Try those alone that were used from the same address, and few; True as `step` says it."""
        return self.step(min(len(self._keyring.near(self.group)), STEP))

    def step(self, most: int = STEP) -> bool:
        """Try so many more keys; True when the search is over: `key` was found, or there is none."""
        keys = list(islice(self._left, most))
        is_last = len(keys) < most
        near = self._keyring.near(self.group)
        if near and near[0] != self._newest:
            self._newest = near[0]
            if near[0] not in keys:
                keys.insert(0, near[0])
        found = self._trial.find(keys)
        if found is not None and self._keyring.holder(found) is not None:
            self.key = found
            return True
        return is_last or found is not None
