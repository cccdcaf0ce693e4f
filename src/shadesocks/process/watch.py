"""Files that are looked at: whether one of them says something else by now.

A look is a stat(2) of each, once a second: some microseconds, and the same on every system and file system. A change
counts once it stands still from one look to the next, so what is half written is not read, nor is anything while a file
is away; a file that is put in another's place by its name counts like one that is written in place.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Final

_Mark = tuple[int, int, int, int] | None
"""Device, file, size and time of the last change; None for a file that is not there."""


class FileWatch:
    """Looks at files."""

    def __init__(self, paths: Callable[[], Iterable[str]]) -> None:
        """Begin; `paths` says at each look which files they are, and what they say by now is known."""
        self._paths: Final = paths
        self._known: dict[str, _Mark] = self._marks()
        self._coming: dict[str, _Mark] = {}
        """What was seen at the last look, where that was a change."""

    def look(self) -> bool:
        """True where a file has changed since this was true, and stands still."""
        now = self._marks()
        # One that was not looked at before is as it was read just now.
        self._known = {path: self._known.get(path, mark) for path, mark in now.items()}
        if now == self._known:
            self._coming = {}
            return False
        if now != self._coming or None in now.values():
            self._coming = now
            return False
        self._known, self._coming = now, {}
        return True

    def _marks(self) -> dict[str, _Mark]:
        return {path: _mark(path) for path in self._paths()}


def _mark(path: str) -> _Mark:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
