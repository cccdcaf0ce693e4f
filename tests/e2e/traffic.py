"""Random traffic of many users, and targets that count it for each of them: a second ledger, kept by nobody of ours.

    with Targets() as targets: spend(member, targets, source) for each member, from any thread

A client tells the target who it is, and then what to do: a request is an order, so many bytes to read and so many to
send. Clients are made by hand (`tests/probes/craft.py`); what they take and give on the wire is counted as well.

**What the ledgers have to have in common.** The server counts up what authenticated and went on to the target's
socket, and down what it read there. A target counts what it read and what its system took. The two are the same
unless something is under way when an end breaks off: a reset throws away what the systems between still hold, and
nobody at the ends can say how much that was. So whoever breaks off here has at most `SURE` bytes under way towards a
target, which is more than its system keeps back of a reader that reads; and has read all that the target sent.
Broken off are connections all the same: by resets of either end, in the middle of a chunk, by bytes that do not
authenticate, by the death of the process (`main`).
"""

from __future__ import annotations

import base64
import contextlib
import os
import random
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.interop.streams import HOST, pack_address, read_exactly, reset
from tests.probes.craft import Crafter, IdentityCrafter, Sealer, is_2022, salt_size
from tests.probes.craft_udp import REPLY, IdentityUdpCrafter, UdpCrafter, new_session

LIMIT: Final = 60.0
"""Seconds for anything that does not depend on how much there is to do."""
SURE: Final = 16 << 10
"""Bytes under way that arrive, whatever happens to the connection then; as of test_resets."""
CHUNK: Final = 0x3FFF
DATAGRAM: Final = 1200
SIZES: Final = (0, 1, 2, 100, 1000, 5000, CHUNK, CHUNK + 1, 40_000, 150_000)
SURE_SIZES: Final = tuple(size for size in SIZES if size < SURE)
_ORDER: Final = struct.Struct("!BLL")
_WHO: Final = struct.Struct("!H")
_ASK: Final = struct.Struct("!HBH")
PASS, HALF, LAST, BREAK, TAKE = range(5)
"""What a target is told: so many up, so many down; read to the end, then send; send, then read to the end; as the
first, and reset after a byte more; read whatever comes."""


@dataclass(frozen=True, slots=True)
class Member:
    """A user, and how a client of his speaks."""

    number: int
    name: str
    method: str
    port: int
    password: str
    server: str = ""
    """The server's key, where his is one of several of 2022."""
    is_searched: bool = False
    """His key is found by trial, so an end before the first answer is the end of it all."""

    def crafter(self) -> _Own:
        return _Known(self.method, self.server, self.password) if self.server else _Own(self.method, self.password)

    def packets(self) -> UdpCrafter:
        if self.server:
            return IdentityUdpCrafter(self.method, self.server, self.password)
        return UdpCrafter(self.method, self.password)


def key_of(name: str, method: str) -> str:
    """A password for a user, made of his name."""
    size = salt_size(method)
    return base64.b64encode(name.encode().rjust(size, b".")[-size:]).decode()


class Sums:
    """What passed for each member, and on the wire; whoever knows it adds to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sums: dict[int, list[int]] = {}

    def add(self, number: int, up: int, down: int) -> None:
        with self._lock:
            sums = self._sums.setdefault(number, [0, 0])
            sums[0] += up
            sums[1] += down

    def of(self, number: int) -> tuple[int, int]:
        with self._lock:
            up, down = self._sums.get(number, (0, 0))
            return up, down

    def total(self) -> int:
        with self._lock:
            return sum(map(sum, self._sums.values()))


class Targets:
    """One for streams, one for datagrams, and what passed at both."""

    def __init__(self) -> None:
        self.sums: Final = Sums()
        self._listener = socket.create_server((HOST, 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self._packets = socket.socket(type=socket.SOCK_DGRAM)
        self._packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._packets.bind((HOST, 0))
        self.packets_port: int = self._packets.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept), threading.Thread(target=self._answer)]
        for thread in self._threads:
            thread.start()

    def _accept(self) -> None:
        with self._listener:
            while True:
                sock, _ = self._listener.accept()
                if self._listener.fileno() < 0 or not self._threads:
                    sock.close()
                    return
                thread = threading.Thread(target=self._serve, args=(sock,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, sock: socket.socket) -> None:
        visitor = _Visitor(sock, self.sums)
        with sock, contextlib.suppress(OSError, EOFError):
            sock.settimeout(LIMIT)
            visitor.serve()

    def _answer(self) -> None:
        with self._packets as sock:
            while True:
                data, sender = sock.recvfrom(65536)
                if not data:
                    return
                number, count, size = _ASK.unpack_from(data)
                self.sums.add(number, len(data), count * size)
                for _ in range(count):
                    sock.sendto(bytes(size), sender)

    def settle(self) -> None:
        """Wait until every connection was read to its end."""
        for thread in self._threads[2:]:
            thread.join(LIMIT)
            assert not thread.is_alive(), "a target still waits for its end"
        del self._threads[2:]

    def __enter__(self) -> Targets:
        return self

    def __exit__(self, *_: object) -> None:
        threads, self._threads = self._threads, []
        socket.create_connection((HOST, self.port)).close()
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", (HOST, self.packets_port))
        for thread in threads:
            thread.join(LIMIT)


class _Visitor:
    """One connection at the target."""

    def __init__(self, sock: socket.socket, sums: Sums) -> None:
        self._sock, self._sums = sock, sums
        self._number = -1

    def serve(self) -> None:
        who = read_exactly(self._sock, _WHO.size)
        (self._number,) = _WHO.unpack(who)
        self._sums.add(self._number, len(who), 0)
        while True:
            order, up, down = _ORDER.unpack(self._take(_ORDER.size))
            if order == HALF:
                self._take_all()
            self._take(up)
            self._give(down)
            if order == LAST:
                self._sock.shutdown(socket.SHUT_WR)
            if order in (LAST, TAKE):
                self._take_all()
            if order == BREAK:
                self._take(1)
                reset(self._sock)
            if order != PASS:
                return

    def _take(self, size: int) -> bytes:
        got = bytearray()
        while len(got) < size:
            part = self._sock.recv(min(size - len(got), 65536))
            self._sums.add(self._number, len(part), 0)
            if not part:
                raise EOFError
            got += part
        return bytes(got)

    def _take_all(self) -> None:
        with contextlib.suppress(EOFError):
            while True:
                self._take(1 << 20)

    def _give(self, size: int) -> None:
        while size:
            sent = self._sock.send(bytes(min(size, 65536)))
            self._sums.add(self._number, 0, sent)
            size -= sent


class _Opener(Sealer):
    """The other direction of a stream."""

    def open(self, piece: bytes) -> bytes:
        assert isinstance(self._aead, AESGCM)
        return self._aead.decrypt(next(self._count).to_bytes(12, "little"), piece, None)


class _Own(Crafter):
    """Goes on where the first flight ends."""

    sealer: Sealer

    def _open(self, salt: bytes | None = None) -> tuple[bytes, Sealer]:
        head, self.sealer = super()._open(salt)
        return head, self.sealer


class _Known(_Own, IdentityCrafter):
    """The same of one user of several."""


class Stream:
    """A connection through a server."""

    def __init__(self, member: Member, target: int, first: bytes) -> None:
        self._method, self._password = member.method, member.password
        crafter = member.crafter()
        self.wire_up = self.wire_down = 0
        self._opener: _Opener | None = None
        self._ready = bytearray()
        address = pack_address(HOST, target)
        at = CHUNK - len(address)
        hello = crafter.good(address, first[:at])
        self._sealer = crafter.sealer
        self.sock = socket.create_connection((HOST, member.port), LIMIT)
        try:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.send_raw(hello)
            self.send(first[at:])
        except OSError:  # the server was killed meanwhile
            self.sock.close()
            raise

    def send_raw(self, data: bytes) -> None:
        self.sock.sendall(data)
        self.wire_up += len(data)

    def sealed(self, data: bytes) -> bytes:
        return b"".join(self._sealer.chunk(data[at : at + CHUNK]) for at in range(0, len(data), CHUNK))

    def send(self, data: bytes) -> None:
        for at in range(0, len(data), 4 * CHUNK):
            self.send_raw(self.sealed(data[at : at + 4 * CHUNK]))

    def _read(self, size: int) -> bytes:
        got = read_exactly(self.sock, size)
        self.wire_down += size
        return got

    def _chunk(self) -> bytes:
        """Return the payload of the next chunk; raises EOFError at the end."""
        if self._opener is None:
            salt = self._read(salt_size(self._method))
            self._opener = _Opener(self._method, self._password, salt)
            if is_2022(self._method):
                head = self._opener.open(self._read(1 + 8 + len(salt) + 2 + 16))
                return self._opener.open(self._read(int.from_bytes(head[-2:], "big") + 16))
        size = int.from_bytes(self._opener.open(self._read(2 + 16)), "big")
        return self._opener.open(self._read(size + 16))

    def receive(self, size: int) -> None:
        """Read so many bytes of payload."""
        while len(self._ready) < size:
            self._ready += self._chunk()
        del self._ready[:size]

    def receive_all(self) -> None:
        """Read to the end, where nothing more may come."""
        with contextlib.suppress(EOFError):
            self._ready += self._chunk()
        assert not self._ready, "the target sent no more"

    def close(self) -> None:
        self.sock.close()


def order(what: int, up: int = 0, down: int = 0) -> bytes:
    """Return what tells a target what to do, and the bytes up."""
    return _ORDER.pack(what, up, down) + bytes(up)


class Client:
    """The client of one member: a random life, of which what passed on the wire is counted."""

    def __init__(
        self,
        member: Member,
        targets: Targets,
        source: random.Random,
        wire: Sums,
        sizes: Sequence[int] = SIZES,
        patience: float = LIMIT,
    ) -> None:
        """`sizes` are those of what passes at a time; `patience` is for datagrams that nobody answers."""
        self._member, self._targets, self._source, self._wire = member, targets, source, wire
        self._sizes, self._patience = sizes, patience

    def live(self, flows: int, *, is_clean: bool) -> None:
        """Have so many connections and sessions, one after the other. A clean one breaks nothing off."""
        for _ in range(flows):
            if self._source.random() < 0.3:
                self._talk(is_clean=is_clean)
            elif not is_clean and self._source.random() < 0.1:
                self._source.choice((self._knock, self._lie))()
            else:
                self._connect(self._source.choice(ENDS[:3] if is_clean else ENDS))

    # -- streams -------------------------------------------------------------------------------

    def _connect(self, end: Callable[[Client, Stream], None]) -> None:
        draw = self._source
        first, down = _WHO.pack(self._member.number), 0
        if draw.random() < 0.5:
            down = draw.choice(self._sizes)
            first += order(PASS, draw.choice(self._sizes), down)
        stream = Stream(self._member, self._targets.port, first)
        try:
            stream.receive(down)
            for _ in range(draw.randrange(4)):
                down = draw.choice(self._sizes)
                stream.send(order(PASS, draw.choice(self._sizes), down))
                stream.receive(down)
            end(self, stream)
        finally:
            stream.close()
            self._wire.add(self._member.number, stream.wire_up, stream.wire_down)

    def _be_found(self, stream: Stream) -> None:
        """Wait for an answer, where nothing else was one."""
        if self._member.is_searched and not stream.wire_down:
            stream.send(order(PASS, 0, 1))
            stream.receive(1)

    def finish(self, stream: Stream) -> None:
        self._be_found(stream)
        stream.sock.shutdown(socket.SHUT_WR)
        stream.receive_all()

    def finish_first(self, stream: Stream) -> None:
        self._be_found(stream)
        down = self._source.choice(self._sizes)
        stream.send(order(HALF, 0, down) + bytes(self._source.choice(self._sizes)))
        stream.sock.shutdown(socket.SHUT_WR)
        stream.receive(down)
        stream.receive_all()

    def finish_last(self, stream: Stream) -> None:
        down = self._source.choice(self._sizes)
        stream.send(order(LAST, 0, down))
        stream.receive(down)
        stream.receive_all()
        stream.send(bytes(self._source.choice(self._sizes)))
        stream.sock.shutdown(socket.SHUT_WR)

    def be_reset(self, stream: Stream) -> None:
        down = self._source.choice(self._sizes)
        stream.send(order(BREAK, 0, down))
        stream.receive(down)
        stream.send(b"!")
        with contextlib.suppress(ConnectionResetError):
            stream.receive_all()

    def reset_idle(self, stream: Stream) -> None:
        self._reset(stream)

    def reset_under_way(self, stream: Stream) -> None:
        stream.send(order(TAKE) + bytes(self._source.randrange(SURE)))
        self._reset(stream)

    def cut(self, stream: Stream) -> None:
        stream.send(order(TAKE))
        sealed = stream.sealed(bytes(self._source.randrange(1, SURE)))
        stream.send_raw(sealed[: self._source.randrange(len(sealed))])

    def spoil(self, stream: Stream) -> None:
        stream.send(order(TAKE) + bytes(self._source.randrange(SURE - 100)))
        stream.send_raw(os.urandom(self._source.randrange(18, 100)))  # meets silence, so nothing is waited for

    def _reset(self, stream: Stream) -> None:
        reset(stream.sock)

    def _knock(self) -> None:
        """Go where nobody listens."""
        with socket.socket() as nobody:
            nobody.bind((HOST, 0))
            stream = Stream(self._member, nobody.getsockname()[1], bytes(self._source.randrange(1000)))
            with contextlib.suppress(ConnectionResetError):
                stream.receive_all()
            stream.close()

    def _lie(self) -> None:
        """Come with another key."""
        wrong = Member(0, "", self._member.method, self._member.port, key_of("nobody", self._member.method))
        with contextlib.suppress(ConnectionResetError):
            stream = Stream(wrong, self._targets.port, bytes(self._source.randrange(1000)))
            stream.close()

    # -- datagrams -----------------------------------------------------------------------------

    def _talk(self, *, is_clean: bool) -> None:
        """Send datagrams, each after all answers to the one before: no queue is ever full, so none may be lost."""
        member, crafter, session = self._member, self._member.packets(), new_session()
        to = pack_address(HOST, self._targets.packets_port)
        wire_up = wire_down = 0
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.connect((HOST, member.port))
            sock.settimeout(self._patience)
            for number in range(self._source.randrange(1, 8)):
                count, size = self._source.randrange(4), self._source.randrange(DATAGRAM)
                payload = _ASK.pack(member.number, count or 1, size) + bytes(self._source.randrange(DATAGRAM))
                sealed = crafter.request(to, payload, session, number)
                sock.send(sealed)
                wire_up += len(sealed)
                if not is_clean:
                    self._disturb(sock, sealed)
                for _ in range(count or 1):
                    data = sock.recv(65536)
                    wire_down += len(data)
                    assert len(crafter.open(data, REPLY).payload) == size
        self._wire.add(member.number, wire_up, wire_down)

    def _disturb(self, sock: socket.socket, sealed: bytes) -> None:
        """Send what is nobody's: one again, one that is spoilt."""
        if self._source.random() < 0.3:
            sock.send(sealed)
        if self._source.random() < 0.3:
            sock.send(sealed[:-1] + bytes([sealed[-1] ^ 1]))


ENDS: Final = (
    Client.finish,
    Client.finish_first,
    Client.finish_last,
    Client.be_reset,
    Client.reset_idle,
    Client.reset_under_way,
    Client.cut,
    Client.spoil,
)
"""The first three are no harm."""


def trickle(member: Member, target: int, streams: int) -> Iterator[None]:
    """Hold connections that send a little again and again, for whoever is killed meanwhile; yields once all stand."""
    held = [Stream(member, target, _WHO.pack(member.number) + order(PASS, 0, 1)) for _ in range(streams)]
    for stream in held:
        stream.receive(1)
        stream.send(order(TAKE))
    yield
    for _ in range(SURE // 1000):
        for stream in held:
            stream.send(bytes(1000))
        time.sleep(0.01)
    time.sleep(LIMIT)


def main() -> None:
    """Be a client that is killed: number, method, port, password, the server's key, the target."""
    number, method, port, password, server, target = sys.argv[1:]
    member = Member(int(number), "", method, int(port), password, server)
    for _ in trickle(member, int(target), 3):
        sys.stdout.write("ready\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
