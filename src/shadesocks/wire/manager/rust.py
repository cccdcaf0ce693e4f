"""The manager of shadowsocks-rust, `ssmanager`: totals for whoever asks, numbers for ports, a LF behind everything.

Seen on the wire (1.24). A list names no methods, and the users of a port where it has some; `list:` and a port in
quotes have no answer.
"""

from __future__ import annotations

from typing import Final

from .command import PortRow
from .dialect import Dialect, compact


def show(row: PortRow) -> str:
    """Show a port."""
    members: dict[str, object] = {"server_port": row.port, "password": row.password}
    if row.users:
        members["users"] = [{"name": name, "password": password} for name, password in row.users]
    return compact(members)


RUST: Final = Dialect(
    "rust",
    {
        "ok": "ok",
        "method": "unrecognized method {word}",
        "mode": "unrecognized mode {word}",
        "refused": "invalid server",
        "taken": "{why}",
    },
    show,
    end="\n",
    is_bare=True,
    has_number_ports=True,
)
