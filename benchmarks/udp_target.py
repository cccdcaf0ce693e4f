"""The target behind the proxies for datagrams: an echo, a sink that counts, and a source, in a process of its own.

Run as `python -m benchmarks.udp_target`; prints the ports of the three on one
line. Each line on its standard input is answered by one line with what the
sink received since the last time and what its socket dropped; the end of
standard input ends it. The source is asked through the proxy: a datagram with
a count, a size and a rate.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import sys
import time
from typing import Final

from .datagrams import AT_ONCE, Endpoint, Inbox, Outbox, dropped, open_socket

ORDER: Final = struct.Struct(">QQQ")
"""What the source is asked for: how many datagrams, of which size, how many a second.
With a rate of 0 it makes them ready and sends only the first."""
BURST: Final = 32
"""Datagrams at once, at most: a receive buffer as it comes holds ninety of 1,300 bytes."""


def pace(outbox: Outbox, fd: int, rate: float, first: int = 0, count: int | None = None) -> float:
    """Send at an even rate, in bursts; returns the seconds it took.

    A burst that is late is not made up for: catching up would be a greater
    burst than was promised, and its loss nobody's fault but ours.
    """
    end = outbox.count if count is None else first + count
    burst = max(1, min(BURST, int(rate / 1000)))
    step = burst / rate
    began = due = time.perf_counter()
    while first < end:
        wait = due - time.perf_counter()
        if wait > 0:
            time.sleep(wait)
        elif wait < -step:
            due -= wait
        outbox.send(fd, first, min(burst, end - first))
        first += burst
        due += step
    return time.perf_counter() - began


class Target:
    """Three sockets served from one loop."""

    def __init__(self) -> None:
        self._echo, self._sink, self._source = (open_socket("127.0.0.1", 1.0) for _ in range(3))
        self._inbox = Inbox()
        self._received = 0
        self._dropped = 0
        self._flow: tuple[tuple[int, int], Outbox] | None = None

    @property
    def ports(self) -> list[int]:
        return [sock.getsockname()[1] for sock in (self._echo, self._sink, self._source)]

    def run(self, until: int) -> None:
        """Serve until the descriptor `until` is at its end."""
        echo, sink, source = (sock.fileno() for sock in (self._echo, self._sink, self._source))
        epoll = select.epoll()
        for fd in (echo, sink, source, until):
            epoll.register(fd, select.EPOLLIN)
        receive, reply, nonblocking = self._inbox.receive, self._inbox.reply, socket.MSG_DONTWAIT
        while True:
            for fd, _ in epoll.poll():
                if fd == echo:
                    while count := receive(echo, nonblocking):
                        reply(echo, count)
                        if count < AT_ONCE:
                            break
                elif fd == sink:
                    self._received += receive(sink, nonblocking)
                elif fd == source:
                    self._serve(source)
                elif not os.read(until, 4096):
                    return
                else:
                    self._tell()

    def _serve(self, fd: int) -> None:
        """Holds the loop until it is done: flows are measured one at a time."""
        for number in range(self._inbox.receive(fd, socket.MSG_DONTWAIT)):
            order, back = self._inbox.datagram(number), self._inbox.sender(number)
            if len(order) == ORDER.size:
                self._send(fd, back, *ORDER.unpack(order))

    def _send(self, fd: int, to: Endpoint, count: int, size: int, rate: int) -> None:
        if self._flow is None or self._flow[0] != (count, size):
            zeros = bytes(size - 8)
            self._flow = (count, size), Outbox([struct.pack(">Q", number) + zeros for number in range(count)])
        outbox = self._flow[1]
        outbox.address(to)
        if not rate:
            outbox.send(fd, 0, 1)
            return
        pace(outbox, fd, rate)

    def _tell(self) -> None:
        while count := self._inbox.receive(self._sink.fileno(), socket.MSG_DONTWAIT):
            self._received += count
        drops = dropped(self._sink)
        sys.stdout.write(f"{self._received} {drops - self._dropped}\n")
        sys.stdout.flush()
        self._received, self._dropped = 0, drops


def main() -> None:
    target = Target()
    sys.stdout.write(" ".join(map(str, target.ports)) + "\n")
    sys.stdout.flush()
    target.run(sys.stdin.fileno())


if __name__ == "__main__":
    main()
