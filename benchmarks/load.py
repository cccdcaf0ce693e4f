"""The client side of every measurement: blocking or polled sockets, and bytes that were sealed beforehand.

Nothing here looks at a server's process; `works.py` reads clocks around these calls.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import os
import select
import socket
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .process import BenchError
from .target import (
    ANSWER,
    BLOCK,
    ECHO,
    HASH,
    PATIENCE_SECONDS,
    SHORT,
    SINK,
    SOURCE,
    be_patient,
    discard,
    order,
)
from .wire import Account, Opener, Sealer, answer_size, upload_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Endpoint = tuple[str, int]

REQUEST_SIZE: Final = 100  # bytes of a short connection's request, about a small HTTP GET
PING_SIZE: Final = 64
IP_BIND_ADDRESS_NO_PORT: Final = 24
"""Linux: the port is chosen when the far end is known, so that one may serve several. Python has no name for it."""
HEAD_ROOM: Final = 4096  # more than any head needs; a stream's body starts at a fixed place behind it


def open_connection(address: Endpoint, source: Endpoint | None = None) -> socket.socket:
    """A blocking connection that fails instead of hanging; `source` is where it comes from."""
    sock = socket.socket()
    try:
        if source is not None:
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind(source)
        sock.connect(address)
        be_patient(sock)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No garbage collection inside: its pauses would be measured as latency."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Upload:
    """One sealed stream of `size` zero bytes; `stamped` puts a head before it for one server and moment.

    Sealing takes as long as a server's opening, so it is done once a round,
    into memory that is used again, and the same stream goes to every system:
    each has a replay store of its own and sees the salt once.
    """

    def __init__(self, account: Account, size: int) -> None:
        self._account = account
        self._size = size
        self._buffer = bytearray(HEAD_ROOM + upload_size(account.method, size))
        self._salt = b""

    def renew(self) -> None:
        """Seal everything again under a fresh salt."""
        sealer = Sealer(self._account)
        self._salt = sealer.salt
        sealer.head(("127.0.0.1", 1), order(SINK), 0)  # only to move the nonce on
        if sealer.fill(self._buffer, HEAD_ROOM, self._size) != len(self._buffer):
            raise AssertionError("a sealed stream has not the size that was computed")

    def stamped(self, target: Endpoint, share: float) -> tuple[memoryview, int]:
        """Head and body in one piece, and how many bytes of payload a system of this `share` gets."""
        step = self._account.method.max_payload
        size = max(1, int(self._size * share) // step) * step if share < 1 else self._size
        head = Sealer(self._account, self._salt).head(target, order(SINK, size), int(time.time()))
        begin = HEAD_ROOM - len(head)
        self._buffer[begin:HEAD_ROOM] = head
        return memoryview(self._buffer)[begin : HEAD_ROOM + upload_size(self._account.method, size)], size


def upload(address: Endpoint, stream: memoryview, method_answer: int) -> float:
    """Send it all, wait for the sink's receipt; returns the seconds that took."""
    with open_connection(address) as sock:
        began = time.perf_counter()
        sock.sendall(stream)
        if discard(sock, method_answer, bytearray(4096)) != method_answer:
            raise BenchError("the upload broke off: the sink's receipt did not come")
        return time.perf_counter() - began


def download(address: Endpoint, account: Account, target: Endpoint, size: int) -> float:
    """Ask for `size` bytes and drop what comes, up to the end; returns the seconds that took."""
    request = Sealer(account).head(target, order(SOURCE, size), int(time.time()))
    with open_connection(address) as sock:
        began = time.perf_counter()
        sock.sendall(request)
        count = discard(sock, None, bytearray(BLOCK))
        took = time.perf_counter() - began
    if count < size:
        raise BenchError(f"the download broke off after {count} of {size} bytes")
    return took


def make_requests(account: Account, target: Endpoint, kind: bytes, count: int) -> list[bytes]:
    """Whole first writes of `count` connections, each with a fresh salt. 2022: good for 30 s from now."""
    first = order(kind, 0, REQUEST_SIZE)
    now = int(time.time())
    return [Sealer(account).head(target, first, now) for _ in range(count)]


def short_connections(
    address: Endpoint, requests: Sequence[bytes], wanted: int, depth: int, to_end: bool
) -> list[float]:
    """Make one connection for each request, `depth` of them at any time.

    Returns for each the seconds from before its connect to the last byte of
    its answer (`wanted` bytes). `to_end` waits for the far end of file before
    it closes, else it closes as soon as it has the answer.
    """
    epoll = select.epoll()
    flying: dict[int, tuple[socket.socket, float, int]] = {}
    latencies: list[float] = []
    clock, new_socket = time.perf_counter, socket.socket
    buffer = bytearray(4096)
    waiting = iter(requests)

    def launch() -> None:
        request = next(waiting, None)
        if request is None:
            return
        began = clock()
        sock = new_socket()
        sock.connect(address)
        sock.send(request)
        fd = sock.fileno()
        flying[fd] = (sock, began, 0)
        epoll.register(fd, select.EPOLLIN)

    try:
        for _ in range(depth):
            launch()
        while flying:
            events = epoll.poll(PATIENCE_SECONDS)
            if not events:
                raise BenchError(
                    f"no answer for {PATIENCE_SECONDS} s, {len(latencies)} of {len(requests)} connections done"
                )
            for fd, _ in events:
                sock, began, got = flying[fd]
                count = sock.recv_into(buffer)
                if count:
                    got += count
                    if got == wanted:
                        latencies.append(clock() - began)
                    if got < wanted or to_end:
                        flying[fd] = (sock, began, got)
                        continue
                elif got != wanted:
                    raise BenchError(f"a connection ended after {got} of {wanted} bytes")
                del flying[fd]
                sock.close()
                launch()
    finally:
        epoll.close()
        for sock, _, _ in flying.values():
            sock.close()
    return latencies


def paced_connections(address: Endpoint, requests: Sequence[bytes], wanted: int, rate: float) -> list[float]:
    """Begin `rate` connections a second, one for each request, whether or not those before are answered: a server that
    pauses is seen by all that come meanwhile. Returns what `short_connections` does."""
    epoll = select.epoll()
    flying: dict[int, tuple[socket.socket, float, int]] = {}
    latencies: list[float] = []
    clock = time.perf_counter
    buffer = bytearray(4096)
    start, begun = clock(), 0
    try:
        while len(latencies) < len(requests):
            due = start + begun / rate
            while begun < len(requests) and (now := clock()) >= due:
                sock = socket.socket()
                flying[sock.fileno()] = (sock, now, 0)
                sock.connect(address)
                sock.send(requests[begun])
                epoll.register(sock.fileno(), select.EPOLLIN)
                begun += 1
                due = start + begun / rate
            wait = max(0.0, due - clock()) if begun < len(requests) else PATIENCE_SECONDS
            events = epoll.poll(wait)
            if not events and begun == len(requests):
                raise BenchError(f"no answer for {PATIENCE_SECONDS} s, {len(latencies)} of {begun} connections done")
            for fd, _ in events:
                sock, began, got = flying.pop(fd)
                count = sock.recv_into(buffer)
                got += count
                if got < wanted and count:
                    flying[fd] = (sock, began, got)
                    continue
                latencies.append(clock() - began)
                sock.close()
                if got != wanted:
                    raise BenchError(f"a connection ended after {got} of {wanted} bytes")
    finally:
        epoll.close()
        for sock, _, _ in flying.values():
            sock.close()
    return latencies


class Conversation:
    """One open connection to the echo, with sealed pings at hand."""

    def __init__(self, address: Endpoint, account: Account, target: Endpoint) -> None:
        self._sealer = Sealer(account)
        self._overhead = account.method.overhead
        head = self._sealer.head(target, order(ECHO, 0, PING_SIZE), int(time.time()))
        self._sock = open_connection(address)
        try:
            self._sock.sendall(head)
            self._expect(answer_size(account.method, PING_SIZE))
        except BaseException:
            self._sock.close()
            raise

    def pings(self, count: int) -> list[float]:
        """That many round trips one after the other; returns the seconds of each."""
        chunks = [self._sealer.chunk(bytes(PING_SIZE)) for _ in range(count)]
        clock, send, expect = time.perf_counter, self._sock.send, self._expect
        wanted = self._overhead + PING_SIZE
        latencies = []
        with quiet():
            for chunk in chunks:
                began = clock()
                send(chunk)
                expect(wanted)
                latencies.append(clock() - began)
        return latencies

    def close(self) -> None:
        self._sock.close()

    def _expect(self, size: int) -> None:
        if len(self._sock.recv(size, socket.MSG_WAITALL)) != size:
            raise BenchError("the connection to the echo ended")


def open_idle(address: Endpoint, account: Account, target: Endpoint, count: int) -> list[socket.socket]:
    """That many connections, each of which has had one round trip to the echo and is left open."""
    wanted = answer_size(account.method, REQUEST_SIZE)
    socks: list[socket.socket] = []
    try:
        for request in make_requests(account, target, ECHO, count):
            sock = open_connection(address)
            socks.append(sock)
            sock.sendall(request)
            if len(sock.recv(wanted, socket.MSG_WAITALL)) != wanted:
                raise BenchError(f"idle connection {len(socks)} was not answered")
    except BaseException:
        close_all(socks)
        raise
    return socks


def open_stalled(address: Endpoint, count: int) -> list[socket.socket]:
    """That many connections that send 20 random bytes, too few for any handshake, and stay."""
    socks: list[socket.socket] = []
    try:
        for _ in range(count):
            sock = open_connection(address)
            socks.append(sock)
            sock.sendall(os.urandom(20))
    except BaseException:
        close_all(socks)
        raise
    return socks


def close_all(socks: Sequence[socket.socket]) -> None:
    for sock in socks:
        sock.close()


@dataclass(frozen=True, slots=True)
class Check:
    """What a server must get right before its speed is of interest."""

    account: Account
    address: Endpoint
    target: Endpoint

    def run(self) -> None:
        """Raises `BenchError` unless a short answer, 1 MiB down and 1 MiB up arrive to the byte."""
        size = (1 << 20) + 1
        # Short ones first. The download is read to the end, the others until they are whole.
        self._compare("answer", ANSWER, self._exchange(order(SHORT, 0, REQUEST_SIZE), b"", len(ANSWER)))
        self._compare("download", bytes(size), self._exchange(order(SOURCE, size), b"", None))
        body = os.urandom(size)
        digest = hashlib.sha256(body).digest()
        self._compare("upload", digest, self._exchange(order(HASH, size), body, len(digest)))

    def _exchange(self, first: bytes, body: bytes, wanted: int | None) -> bytes:
        sealer = Sealer(self.account)
        opener = Opener(self.account, sealer.salt)
        step = self.account.method.max_payload
        plain = b""
        with open_connection(self.address) as sock:
            head = sealer.head(self.target, first, int(time.time()))
            sock.sendall(head + b"".join(sealer.chunk(body[at : at + step]) for at in range(0, len(body), step)))
            while wanted is None or len(plain) < wanted:
                data = sock.recv(1 << 20)
                if not data:
                    break
                plain += opener.feed(data)
        return plain

    @staticmethod
    def _compare(what: str, expected: bytes, got: bytes) -> None:
        if expected != got:
            raise BenchError(f"wrong {what}: {len(got)} bytes came where {len(expected)} were due, or others")


RECEIPT: Final = struct.calcsize(">Q")
"""Bytes the sink answers when it has everything."""
