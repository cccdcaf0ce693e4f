"""The processes that a program of ours has started, as /proc shows them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, NamedTuple

PROC: Final = "/proc"
"""What stands in it by process is there in a hardened unit, too (ProcSubset=pid)."""
ROUNDS_MOST: Final = 10
"""Looks at who is left: whoever forks faster than it is killed is not to keep us."""


class _Process(NamedTuple):
    pid: int
    parent: int
    session: int


def family(root: int) -> Iterator[int]:
    """Yield a process, first of all, and those it started: all below it, and all of its session."""
    yield root
    first = _children(root)
    yield from first  # mostly it is one of these, and all others need not be looked at
    others = [found for name in _numbers() if (found := _look(name)) is not None and found.pid != root]
    known = {root, *first}
    more = True
    while more:
        new = [each for each in others if each.pid not in known and (each.parent in known or each.session == root)]
        known.update(each.pid for each in new)
        more = bool(new)
        yield from (each.pid for each in new)


def kill_family(root: int) -> None:
    """Kill those that a process has started, once it has ended and before it is reaped: till then its number is its."""
    for _ in range(ROUNDS_MOST):
        left = [pid for pid in family(root) if pid != root]
        if not left:
            return
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def _children(pid: int) -> list[int]:
    """Return those that a process has started, where the kernel lists them."""
    with suppress(OSError, ValueError), open(f"{PROC}/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]
    return []


def _numbers() -> list[str]:
    with suppress(OSError):
        return [name for name in os.listdir(PROC) if name.isdecimal()]
    return []


def _look(name: str) -> _Process | None:
    """Return where a process belongs; None for one that has ended."""
    try:
        with open(f"{PROC}/{name}/stat", encoding="utf-8", errors="replace") as file:
            state, parent, _, session = file.read().rpartition(")")[2].split()[:4]
            return None if state in "ZX" else _Process(int(name), int(parent), int(session))
    except (OSError, ValueError):
        return None
