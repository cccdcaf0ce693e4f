"""The server's face: a shadow stream comes in, and a request comes out once it authenticated.

In the order the bytes meet it: admit as a stranger, read the header, record the salt, then
be known. Any failure before that leaves the stranger to `proxy/silent.py`.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from ...core.address import MAPPED_TEXT
from ...core.errors import RemoteProtocolError, ReplayError
from ...core.later import later
from ...core.reasons import reason
from ...net.end import End
from ...net.options import NOW
from ...net.pipe import READ_MIN
from ...net.poller import READ
from ...net.story import ready
from ...wire.reader import Reader
from ..gate import Admits, everybody
from ..seams import Request

if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import SocketType

    from ...net.lane import Lane
    from ...wire.shadow import Random, Shadow, WallClock
    from ..seams import Metering
    from ..silent import Strangers
    from ..users.user import User


log = logging.getLogger(__name__)

_go_on: Final = later(__package__, ".seeking", "go_on")
SKEW_INTERVAL: Final = 10.0
"""Seconds between two log lines about clocks: an old recording sent again looks the same."""


class Salts(Protocol):
    """The memory of salts; `crypto/replay` has one for each edition."""

    def known(self, salt: bytes) -> bool:
        """True when the salt was recorded: an early look-up, before any decryption."""

    def insert(self, salt: bytes, stamp: int) -> bool:
        """Record a salt in one step with the look-up; False when it was there already."""

    def fresh(self, size: int, draw: Random) -> bytes:
        """Return a new salt of our own; sent back to us, it is refused."""


class ShadowsocksInbound:
    """One shadow port: a method with its key, the salts it has seen, and the house of its strangers."""

    def __init__(
        self,
        shadow: Shadow,
        salts: Salts,
        strangers: Strangers,
        wall: WallClock,
        random: Random,
        *,
        admits: Admits = everybody,
        strict_first_read: bool = False,
        suspect: Callable[[Any, RemoteProtocolError], None] | None = None,
        meter_of: Callable[[User | None], Metering | None] | None = None,
        owner: User | None = None,
    ) -> None:
        """`suspect` is told at once of each handshake that fails; the ledger hears of it when the silence ends.

        `meter_of` finds whom a connection is counted for; None: nobody asks. `owner` is who has the port's own key.
        """
        self._shadow = shadow
        self._seek = getattr(shadow, "seek", None)
        """Reads up to where it must be found out whose stream it is; None: its beginning tells."""
        self._salts = salts
        self.strangers = strangers
        self._wall = wall
        self._fresh = partial(salts.fresh, draw=random)
        self._admits = admits
        self._first_read_size = shadow.first_read_size if strict_first_read else 1
        self._suspect = suspect
        self._meter_of = meter_of
        self._owner = owner
        self._skew_told_at = float("-inf")
        self.header_lane: Lane | None = None

    async def handshake(self, sock: SocketType, client: Any) -> Request | None:
        """Read until the request is whole and its salt recorded; see `seams.Inbound`."""
        strangers = self.strangers
        stranger = strangers.admit(sock, client)
        if self._admits is not everybody and not self._admits(client[0].removeprefix(MAPPED_TEXT)):
            stranger.turn_silent("unwelcome")
            return None
        stranger.story = strangers.reactor.current
        scratch = strangers.scratch.inward
        seek = self._seek
        reader = Reader(
            self._shadow.read_request(self._salts.known, self._wall, self._fresh)
            if seek is None
            else seek(self._salts.known)
        )
        least = self._first_read_size
        shadow = None
        try:
            while shadow is None:
                try:
                    # Most first reads come with the accept: try before waiting.
                    size = sock.recv_into(scratch, READ_MIN, NOW)
                except BlockingIOError:
                    await ready(sock.fileno(), READ)
                    continue
                except OSError:
                    size = 0
                if not size:
                    stranger.story = None
                    stranger.end("left_early" if stranger.received else "unused")
                    return None
                stranger.received += size
                if size < least:
                    raise RemoteProtocolError("short_first_read")
                least = 1
                shadow = reader.feed(scratch[:size])
                if seek is not None and shadow is not None:
                    seek, sought = None, shadow
                    reader, shadow = await _go_on(
                        self._shadow, sought, reader.rest, stranger, strangers, self._wall, self._fresh
                    )
            if shadow.salt and not self._salts.insert(shadow.salt, shadow.stamp):
                raise ReplayError
        except RemoteProtocolError as error:
            if error.code == "bad_timestamp":
                self._tell_skew(client, error)
            if self._suspect is not None:
                self._suspect(client, error)
            stranger.turn_silent(reason(error.code).word)
            return None
        # What the shadow finds users in is a table of ours (`users/table.py`).
        user = cast("User | None", shadow.user) or self._owner
        meter = None if self._meter_of is None else self._meter_of(user)
        if meter is not None and (word := meter.admit(client, len(shadow.first))) is not None:
            stranger.user = user
            stranger.turn_silent(word)
            return None
        strangers.lane.cancel(stranger)
        end = End(sock, shadow.opener, shadow.sealer)
        first, end.held = shadow.first, reader.rest
        if shadow.opener is None:  # nothing is to be opened: what came in one read leaves in one write
            first, end.held = bytes(first) + end.held, b""
        end.moved = len(first)
        end.taken = stranger.received
        return Request(end, shadow.target, first, meter=meter, user=user)

    def _tell_skew(self, client: Any, error: RemoteProtocolError) -> None:
        """Say that a client with the right key has another clock: the usual cause of a refusal (protocol §7.3)."""
        now = self.strangers.reactor.loop.time()
        if now >= self._skew_told_at + SKEW_INTERVAL:
            self._skew_told_at = now
            log.warning(
                "a client at %s has the right key, but %s; set the clock of one of the two",
                client[0] if isinstance(client, tuple) else client,
                error,
            )

    def release(self, sock: SocketType) -> None:
        """A chunk after the handshake did not authenticate: silence, with a new deadline."""
        self.strangers.absorb(sock, None, "bad_chunk")

    def close(self) -> None:
        """Close the strangers at this port: it is gone."""
        self.strangers.close()
