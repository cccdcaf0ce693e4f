"""Where new connections of a port go that several processes listen on.

Sockets of one port with SO_REUSEPORT are a group, in the order in which they were bound; whoever is closed takes with
it those connections that wait in it and were not accepted, which their clients see as a reset. So a process that gives
a port up first sends what is new to the others: a filter of the group (classic BPF, which needs no right) names the
socket for each new connection. What comes after that needs no luck: whoever knocked before is accepted, and then the
socket is closed.
"""

from __future__ import annotations

import struct
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from socket import SOL_SOCKET, SocketType, inet_pton
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
_RETURN: Final = 0x06
_LISTENS: Final = "0A"
"""TCP_LISTEN of <net/tcp_states.h>."""


class Steering:
    """Sends what is new to the processes that have the same ports: the view of one moment, of all groups.

    A group keeps its filter when whoever attached it is gone. So the last one that is attached before the last of our
    sockets is closed names a number that the group has no more then: from there on the system chooses as it did.
    """

    def __init__(self, listening: Counter[str] | None = None) -> None:
        """Look who listens; `listening` is for tests."""
        self._listening = _listening() if listening is None else listening

    def behind(self, sock: SocketType, own: int) -> int:
        """Return how many sockets stand behind ours in a group, of which we have so many; as many, where none tells."""
        count = self._listening[_name_of(sock)]
        return count - own if count else own

    def away(self, sock: SocketType, own: int) -> bool:
        """Send new connections past the first `own` sockets of a group, evenly to those behind them.

        Where there are none behind them, all is as before: the system takes any socket when the filter names none.
        Return False where the system cannot.
        """
        behind = max(1, self.behind(sock, own))
        return _attach(sock, (_LOAD_RANDOM, (_MODULO, 0, 0, behind), (_ADD, 0, 0, own), _RETURN_A))

    def to_last(self, sock: SocketType) -> bool:
        """Send new connections to the last of a group in which we have only this one, until that is closed."""
        return self._to(sock, self.behind(sock, 1))

    def close(self, sockets: Sequence[SocketType]) -> None:
        """Close our sockets of a group, in which nobody waits any more, without catching anybody in one of them.

        The system puts the last socket of the group into the hole. From behind, that moves none of ours, and who
        stands next to the hole stays there, if there are two.
        """
        for at in range(len(sockets) - 1, 0, -1):
            self._to(sockets[at], at + 1)
            sockets[at].close()
            self._listening[_name_of(sockets[0])] -= 1
        self.to_last(sockets[0])
        sockets[0].close()

    @staticmethod
    def _to(sock: SocketType, number: int) -> bool:
        return _attach(sock, ((_RETURN, 0, 0, number),))


def _attach(sock: SocketType, steps: Sequence[tuple[int, int, int, int]]) -> bool:
    if not LINUX:
        return False
    import ctypes  # 0.4 MiB; only a service that shares its ports steers

    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    try:
        sock.setsockopt(SOL_SOCKET, _ATTACH, struct.pack("@HP", len(steps), ctypes.addressof(program)))
    except OSError:
        return False
    return True


def _listening() -> Counter[str]:
    """Return how many sockets listen, by address and port as the system writes them (proc_net_tcp of Linux)."""
    found: Counter[str] = Counter()
    for name in ("tcp", "tcp6"):
        with suppress(OSError), open(f"/proc/self/net/{name}", encoding="ascii") as lines:
            for line in lines:
                _, local, _, state, *_ = line.split(maxsplit=4)
                if state == _LISTENS:
                    found[local] += 1
    return found


def _name_of(sock: SocketType) -> str:
    """Return the address and port of a socket as they are written there: words in the machine's own order."""
    host, port = sock.getsockname()[:2]
    packed = inet_pton(sock.family, host.partition("%")[0])
    words = (packed[at : at + 4] for at in range(0, len(packed), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words) + f":{port:04X}"
