"""Packets that wait until it is known whose they are (`wire/packet.py`, `Unsettled`), as jobs of `Slices`.

All of one port are one source there: an address of a datagram is whatever its sender wrote.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..core.reasons import reason

if TYPE_CHECKING:
    from ..wire.packet import Unsettled
    from .packets import PacketRelay

WAITING_MOST: Final = 64
"""Packets of one port; further ones are dropped: 4 MiB, and what a burst of newcomers sends."""
EACH_MOST: Final = 16
"""Of them, those from the same addresses: what one newcomer sends before he is found. Who lies can have more."""


class Waiting:
    """One packet. A job of `Slices`."""

    __slots__ = ("_relay", "_search", "group", "step")

    def __init__(self, relay: PacketRelay, search: Unsettled) -> None:
        self._relay = relay
        self._search = search
        self.group: Final = search.group
        self.step: Final = search.step

    def done(self) -> None:
        """See `slices.Job`."""
        relay, search = self._relay, self._search
        if search.settle():
            packet = memoryview(search.packet)
            relay.take([(search.source, 0, len(packet))], packet)
        else:
            drop(relay)


def wait(relay: PacketRelay, search: Unsettled) -> None:
    """Let a packet wait, if there is room for it."""
    slices = relay.reactor.slices
    waiting = slices.of(relay)
    same = sum(job.group == search.group for job in waiting if isinstance(job, Waiting))
    if len(waiting) >= WAITING_MOST or same >= EACH_MOST or not slices.add(relay, Waiting(relay, search)):
        drop(relay)


def drop(relay: PacketRelay) -> None:
    """Count a packet that is nobody's."""
    relay.dropped[reason("auth_failed").word] += 1
