"""The target behind the proxies: a sink, a source, an answerer and an echo, in one small process.

Run as `python -m benchmarks.target PORTS`; prints one line with that many port
numbers of 127.0.0.1, and ends when its standard input does. The first payload
of a connection says what is wanted: one letter and eight bytes of a count
(`order`). Several ports, so that a sample can have one to itself: the ports
in TIME_WAIT of one system then do not make the next one search for longer.
"""

from __future__ import annotations

import hashlib
import select
import socket
import struct
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

ORDER_SIZE: Final = 9
ANSWER: Final = bytes(range(80))  # the 80-byte answer of a short connection
SINK, HASH, SOURCE, SHORT, SHORT_END, ECHO = b"U", b"V", b"D", b"S", b"T", b"E"
BLOCK: Final = 1 << 20
PATIENCE_SECONDS: Final = 10
"""How long anything may stand still before it is given up; the slowest peer needs a tenth of it."""
PATIENCE: Final = struct.pack("ll", PATIENCE_SECONDS, 0)
"""As SO_RCVTIMEO and SO_SNDTIMEO take it: a kernel time-out, since Python's own costs a poll before every call."""


def order(kind: bytes, count: int = 0, size: int = ORDER_SIZE) -> bytes:
    """The first payload that asks for `kind`, padded to `size` bytes."""
    return (kind + struct.pack(">Q", count)).ljust(size, b".")


def be_patient(sock: socket.socket) -> None:
    """Let a blocking socket fail instead of waiting for ever."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, PATIENCE)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, PATIENCE)


def discard(sock: socket.socket, size: int | None, buffer: bytearray) -> int:
    """Receive and drop `size` bytes, or up to the end; the kernel drops them without a copy (MSG_TRUNC)."""
    done = 0
    while size is None or done < size:
        count = sock.recv_into(buffer, 0 if size is None else min(len(buffer), size - done), socket.MSG_TRUNC)
        if not count:
            break
        done += count
    return done


class Target:
    """Accepts on its ports and serves every connection from one loop."""

    def __init__(self, ports: int) -> None:
        self._epoll = select.epoll()
        self._listeners: dict[int, socket.socket] = {}
        self._connections: dict[int, socket.socket] = {}
        self._echoing: set[int] = set()
        self._buffer = bytearray(BLOCK)
        self._actions: dict[bytes, Callable[[socket.socket, bytes], None]] = {
            SINK: self._sink,
            HASH: self._hash,
            SOURCE: self._source,
            SHORT: self._short,
            SHORT_END: self._short_end,
            ECHO: self._echo,
        }
        for _ in range(ports):
            listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
            listener.setblocking(False)
            self._listeners[listener.fileno()] = listener
            self._epoll.register(listener.fileno(), select.EPOLLIN)

    @property
    def ports(self) -> list[int]:
        return [listener.getsockname()[1] for listener in self._listeners.values()]

    def run(self, until: int) -> None:
        """Serve until the descriptor `until` is at its end."""
        self._epoll.register(until, select.EPOLLIN)
        while True:
            for fd, _ in self._epoll.poll(maxevents=256):
                sock = self._connections.get(fd)
                if sock is not None:
                    self._serve(fd, sock)
                elif fd == until:
                    return
                else:
                    self._accept(self._listeners[fd])

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(64):
            try:
                sock, _ = listener.accept()
            except BlockingIOError:
                return
            self._connections[sock.fileno()] = sock
            self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _serve(self, fd: int, sock: socket.socket) -> None:
        try:
            data = sock.recv(65536)
            if not data:
                self._close(sock)
            elif fd in self._echoing:
                sock.send(data)
            else:
                self._actions[data[:1]](sock, data)
        except (OSError, KeyError):
            self._close(sock)

    def _close(self, sock: socket.socket) -> None:
        fd = sock.fileno()
        self._connections.pop(fd, None)
        self._echoing.discard(fd)
        sock.close()

    def _short(self, sock: socket.socket, data: bytes) -> None:
        sock.send(ANSWER)

    def _short_end(self, sock: socket.socket, data: bytes) -> None:
        sock.send(ANSWER)
        self._close(sock)

    def _echo(self, sock: socket.socket, data: bytes) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._echoing.add(sock.fileno())
        sock.send(data)

    # The three below hold the loop until they are done: bulk is measured one stream at a time.

    def _sink(self, sock: socket.socket, data: bytes) -> None:
        be_patient(sock)
        wanted = self._wanted(data)
        done = len(data) - ORDER_SIZE
        done += discard(sock, wanted - done, self._buffer)
        sock.sendall(struct.pack(">Q", done))

    def _hash(self, sock: socket.socket, data: bytes) -> None:
        be_patient(sock)
        wanted = self._wanted(data)
        hasher = hashlib.sha256(data[ORDER_SIZE:])
        done = len(data) - ORDER_SIZE
        while done < wanted and (more := sock.recv(65536)):
            hasher.update(more)
            done += len(more)
        sock.sendall(hasher.digest())

    def _source(self, sock: socket.socket, data: bytes) -> None:
        be_patient(sock)
        left = self._wanted(data)
        zeros = memoryview(bytes(BLOCK))
        while left:
            left -= sock.send(zeros[: min(left, BLOCK)])
        self._close(sock)

    @staticmethod
    def _wanted(data: bytes) -> int:
        wanted: int = struct.unpack_from(">Q", data, 1)[0]
        return wanted


def main() -> None:
    target = Target(int(sys.argv[1]))
    sys.stdout.write(" ".join(map(str, target.ports)) + "\n")
    sys.stdout.flush()
    target.run(sys.stdin.fileno())


if __name__ == "__main__":
    main()
