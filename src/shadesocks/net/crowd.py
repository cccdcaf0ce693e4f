"""How many UDP sessions there may be, and what passed through all of them.

One `Crowd` for a process. A session enters when its first packet proved good, and leaves when it ends; where one is
too many, the one unused for longest goes: of the same source, wherever it is; of the same port; or of the fullest port.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
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
        self._groups: dict[bytes, Counter[PacketRelay]] = {}
        """How many sessions a source has, and where."""
        self._gone = [0, 0, 0, 0]
        """Of sessions of relays that are closed."""
        self._dropped: Counter[str] = Counter()

    def enter(self, relay: PacketRelay, group: bytes) -> None:
        """Count one in; where it is one too many, the one unused for longest goes."""
        own = self._groups.get(group)
        if own is not None and own.total() >= self.per_source:
            _evict_from(own, group)
        if len(relay.sessions) >= self.each:
            relay.evict()
        elif self.live >= self.most:
            max(self.relays, key=lambda other: len(other.sessions)).evict()
        self.live += 1
        self._groups.setdefault(group, Counter())[relay] += 1
        self._awake[relay] = None

    def leave(self, relay: PacketRelay, group: bytes) -> None:
        """Count one out."""
        self.live -= 1
        own = self._groups[group]
        own[relay] -= 1
        if not own[relay]:
            del own[relay]
            if not own:
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


def _evict_from(relays: Iterable[PacketRelay], group: bytes) -> None:
    """End the session of a source that was unused for longest; the oldest of a port that it just came to is in use."""
    oldest = (next(each for each in relay.sessions.values() if each.group == group) for relay in relays)
    session = min(oldest, key=lambda each: each.seen_at)
    session.relay.end(session, "crowded")
