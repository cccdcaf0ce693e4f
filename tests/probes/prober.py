"""The prober: hundreds of connections at once in one selector loop, each watched for the first thing it is told.

Called by the probe tests and by `python -m tests.probes`. It judges nothing: it says of each connection what came
first (data, end of file, reset, or nothing) and when, on one monotonic clock. It must never read a clock after the
event where it would make an early answer look late: the time of an event is taken before its cause is looked at.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import resource
import selectors
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Outcome = Literal["open", "data", "fin", "reset"]

SOURCES: Final = 50
"""Loopback addresses to come from, 127.0.0.2 and up: a server may weigh what one source holds."""
BATCH_MAX: Final = 1500
"""Connections at once: one Python loop starts them in well under a second."""
TYPING_MAX: Final = 200_000
"""Bytes that go one by one in a batch: 5 us each on an idle machine, so a second, and some more on a busy one."""
_NO_PORT: Final = 24
"""IP_BIND_ADDRESS_NO_PORT of Linux: a source address now, its port at connect."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What one connection says."""

    kind: str
    """The class it is reported under."""
    name: str
    make: Callable[[], bytes]
    """Makes what is said, when it is said: a time stamp must not grow old in a queue, nor a salt be used twice."""
    size: int
    bytewise: bool = False
    ends: bool = False
    """Whether the prober ends first: shutdown of its side after the last byte."""

    @classmethod
    def fixed(cls, kind: str, name: str, data: bytes) -> Probe:
        """A probe that always says the same."""
        return cls(kind, name, lambda: data, len(data))

    @classmethod
    def fresh(cls, kind: str, name: str, make: Callable[[], bytes]) -> Probe:
        """A probe that is made anew for each connection, always as long."""
        return cls(kind, name, make, len(make()))

    def __str__(self) -> str:
        return f"{self.kind}, {self.name}" + ", byte by byte" * self.bytewise + ", ending first" * self.ends


@dataclass(slots=True)
class Shot:
    """A probe on its way, and what became of it."""

    probe: Probe
    address: tuple[str, int]
    data: bytes = b""
    started_at: float = 0.0
    """Before connect, so never later than the server's accept."""
    sent_at: float | None = None
    ended_at: float | None = None
    outcome: Outcome = "open"
    answer: bytes = b""

    @property
    def after(self) -> float:
        """Seconds from before the connect to the outcome; infinite while there is none."""
        return float("inf") if self.ended_at is None else self.ended_at - self.started_at

    @property
    def sending(self) -> float:
        """Seconds it took to say everything; infinite when something came before that."""
        return float("inf") if self.sent_at is None else self.sent_at - self.started_at


@functools.cache
def raise_limit() -> int:
    """Raise our own descriptor limit to what the system allows; returns it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def batch_size() -> int:
    """How many connections to hold at once: a server may keep no more silent ones than a quarter of its descriptors."""
    limit = raise_limit()
    return BATCH_MAX if limit < 0 else max(16, min(BATCH_MAX, limit // 5))


@functools.cache
def sources() -> tuple[str, ...]:
    """The loopback addresses this system lets us come from; empty where only one exists."""
    with socket.socket() as sock:
        try:
            sock.bind(("127.0.0.2", 0))
        except OSError:
            return ()
    return tuple(f"127.0.0.{2 + number}" for number in range(SOURCES))


def connect(address: tuple[str, int], number: int = 0) -> socket.socket:
    """Connect from the n-th loopback source; the socket does not block and does not delay."""
    sock = socket.socket()
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if known := sources():
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_IP, _NO_PORT, 1)
            sock.bind((known[number % len(known)], 0))
        sock.settimeout(30)
        sock.connect(address)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


class _Flight:
    """The connections of one batch."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.typing: collections.deque[tuple[Shot, socket.socket, int]] = collections.deque()
        """Byte by byte senders, with how far each is; everybody says one byte a round."""

    def launch(self, shot: Shot, number: int) -> None:
        shot.data = shot.probe.make()
        shot.started_at = time.monotonic()
        try:
            sock = connect(shot.address, number)
        except OSError:
            shot.outcome, shot.ended_at = "reset", time.monotonic()
            return
        self.selector.register(sock, selectors.EVENT_READ, (shot, 0))
        if shot.probe.bytewise and shot.data:
            self.typing.append((shot, sock, 0))
        else:
            self._send(shot, sock, 0)

    def _send(self, shot: Shot, sock: socket.socket, at: int) -> None:
        """Say everything from `at` on; what does not fit goes when the socket is writable again."""
        data = shot.data
        try:
            while at < len(data):
                at += sock.send(memoryview(data)[at:])
        except BlockingIOError:
            self.selector.modify(sock, selectors.EVENT_READ | selectors.EVENT_WRITE, (shot, at))
            return
        except OSError:
            self._look(shot, sock)
            return
        self.selector.modify(sock, selectors.EVENT_READ, (shot, at))
        self._said(shot, sock)

    def _said(self, shot: Shot, sock: socket.socket) -> None:
        shot.sent_at = time.monotonic()
        if shot.probe.ends:
            try:
                sock.shutdown(socket.SHUT_WR)
            except OSError:
                self._look(shot, sock)

    def type_round(self) -> None:
        """One byte of each who speaks byte by byte."""
        for _ in range(len(self.typing)):
            shot, sock, at = self.typing.popleft()
            if shot.ended_at is not None:
                continue
            try:
                at += sock.send(shot.data[at : at + 1])
            except BlockingIOError:
                pass
            except OSError:
                self._look(shot, sock)
                continue
            if at == len(shot.data):
                self._said(shot, sock)
            else:
                self.typing.append((shot, sock, at))

    def _look(self, shot: Shot, sock: socket.socket) -> None:
        """Read what the connection has to tell, note the first thing, and let it go."""
        if shot.ended_at is not None:
            return
        now = time.monotonic()
        try:
            shot.answer = sock.recv(65536)
            shot.outcome = "data" if shot.answer else "fin"
        except BlockingIOError:
            return
        except OSError:
            shot.outcome = "reset"
        shot.ended_at = now
        self.selector.unregister(sock)
        sock.close()

    def poll(self, limit: float) -> None:
        for key, events in self.selector.select(limit):
            shot, at = key.data
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            if events & selectors.EVENT_READ:
                self._look(shot, sock)
            if events & selectors.EVENT_WRITE and shot.ended_at is None:
                self._send(shot, sock, at)

    def flying(self) -> int:
        return len(self.selector.get_map())

    def land(self) -> None:
        for key in list(self.selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self.selector.close()


def fire(shots: Sequence[Shot], patience: float) -> None:
    """Start every shot at once and watch until each was answered, or `patience` seconds after the last was said."""
    flight = _Flight()
    try:
        for number, shot in enumerate(shots):
            flight.launch(shot, number)
            if number % 64 == 63:
                flight.poll(0)
        while flight.typing:
            flight.type_round()
            flight.poll(0)
        give_up_at = time.monotonic() + patience
        while flight.flying() and (left := give_up_at - time.monotonic()) > 0:
            flight.poll(left)
    finally:
        flight.land()


def batches(shots: Iterable[Shot], count: int, typing: int = TYPING_MAX) -> Iterator[list[Shot]]:
    """Cut into batches of so many connections, and so many bytes that go one by one (but at least one connection)."""
    batch: list[Shot] = []
    left = typing
    for shot in shots:
        cost = shot.probe.size if shot.probe.bytewise else 0
        if batch and (len(batch) == count or cost > left):
            yield batch
            batch, left = [], typing
        batch.append(shot)
        left -= cost
    if batch:
        yield batch


def fire_all(probes: Iterable[tuple[Probe, tuple[str, int]]], patience: float, count: int = 0) -> list[Shot]:
    """Fire any number of probes, so many at once; returns what became of each."""
    shots = [Shot(probe, address) for probe, address in probes]
    for batch in batches(shots, count or batch_size()):
        fire(batch, patience)
    return shots
