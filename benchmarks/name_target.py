"""The name server behind the proxies: every name is at 127.0.0.1, in one small process.

Run as `python -m benchmarks.name_target`; prints its UDP port of 127.0.0.1, and ends when its standard input does.
The first letters of a name say what it wants: those that begin with `SLOW` are answered after `DELAY`. A questions
get their address, all others NODATA, with the SOA record that says how long that is good.

The tests have a name server that can do far more (`tests/dns_server.py`), but it needs 0.8 ms for the two questions
of a name: it would be the limit of every server here. This one needs 30 us.
"""

from __future__ import annotations

import select
import socket
import struct
import sys
import time
from collections import deque
from contextlib import suppress
from typing import Final

SLOW: Final = "slow"
DELAY: Final = 0.05
"""Seconds, as from a name server that has to ask others."""
TTL: Final = 3600
"""Seconds: longer than any run."""
ADDRESS: Final = "127.0.0.1"
_BUFFER: Final = 4 << 20
"""Bytes of the socket's receive buffer: two questions of each connection that is under way at once."""
_TYPE_A: Final = 1
_HEAD: Final = struct.Struct("!6H")
_FLAGS: Final = 0x8180  # an answer to a recursive question, without error (RFC 1035 §4.1.1)
_FOUND: Final = struct.pack("!HHHLH4s", 0xC00C, _TYPE_A, 1, TTL, 4, socket.inet_aton(ADDRESS))
_SOA: Final = b"\x02ns\x00\x04root\x00" + struct.pack("!5L", 1, TTL, TTL, TTL, TTL)
_NOTHING: Final = b"\x04test\x00" + struct.pack("!HHLH", 6, 1, TTL, len(_SOA)) + _SOA


def answer(query: bytes) -> bytes:
    """Return what a question gets; raises IndexError or struct.error where it is none."""
    end = 12
    while query[end]:
        end += query[end] + 1
    end += 5
    (kind,) = struct.unpack_from("!H", query, end - 4)
    (ident,) = struct.unpack_from("!H", query)
    if kind == _TYPE_A:
        return _HEAD.pack(ident, _FLAGS, 1, 1, 0, 0) + query[12:end] + _FOUND
    return _HEAD.pack(ident, _FLAGS, 1, 0, 1, 0) + query[12:end] + _NOTHING


class NameTarget:
    """One UDP socket, and the answers that wait for their time: all wait equally long, so a queue is enough."""

    def __init__(self) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind((ADDRESS, 0))
        self._sock.setblocking(False)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._waiting: deque[tuple[float, bytes, tuple[str, int]]] = deque()
        self.port: int = self._sock.getsockname()[1]

    def run(self, until: int) -> None:
        """Serve until the descriptor `until` is at its end."""
        epoll = select.epoll()
        for fd in (self._sock.fileno(), until):
            epoll.register(fd, select.EPOLLIN)
        while True:
            wait = max(0.0, self._waiting[0][0] - time.monotonic()) if self._waiting else None
            for fd, _ in epoll.poll(wait):
                if fd == until:
                    return
                self._receive()
            self._send_due()

    def _receive(self) -> None:
        slow = SLOW.encode()
        with suppress(BlockingIOError):
            while True:
                query, sender = self._sock.recvfrom(2048)
                try:
                    message = answer(query)
                except (IndexError, struct.error):
                    continue
                if query.startswith(slow, 13):
                    self._waiting.append((time.monotonic() + DELAY, message, sender))
                else:
                    self._send(message, sender)

    def _send_due(self) -> None:
        now = time.monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            _, message, sender = self._waiting.popleft()
            self._send(message, sender)

    def _send(self, message: bytes, to: tuple[str, int]) -> None:
        with suppress(OSError):  # whoever asked may be gone
            self._sock.sendto(message, to)


def main() -> None:
    target = NameTarget()
    sys.stdout.write(f"{target.port}\n")
    sys.stdout.flush()
    target.run(sys.stdin.fileno())


if __name__ == "__main__":
    main()
