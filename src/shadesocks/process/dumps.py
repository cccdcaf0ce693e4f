"""No picture of this process on a disk when it crashes: its memory holds keys, and Python wipes none of it.

A dump goes where the system's `core_pattern` says: into a file, or through a pipe to a program that keeps it for
everybody who may read its archive. For a file a limit below a page is enough; for a pipe Linux does not look at the
limit, but for one value: at 1 byte there is no dump either way (core(5), and `vfs_coredump` in fs/coredump.c).

It is the soft limit. Who wants a dump after all raises it from outside: `prlimit --core=unlimited --pid PID`. The
process stays one that its own user may look at: its `/proc` entries, debuggers and profilers work as before.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Final

_NONE: Final = 1
"""Bytes of a dump: less than any has."""


def forbid() -> None:
    """Let a crash of this process, and of those that it starts, leave no dump; where the system refuses, it may."""
    if sys.platform == "win32":
        return
    import resource

    with suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (_NONE if hard == resource.RLIM_INFINITY else min(_NONE, hard), hard))
