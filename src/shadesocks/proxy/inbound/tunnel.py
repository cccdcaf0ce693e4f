"""The face of a tunnel: every connection is a request for one and the same target, and nothing is said before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...net.end import End
from ..seams import Request

if TYPE_CHECKING:
    from socket import SocketType

    from ...core.address import Address
    from ...net.lane import Lane
    from ...net.reactor import Reactor


class TunnelInbound:
    """One tunnel. `header_lane` is how long a first payload is waited for: of a target that speaks first comes none."""

    def __init__(self, reactor: Reactor, target: Address, header_lane: Lane) -> None:
        self._reactor = reactor
        self._target = target
        self.header_lane: Lane | None = header_lane

    async def handshake(self, sock: SocketType, client: Any) -> Request | None:
        """Ask for the target; what the client sends stays in its socket until the relay reads. See `seams.Inbound`."""
        return Request(End(sock), self._target)

    def release(self, sock: SocketType) -> None:
        """Nothing authenticates here, so nothing can fail to."""
        self._reactor.close(sock)
