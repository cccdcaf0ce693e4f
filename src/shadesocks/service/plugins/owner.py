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

from .processes import PROC, family

_LISTENING: Final = "0A"
_MAPPED: Final = bytes(10) + b"\xff\xff"


class Owner(Enum):
    """Whose a port is."""

    NOBODY = "nobody"
    OURS = "ours"
    OTHER = "other"
    UNKNOWN = "unknown"


def owner_of(host: str, port: int, kind: str, root: int) -> Owner:
    """Say who listens on a port (`tcp`), or has a socket there (`udp`): a process or what it started, or another.

    A host that is no IP address stands for all of them.
    """
    try:
        sockets = {inode for name in (kind, f"{kind}6") for inode in _sockets(name, host, port)}
    except OSError:
        return Owner.UNKNOWN
    if not sockets:
        return Owner.NOBODY
    may_look = True
    for pid in family(root):
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
        lines = open(f"{PROC}/self/net/{name}", encoding="ascii")  # noqa: SIM115 - closed below
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


def _held(pid: int) -> set[str]:
    """Return what the descriptors of a process are; none where it is gone."""
    held = set()
    try:
        with os.scandir(f"{PROC}/{pid}/fd") as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    held.add(os.readlink(entry.path))
    except (FileNotFoundError, ProcessLookupError):
        pass
    return held
