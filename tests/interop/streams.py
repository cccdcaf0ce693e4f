"""Both ends of a connection through a proxy: a small SOCKS5 client, a scripted target, and bytes that are known.

Called by `tests/interop` and `tests/e2e`. Nothing here is shared with the package: a mistake of ours must not
be able to cancel itself out.
"""

from __future__ import annotations

import contextlib
import hashlib
import queue
import random
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

T = TypeVar("T")

HOST: Final = "127.0.0.1"
LIMIT: Final = 60.0
"""Seconds any single wait may take: far beyond what a working relay needs, short of hanging a test for ever."""
BLOCK: Final = 1 << 20


class SocksError(Exception):
    """The proxy refused; `rep` is its REP field, or -1 where it left without one."""

    def __init__(self, rep: int, text: str) -> None:
        super().__init__(f"{text} (REP {rep})")
        self.rep = rep


def read_exactly(sock: socket.socket, size: int) -> bytes:
    """Read so many bytes; raises EOFError when the stream ends before."""
    parts = bytearray()
    while len(parts) < size:
        part = sock.recv(min(size - len(parts), BLOCK))
        if not part:
            raise EOFError(f"the stream ended after {len(parts)} of {size} bytes")
        parts += part
    return bytes(parts)


def read_to_end(sock: socket.socket) -> bytes:
    """Read up to the end of file."""
    parts = bytearray()
    while part := sock.recv(BLOCK):
        parts += part
    return bytes(parts)


def pack_address(host: str, port: int) -> bytes:
    """Literal addresses as such, everything else as a name (RFC 1928 §5)."""
    for family, kind in ((socket.AF_INET, b"\x01"), (socket.AF_INET6, b"\x04")):
        with contextlib.suppress(OSError):
            return kind + socket.inet_pton(family, host) + struct.pack("!H", port)
    name = host.encode("ascii")
    return b"\x03" + bytes([len(name)]) + name + struct.pack("!H", port)


def dial(proxy: tuple[str, int], host: str, port: int, *, early: bytes = b"") -> socket.socket:
    """Connect to a target through a SOCKS5 proxy; `early` rides in the same write as the request."""
    sock = socket.create_connection(proxy, LIMIT)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(b"\x05\x01\x00")
        if read_exactly(sock, 2) != b"\x05\x00":
            raise SocksError(-1, "no acceptable method")
        sock.sendall(b"\x05\x01\x00" + pack_address(host, port) + early)
        try:
            head = read_exactly(sock, 4)
            if head[1]:
                raise SocksError(head[1], f"the proxy refused {host}:{port}")
            size = {1: 4, 4: 16}.get(head[3]) or read_exactly(sock, 1)[0]
            read_exactly(sock, size + 2)
        except EOFError as error:
            raise SocksError(-1, f"the proxy left: {error}") from None
    except BaseException:
        sock.close()
        raise
    return sock


def reset(sock: socket.socket) -> None:
    """Close with RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Target(Generic[T]):
    """A listening target: each connection gets a thread that runs `behave(sock)`; results come in order of ending.

    The socket is closed when `behave` returns. An exception of `behave` is raised by `result`.
    """

    def __init__(self, behave: Callable[[socket.socket], T], host: str = HOST) -> None:
        self._behave = behave
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.socket(family)
        self._listener.bind((host, 0))
        self._listener.listen(1024)
        self.host = host
        self.port: int = self._listener.getsockname()[1]
        self.accepted = 0
        self._results: queue.Queue[T | BaseException] = queue.Queue()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closing = False
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept, name="target")
        self._acceptor.start()

    def _accept(self) -> None:
        while True:
            sock, _ = self._listener.accept()
            with self._lock:
                if self._closing:
                    sock.close()
                    return
                self.accepted += 1
                self._open.add(sock)
            sock.settimeout(LIMIT)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._serve, args=(sock,), name="target-connection")
            self._threads = [known for known in self._threads if known.is_alive()]
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            result: T | BaseException = self._behave(sock)
        except BaseException as error:  # handed to the test, which raises it
            result = error
        with self._lock:
            self._open.discard(sock)
            sock.close()
        self._results.put(result)

    def result(self, limit: float = LIMIT) -> T:
        """The result of the next connection that ends."""
        result = self._results.get(timeout=limit)
        if isinstance(result, BaseException):
            raise result
        return result

    def close(self) -> None:
        with self._lock:
            self._closing = True
            for sock in self._open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):  # one connection more wakes the acceptor
            socket.create_connection((self.host, self.port), LIMIT).close()
        self._acceptor.join(LIMIT)
        self._listener.close()
        for thread in self._threads:
            thread.join(LIMIT)

    def __enter__(self) -> Target[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def blocks(seed: int, size: int) -> Iterator[memoryview]:
    """Bytes that compress, repeat and shift badly: random blocks, each stamped with its number."""
    block = bytearray(random.Random(seed).randbytes(min(BLOCK, size)))  # noqa: S311 - data, not a secret
    view = memoryview(block)
    for number in range(-(-size // BLOCK)):
        stamp = struct.pack("!Q", number)[-min(8, len(block)) :]
        block[: len(stamp)] = stamp
        yield view[: min(BLOCK, size - number * BLOCK)]


def digest(seed: int, size: int) -> str:
    """The hash of `blocks(seed, size)`."""
    state = hashlib.sha256()
    for block in blocks(seed, size):
        state.update(block)
    return state.hexdigest()


def send_blocks(sock: socket.socket, seed: int, size: int) -> str:
    """Send known bytes; returns their hash."""
    state = hashlib.sha256()
    for block in blocks(seed, size):
        state.update(block)
        sock.sendall(block)
    return state.hexdigest()


def hash_bytes(sock: socket.socket, size: int | None = None) -> tuple[int, str]:
    """Read `size` bytes, or to the end of file; returns how many came, and their hash."""
    state = hashlib.sha256()
    buffer = memoryview(bytearray(BLOCK))
    count = 0
    while size is None or count < size:
        got = sock.recv_into(buffer[: BLOCK if size is None else min(BLOCK, size - count)])
        if not got:
            break
        state.update(buffer[:got])
        count += got
    return count, state.hexdigest()


def send_single_bytes(sock: socket.socket, seed: int, count: int) -> str:
    """Send known bytes one write each; returns their hash."""
    data = b"".join(bytes(block) for block in blocks(seed, count))
    for at in range(count):
        sock.sendall(data[at : at + 1])
    return hashlib.sha256(data).hexdigest()
