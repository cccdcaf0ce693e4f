"""One server of a client: its ways, what is known of it, and what goes through it now."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from ...net.datagrams import Arena
    from ...net.packet_seams import Back
    from ...net.packet_session import Session
    from ...net.relay import Relay
    from ...wire.packet import Span
    from ..seams import Dialer
    from .health import Health


NOT_THE_SERVERS: Final = frozenset(("limit", "denied", "too_large"))
"""Words of failures that say nothing of a server: we have no descriptors, or may not dial."""
MUTE_MOST: Final = 5
"""Connections in a row on which nothing came back that are more than bad luck with targets: a server that cannot reach
a target ends without a word, too."""
MUTE_WITHIN: Final = 60.0
"""Seconds in which they end."""
MUTE_AFTER: Final = 5.0
"""Seconds after which nothing came back, whoever ends the connection: as long as a probe may take unless it is said."""
_ENDED_BY_SERVER: Final = frozenset(("reset_right", "truncated"))
_ENDED: Final = _ENDED_BY_SERVER | {"done", "idle", "reset_left"}
"""Words of relays: of those that the server ended, and of all that one of both ended, and not we ourselves."""
_NOT_ITS_ANSWER: Final = frozenset(("bad_server", "bad_chunk"))
"""Where nothing was good before: the salt alone shows no key, so the first chunk of plain AEAD is told as any other."""


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

    __slots__ = (
        "_heard",
        "_mute",
        "_time",
        "back",
        "dialer",
        "fresh",
        "group",
        "look_into",
        "moved",
        "name",
        "relays",
        "tcp",
        "udp",
    )

    def __init__(self, name: str, group: str, tcp: Side, udp: Side, time: Callable[[], float]) -> None:
        self.name = name
        self.group = group
        self.tcp = tcp
        self.udp = udp
        self._time = time
        """The clock of its health."""
        self._mute: deque[tuple[float, str]] = deque(maxlen=MUTE_MOST)
        """When the last relays ended on which nothing came back, and the hosts that they were for."""
        self._heard = 0
        """What had come back from the server by then."""
        self.look_into: Callable[[], bool] = _nobody
        """Lets somebody find out at once how it is; False where nobody does."""
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

    def ended(self, relay: Relay, word: str) -> None:
        """See `net.end.Via`. What came of a connection says more of a server than that it was made."""
        self.relays.discard(relay)
        self.tcp.live -= 1
        self.moved += relay.down
        health = self.tcp.health
        if relay.down:
            if health.last_word and health.failed_at is not None and relay.started_at > health.failed_at:
                health.succeeded(self._time())
        elif word in _NOT_ITS_ANSWER:
            health.failed(self._time(), "bad_server")
        elif relay.up and word in _ENDED:
            self._miss(relay, word)

    def _miss(self, relay: Relay, word: str) -> None:
        """Something was asked, and nothing came back: once it is a target's fault, but hardly again and again."""
        now = self._time()
        servers_doing = word in _ENDED_BY_SERVER or (word == "done" and not relay.right.shut)
        if not servers_doing and now - relay.started_at < MUTE_AFTER:
            return  # the program did not wait for it
        mute, heard = self._mute, self.heard
        if heard != self._heard:
            self._heard = heard
            mute.clear()
        mute.append((now, relay.label[1].host))
        if len(mute) < MUTE_MOST or now - mute[0][0] > MUTE_WITHIN or len({host for _, host in mute}) == 1:
            return
        if self.look_into():
            mute.clear()
        else:
            self.tcp.health.failed(now, "no_answer")

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


def _nobody() -> bool:
    """Look into nothing."""
    return False


class MemberBack:
    """A server's `net.packet_seams.Via`, which also counts the answers that came by it."""

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
        """See `net.packet_seams.Via`."""
        self.member.udp.live += 1

    def ended(self) -> None:
        """See `net.packet_seams.Via`."""
        self.member.udp.live -= 1

    def failed(self, word: str) -> None:
        """See `net.packet_seams.Via`."""
        if word not in NOT_THE_SERVERS:
            self.member.udp.health.missed(self._time(), word)

    def read(self, session: Session, source: Hashable, start: int, end: int, now: int) -> tuple[Arena, Span]:
        """See `packet_seams.Back`."""
        answer = self._read(session, source, start, end, now)
        self.answers += 1
        return answer
