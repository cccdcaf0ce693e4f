"""How many UDP sessions there may be, and what passed through all of them.

One `Crowd` for a process. A session enters when its first packet proved good, and leaves when it ends; where one is
too many, the one unused for longest goes: of the same source, of the same port, or of the fullest port.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .packets import PacketRelay


@dataclass(frozen=True, slots=True)
class PacketCounts:
    """What passed in datagrams since the start; bytes are of payload."""

    sessions: int
    """Live ones."""
    up_packets: int
    up_bytes: int
    down_packets: int
    down_bytes: int
    dropped: Mapping[str, int]
    """Datagrams that were not sent on, by reason word."""


class Crowd:
    """How many sessions there may be: in the process, at one port, from one source. One for a process."""

    __slots__ = ("_awake", "_dropped", "_gone", "_groups", "each", "live", "most", "per_source", "relays")

    def __init__(self, most: int, each: int, per_source: int) -> None:
        self.most = most
        self.each = each
        self.per_source = per_source
        self.live = 0
        self.relays: list[PacketRelay] = []
        self._awake: dict[PacketRelay, None] = {}
        """Those that had a session since they were looked at last: of thousands of ports hardly any has."""
        self._groups: Counter[bytes] = Counter()
        self._gone = [0, 0, 0, 0]
        """Of sessions of relays that are closed."""
        self._dropped: Counter[str] = Counter()

    def enter(self, relay: PacketRelay, group: bytes) -> None:
        """Count one in; where it is one too many, the one unused for longest goes."""
        if self._groups[group] >= self.per_source:
            self._evict_from(relay, group)
        if len(relay.sessions) >= self.each:
            relay.evict()
        elif self.live >= self.most:
            max(self.relays, key=lambda other: len(other.sessions)).evict()
        self.live += 1
        self._groups[group] += 1
        self._awake[relay] = None

    def leave(self, group: bytes) -> None:
        """Count one out."""
        self.live -= 1
        self._groups[group] -= 1
        if not self._groups[group]:
            del self._groups[group]

    def sweep(self) -> None:
        """End what was unused for too long, at every relay; one without sessions costs nothing."""
        for relay in list(self._awake):
            relay.sweep()
            if not relay.sessions:
                del self._awake[relay]

    def counts(self) -> PacketCounts:
        """Return what passed through all relays, closed ones included."""
        sums, dropped = list(self._gone), Counter(self._dropped)
        for relay in self.relays:
            sums = [total + more for total, more in zip(sums, relay.sums(), strict=True)]
            dropped += relay.dropped
        up_packets, up_bytes, down_packets, down_bytes = sums
        return PacketCounts(self.live, up_packets, up_bytes, down_packets, down_bytes, dropped)

    def close(self, relay: PacketRelay) -> None:
        """Forget a relay, but not what passed through it."""
        self.relays.remove(relay)
        self._awake.pop(relay, None)
        self._gone = [total + more for total, more in zip(self._gone, relay.sums(), strict=True)]
        self._dropped += relay.dropped

    def _evict_from(self, relay: PacketRelay, group: bytes) -> None:
        for other in (relay, *self.relays):
            for session in other.sessions.values():
                if session.group == group:
                    other.end(session, "crowded")
                    return
