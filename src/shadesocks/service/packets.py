"""The relay of the datagrams of one socket: loaded where some are served."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..net.packets import PacketRelay
from .heard import heard_back
from .shared import wall

if TYPE_CHECKING:
    from socket import SocketType

    from ..net.packet_seams import Back
    from ..wire.packet import PacketHost
    from .shared import Shared


def packet_relay(shared: Shared, sock: SocketType, host: PacketHost, back: Back, idle_min: int) -> PacketRelay:
    """Begin to serve the datagrams of a socket: whose they are the host knows, and where they go the back."""
    idle = max(shared.config.udp_timeout, idle_min)
    back = heard_back(back, shared.datagrams, shared.journal)
    return PacketRelay(shared.reactor, shared.datagrams, sock, host, back, shared.crowd, shared.journal, wall, idle)
