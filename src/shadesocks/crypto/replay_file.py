"""The file under a salt store: made, checked, locked, set aside when it is not ours, or kept in memory.

Called by `replay_aead` and `replay_2022` only. They read and write its descriptor with
`os.pread` and `os.pwrite`; this file sees to everything that comes before and after.
It never logs: what the operator should know is left in `notes`. It never deletes a file.

    page 0    title (what, version, geometry), key, check sum; the store's own state from STATE_AT on
    page 1..  the store's

**Who may use a file at once.** A store opened alone holds a lock on it for life, and needs none
for an operation (it would cost 1.1 us of some 2.5). Stores opened with `shared` hold a shared one,
so that neither kind can come between the other, and lock each test-and-insert. The first are
`flock` on the file, the second record locks on a file beside it: `flock` sees two stores in one process,
record locks see two processes that forked with one descriptor, and on BSD they must not meet in one file.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, flock, lockf
from stat import S_IMODE, S_ISREG
from typing import Final

from .digests import blake2b

PAGE: Final = 4096
"""Bytes. What never crosses a page is never half written, whenever the process is killed."""
STATE_AT: Final = 512
"""Where in page 0 a store may keep a few bytes that change; what stands before them never does."""

_TITLE_SIZE: Final = 64
_KEY_SIZE: Final = 32
_CHECK_SIZE: Final = 16
_HEADER_SIZE: Final = _TITLE_SIZE + _KEY_SIZE + _CHECK_SIZE
_COPY_SIZE: Final = 1 << 20
_TRIES: Final = 16
"""How often a file may change under our hands while it is opened: each time, another process has set one aside."""

_READ_WRITE: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_OWNER_ONLY: Final = 0o600


@dataclass(frozen=True, slots=True)
class Layout:
    """What a file of one kind looks like."""

    name: str
    """Its name in the state directory."""
    title: bytes
    """Its first bytes: kind, version and geometry, so that a file of another shape is a foreign one."""
    size: int
    """The fewest bytes it has, all of them set aside on the disk when it is made."""


class Lock:
    """Keeps other processes out for the length of a `with`. Not other threads: a store belongs to one."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __enter__(self) -> None:
        lockf(self._fd, LOCK_EX)

    def __exit__(self, *_: object) -> None:
        lockf(self._fd, LOCK_UN)


class SaltFile:
    """An open file of salts, or the memory that stands in for one."""

    __slots__ = ("_lock_fd", "_size", "fd", "key", "lock", "notes", "shared")

    def __init__(self, layout: Layout, directory: str | None, *, shared: bool) -> None:
        self.notes: list[str] = []
        """Sentences for the operator; whoever logs them empties the list."""
        self.shared = shared
        """True when other processes write here: each test-and-insert is then done inside `lock`."""
        self._size = layout.size
        self._lock_fd = -1
        self.fd = -1
        """The descriptor to read and write. Another one after `leave_disk`."""
        self.key = b""
        """32 random bytes as old as the file, for a hash that nobody outside can aim."""
        if directory is not None:
            try:
                self._open(layout, directory)
            except OSError as error:
                self.close()
                self.notes.append(
                    f"{os.path.join(directory, layout.name)}: {_why(error)}; "
                    "replayed salts are remembered in memory only, until this process ends"
                )
        if self.fd < 0:
            self.fd = _memory(layout.size)
            self.key = _write_header(self.fd, layout)
        self.lock = Lock(self.fd if self._lock_fd < 0 else self._lock_fd)

    def close(self) -> None:
        """Give up the descriptors, and with them the locks."""
        for fd in (self.fd, self._lock_fd):
            if fd >= 0:
                os.close(fd)
        self.fd = self._lock_fd = -1

    def leave_disk(self, error: OSError) -> None:
        """Go on in memory after an error of the disk, with whatever can still be read."""
        self.leave_file()
        self.notes.append(
            f"the file of replayed salts cannot be used any more ({_why(error)}); "
            "they are remembered in memory only, until this process ends"
        )

    def leave_file(self) -> None:
        """Go on in memory with whatever can be read, and leave the file to another process."""
        memory = _memory(self._size)
        with suppress(OSError):
            at = 0
            while piece := os.pread(self.fd, _COPY_SIZE, at):
                at += os.pwrite(memory, piece, at)
        self.close()
        self.fd = memory
        self.shared = False

    def _open(self, layout: Layout, directory: str) -> None:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        path = os.path.join(directory, layout.name)
        if self.shared:
            self._lock_fd = os.open(f"{path}.lock", _READ_WRITE | os.O_CREAT, _OWNER_ONLY)
            with Lock(self._lock_fd):
                self._settle(layout, path)
        else:
            self._settle(layout, path)

    def _settle(self, layout: Layout, path: str) -> None:
        """Open the file at `path`; make it where there is none, or where another thing stands."""
        for _ in range(_TRIES):
            self.fd = os.open(path, _READ_WRITE | os.O_CREAT, _OWNER_ONLY)
            status = os.fstat(self.fd)
            if S_ISREG(status.st_mode):
                flock(self.fd, (LOCK_SH if self.shared else LOCK_EX) | LOCK_NB)
                if not _is_at(self.fd, path):
                    # Set aside by another process between our open and our lock.
                    self._drop()
                    continue
                if S_IMODE(status.st_mode) != _OWNER_ONLY:
                    os.fchmod(self.fd, _OWNER_ONLY)
                if not os.fstat(self.fd).st_size:
                    _reserve(self.fd, layout.size)
                    self.key = _write_header(self.fd, layout)
                    return
                key = _read_header(self.fd, layout)
                if key is not None:
                    self.key = key
                    return
            aside = _set_aside(path)
            self._drop()
            self.notes.append(
                f"{path} is damaged, or of another version; it is kept as {aside}, and a new one was begun: "
                "salts from before this start are forgotten"
            )
        raise OSError("it changes faster than it can be opened")

    def _drop(self) -> None:
        os.close(self.fd)
        self.fd = -1


def _why(error: OSError) -> str:
    if isinstance(error, BlockingIOError):
        return "in use by another process or service (a --state-dir of its own lets this one remember over restarts)"
    return error.strerror or str(error)


def _memory(size: int) -> int:
    """Return a descriptor of nameless memory: pages that nobody wrote cost nothing."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("shadesocks-salts", os.MFD_CLOEXEC)
    else:
        import tempfile  # 5 ms that Linux need not spend

        with tempfile.TemporaryFile(buffering=0) as file:
            fd = os.dup(file.fileno())
    os.ftruncate(fd, size)
    return fd


def _reserve(fd: int, size: int) -> None:
    """Make the file that long, its blocks promised, so that a disk that fills later cannot take them away."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(fd, 0, size)
        except OSError:
            # Some file systems cannot promise; one that is full fails again below or at the header.
            os.ftruncate(fd, 0)
        else:
            return
    os.ftruncate(fd, size)


def _header(layout: Layout, key: bytes) -> bytes:
    body = layout.title.ljust(_TITLE_SIZE, b"\0") + key
    return body + blake2b(body, digest_size=_CHECK_SIZE).digest()


def _write_header(fd: int, layout: Layout) -> bytes:
    key = os.urandom(_KEY_SIZE)
    os.pwrite(fd, _header(layout, key), 0)
    return key


def _read_header(fd: int, layout: Layout) -> bytes | None:
    """Return the key of a file of that layout; None for anything else."""
    head = os.pread(fd, _HEADER_SIZE, 0)
    key = head[_TITLE_SIZE : _TITLE_SIZE + _KEY_SIZE]
    return key if head == _header(layout, key) and os.fstat(fd).st_size >= layout.size else None


def _is_at(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False


def _set_aside(path: str) -> str:
    number = 1
    while os.path.lexists(aside := f"{path}.corrupt-{number}"):
        number += 1
    os.rename(path, aside)
    return aside
