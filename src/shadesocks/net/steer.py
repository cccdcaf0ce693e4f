"""Where new connections of a port go that several processes listen on.

Sockets of one port with SO_REUSEPORT are a group, in the order in which they were bound; whoever is closed takes with
it those connections that wait in it and were not accepted, which their clients see as a reset. So a process that gives
a port up first sends what is new to the others: a filter of the group (classic BPF, which needs no right) names the
socket for each new connection. What comes after that needs no luck: whoever knocked before is accepted, and then the
socket is closed.
"""

from __future__ import annotations

import ctypes
import struct
from socket import SOL_SOCKET, SocketType
from typing import Final

from .options import LINUX

SETTLING: Final = 1.0
"""Seconds from then to the close: a handshake that had begun ends in the time that a packet takes there and back."""

_ATTACH: Final = 51
"""SO_ATTACH_REUSEPORT_CBPF of <linux/socket.h>."""
_LOAD_RANDOM: Final = (0x20, 0, 0, 0xFFFFF000 + 56)
"""ld [SKF_AD_OFF + SKF_AD_RANDOM] of <linux/filter.h>."""
_MODULO: Final = 0x94
_ADD: Final = 0x04
_RETURN_A: Final = (0x16, 0, 0, 0)


def steer_away(sock: SocketType, count: int) -> bool:
    """Send new connections past the first `count` sockets of a group, evenly to as many behind them.

    Where there are none behind them, all is as before: the system takes any socket when the filter names none.
    Return False where the system cannot.
    """
    if not LINUX:
        return False
    steps = (_LOAD_RANDOM, (_MODULO, 0, 0, count), (_ADD, 0, 0, count), _RETURN_A)
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    try:
        sock.setsockopt(SOL_SOCKET, _ATTACH, struct.pack("@HP", len(steps), ctypes.addressof(program)))
    except OSError:
        return False
    return True
