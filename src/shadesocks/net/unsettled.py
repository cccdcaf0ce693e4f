"""Packets that wait until it is known whose they are (`wire/packet.py`, `Unsettled`), as jobs of `Slices`.

All of one port are one job there: an address of a datagram is whatever its sender wrote. Lots say whose packet is next
(`lots.py`), and where there is no room a random one of whoever has most gives way. So beside noise of few addresses a
newcomer is found soon, and beside that of many he has a chance in proportion. The packet that is looked at stays.

As long as there is room nobody gives way: behind one address there may be a house full of newcomers.
"""

from __future__ import annotations

from secrets import choice, randbelow
from typing import TYPE_CHECKING, Final

from ..core.reasons import reason
from .lots import Lots, site_of

if TYPE_CHECKING:
    from ..wire.packet import Unsettled
    from .packets import PacketRelay

WAITING_MOST: Final = 64
"""Packets of one port; 4 MiB, and what a burst of newcomers sends."""


class Waiting:
    """The packets of one port. A job of `Slices`, each of whose turns is one packet's."""

    __slots__ = ("_is_over", "_now", "_packets", "_relay", "_size")

    def __init__(self, relay: PacketRelay) -> None:
        self._relay = relay
        self._packets: Final[Lots[list[Unsettled]]] = Lots(list)
        """By address, or /48."""
        self._size = 0
        self._now: Unsettled | None = None
        """Whose turn it is."""
        self._is_over = False
        """That one was tried wholly."""

    def add(self, search: Unsettled) -> None:
        """Take one more, in place of a random one where there is no room."""
        self._packets.enter(site_of(search.group)).append(search)
        self._size += 1
        if self._size > WAITING_MOST:
            all_of_them = self._packets.sites.values()
            most = max(map(len, all_of_them))
            packets = choice([each for each in all_of_them if len(each) == most])
            self._take(packets, randbelow(most))
            drop(self._relay)

    def _take(self, packets: list[Unsettled], at: int) -> Unsettled:
        search = packets.pop(at)
        self._size -= 1
        if not packets:
            self._packets.leave(site_of(search.group))
        return search

    def step(self) -> bool:
        """See `slices.Job`."""
        if self._now is None:
            self._now = self._take(self._packets.sites[self._packets.draw()], 0)
        self._is_over = self._now.step()
        return self._is_over

    def done(self) -> None:
        """See `slices.Job`: one was tried, or all are given up."""
        relay, search = self._relay, self._now
        if search is None or not self._is_over:
            for _ in range(self._size + (search is not None)):
                drop(relay)
            return
        self._now, self._is_over = None, False
        # Before anything else: what is taken may bring one more, which is to wait here, too.
        if self._size and not relay.reactor.slices.add(relay, self):
            self.done()
        if search.settle():
            packet = memoryview(search.packet)
            relay.take([(search.source, 0, len(packet))], packet)
        else:
            drop(relay)


def wait(relay: PacketRelay, search: Unsettled) -> None:
    """Let a packet wait."""
    slices = relay.reactor.slices
    for waiting in slices.of(relay):
        assert isinstance(waiting, Waiting), "a relay has no other work"
        waiting.add(search)
        return
    waiting = Waiting(relay)
    waiting.add(search)
    if not slices.add(relay, waiting):
        waiting.done()


def drop(relay: PacketRelay) -> None:
    """Count a packet that is nobody's."""
    relay.dropped[reason("auth_failed").word] += 1
