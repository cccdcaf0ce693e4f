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

from .datagrams import IP_PKTINFO, Inbox, Outbox, dropped, open_socket
from .process import BenchError, udp_queue
from .target import PATIENCE_SECONDS
from .udp_target import ORDER, pace
from .udp_wire import Endpoint, Session, WrongAnswer, answer_size, open_answer, seal_all, sources

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .wire import Account

PATIENCE: Final = 0.25
"""Seconds without any answer after which all that is under way counts as lost: a thousand round trips."""
FIRST_PATIENCE: Final = 2.0
"""Seconds until the first datagram of a flow, or until the source has made one ready."""
STRANGERS_AT_ONCE: Final = 64
STRANGER_SIZE: Final = 1400  # bytes at most
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
        self._account = account
        self.sessions = sessions
        self.target = target
        self.size = size
        self.wanted = answer_size(account.method, size)
        """The size of each answer to one of these."""
        self.outbox = Outbox(seal_all(sessions, target, size, count), [session.source for session in sessions])

    def judge(self, answer: bytes, came_to: str | None = None) -> int:
        """The number of the datagram that this is the echo of; raises unless it is one, and (2022) to its session.

        `came_to` is the address that got it, where that is known: nothing else tells the older methods' sessions apart.
        """
        try:
            answered, sender, payload = open_answer(self._account, answer)
        except (InvalidTag, WrongAnswer) as error:
            raise BenchError(f"a wrong answer of {len(answer)} bytes came: {error!r}") from None
        number = int.from_bytes(payload[:8], "big")
        session = self.sessions[number % len(self.sessions)]
        if (
            sender != self.target
            or len(payload) != self.size
            or number >= self.outbox.count
            or any(payload[8:])
            or answered not in (b"", session.id)
            or came_to not in (None, session.source)
        ):
            raise BenchError(f"a wrong answer of {len(answer)} bytes came: not what was sent, or not to who sent it")
        return number


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

    def drain(self, wanted: int) -> int:
        """Drop what has come; returns how many datagrams of `wanted` bytes that were."""
        total = 0
        while count := self._inbox.receive(self._sock.fileno(), socket.MSG_DONTWAIT):
            total += self._inbox.sizes(count).count(wanted)
        return total

    def clear(self) -> int:
        """Drop what has come, whatever it is; returns how many datagrams that were."""
        total = 0
        while count := self._inbox.receive(self._sock.fileno(), socket.MSG_DONTWAIT):
            total += count
        return total

    def rehearse(self, batch: Batch, count: int, window: int) -> int:
        """The first `count` round trips, each answer opened and compared, and seen to come to its own address once.

        Returns how many came. Before any clock: it makes the sessions known to the server.
        """
        self.clear()
        batch.outbox.address(self._server)
        seen: set[int] = set()
        self._sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        try:
            for first in range(0, count, window):
                end = min(first + window, count)
                batch.outbox.send(self._sock.fileno(), first, end - first)
                with contextlib.suppress(BlockingIOError):
                    while len(seen) < end:
                        answer, ((_, _, info),) = self._sock.recvmsg(65536, 64)[:2]
                        number = batch.judge(answer, socket.inet_ntoa(info[8:12]))
                        if number in seen:
                            raise BenchError("an answer came twice")
                        seen.add(number)
        finally:
            self._sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 0)
        return len(seen)

    def trips(self, batch: Batch, first: int, count: int, window: int) -> Tally:
        """Send `count`, never more than `window` of them under way; one of the answers at the end is opened.

        When nothing comes for `PATIENCE`, what is under way is lost; that time is not counted as time of trips.
        """
        self.clear()
        batch.outbox.address(self._server)
        fd, inbox, wanted, send = self._sock.fileno(), self._inbox, batch.wanted, batch.outbox.send
        receive, sizes = inbox.receive, inbox.sizes
        drops = dropped(self._sock)
        sent = flying = min(window, count)
        came, waited = 0, 0.0
        own, began = time.process_time(), time.perf_counter()
        send(fd, first, sent)
        while came < count:
            got = receive(fd)
            if got:
                # Others are late answers of an earlier case: no loss of this one, and no answer either.
                right = sizes(got).count(wanted)
                came += right
                flying = max(0, flying - right)
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
        if came:
            batch.judge(inbox.latest(wanted))
        return Tally(count, min(came, count), seconds, dropped(self._sock) - drops, own)

    def upload(self, batch: Batch, first: int, count: int, rate: float) -> Tally:
        """Send `count` at an even rate to a target that answers nothing; who received them knows how many came."""
        batch.outbox.address(self._server)
        own = time.process_time()
        seconds = pace(batch.outbox, self._sock.fileno(), rate, first, count)
        return Tally(count, 0, seconds, load=time.process_time() - own)

    def download(self, account: Account, source: Endpoint, size: int, count: int, rate: int) -> Tally:
        """Ask the source for `count` datagrams at an even rate, and count those that come; the last one is opened."""
        self.clear()
        session, wanted = Session(account), answer_size(account.method, size)
        outbox = Outbox([session.seal(source, ORDER.pack(count, size, rate))], [session.source])
        outbox.address(self._server)
        fd, inbox = self._sock.fileno(), self._inbox
        drops, own, clock = dropped(self._sock), time.process_time(), time.perf_counter
        outbox.send(fd, 0, 1)
        patience, came, began, ended = FIRST_PATIENCE, 0, 0.0, 0.0
        while came < count:
            got = inbox.receive(fd)
            if got:
                ended = clock()
                if not came:
                    began, patience = ended, 0.0
                came += inbox.sizes(got).count(wanted)
            else:
                patience -= PATIENCE
                if patience <= 0:
                    break
        if not came:
            raise BenchError("nothing came of the flow that was asked for")
        own = time.process_time() - own
        sender, payload = session.open(inbox.latest(wanted))
        if sender != source or len(payload) != size or int.from_bytes(payload[:8], "big") >= count or any(payload[8:]):
            raise BenchError("a datagram of the flow opens to something else than was sent")
        return Tally(count, came, max(ended - began, 1e-6), dropped(self._sock) - drops, own)

    def strangers(self, outbox: Outbox, count: int, port: int) -> int:
        """Send random datagrams, each burst when the server has taken the one before; returns how many it answered."""
        outbox.address(self._server)
        fd, answers = self._sock.fileno(), 0
        for first in range(0, count, STRANGERS_AT_ONCE):
            at = first % outbox.count
            if not at:
                outbox.refill()
            outbox.send(fd, at, min(STRANGERS_AT_ONCE, count - first))
            until = time.monotonic() + PATIENCE_SECONDS
            while udp_queue(port)[0]:
                if time.monotonic() > until:
                    raise BenchError(f"it takes no datagram from its socket for {PATIENCE_SECONDS} s")
            answers += self.clear()
        return answers

    def exchange(self, session: Session, target: Endpoint, payload: bytes) -> tuple[Endpoint, bytes] | None:
        """Send one and open the next answer, if one comes; it may be a late one to an earlier datagram."""
        # The source has to be the session's own: with the older methods an address is all a server knows it by.
        outbox = Outbox([session.seal(target, payload)], [session.source])
        outbox.address(self._server)
        outbox.send(self._sock.fileno(), 0, 1)
        with contextlib.suppress(BlockingIOError):
            return session.open(self._sock.recv(65536))
        return None


def prepare(source: Endpoint, size: int, count: int) -> None:
    """Let the source make a flow ready before anybody's clock runs; it says when it has."""
    with open_socket("127.0.0.1", FIRST_PATIENCE) as sock:
        sock.sendto(ORDER.pack(count, size, 0), source)
        sock.recv(1)


def make_strangers() -> Outbox:
    """Datagrams of random sizes from 250 addresses; `Outbox.refill` gives them random bytes again and again."""
    sizes = [int.from_bytes(os.urandom(2), "big") % STRANGER_SIZE + 1 for _ in range(64 * STRANGERS_AT_ONCE)]
    return Outbox([bytes(size) for size in sizes], sources(250, net=3))


def check(account: Account, server: Endpoint, target: Endpoint) -> None:
    """What a server must get right before its speed is of interest: raises unless each size comes back to the byte."""
    session = Session(account)
    sent: set[bytes] = set()
    with Client(server) as client:
        for size in CHECK_SIZES:
            for _ in range(CHECK_TRIES):
                payload = os.urandom(size)
                sent.add(payload)
                answer = client.exchange(session, target, payload)
                if answer is not None and (answer[0] != target or answer[1] not in sent):
                    raise BenchError(f"a wrong answer to a datagram of {size} bytes")
                if answer == (target, payload):
                    break
            else:
                raise BenchError(f"no answer to {CHECK_TRIES} datagrams of {size} bytes")
