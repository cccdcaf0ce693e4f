"""Strangers: everybody on a shadow port who has not authenticated, and the one behaviour for all of them.

Whoever fails, for whatever reason (short, wrong, replayed, stale, malformed), is read and
discarded, is sent nothing, and is closed by FIN at one absolute deadline after its accept:
the same deadline, in the same lane, that guards a handshake which is still incomplete. So
neither what was sent, nor how much, nor when, shows in what comes back (design §6). A prober
that ends first gets its FIN at once, in every class.

After authentication a bad chunk makes a client a stranger again, with a new deadline.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from socket import MSG_PEEK, SHUT_WR, SO_LINGER, SOL_SOCKET
from struct import pack
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..net.options import NOW
from ..net.pipe import READ_MIN
from ..net.poller import READ

if TYPE_CHECKING:
    from socket import SocketType

    from ..net.lane import Lane
    from ..net.pipe import Scratch
    from ..net.reactor import Reactor
    from ..net.story import Story
    from .users.user import User

_RESET: Final = pack("ii", 1, 0)
_FINAL_READS: Final = 64
"""Reads before the close at the deadline, so that it is a FIN and not a reset: 4 MiB, a full receive buffer."""
EVICTION_SHARE: Final = 64
"""A full house evicts a 64th of the limit at once: one scan of all strangers, 64 look-ups for each that is let in."""


class StrangerLedger(Protocol):
    """Who is told of strangers; the service's journal."""

    def stranger(self, client: Any, word: str, size: int, user: User | None = None) -> None:
        """One is gone who sent so many bytes; `client` is None for who had authenticated once.

        The user is whose key it was who is not let in now.
        """

    def searched(self, seconds: float, *, is_found: bool) -> None:
        """It was tried whose key one has."""


class Stranger:
    """One connection that has not authenticated, from its accept to its handshake's success or its end."""

    __slots__ = ("_house", "_word", "client", "received", "sock", "story", "user")

    def __init__(self, house: Strangers, sock: SocketType, client: Any) -> None:
        self._house = house
        self._word = ""
        self.sock = sock
        self.client = client
        self.story: Story | None = None
        """The handshake in progress, if there is one."""
        self.received = 0
        """Bytes that were read from it."""
        self.user: User | None = None
        """Whose key it has, who is not let in now."""

    def turn_silent(self, word: str) -> None:
        """The handshake failed: from here on the peer learns nothing."""
        self._word = word
        self.story = None
        _POLICIES[self._house.policy](self)

    def absorb(self) -> None:
        """Read and discard until the peer or the deadline ends it."""
        self._house.reactor.watch(self.sock.fileno(), READ, self._on_event)

    def _on_event(self, _events: int) -> None:
        try:
            size = self.sock.recv_into(self._house.scratch.inward, READ_MIN, NOW)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        self.received += size
        if not size:
            self.end(self._word)

    @property
    def waits(self) -> bool:
        """True for a client that has connected and said nothing: it keeps the connection ready for a request."""
        if self.story is None or self.received:
            return False
        try:
            self.sock.recv(1, MSG_PEEK | NOW)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def expire(self) -> None:
        """The deadline: close by FIN, whatever was going on."""
        for _ in range(_FINAL_READS):
            try:
                size = self.sock.recv_into(self._house.scratch.inward, READ_MIN, NOW)
                if not size:
                    break
                self.received += size
            except OSError:
                break
        self.end(self._word or "short")

    def reset(self) -> None:
        """Close by RST (policy `reset`)."""
        self.sock.setsockopt(SOL_SOCKET, SO_LINGER, _RESET)
        self.end(self._word)

    def end(self, word: str) -> None:
        """Close the socket and be forgotten."""
        house = self._house
        house.lane.cancel(self)
        story, self.story = self.story, None
        if story is not None:
            house.reactor.queue.append(story.abort)  # this may run inside another story (reactor rule 3)
        house.reactor.close(self.sock)
        house.ledger.stranger(self.client, word, self.received, self.user)

    def crash(self) -> None:
        """A handler raised; the reactor logged it."""
        self.end("internal")


def _fin(stranger: Stranger) -> None:
    try:
        stranger.sock.shutdown(SHUT_WR)
    except OSError:
        stranger.end("left_early")
    else:
        stranger.absorb()


_POLICIES: Final[dict[str, Callable[[Stranger], None]]] = {
    "silent": Stranger.absorb,
    "fin": _fin,
    "reset": Stranger.reset,
}
"""What a failed handshake gets: nothing; a FIN at once, then discarding; a RST (SIP022 §3.1.4 allows the last two)."""


class Strangers:
    """All strangers of a process: their deadline, their number, and who goes when there are too many."""

    __slots__ = ("lane", "ledger", "limit", "policy", "reactor", "scratch")

    def __init__(
        self, reactor: Reactor, scratch: Scratch, lane: Lane, limit: int, ledger: StrangerLedger, policy: str = "silent"
    ) -> None:
        self.reactor = reactor
        self.scratch = scratch
        self.lane = lane
        self.limit = limit
        self.ledger = ledger
        self.policy = policy

    def __len__(self) -> int:
        return len(self.lane)

    def admit(self, sock: SocketType, client: Any) -> Stranger:
        """Start the deadline of a connection that was just accepted."""
        if len(self.lane) >= self.limit:
            self._evict()
        stranger = Stranger(self, sock, client)
        self.lane.start(stranger)
        return stranger

    def absorb(self, sock: SocketType, client: Any, word: str) -> None:
        """Take a socket that authenticated once and then broke the rules."""
        self.admit(sock, client).turn_silent(word)

    def _evict(self) -> None:
        """Close the oldest strangers of the heaviest source, again and again until there is room."""
        waiting: dict[str, deque[Stranger]] = {}
        for stranger in self.lane.waiting():
            if isinstance(stranger, Stranger):
                waiting.setdefault(source_of(stranger.client), deque()).append(stranger)
        heap = [(-len(queue), source) for source, queue in waiting.items()]
        heapify(heap)
        for _ in range(max(1, self.limit // EVICTION_SHARE)):
            if not heap:
                return
            weight, source = heappop(heap)
            waiting[source].popleft().end("evicted")
            if weight < -1:
                heappush(heap, (weight + 1, source))

    @property
    def waiting(self) -> Iterator[Stranger]:
        """Those who have said nothing yet."""
        return (stranger for stranger in self._own() if stranger.waits)

    def hang_up(self) -> None:
        """Close those who have said nothing yet: a client that keeps them ready takes another server's then."""
        for stranger in list(self.waiting):
            stranger.end("stopped")

    def close(self) -> None:
        """Close those of this house alone, whoever shares its lane: its port is gone."""
        for stranger in list(self._own()):
            stranger.end("stopped")

    def _own(self) -> Iterator[Stranger]:
        return (each for each in self.lane.waiting() if isinstance(each, Stranger) and each._house is self)


def source_of(client: Any) -> str:
    """Return what counts as one source: an IPv4 address, or the /64 of an IPv6 one (a site gets at least that)."""
    if not isinstance(client, tuple):
        return ""
    host: str = client[0]
    if ":" not in host:
        return host
    if host.startswith("::ffff:") and "." in host:
        return host[7:]
    head = host.partition("%")[0].partition("::")
    groups = head[0].split(":") if head[0] else []
    if head[1]:
        tail = [group for group in head[2].split(":") if group]
        groups = groups + ["0"] * (8 - len(groups) - len(tail)) + tail
    return ":".join(groups[:4])
