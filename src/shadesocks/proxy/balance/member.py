"""One server of a client: its ways, what is known of it, and what goes through it now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from ...net.datagrams import Arena
    from ...net.packets import Back, Session
    from ...net.relay import Relay
    from ...wire.packet import Span
    from ..seams import Dialer
    from .health import Health


NOT_THE_SERVERS: Final = frozenset(("limit", "denied", "too_large"))
"""Words of failures that say nothing of a server: we have no descriptors, or may not dial."""


class Side:
    """What one server is for connections, or for datagrams: all that a policy looks at."""

    __slots__ = ("_weight", "health", "live", "name", "serves", "share")

    def __init__(self, name: str, health: Health, weight: float, *, serves: bool = True) -> None:
        self.name = name
        """Of the server, for people; also what a target that sticks to a server is drawn by."""
        self.health = health
        self.weight = weight
        self.serves = serves
        """False where the configuration says that the server does not: it is asked only if no other does."""
        self.live = 0
        """Connections that go through it now or are being made, or sessions."""

    def __repr__(self) -> str:
        return f"<Side {self.name}>"

    @property
    def weight(self) -> float:
        """How much it is preferred; 0: it is not chosen."""
        return self._weight

    @weight.setter
    def weight(self, weight: float) -> None:
        self._weight = weight
        self.share = weight or 1.0
        """The same as policies take it: they see a server that is not chosen only where no other is there."""


class Member:
    """One server of a client. It is told of each relay that goes through it: a `net.end.Via`."""

    __slots__ = ("back", "dialer", "fresh", "group", "moved", "name", "relays", "tcp", "udp")

    def __init__(self, name: str, group: str, tcp: Side, udp: Side) -> None:
        self.name = name
        self.group = group
        self.tcp = tcp
        self.udp = udp
        self.dialer: Dialer | None = None
        """None: none is wanted."""
        self.fresh: Dialer | None = None
        """The same without what is kept ready: probes go by it."""
        self.back: MemberBack | None = None
        """None: no listener takes datagrams."""
        self.relays: set[Relay] = set()
        """Live ones; their bytes are not in `moved` yet."""
        self.moved = 0
        """Payload bytes that came back from it, in relays that are over."""

    def __repr__(self) -> str:
        return f"<Member {self.name}>"

    def began(self, relay: Relay) -> None:
        """See `net.end.Via`."""
        self.relays.add(relay)
        self.tcp.live += 1

    def ended(self, relay: Relay) -> None:
        """See `net.end.Via`."""
        self.relays.discard(relay)
        self.tcp.live -= 1
        self.moved += relay.down

    def dialled(self, now: float, word: str) -> None:
        """A connect that no request waited for has ended; "done": the server took it."""
        if word == "done":
            self.tcp.health.reached(now)
        elif word not in NOT_THE_SERVERS:
            self.tcp.health.missed(now, word)

    @property
    def heard(self) -> int:
        """Payload bytes that came back from it so far: where they grow, it works."""
        return self.moved + sum(relay.down for relay in self.relays)

    @property
    def is_idle(self) -> bool:
        """True while nothing goes through it."""
        return not self.tcp.live and not self.udp.live


class MemberBack:
    """A server's `net.packets.Via`, which also counts the answers that came by it."""

    __slots__ = ("_read", "_time", "answers", "forward", "inner", "member", "room", "tick")

    def __init__(self, member: Member, back: Back, time: Callable[[], float]) -> None:
        self.member = member
        self.inner: Final = back
        """The same without an account; probes go by it."""
        self._time = time
        self.room = back.room
        self.forward = back.forward
        self.tick = back.tick
        self._read = back.read
        self.answers = 0

    def began(self) -> None:
        """See `net.packets.Via`."""
        self.member.udp.live += 1

    def ended(self) -> None:
        """See `net.packets.Via`."""
        self.member.udp.live -= 1

    def failed(self, word: str) -> None:
        """See `net.packets.Via`."""
        if word not in NOT_THE_SERVERS:
            self.member.udp.health.missed(self._time(), word)

    def read(self, session: Session, source: Hashable, start: int, end: int, now: int) -> tuple[Arena, Span]:
        """See `packets.Back`."""
        answer = self._read(session, source, start, end, now)
        self.answers += 1
        return answer
