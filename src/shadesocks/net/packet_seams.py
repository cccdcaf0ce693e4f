"""What a relay of datagrams leans on: what leads on from a session, and who counts it and is told of its end."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ..wire.packet import Span
    from .datagrams import Arena
    from .packet_session import Session
    from .packets import PacketRelay


class Back(Protocol):
    """What leads on from a front."""

    room: int
    """Bytes kept free before a message in `middle`."""

    def forward(self, relay: PacketRelay, session: Session, span: Span, now: int) -> None:
        """Send the message at `span` of `middle` on, and count it; raises DialError, LimitError."""

    def read(self, session: Session, source: Hashable, start: int, end: int, now: int) -> tuple[Arena, Span]:
        """Return the message that a datagram of the outlet, in `inward`, is or holds; raises RemoteProtocolError."""

    def tick(self) -> None:
        """A second or so has passed."""


class Via(Back, Protocol):
    """One of several backs, which counts the sessions that go through it."""

    def began(self) -> None:
        """A session chose it."""

    def ended(self) -> None:
        """The session is over, or chose another."""

    def failed(self, word: str) -> None:
        """What a message waited for failed: the name of a server, or the way to it."""


class PacketMeter(Protocol):
    """Whom sessions of one user are counted for."""

    def welcome(self, group: bytes) -> None:
        """A session is to begin, from an address of that group; raises LimitError if it may not."""

    def met(self, relay: PacketRelay, session: Session, size: int) -> None:
        """It has begun, with a message of so much payload; raises LimitError if that may not pass."""

    def parted(self, session: Session) -> None:
        """It is over."""


class PacketLedger(Protocol):
    """Who is told of sessions that end; the service's journal."""

    def session_ended(self, client: tuple[str, int], session: Session, word: str) -> None:
        """A session is over."""
