"""Before a service waits for its connections to end: the last requests on those that clients keep ready.

A client with a pool has connections on which it has said nothing. It goes on using them until it hears of their end, so
they are served for a moment longer, in which a busy client uses them up, and then closed: the client then asks whoever
serves next. What was asked until then comes to its relay, and is waited for like any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .ports import OpenPort

USED_UP: Final = 1.0
"""Seconds for clients to use up what they keep ready: at eight requests a second, as many as procurator kept."""
LAST_HANDSHAKES: Final = 1.0
"""Seconds for the handshakes that had begun by then; who stalls gets no more. Dials have their own time-out."""
LOOK: Final = 0.02


async def last_requests(ports: Sequence[OpenPort], limit: float) -> float:
    """Serve them, and return what is left of `limit` seconds: all, where nobody is about to ask."""
    loop = asyncio.get_running_loop()
    until = loop.time() + limit
    houses = [port.face.strangers for port in ports if port.face.strangers is not None]
    flows = [port.face.flow for port in ports if port.face.flow is not None]
    await _while(lambda: any(any(house.waiting) for house in houses), min(USED_UP, limit))
    for house in houses:
        house.hang_up()
        house.reactor.settle()
    await _while(lambda: any(flow.greets for flow in flows), min(LAST_HANDSHAKES, until - loop.time()))
    await _while(lambda: any(flow.dialling for flow in flows), until - loop.time())
    return max(0.0, until - loop.time())


async def _while(holds: Callable[[], bool], limit: float) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + limit
    while loop.time() < until and holds():  # noqa: ASYNC110 - they tell nobody
        await asyncio.sleep(LOOK)
