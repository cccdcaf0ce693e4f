"""The manager of Python shadowsocks: it answers `pong`, and pushes what is new to whoever commanded last.

Seen in its source (2.8.2 to master). A bad command has no answer there; `taken` has one here, so that whoever waits for
an ok learns that there is none.
"""

from __future__ import annotations

from typing import Final

from .command import PortRow
from .dialect import Dialect, compact


def show(row: PortRow) -> str:
    """Show a port; there was no `list` to go by."""
    return compact({"server_port": row.port, "password": row.password, "method": row.method})


PYTHON: Final = Dialect(
    "python",
    {"ok": "ok", "pong": "pong", "taken": "err"},
    show,
    replaces=False,
    pushes="deltas",
    ports_max=50,
)
