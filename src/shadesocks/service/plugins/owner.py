"""Who has a port: a program that we started, somebody else, or nobody yet.

A port that was found free may be another's a moment later, and a connect alone does not tell whose it is. Linux says
in /proc; elsewhere, and where this process may not look, nobody knows.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from enum import Enum
from socket import AF_INET, AF_INET6, inet_pton
from typing import Final

_LISTENING: Final = "0A"
_MAPPED: Final = bytes(10) + b"\xff\xff"
_PROC: Final = "/proc"
"""What stands in it by process is there in a hardened unit, too (ProcSubset=pid)."""


class Owner(Enum):
    """Whose a port is."""

    NOBODY = "nobody"
    OURS = "ours"
    OTHER = "other"
    UNKNOWN = "unknown"


def owner_of(host: str, port: int, kind: str, group: int) -> Owner:
    """Say who listens on a port (`tcp`), or has a socket there (`udp`): a process of that group, or another.

    A host that is no IP address stands for all of them.
    """
    try:
        sockets = {inode for name in (kind, f"{kind}6") for inode in _sockets(name, host, port)}
    except OSError:
        return Owner.UNKNOWN
    if not sockets:
        return Owner.NOBODY
    may_look = True
    for pid in _members(group):
        try:
            if not sockets.isdisjoint(_held(pid)):
                return Owner.OURS
        except PermissionError:
            may_look = False
    return Owner.OTHER if may_look else Owner.UNKNOWN


def _sockets(name: str, host: str, port: int) -> Iterator[str]:
    """Yield the sockets at a port, by the names that descriptors of them have in /proc."""
    wanted, end = _forms(host), f":{port:04X}"
    try:
        lines = open(f"{_PROC}/self/net/{name}", encoding="ascii")  # noqa: SIM115 - closed below
    except FileNotFoundError:
        if name.endswith("6"):  # a system without IPv6
            return
        raise
    with lines:
        next(lines)
        for line in lines:
            _, local, _, state, *rest = line.split()
            if name.startswith("tcp") and state != _LISTENING:
                return  # listeners come first, and behind them may be a hundred thousand connections
            if local.endswith(end) and (wanted is None or local.partition(":")[0] in wanted):
                yield f"socket:[{rest[5]}]"


def _forms(host: str) -> frozenset[str] | None:
    """Return how /proc writes an address, and the wildcards that serve it; None for what is no single address."""
    try:
        packed = inet_pton(AF_INET6 if ":" in host else AF_INET, host)
    except OSError:
        return None
    if not any(packed):
        return None
    forms = {packed, bytes(4), bytes(16)} | ({_MAPPED + packed} if len(packed) == 4 else set())
    return frozenset(map(_as_words, forms))


def _as_words(packed: bytes) -> str:
    """Words of 32 bits, each as this machine has it."""
    words = (packed[at : at + 4] for at in range(0, len(packed), 4))
    return "".join((word[::-1] if sys.byteorder == "little" else word).hex().upper() for word in words)


def _members(group: int) -> Iterator[int]:
    """Yield the processes of a group, its first one first: mostly it is alone."""
    yield group
    with suppress(OSError):
        for name in os.listdir(_PROC):
            if name.isdecimal() and int(name) != group and _group_of(name) == group:
                yield int(name)


def _group_of(pid: str) -> int:
    try:
        with open(f"{_PROC}/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[2])
    except (OSError, ValueError, IndexError):
        return -1


def _held(pid: int) -> set[str]:
    """Return what the descriptors of a process are; none where it is gone."""
    held = set()
    try:
        with os.scandir(f"{_PROC}/{pid}/fd") as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    held.add(os.readlink(entry.path))
    except (FileNotFoundError, ProcessLookupError):
        pass
    return held
