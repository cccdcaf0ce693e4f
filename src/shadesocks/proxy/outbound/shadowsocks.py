"""Through a Shadowsocks server: the client's way out, and a chaining server's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...core.address import Address
from ...net.end import End
from ...wire.nested import NestedOpener, NestedSealer
from ..seams import Dialing, First

if TYPE_CHECKING:
    from ...net.pipe import Scratch
    from ...wire.shadow import Random, Shadow, WallClock

Connect = Callable[[First], Dialing]
"""Connects to the server and sends these bytes first: through the network, a pool, a plugin or a socket pair."""


class ShadowsocksDialer:
    """Dials one server, and asks it for the target in the first bytes."""

    __slots__ = ("_buffer", "_connect", "_random", "_scratch", "_shadow", "_wall")

    def __init__(self, connect: Connect, shadow: Shadow, scratch: Scratch, wall: WallClock, random: Random) -> None:
        self._connect = connect
        self._shadow = shadow
        self._scratch = scratch
        self._wall = wall
        self._random = random
        self._buffer: memoryview | None = None
        """Between this server's stream and the one it travels in; made when there is one."""

    async def dial(self, target: Address, first: First) -> End:
        """Connect to the server. With `first`, salt, header and payload leave in one write with the connect; without,
        they leave with the first payload that the relay brings. See `seams.Dialer`."""
        sealer, opener = self._shadow.open_stream(target, self._wall, self._random)
        opening = b""
        if first:
            out = self._scratch.outward
            opening = bytes(out[: sealer.seal(memoryview(first), len(first), out)])
        end = await self._connect(opening)
        if end.sealer is not None:  # the way to the server leads through another
            if self._buffer is None:
                self._buffer = memoryview(bytearray(len(self._scratch.outward)))
            sealer = NestedSealer(end.sealer, sealer, self._buffer)
            if opener is not None and end.opener is not None:
                opener = NestedOpener(end.opener, opener, self._buffer)
        end.opener = opener or end.opener
        end.sealer = sealer
        return end
