"""How many descriptors and sessions a process may have."""

from __future__ import annotations

import sys
from typing import Final

NO_LIMIT_KNOWN: Final = 8192
"""Descriptors assumed where the system names no limit (Windows)."""

SESSIONS_MOST: Final = 16_384
"""UDP sessions of a process, unless a quarter of the descriptors is less: at 8 KiB each, 128 MiB."""
SESSIONS_PER_SOURCE: Final = 1024
"""UDP sessions of one source address: a household's, or a server's that is chained to this one."""


def raise_nofile(wanted: int | None) -> int:
    """Set the soft limit of open descriptors to `wanted`, or to the hard limit; return what holds then.

    A limit that the system refuses is left as it is: the accept loop lives with any.
    """
    if sys.platform == "win32":
        return NO_LIMIT_KNOWN
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    goal = hard if wanted is None else wanted
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (goal, max(goal, hard)))
    except (OSError, ValueError):
        return soft
    return goal
