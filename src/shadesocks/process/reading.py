"""The file of a config read again by a process that serves: how often it is looked at (`watch.py`), and in a thread,
where reading it takes a while."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from .heap import unswept

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..config.model import Config

MANY: Final = 200
"""Users of a file whose reading takes 20 ms; that of ten thousand takes a second."""
EVERY: Final = 1.0
"""Seconds between two looks at files: who saves one finds it read two seconds later."""
AS_BEFORE: Final = "the config has mistakes: all goes on as before"
"""What is told of one that cannot be served."""


async def read_again(reread: Callable[[], Config], config: Config) -> Config:
    """Return what a file says now; `config` is what it said. Raises what `reread` raises."""
    if sum(len(server.users or ()) for server in config.servers) < MANY:
        return reread()
    with unswept():  # or all that is there would be looked at several times: 25 ms each
        return await asyncio.to_thread(reread)
