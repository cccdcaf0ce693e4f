"""What is set on sockets, and asked of them, beyond sending and receiving."""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass
from socket import IPPROTO_TCP, SOL_SOCKET
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from socket import SocketType

NOW: Final[int] = getattr(socket, "MSG_DONTWAIT", 0)
"""The flag of a receive or send that must not block. It spares every accepted socket one system call."""

NONBLOCK: Final[int] = getattr(socket, "SOCK_NONBLOCK", 0)
"""The flag of a socket made non-blocking; 0 where the system needs a second call for it."""


@dataclass(frozen=True, slots=True)
class TcpOptions:
    """Options of every TCP socket that is accepted or dialled. Times are seconds; 0 turns one off."""

    keep_alive: int = 15
    """Idle seconds before the first probe, and between probes: shadowsocks-rust's default."""
    user_timeout: int = 240
    """Seconds unacknowledged data may wait (RFC 5482): with keep-alive, a vanished peer is gone in five minutes."""
    no_delay: bool = False
    """TCP_NODELAY: segments are not held back for the acknowledgement of the last one."""


def apply_options(sock: SocketType, options: TcpOptions) -> None:
    """Set the options on a connected or connecting TCP socket. Each that is off costs no call."""
    if options.no_delay:
        sock.setsockopt(IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if options.keep_alive:
        sock.setsockopt(SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if sys.platform == "linux":
            sock.setsockopt(IPPROTO_TCP, socket.TCP_KEEPIDLE, options.keep_alive)
            sock.setsockopt(IPPROTO_TCP, socket.TCP_KEEPINTVL, options.keep_alive)
    if options.user_timeout and sys.platform == "linux":
        sock.setsockopt(IPPROTO_TCP, socket.TCP_USER_TIMEOUT, options.user_timeout * 1000)


if sys.platform == "win32":  # pragma: no cover - no way to ask

    def unsent(sock: SocketType) -> int:
        """Return 0: the system does not tell."""
        return 0

else:
    import termios
    from fcntl import ioctl

    def unsent(sock: SocketType) -> int:
        """Return how many sent bytes the peer has not acknowledged (SIOCOUTQ); 0 where the system does not tell."""
        try:
            return int.from_bytes(ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
        except OSError:
            return 0
