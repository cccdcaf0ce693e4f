"""The hosts file: names that the administrator of this machine has given addresses by hand.

Asked before any name server, as hosts(5) has it. A line is an address and its names, `#` starts a comment wherever it
stands, and what is no such line is passed over. Of two lines for one name the first of each family wins, as in glibc:
`127.0.0.1 localhost` at the top stays true whatever is appended. The file is looked at again as names are asked for,
at most once in 5 s, and read again when it is another one. It is read in the thread that asks: a usual file takes a
fraction of a millisecond, a block list of a hundred thousand names a quarter of a second, once for each change.

A file that is missing or cannot be read is an empty one. Nothing here raises.
"""

from __future__ import annotations

import logging
import os
import stat
import sys
from socket import AF_INET, AF_INET6
from time import monotonic
from typing import TYPE_CHECKING, Final

from ..core.address import pack_ip
from .lookup import Found

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LOOK_EVERY: Final = 5.0
"""Seconds between two looks at the file."""
SIZE_MOST: Final = 32 << 20
"""Bytes: far more than the longest block lists. What is longer is no hosts file."""

_log = logging.getLogger(__name__)


def hosts_path(platform: str = sys.platform, environ: Mapping[str, str] = os.environ) -> str:
    """Return where the hosts file of this machine lies."""
    if platform != "win32":
        return "/etc/hosts"
    return environ.get("SystemRoot", r"C:\Windows") + r"\System32\drivers\etc\hosts"


def parse_hosts(text: str) -> dict[str, tuple[Found, ...]]:
    """Return the names of a hosts file, each with the first address of either family, in the order of the lines.

    Names are lower-case and without the dot at their end. Nothing is an error.
    """
    names: dict[str, tuple[Found, ...]] = {}
    seen: dict[str, tuple[Found, ...]] = {}  # a block list says one address a hundred thousand times
    # `splitlines` would also take U+2028, and end a comment there
    for line in text.removeprefix("\ufeff").replace("\r", "\n").split("\n"):
        words = (line.partition("#")[0] if "#" in line else line).split()
        if len(words) < 2:
            continue
        found = seen.get(words[0])
        if found is None:
            found = seen[words[0]] = _address(words[0])
        if not found:
            continue
        for word in words[1:]:
            name = (word[:-1] if word[-1] == "." else word).lower()
            known = names.get(name)
            if known is None:
                names[name] = found
            elif len(known) == 1 and known[0][0] != found[0][0]:
                names[name] = known + found
    names.pop("", None)
    return names


class Hosts:
    """One hosts file, as it is now."""

    def __init__(self, path: str | None = None, *, clock: Callable[[], float] = monotonic) -> None:
        """Name a file; it is read when the first name is asked for.

        Args:
            path: the file; None: the one of this machine.
            clock: seconds of a monotonic clock.
        """
        self._path = hosts_path() if path is None else path
        self._clock = clock
        self._look_at: float | None = None
        self._look: tuple[int, ...] | None = None
        """What the file looked like when it was read; None: there was none."""
        self._names: dict[str, tuple[Found, ...]] = {}
        self._refused = False

    def find(self, name: str) -> tuple[Found, ...] | None:
        """Return the addresses of a name, at least one; None where the file does not have it."""
        now = self._clock()
        if self._look_at is None or now >= self._look_at:
            self._look_at = now + LOOK_EVERY
            self._refresh()
        return self._names.get(_plain(name))

    def _refresh(self) -> None:
        """Read the file if it is another one than it was."""
        try:
            there = os.stat(self._path)
            if _look(there) == self._look:
                return
            self._look, self._names = None, {}
            if not stat.S_ISREG(there.st_mode):  # reading a pipe would wait for somebody to write
                return
            with open(self._path, "rb") as file:
                self._look = _look(os.fstat(file.fileno()))  # before it is read: what is written meanwhile shows
                data = file.read(SIZE_MOST + 1)
        except (OSError, ValueError):  # a path with NUL is a ValueError
            self._look, self._names = None, {}
            return
        if len(data) > SIZE_MOST:
            if not self._refused:  # once, though it may grow all day
                _log.warning("%s is over %d MiB and is not used: no hosts file is so long", self._path, SIZE_MOST >> 20)
            self._refused = True
            return
        self._refused = False
        self._names = parse_hosts(data.decode("utf-8", "replace"))


def _plain(name: str) -> str:
    return name.removesuffix(".").lower()


def _address(text: str) -> tuple[Found, ...]:
    """Return an IP text and its family; nothing where it is none. Only link-local addresses may have a zone."""
    bare, percent, zone = text.partition("%")
    packed = pack_ip(bare)
    if packed is None:
        return ()
    if percent and not (zone and len(packed) == 16 and packed[0] == 0xFE and packed[1] & 0xC0 == 0x80):
        return ()
    return ((int(AF_INET if len(packed) == 4 else AF_INET6), text),)


def _look(there: os.stat_result) -> tuple[int, ...]:
    """What differs when a file is changed in place, replaced, or put back with its old time."""
    return there.st_mtime_ns, there.st_ctime_ns, there.st_size, there.st_ino, there.st_dev
