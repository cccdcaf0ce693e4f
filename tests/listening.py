"""The end of a server of a test's own: nobody falls between its last accept and its close."""

from __future__ import annotations

import asyncio
from typing import Final

TURNS: Final = 5
"""Of the loop, in which what was accepted just now comes to its handler."""


async def accept_no_more(server: asyncio.Server) -> None:
    """Close it, but not in the turn of an accept: what asyncio takes then belongs to nobody, and nobody closes it."""
    loop = asyncio.get_running_loop()
    for sock in server.sockets:
        loop.remove_reader(sock.fileno())
    for _ in range(TURNS):
        await asyncio.sleep(0)
    server.close()
