"""Whose the files of a store are that root made: of the user as whom the server runs, who could not open root's.

That user may put anything where the files lie, so nothing is given away but a plain file of root's with one name.
"""

from __future__ import annotations

import os
from contextlib import suppress
from stat import S_ISREG
from typing import Final

_PARTS: Final = ("", ".lock")
"""The file, and the one that is locked as long as somebody has it open. SQLite sees to its own."""


def hand_over(path: str, user: str | None) -> None:
    """Give the files of a store to a user, else to whom the store, or its folder, belongs. For root, after its close.

    Raises:
        UserError: there is no such user.
    """
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return
    with suppress(FileNotFoundError):
        uid, gid = _owner(path, user)
        if uid != 0:
            for part in _PARTS:
                with suppress(FileNotFoundError):
                    _give(f"{path}{part}", uid, gid)


def _owner(path: str, user: str | None) -> tuple[int, int]:
    status = os.lstat(path)
    if status.st_uid != 0:
        return status.st_uid, status.st_gid
    if user is not None:
        from ...process.user import find_user

        found = find_user(user)
        return found.uid, found.gid
    folder = os.stat(os.path.dirname(os.path.abspath(path)))
    return folder.st_uid, folder.st_gid


def _give(path: str, uid: int, gid: int) -> None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError:  # a link, a socket: none of ours
        return
    try:
        status = os.fstat(fd)
        if S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_uid == 0:
            os.fchown(fd, uid, gid)
    finally:
        os.close(fd)
