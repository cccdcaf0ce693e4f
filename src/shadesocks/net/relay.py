"""The relay: two joined ends, their life and their death. `end.py` moves the bytes.

Rules (each has its test in `tests/net/test_relay.py`):

 1. A reset of one side becomes a reset of the other, after what had come before it was delivered.
 2. A side that can no longer be written to is still read to its end, and then counts as reset.
 3. Bytes that do not authenticate reset the other side; if they are the initiator's, it goes to `on_bad`, which may
    fall silent.
 4. The outcome is reported once, when both sockets are closed or given away.
"""

from __future__ import annotations

from collections.abc import Callable
from socket import SO_LINGER, SOL_SOCKET
from struct import pack
from typing import TYPE_CHECKING, Any, Final

from .options import unsent
from .poller import READ, WRITE

if TYPE_CHECKING:
    from socket import SocketType

    from .end import End, Meter
    from .lane import Lane
    from .pipe import Scratch
    from .reactor import Reactor

_LINGER_RESET: Final = pack("ii", 1, 0)
"""SO_LINGER on, 0 s: close sends RST."""
LOOK_DELAY: Final = 0.1
"""Seconds between two looks at the send queue of an end that is to be reset."""
LOOKS_MAX: Final = 50
"""Looks before the reset goes out anyway: five seconds for a peer that does not read."""


class Relay:
    """Two joined ends, from the first payload to the last close. Its outcome goes to `on_end`, once."""

    __slots__ = (
        "_looks",
        "_on_bad",
        "_on_end",
        "_word",
        "half_closed",
        "label",
        "last_at",
        "left",
        "meter",
        "reactor",
        "resetting",
        "right",
        "scratch",
        "seen",
        "started_at",
        "user",
    )

    def __init__(
        self,
        reactor: Reactor,
        scratch: Scratch,
        left: End,
        right: End,
        on_end: Callable[[Relay, str], None],
        on_bad: Callable[[SocketType], None] | None = None,
        label: Any = None,
        started_at: float = 0.0,
    ) -> None:
        self.reactor = reactor
        self.scratch = scratch
        self.left = left
        self.right = right
        self.label = label
        """Who asked, for the log line: whatever the owner put there."""
        self.user: Any = None
        """Whose connection it is, where a port has users: the owner's, too."""
        self.started_at = started_at
        self.last_at = started_at
        """The last sweep that saw bytes move; see `sweep`."""
        self.seen = -1
        self.half_closed = False
        self.meter: Meter | None = None
        """Who looks at the bytes; given before `begin`, or with `choose_pipe` of both ends afterwards."""
        self.resetting: End | None = None
        """The end that was reset, while the other still takes what came before."""
        self._on_end: Callable[[Relay, str], None] | None = on_end
        self._on_bad = on_bad
        self._looks = 0
        self._word = ""

    @property
    def up(self) -> int:
        """Payload bytes away from the initiator."""
        return self.left.moved

    @property
    def down(self) -> int:
        """Payload bytes back to the initiator."""
        return self.right.moved

    def carried(self) -> tuple[int, int, int, int]:
        """Return payload bytes up and down, and the bytes that came and went on the initiator's socket."""
        left = self.left
        return left.moved, self.right.moved, left.taken, left.given

    def begin(self, header_lane: Lane | None = None) -> None:
        """Join the ends and let the bytes flow.

        A header that no payload carries goes alone: at once, or after the delay of `header_lane`.
        """
        left, right = self.left, self.right
        left.join(self, right)
        right.join(self, left)
        self.scratch.tails += len(left.tail) + len(right.tail)
        try:
            left.want((0 if right.tail or left.paced else READ) | (WRITE if left.tail else 0))
            right.want((0 if left.tail or right.paced else READ) | (WRITE if right.tail else 0))
        except OSError as error:  # the system watches no more descriptors (max_user_watches)
            self.reactor.failed(error)
            self.close("internal")
            return
        if not right.tail:
            left.begin()
        if right.held and not left.tail and self.resetting is None:
            right.begin()  # what came right behind the answer of a proxy on the way
        if right.sealer is not None and right.sealer.owes:
            if header_lane is None:
                right.send_header()
            else:
                header_lane.start(self)

    def expire(self) -> None:
        """A deadline came: the header's, or the next look at an end that is to be reset once it took everything."""
        if self._on_end is None:
            return
        if self.resetting is None:
            self.right.send_header()
            return
        end = self.resetting.peer
        if self._looks < LOOKS_MAX and (end.tail or unsent(end.sock)):
            self._looks += 1
            self.reactor.lane(LOOK_DELAY).start(self)
        else:
            try:
                end.sock.setsockopt(SOL_SOCKET, SO_LINGER, _LINGER_RESET)
            finally:
                self.close(self._word)

    # -- what can go wrong with an end -----------------------------------------------------------

    def broken(self, end: End) -> None:
        """Nothing more can be sent to this end; what it sent before it broke is still delivered."""
        self._drop_tail(end)
        end.broken = True
        if end.eof or end.peer.broken or self.resetting is not None:
            self.reset(end)
        else:
            end.peer.want(end.peer.wanted & ~READ)
            end.want(0 if end.peer.tail else READ)

    def reset(self, end: End, word: str = "") -> None:
        """This end is gone without a proper end of file."""
        self._lose(end, word or ("reset_left" if end is self.left else "reset_right"), self.reactor.close)

    def bad_bytes(self, end: End) -> None:
        """The bytes of this end do not authenticate: nothing of them is delivered."""
        first = end.opener is not None and not end.opener.started
        bury = self.reactor.close if self._on_bad is None or end is not self.left else self._on_bad
        self._lose(end, "bad_server" if first else "bad_chunk", bury)

    def _lose(self, end: End, word: str, bury: Callable[[SocketType], None]) -> None:
        """Part with one end, and reset the other once it took what had come before."""
        self._drop_tail(end)
        end.relay = None
        bury(end.sock)
        if self.resetting is not None:
            self.close(self._word)
            return
        self._word = word
        self.resetting = end
        other = end.peer
        other.want(WRITE if other.tail else 0)
        self.expire()

    def _drop_tail(self, end: End) -> None:
        self.scratch.tails -= len(end.tail)
        end.tail = b""

    # -- the end of the connection ---------------------------------------------------------------

    def sweep(self, now: float, idle: float, half_closed_idle: float) -> None:
        """Note whether bytes moved since the last sweep, and end a connection that has been idle too long."""
        moved = self.left.moved + self.right.moved
        if moved != self.seen:
            self.seen = moved
            self.last_at = now
        elif now - self.last_at > (half_closed_idle if self.half_closed else idle):
            self.close("idle")

    def close(self, word: str) -> None:
        """Close what is still open and report the reason word, once."""
        on_end, self._on_end = self._on_end, None
        if on_end is None:
            return
        for end in (self.left, self.right):
            self._drop_tail(end)
            del end.peer  # the two point to each other: without this, only the garbage collector frees them
            if end.relay is not None:
                end.relay = None
                self.reactor.close(end.sock)
        on_end(self, word)
