"""The rights of root, given up for good.

    find_user -> check_user -> (bind, open what only root may) -> become -> closed_program

Once listeners and stores are open, nothing of a proxy needs root. Everything that is opened later, a reread config, a
rotated log, a store for a method that is new, is opened as the user.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..core.errors import ShadesocksError


class UserError(ShadesocksError):
    """This process cannot be that user's; a sentence."""

    code = "user"


@dataclass(frozen=True, slots=True)
class User:
    """A user of this machine."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    """All of them, also the first."""


def find_user(text: str) -> User:
    """Return the user of a name, or of a number.

    Raises:
        UserError: there is none.
    """
    try:
        import pwd
    except ImportError:
        raise UserError("user can be used only on Unix") from None
    try:
        row = pwd.getpwnam(text)
    except KeyError:
        try:
            row = pwd.getpwuid(int(text))
        except (KeyError, ValueError, OverflowError):
            raise UserError(f"user not found: {text}") from None
    groups = os.getgrouplist(row.pw_name, row.pw_gid)
    return User(row.pw_name, row.pw_uid, row.pw_gid, tuple(sorted({*groups, row.pw_gid})))


def is_current(user: User) -> bool:
    """True when this process is that user's already."""
    return os.getuid() == os.geteuid() == user.uid


def check_user(user: User) -> None:
    """See that this process can become that user's.

    Raises:
        UserError: it cannot.
    """
    if not is_current(user) and os.geteuid() != 0:
        text = f"can not set user as nonroot user; start as root to run as {user.name}, or leave the user out"
        raise UserError(text)


def become(user: User) -> None:
    """Give up this user for another, for good: groups first, while there is the right to.

    Nothing changes where it is the same one.

    Raises:
        UserError: the system refused, or there is a way back. Only part may be done: the process must end.
    """
    if is_current(user):
        return
    check_user(user)
    try:
        os.setgroups(user.groups)
        os.setgid(user.gid)
        os.setuid(user.uid)  # of root: all three of them, so there is no way back
    except OSError as error:
        raise UserError(f"cannot run as {user.name}: {os.strerror(error.errno or 0)}") from None
    if os.getgid() != user.gid or os.geteuid() != user.uid or _can_return():
        raise UserError(f"cannot run as {user.name}: the system lets this process be root again")


def closed_program(user: User) -> str:
    """Say what is wrong where this program lies in a place that is closed to its user; empty where it does not.

    Root's home is such a place, and what is not loaded by then cannot be loaded any more.
    """
    for path in (os.__file__, __file__):
        if not os.access(path, os.R_OK):
            return (
                f"{os.path.dirname(path)} is closed to {user.name}, who runs this service, and parts of the program "
                "are loaded from there when they are first needed: install it where all users can read it"
            )
    return ""


def _can_return() -> bool:
    for way in (os.setuid, os.seteuid):
        try:
            way(0)
        except OSError:
            continue
        return True
    return False
