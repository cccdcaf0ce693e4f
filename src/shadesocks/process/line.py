"""The line between a master and one worker: short messages both ways, and descriptors with them.

    master   STOP QUIT HANGUP SOCKETS CONFIG REREAD CHANGE CHANGED  ->  worker
    worker   READY BEAT LEFT FAILED ASK SERVES WANT DONE            ->  master

A message is a letter and a number, so that none is ever cut, and no side waits: a line that is full belongs to a
process that hangs. The end of the line is the end of the process at its other end, however that came: the master that
was killed is noticed by its workers, and they end.

What is larger than a number travels as a file without a name whose descriptor is sent (`pack`, `unpack`); on Linux it
is memory. It is pickled: both ends are one program, forked, and nobody else has the descriptor. A config never goes
this way, for its secrets are not written anywhere: a forked worker has it, and a running one reads it again itself. The
words of a manager's command do, with their password: nobody could read them again.
"""

from __future__ import annotations

import array
import os
import pickle
import socket
import struct
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from socket import SCM_RIGHTS, SOL_SOCKET, SocketType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from ..config.model import Config

STOP: Final = b"T"
"""Accept no more, drain for so many milliseconds at most, end."""
QUIT: Final = b"Q"
"""Accept no more; end when the last connection ends."""
HANGUP: Final = b"H"
"""Open the log again."""
SOCKETS: Final = b"S"
"""Further sockets of this worker, for the config or the change that follows."""
CONFIG: Final = b"C"
"""Read the config again, and serve it; the number is `mark_of` the one that the master read."""
SERVES: Final = b"s"
"""It serves that config. Who cannot leaves instead."""
REREAD: Final = b"R"
"""The config was read: whether it is served, and the problems, are in the file. To who asked, by his number, once all
workers serve it; where it has mistakes at once, and by 0 to all."""
WANT: Final = b"w"
"""A manager's commands want changes of ports, which are in the file."""
CHANGE: Final = b"c"
"""Do those in the file; the number is to be told when that is done. Sockets for them come before."""
DONE: Final = b"d"
"""They are done; where some could not be, the file says of each why."""
CHANGED: Final = b"D"
"""To who wanted changes: the file says of each why it could not be done, or that it is, by all."""
READY: Final = b"r"
"""It serves."""
BEAT: Final = b"."
"""It lives. The number is what it has resident, in bytes."""
LEFT: Final = b"l"
"""It accepts no more, and closed its sockets: nobody waits in them."""
FAILED: Final = b"e"
"""It cannot start: the problems are in the file."""
ASK: Final = b"a"
"""Somebody wants the config read again, as by SIGHUP; REREAD with the number tells him what came of it."""

SOCKETS_MOST: Final = 64
"""Descriptors of one message; Linux takes 253 (SCM_MAX_FD), others fewer."""

_MESSAGE: Final = struct.Struct(">cQ")
_ROOM: Final = socket.CMSG_SPACE(SOCKETS_MOST * array.array("i").itemsize)


class Message(NamedTuple):
    """One message."""

    kind: bytes
    number: int
    descriptors: tuple[int, ...] = ()
    """Of whoever reads the message, who closes them."""


class Line:
    """One end."""

    def __init__(self, sock: SocketType) -> None:
        """Speak over one socket of a pair."""
        sock.setblocking(False)
        self._sock: Final = sock

    def fileno(self) -> int:
        """Return the descriptor to watch; -1 once it is closed."""
        return self._sock.fileno()

    def send(self, kind: bytes, number: int = 0, descriptors: Iterable[int] = ()) -> bool:
        """Send a message; False where the other end is gone, or reads no more."""
        passed = array.array("i", descriptors)
        extra = [(SOL_SOCKET, SCM_RIGHTS, passed)] if passed else []
        try:
            return self._sock.sendmsg([_MESSAGE.pack(kind, number)], extra) == _MESSAGE.size
        except OSError:
            return False

    def give(self, sockets: Sequence[int], kind: bytes, number: int, descriptors: Iterable[int] = ()) -> bool:
        """Send sockets, and the message that they are for."""
        pieces = [sockets[at : at + SOCKETS_MOST] for at in range(0, len(sockets), SOCKETS_MOST)]
        return all(self.send(SOCKETS, 0, piece) for piece in pieces) and self.send(kind, number, descriptors)

    def receive(self) -> Iterator[Message | None]:
        """Yield what has come; None at the end of the line."""
        while True:
            try:
                # Never more than one message: descriptors stay with theirs.
                data, extra, _, _ = self._sock.recvmsg(_MESSAGE.size, _ROOM)
            except BlockingIOError:
                return
            except OSError:
                data, extra = b"", []
            passed = array.array("i")
            for level, kind, piece in extra:
                if (level, kind) == (SOL_SOCKET, SCM_RIGHTS):
                    passed.frombytes(piece[: len(piece) - len(piece) % passed.itemsize])
            for descriptor in passed:
                os.set_inheritable(descriptor, False)
            if len(data) < _MESSAGE.size:
                yield None
                return
            letter, number = _MESSAGE.unpack(data)
            yield Message(letter, number, tuple(passed))

    def close(self) -> None:
        """End the line."""
        self._sock.close()


def mark_of(config: Config) -> int:
    """Return a number by which forked processes know that they have equal configs, with equal users."""
    return hash((config, *(server.users for server in config.servers))) & (1 << 64) - 1


def make_line() -> tuple[Line, Line]:
    """Return both ends."""
    one, other = socket.socketpair()
    return Line(one), Line(other)


def pack(value: Any) -> int:
    """Return the descriptor of a nameless file that holds a value; whoever gets it has it for reading."""
    data = pickle.dumps(value)
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("shadesocks")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(data)
    return descriptor


def unpack(descriptor: int) -> Any:
    """Return the value that a file holds, and close it. Several processes may do so at once."""
    try:
        size, data = os.fstat(descriptor).st_size, b""
        while len(data) < size:
            data += os.pread(descriptor, size - len(data), len(data))
    finally:
        os.close(descriptor)
    return pickle.loads(data)  # noqa: S301 - written by the same program, in a file without a name


def resident() -> int:
    """Return the bytes that this process has resident; 0 where the system does not tell."""
    with suppress(OSError, ValueError, IndexError), open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
