"""Straight to the target, with the first payload in the first segment."""

from __future__ import annotations

from ...core.address import Address
from ...net.connect import Connector
from ...net.end import End
from ...net.options import NOW
from ..seams import First


class DirectDialer:
    """Dials the target itself; which targets are allowed is the connector's judge's."""

    __slots__ = ("_connector",)

    def __init__(self, connector: Connector) -> None:
        self._connector = connector

    async def dial(self, target: Address, first: First) -> End:
        """Connect and send `first`; see `seams.Dialer`."""
        end = End(await self._connector.connect(target))
        if first:
            try:
                sent = end.sock.send(first, NOW)
            except OSError:  # full or already gone: the relay finds out which
                sent = 0
            if sent < len(first):
                end.tail = bytes(first[sent:])
        return end
