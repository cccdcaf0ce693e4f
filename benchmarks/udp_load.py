"""The client side of the UDP measurements: windows of round trips, even flows, and what came of them.

As `load.py`: nothing here looks at a server's process.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag

from .datagrams import Inbox, Outbox, dropped, open_socket
from .process import BenchError
from .udp_wire import Endpoint, Session, WrongAnswer, answer_size, seal_all

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .wire import Account

PATIENCE: Final = 0.25
"""Seconds without any answer after which all that is under way counts as lost: a thousand round trips."""
CHECK_SIZES: Final = (1, 100, 1300)
CHECK_TRIES: Final = 8  # datagrams may be lost, and a server may bind its UDP port a little after the TCP one


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the datagrams of one sample."""

    sent: int
    came: int
    seconds: float
    own_drops: int = 0
    """Those that reached a socket of the load side and found no room there."""
    load: float = 0.0
    """CPU seconds of the load side: this process while the clock ran, and what the works add for the target."""

    @property
    def lost(self) -> int:
        return max(0, self.sent - self.came - self.own_drops)

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.sent + other.sent,
            self.came + other.came,
            self.seconds + other.seconds,
            self.own_drops + other.own_drops,
            self.load + other.load,
        )


class Batch:
    """Sealed datagrams of some sessions, made once and sent to each system: the load is the same to the byte."""

    def __init__(self, account: Account, sessions: Sequence[Session], target: Endpoint, size: int, count: int) -> None:
        self.sessions = sessions
        self.target = target
        self.size = size
        self.wanted = answer_size(account.method, size)
        """The size of each answer to one of these."""
        self.outbox = Outbox(seal_all(sessions, target, size, count), [session.source for session in sessions])
        self.made_at = time.monotonic()

    def judge(self, answer: bytes) -> None:
        """Raises unless this is the echo of one of these datagrams, to its own session, from the target."""
        for session in self.sessions:
            with contextlib.suppress(InvalidTag, WrongAnswer):
                sender, payload = session.open(answer)
                number = int.from_bytes(payload[:8], "big")
                if (
                    sender == self.target
                    and len(payload) == self.size
                    and number < self.outbox.count
                    and self.sessions[number % len(self.sessions)] is session
                    and not any(payload[8:])
                ):
                    return
        raise BenchError(f"a wrong answer of {len(answer)} bytes came")


class Client:
    """One socket that speaks to one server, for all sessions."""

    def __init__(self, server: Endpoint) -> None:
        self._server = server
        self._sock = open_socket("0.0.0.0", PATIENCE)  # noqa: S104 - sources are chosen for each datagram
        self._inbox = Inbox()

    def close(self) -> None:
        self._sock.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, batch: Batch, first: int, count: int) -> None:
        batch.outbox.address(self._server)
        batch.outbox.send(self._sock.fileno(), first, count)

    def drain(self) -> int:
        """Drop what has come; returns how many that were."""
        total = 0
        while count := self._inbox.receive(self._sock.fileno(), socket.MSG_DONTWAIT):
            total += count
        return total

    def trips(self, batch: Batch, first: int, count: int, window: int) -> Tally:
        """Send `count`, never more than `window` of them under way; one of the answers at the end is opened.

        When nothing comes for `PATIENCE`, what is under way is lost; that time is not counted as time of trips.
        """
        self.drain()
        batch.outbox.address(self._server)
        fd, inbox, wanted, send = self._sock.fileno(), self._inbox, batch.wanted, batch.outbox.send
        receive, sizes = inbox.receive, inbox.sizes
        drops = dropped(self._sock)
        sent = flying = min(window, count)
        came, waited, last = 0, 0.0, 0
        own, began = time.process_time(), time.perf_counter()
        send(fd, first, sent)
        while came < count:
            got = receive(fd)
            if got:
                if sizes(got).count(wanted) != got:
                    raise BenchError(f"answers of {sizes(got)} bytes came where {wanted} were due")
                came, last = came + got, got
                flying = max(0, flying - got)
            else:
                waited += PATIENCE
                if sent == count:
                    break
                flying = 0
            more = min(window - flying, count - sent)
            if more > 0:
                send(fd, first + sent, more)
                sent += more
                flying += more
        seconds, own = time.perf_counter() - began - waited, time.process_time() - own
        if last:
            batch.judge(inbox.datagram(last - 1))
        return Tally(count, min(came, count), seconds, dropped(self._sock) - drops, own)

    def exchange(self, session: Session, target: Endpoint, payload: bytes) -> bool:
        """One round trip of any size, every byte compared; False when no answer came."""
        datagram = session.seal(target, payload)
        # The source has to be the session's own: with the older methods an address is all a server knows it by.
        outbox = Outbox([datagram], [session.source])
        outbox.address(self._server)
        outbox.send(self._sock.fileno(), 0, 1)
        self._sock.settimeout(None)
        with contextlib.suppress(BlockingIOError):
            if session.open(self._sock.recv(65536)) == (target, payload):
                return True
            raise BenchError(f"a wrong answer to a datagram of {len(payload)} bytes")
        return False


def check(account: Account, server: Endpoint, target: Endpoint) -> None:
    """What a server must get right before its speed is of interest: raises unless each size comes back to the byte."""
    session = Session(account)
    with Client(server) as client:
        for size in CHECK_SIZES:
            payload = os.urandom(size)
            if not any(client.exchange(session, target, payload) for _ in range(CHECK_TRIES)):
                raise BenchError(f"no answer to {CHECK_TRIES} datagrams of {size} bytes")


@contextlib.contextmanager
def clients(servers: Sequence[Endpoint]) -> Iterator[list[Client]]:
    """One for each server."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Client(server)) for server in servers]
