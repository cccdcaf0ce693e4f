"""The control socket of a running service: a Unix socket at which programs of the same user ask, and command.

    open -> accept -> whose is it? -> `control_talk.py`, one task for each      close: its file goes, too

It is opened once the process is whose user it stays, and nothing depends on it: where it cannot be had the log says
why, and the service goes on. Its file is 0600 from its first moment on. That of a process which died is replaced, that
of a live one never: whoever binds or clears holds a lock on the directory.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import re
import socket
import stat
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final

from ..socket_file import identity
from ..state import FOLDER, state_directory

try:
    import fcntl
except ImportError:  # Windows, which has no such sockets either
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

Handler = Callable[[Mapping[str, Any]], Any]
"""Does what a command says, with its arguments, and returns what JSON can hold, or an awaitable of that; raises
`wire.control.ControlError`."""
Commands = Mapping[str, Handler]

ENDING: Final = ".sock"
PATH_MAX: Final = 107
"""Bytes of a socket's path: sun_path of unix(7) has 108, with a zero."""
CLIENTS_MAX: Final = 16
"""Programs that talk to one service at the same time: people, a panel, a few scripts."""
BACKLOG: Final = 16
AGAIN: Final = 5.0
"""Seconds until a path that a live process has is tried again: the one before us may be about to end."""
SOON: Final = 0.05
"""Seconds until a directory is tried again in which another process is at work: it needs 0.2 ms."""
SOON_TRIES: Final = 20
"""Such tries; who locks the directory for longer than a second is up to something else."""
PAUSE: Final = 1.0
"""Seconds for which nobody is accepted once the descriptors are used up."""
_OURS: Final = re.compile(rf"(local|server)-\d+\{ENDING}")
_CREDENTIALS: Final = struct.Struct("=iII")
"""struct ucred of Linux: process, user, group."""


class UnfitPath(OSError):
    """No socket can lie there; a sentence."""


def directories() -> list[str]:
    """Return where control sockets lie by default, in the order of preference: of systemd, of the session, with the
    state."""
    found = [os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]]
    if session := os.environ.get("XDG_RUNTIME_DIR", ""):
        found.append(os.path.join(session, FOLDER))
    if state := state_directory(None):
        found.append(os.path.join(state, "run"))
    return [os.path.abspath(folder) for folder in found if folder]


class Control:
    """The control socket of one service."""

    def __init__(self, wanted: str | None, role: str, commands: Callable[[], Commands], *, alone: bool = True) -> None:
        """Take a path, or a directory, or None for the usual one; an empty text is no socket.

        `commands` is asked for once somebody talks. Not `alone`: other processes were told the same path.
        """
        self._wanted: Final = wanted
        self._name: Final = f"{role}-{os.getpid()}"
        self._commands: Final = commands
        self._alone: Final = alone
        self._loop = asyncio.get_running_loop()
        self._sock: socket.socket | None = None
        self._file: tuple[int, int] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._talks: set[asyncio.Task[None]] = set()
        self._told = False
        self._tries = 0
        self.path = ""
        """Where it is; empty while it is nowhere."""

    @property
    def is_own(self) -> bool:
        """True where its name has this process's number, so that no other one wants it."""
        return str(os.getpid()) in os.path.basename(self.path)

    # -- its file ----------------------------------------------------------------------------------

    def open(self) -> None:
        """Listen, now or as soon as the place is free."""
        if self._wanted == "":
            return
        error: OSError | None = None
        for path in self._places():
            try:
                self._sock = listen(path, usual=self._wanted is None)
            except BlockingIOError as locked:
                self._tries += 1
                if self._tries > SOON_TRIES:
                    self._tell(locked)
                self._timer = self._loop.call_later(SOON if self._tries <= SOON_TRIES else AGAIN, self.open)
                return
            except OSError as failed:
                error = failed
                continue
            self.path, self._file = path, identity(path)
            self._loop.add_reader(self._sock.fileno(), self._accept)
            log.debug("control socket: %s", path)
            return
        self._tell(error)
        if error is not None and error.errno == errno.EADDRINUSE:
            self._timer = self._loop.call_later(AGAIN, self.open)

    def _places(self) -> list[str]:
        wanted = self._wanted
        if wanted is None:
            return [os.path.join(folder, self._name + ENDING) for folder in directories()]
        if wanted.endswith(os.sep) or os.path.isdir(wanted):
            return [os.path.abspath(os.path.join(wanted, self._name + ENDING))]
        if not self._alone:
            root, ending = os.path.splitext(wanted)
            wanted = f"{root}-{os.getpid()}{ending}"
        return [os.path.abspath(wanted)]

    def _tell(self, error: OSError | None) -> None:
        """Say once why there is none: loudly where somebody asked for it."""
        if not self._told:
            self._told = True
            level = logging.INFO if self._wanted is None else logging.ERROR
            why = "there is no directory for it" if error is None else error.strerror or str(error)
            if error is not None and error.filename:
                why = f"{error.filename}: {why}"
            log.log(level, "no control socket, so nobody can ask this process: %s", why)

    async def close(self) -> None:
        """End all talks, and remove the file if it is still ours; nothing happens where there is none."""
        if self._timer is not None:
            self._timer.cancel()
        sock, self._sock = self._sock, None
        if sock is not None:
            self._loop.remove_reader(sock.fileno())
            # While it listens nobody takes its place: what has its identity is ours.
            if self._file is not None and self._file == identity(self.path):
                with suppress(OSError):
                    os.unlink(self.path)
            sock.close()
            self.path = ""
        for talk in self._talks:
            talk.cancel()
        if self._talks:
            await asyncio.wait(self._talks)

    # -- whoever comes -----------------------------------------------------------------------------

    def _accept(self) -> None:
        assert self._sock is not None, "it listens"
        try:
            sock, _ = self._sock.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError:  # no descriptor is left: who waits, waits on
            self._loop.remove_reader(self._sock.fileno())
            self._timer = self._loop.call_later(PAUSE, self._listen_on)
            return
        sock.setblocking(False)
        from ...wire.control import BUSY, FORBIDDEN  # not at the top: nobody asks most services
        from .talk import refuse, talk

        if not is_trusted(sock):
            refuse(sock, FORBIDDEN, "only the user of this process, and root, may ask")
            return
        if len(self._talks) >= CLIENTS_MAX:
            refuse(sock, BUSY, f"{CLIENTS_MAX} programs talk to this process already; ask again later")
            return
        task = self._loop.create_task(talk(sock, self._commands()))
        self._talks.add(task)
        task.add_done_callback(partial(self._ended, sock))

    def _ended(self, sock: socket.socket, task: asyncio.Task[None]) -> None:
        self._talks.discard(task)
        sock.close()  # a task that ended before it began did nothing

    def _listen_on(self) -> None:
        if self._sock is not None:
            self._loop.add_reader(self._sock.fileno(), self._accept)


# -- sockets ---------------------------------------------------------------------------------------


def listen(path: str, *, usual: bool) -> socket.socket:
    """Return a socket that listens at a path; in a usual place its directory is made, and the dead are cleared away.

    Raises:
        BlockingIOError: another process is at work in the directory; a moment later it is not.
        OSError: it cannot be had there; with EADDRINUSE, since a live process has it.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise UnfitPath("this system has no Unix sockets")
    folder, name = os.path.split(path)
    if usual:
        _make_private(folder)
    with _locked(folder) as number:
        if usual:
            for other in os.listdir(folder):
                if _OURS.fullmatch(other) and other != name:
                    with suppress(OSError):
                        _clear(os.path.join(folder, other), number)
        _clear(path, number)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        mask = os.umask(0o177)
        try:
            sock.setblocking(False)
            sock.bind(_short(path, number, usual=usual))
            sock.listen(BACKLOG)
        except BaseException:
            sock.close()
            raise
        finally:
            os.umask(mask)
    return sock


def connect(path: str, limit: float) -> socket.socket:
    """Return a socket that is connected to the one at a path, however long that is.

    Raises:
        OSError: nobody listens there, or may be asked.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise UnfitPath("this system has no Unix sockets")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(limit)
        if len(os.fsencode(path)) <= PATH_MAX:
            sock.connect(path)
        else:
            with _opened(os.path.dirname(path)) as number:
                sock.connect(_short(path, number, usual=True))
    except BaseException:
        sock.close()
        raise
    return sock


def is_trusted(sock: socket.socket) -> bool:
    """True where the other end is of this process's user or root's; where the system does not tell, the file's
    rights have judged."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    found = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(found)
    return user in (0, os.geteuid())


def _make_private(folder: str) -> None:
    """Make a directory for this user alone. One that is there must be a directory of ours, and no link to one."""
    if folder == os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]:
        return  # systemd made it, and says who may look
    os.makedirs(folder, 0o700, exist_ok=True)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise UnfitPath(f"{folder} is no directory of this user's")
    if found.st_mode & 0o077:
        os.chmod(folder, 0o700)


@contextmanager
def _opened(folder: str) -> Iterator[int]:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield number
    finally:
        os.close(number)


@contextmanager
def _locked(folder: str) -> Iterator[int]:
    """Hold the lock of a directory, without waiting for it: somebody else may hold it for ever."""
    with _opened(folder) as number:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(errno.EAGAIN, f"another process has locked {folder}") from None
        except OSError:
            pass  # a file system without locks
        yield number


def _clear(path: str, folder: int) -> None:
    """Remove the socket of a process that is dead; raises OSError for anything else that is there."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        text = f"{path} is there, and no socket; move it, or choose another path"
        raise OSError(errno.EEXIST, text)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(_short(path, folder, usual=True))
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError:
            pass  # too many wait for it, or it is another user's: somebody has it
    raise OSError(errno.EADDRINUSE, f"another process listens at {path}")


def _short(path: str, folder: int, *, usual: bool) -> str:
    """Return a path that fits; one that others are to type must do so itself."""
    size = len(os.fsencode(path))
    if size <= PATH_MAX:
        return path
    if usual and os.path.isdir(f"/proc/self/fd/{folder}"):
        return f"/proc/self/fd/{folder}/{os.path.basename(path)}"
    raise UnfitPath(f"the path has {size} bytes, and a socket's has {PATH_MAX} at most; choose a shorter one: {path}")
