"""The manager of shadowsocks-go: it answers `pong`, and sends totals to everybody who pinged until `ping-stop`.

Seen in its source (master). A method may end in -auth there, in files and commands alike.
"""

from __future__ import annotations

from typing import Final

from .command import EVERY_COMMAND
from .dialect import Dialect
from .python import show

GO: Final = Dialect(
    "go",
    {"ok": "ok", "pong": "pong", "bad": "err", "method": "err", "mode": "err", "refused": "err", "taken": "err"},
    show,
    commands=EVERY_COMMAND,
    auth="-auth",
    pushes="totals",
)
