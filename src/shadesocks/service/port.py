"""A port as it is wanted, and what serves one: the values between a configuration and the ports of a service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from socket import SocketType

    from ..config.model import ServerConfig
    from ..core.address import Address
    from ..net.packets import PacketRelay
    from ..proxy.flow import Flow
    from ..proxy.silent import Strangers
    from ..proxy.users.table import UserTable
    from ..proxy.users.user import User
    from .shared import Shared


@dataclass(frozen=True, slots=True)
class Port:
    """Where to listen, and what to do there."""

    streams: Address | None
    """None: not over TCP."""
    packets: Address | None
    """None: not over UDP, or not with a socket that all share."""
    open: Callable[[Shared, SocketType | None], Face]
    """Makes the parts, given the bound UDP socket, if there is to be one."""
    has_packets: bool
    """Whether it serves datagrams, with that socket or others."""
    role: str = "server"
    """What it says that it is: server, local or tunnel."""
    forward: Address | None = None
    """Where a tunnel leads."""
    server: ServerConfig | None = None
    """Whose port it is, at a server."""
    public: Address | None = None
    """Where the plugin listens that is before it; what has another address here is behind it. None: there is none."""


@dataclass(frozen=True, slots=True)
class Face:
    """What serves a port. Its packet relays are in `Shared.crowd`."""

    flow: Flow | None
    close: Callable[[], None] = lambda: None
    packets: PacketRelay | None = None
    """What serves the datagrams of a server."""
    evict: Callable[[], None] = lambda: None
    """Closes whoever has not authenticated."""
    strangers: Strangers | None = None
    """Those, at a server."""
    users: UserTable[User] | None = None
    """Those who share it, where somebody does."""
