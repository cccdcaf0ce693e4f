"""Packets that wait until it is known whose they are (`wire/packet.py`, `Unsettled`), as jobs of `Slices`.

All of one port are one job there: an address of a datagram is whatever its sender wrote. As with jobs, the next packet
is one of the address that came last, and every other time the address is drawn; where there is no room a random one of
whoever has most gives way. So beside noise of few addresses a newcomer is found soon, and beside that of many he has a
chance in proportion. The packet that is looked at stays.
"""

from __future__ import annotations

from collections import OrderedDict
from secrets import choice, randbelow
from typing import TYPE_CHECKING, Final

from ..core.reasons import reason
from .slices import site_of

if TYPE_CHECKING:
    from collections.abc import Hashable

    from ..wire.packet import Unsettled
    from .packets import PacketRelay

WAITING_MOST: Final = 64
"""Packets of one port; 4 MiB, and what a burst of newcomers sends."""
EACH_MOST: Final = 16
"""Of them, those from the same addresses: what one newcomer sends before he is found. Who lies can have more."""


class Waiting:
    """The packets of one port. A job of `Slices`, each of whose turns is one packet's."""

    __slots__ = ("_is_drawn", "_is_over", "_now", "_packets", "_relay", "_size")

    def __init__(self, relay: PacketRelay) -> None:
        self._relay = relay
        self._packets: Final[OrderedDict[Hashable, list[Unsettled]]] = OrderedDict()
        """By address, or /48; who had a turn first, then in the order in which they came."""
        self._is_drawn = False
        """Who was next last."""
        self._size = 0
        self._now: Unsettled | None = None
        """Whose turn it is."""
        self._is_over = False
        """That one was tried wholly."""

    def add(self, search: Unsettled) -> None:
        """Take one more, in place of a random one where there is no room."""
        site = site_of(search.group)
        own = self._packets.setdefault(site, [])
        own.append(search)
        self._size += 1
        if len(own) > EACH_MOST:
            self._give_up(own)
        elif self._size > WAITING_MOST:
            most = max(map(len, self._packets.values()))
            self._give_up(choice([each for each in self._packets.values() if len(each) == most]))

    def _give_up(self, packets: list[Unsettled]) -> None:
        self._take(packets, randbelow(len(packets)))
        drop(self._relay)

    def _take(self, packets: list[Unsettled], at: int) -> Unsettled:
        search = packets.pop(at)
        self._size -= 1
        if not packets:
            del self._packets[site_of(search.group)]
        return search

    def step(self) -> bool:
        """See `slices.Job`."""
        if self._now is None:
            self._is_drawn = not self._is_drawn
            site = choice(list(self._packets)) if self._is_drawn else next(reversed(self._packets))
            self._packets.move_to_end(site, last=False)
            self._now = self._take(self._packets[site], 0)
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
