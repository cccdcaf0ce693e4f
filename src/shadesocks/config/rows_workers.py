"""Rows of the table: several processes on one port."""

from __future__ import annotations

from typing import Final

from .setting import LIBEV, PYTHON, SERVER_END, Kind, Setting

WORKERS_MAX: Final = 256
"""More than a machine has cores that would gain by it; each costs some 30 MiB."""

ROWS: Final = (
    Setting(
        "workers",
        Kind.COUNT,
        "Processes that share the work, so that it has more than one core. One that dies is replaced.",
        roles=SERVER_END,
        default=1,
        low=1,
        high=WORKERS_MAX,
        flags=("--workers",),
        source=PYTHON,
        since="0.2",
    ),
    Setting(
        "worker_memory_limit",
        Kind.COUNT,
        "A worker with more memory than that is replaced, and ends with its last connection; 0: no limit.",
        roles=SERVER_END,
        default=0,
        unit="MiB",
        high=1 << 20,
        since="0.2",
    ),
    Setting(
        "worker_hang_timeout",
        Kind.SECONDS,
        "A worker that gives no sign of life for so long is killed and replaced; 0 leaves it alone.",
        roles=SERVER_END,
        default=30.0,
        unit="s",
        high=3600,
        since="0.2",
    ),
    Setting(
        "reuse_port",
        Kind.FLAG,
        "SO_REUSEPORT: another process of the same user may listen on the same ports, which a new version does before "
        "the old one quits. Without it a second instance fails to start.",
        default=False,
        flags=("--reuse-port",),
        source=LIBEV,
        since="0.2",
    ),
)
