"""The state directory of a service that root starts, and another user is to run.

    prepare -> (bind, open the stores as root) -> give -> become -> complaint

Root's own state directory is closed to everybody else, so such a service has one by the name of its user, which is made
and given away while there is the right to. One that was named is the administrator's: it is given away only where it
was made here, and else it is told when the user cannot use it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .user import User

BASE: Final = "/var/lib"
"""Where programs keep their state (hier(7)); $XDG_STATE_HOME goes before it, for who has no right there."""
FOLDER: Final = "shadesocks"
VARIABLE: Final = "STATE_DIRECTORY"
"""By which systemd says where state is to lie, and `prepare` to whatever comes after it in this process."""

_STORE: Final = ".salts"
"""Is in the name of every file that is kept there."""
_FOLDER_MODE: Final = 0o700
_COMMON_MODE: Final = 0o755
"""All users look for theirs there."""
_OPEN_FOLDER: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_OPEN_FILE: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@dataclass(frozen=True, slots=True)
class StateHome:
    """A state directory, and the user for whom it is."""

    path: str
    user: User

    def give(self) -> None:
        """Give the user the stores that root opened there, so that a worker that starts later can open them, too."""
        with suppress(OSError), _opened(self.path) as folder:
            if os.fstat(folder).st_uid != self.user.uid:
                return
            for name in os.listdir(folder):
                if _STORE in name:
                    self._give_file(folder, name)

    def _give_file(self, folder: int, name: str) -> None:
        with suppress(OSError):
            fd = os.open(name, _OPEN_FILE, dir_fd=folder)
            try:
                status = os.fstat(fd)
                # The directory is the user's: a second name of some other file of root's may have been put there.
                if stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_uid == os.geteuid():
                    os.fchown(fd, self.user.uid, self.user.gid)
            finally:
                os.close(fd)

    def complaint(self) -> str:
        """Say what is to be done where this process, now the user's, cannot use the directory; empty where it can."""
        if os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            return ""
        return (
            f"the state directory {self.path} is closed to {self.user.name}, who runs this service: give it to that "
            f"user (chown), or name none, and one is made"
        )


def prepare(user: User, configured: str | None, environ: MutableMapping[str, str] | None = None) -> StateHome:
    """Make the state directory for a user whom this process will become; `complaint` tells what went wrong."""
    environ = os.environ if environ is None else environ
    named = configured or environ.get(VARIABLE, "").partition(":")[0]
    if named:
        home = StateHome(named, user)
        is_made = not os.path.lexists(named)
    else:
        common = Path(environ.get("XDG_STATE_HOME") or BASE, FOLDER)
        home = StateHome(str(common / user.name), user)
        environ[VARIABLE] = home.path
        is_made = True  # its name says whose it is
        with suppress(OSError):
            common.mkdir(parents=True)
            common.chmod(_COMMON_MODE)  # whatever umask root has
    if is_made:
        with suppress(OSError):
            Path(home.path).mkdir(_FOLDER_MODE, parents=True, exist_ok=True)
            with _opened(home.path) as folder:
                if os.fstat(folder).st_uid == os.geteuid():
                    os.fchown(folder, user.uid, user.gid)
    return home


@contextmanager
def _opened(path: str) -> Iterator[int]:
    folder = os.open(path, _OPEN_FOLDER)
    try:
        yield folder
    finally:
        os.close(folder)
