"""The file of a Unix socket: whether the one of that name is still ours, before it is removed."""

from __future__ import annotations

import os


def identity(path: str) -> tuple[int, int] | None:
    """Return what tells a file from another one of its name; None where there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
