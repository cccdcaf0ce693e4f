"""The four seams every connection passes: an inbound makes a request, a router picks a dialer, the dialer gives an end.

    Inbound.handshake -> Request -> Router.pick -> Dialer.dial -> End, and then the relay

A role is the parts that were composed: no part knows whether the process is a client or a server.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..core.address import Address
from ..net.end import End, Via

if TYPE_CHECKING:
    from socket import SocketType

    from ..net.lane import Lane
    from .users.account import Account
    from .users.user import User

First = bytes | bytearray | memoryview
"""The payload that came with a request's header; may be empty."""


class Metering(Via, Protocol):
    """One user's account, as the story of a connection sees it: whom its relay is counted for. `users/meter.py`."""

    @property
    def account(self) -> Account:
        """The account."""

    def admit(self, client: Any, size: int = 0) -> str | None:
        """Count a client's connection in, which has authenticated; or return the word for why it is refused.

        `size` is the payload that came with its request.
        """

    async def turn(self, size: int) -> None:
        """Wait in a story until so much may pass, as the request brought; asked where there is a speed.

        Raises:
            LimitError: nothing may, any more.
        """

    def leave(self, size: int = 0) -> None:
        """A connection that was admitted with so much payload came to no relay."""


@dataclass(slots=True)
class Request:
    """Somebody asks for a target."""

    end: End
    """The initiator's end; what it sent beyond the request is in `end.held`, still sealed where the end is."""
    target: Address
    first: First = b""
    """Payload that is known already; leaves in one write with whatever precedes it."""
    answer: Callable[[str], None] | None = None
    """Tells the initiator the outcome as a reason word, "done" for success; None where the protocol has no answer."""
    meter: Metering | None = None
    """Whom the connection is counted for, which was admitted; None where there are no users."""
    user: User | None = None
    """Who asks, where a port has users."""


class Inbound(Protocol):
    """Turns an accepted socket into a request."""

    header_lane: Lane | None
    """How long the header of a shadow far end may wait for a first payload; None: it goes at once."""

    async def handshake(self, sock: SocketType, client: Any) -> Request | None:
        """Read the request. None: there will be none, and the socket is taken care of.

        Raises:
            RemoteProtocolError, OSError: as None, but the socket is still the caller's, to be closed.
        """

    def release(self, sock: SocketType) -> None:
        """Take a socket whose relay brought bytes that do not authenticate."""


Dialing = Coroutine[Any, Any, End]


class Dialer(Protocol):
    """Reaches targets, directly or through a server. A balancer is a dialer of dialers."""

    def dial(self, target: Address, first: First) -> Dialing:
        """Return the far end, with `first` sent or in its tail.

        Raises:
            DialError: its code is one of the dial words of `core/reasons.py`.
        """


class Router(Protocol):
    """Decides which dialer serves a request."""

    def pick(self, request: Request) -> Dialer:
        """Return the dialer; never None: refusing is a dialer too."""


@dataclass(frozen=True, slots=True)
class OneWay:
    """The router of whoever has one dialer."""

    dialer: Dialer

    def pick(self, _request: Request) -> Dialer:
        """Return the one."""
        return self.dialer
