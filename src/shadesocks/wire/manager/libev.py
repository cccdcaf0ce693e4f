"""The manager of shadowsocks-libev, `ss-manager`: totals for whoever asks, ports as texts, a line for each in a list.

Seen on the wire (3.3.5). It reads an `add` up to the first key that it does not know. Its servers are processes of
their own that tell it what passed, each for one port, with a NUL at the end.
"""

from __future__ import annotations

from typing import Final

from .command import PortRow
from .dialect import Dialect, compact


def show(row: PortRow) -> str:
    """Show a port."""
    return compact({"server_port": str(row.port), "password": row.password, "method": row.method})


LIBEV: Final = Dialect(
    "libev",
    {
        "ok": "ok",
        "bad": "err",
        "method": "err",
        "mode": "err",
        "refused": "err",
        "taken": "port is not available",
    },
    show,
    keys=frozenset(("server_port", "password", "method", "mode", "plugin", "plugin_opts", "fast_open", "no_delay")),
    cuts=True,
    between=("\n\t", "\n]"),
    hears=True,
    report_end="\0",
    report_interval=5.0,
)
