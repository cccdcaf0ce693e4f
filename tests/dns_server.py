"""A name server for tests, on loopback: UDP and TCP on one port, and every way in which a name server may misbehave.

Called by the tests of look-ups and by benchmarks. `async with dns_server()` runs it within the test's own loop,
`with dns_server_thread()` in a thread with a loop of its own, for where the test's loop is busy or there is none.
What a name answers is a `Name` in `server.zone`; names that are not in the zone are asked of `server.otherwise`, so
that ten thousand of them need no table. With a TLS context the port speaks DNS over TLS (RFC 7858) in place of TCP.

The messages are dnspython's; only the usual answer is put together here, for benchmarks that ask thousands a second.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

HOST: Final = "127.0.0.1"
HOST6: Final = "::1"
ELSEWHERE: Final = "127.0.0.2"
"""From where `How.OTHER_ADDRESS` answers."""
FORGED: Final = {"A": "203.0.113.66", "AAAA": "2001:db8::bad"}
"""The addresses of every answer that must not be taken."""
ZONE: Final = "test."
"""Whose SOA record stands in negative answers."""
LIMIT: Final = 30.0
"""Seconds before a test that hangs fails."""
PLAIN_SIZE: Final = 512
"""Bytes that a datagram may hold unless the question says more (RFC 1035 §2.3.4)."""


class How(Enum):
    """What comes back. A forgery is followed by the right answer, unless `Name.right` is False."""

    ANSWER = auto()
    """The records. Over UDP cut short, with the TC bit, where they are too long for the datagram."""
    TRUNCATED = auto()
    """Always cut short over UDP."""
    DROP = auto()
    """Nothing, ever."""
    SERVFAIL = auto()
    REFUSED = auto()
    NXDOMAIN = auto()
    NODATA = auto()
    LOOP = auto()
    """Two aliases of each other, and no address."""
    WRONG_ID = auto()
    """A forgery with another id."""
    WRONG_QUESTION = auto()
    """A forgery that answers another question."""
    OTHER_PORT = auto()
    """A forgery from another port; over TCP there is none."""
    OTHER_ADDRESS = auto()
    """A forgery from `ELSEWHERE`, where the question came over IPv4; over TCP and IPv6 there is none."""
    GARBAGE = auto()
    """Bytes that are no message, under the id of the question."""


@dataclass
class Name:
    """What is answered for one name."""

    addresses: Sequence[str] = ()
    """IPv4 and IPv6; a question gets those of its type. None of that type: NODATA."""
    ttl: int = 60
    """Of the addresses."""
    aliases: Sequence[tuple[str, int]] = ()
    """The chain of CNAME records: each the name it leads to, and its time to live. The addresses stand at the last."""
    how: How = How.ANSWER
    delay: float = 0.0
    """Seconds until anything comes back."""
    drop: int = 0
    """So many first questions of each type get nothing."""
    turns: Sequence[Sequence[str]] = ()
    """The addresses of the first, second, … question of each type, and from the start again (rebinding)."""
    negative_ttl: int | None = 60
    """The SOA minimum in answers without addresses; None: no SOA."""
    right: bool = True
    """Whether the right answer follows a forgery."""
    of: dict[str, Name] = field(default_factory=dict)
    """What is different for questions of one type: "A" or "AAAA"."""


@dataclass(frozen=True)
class Query:
    """A question that came."""

    name: str
    """Lower-case, without the last dot."""
    type: str
    transport: str
    """"udp", "tcp" or "tls", or what else called `respond`."""
    port: int
    """Of the asker."""
    id: int


Reply = Callable[[bytes], None]


class DnsServer:
    """The server. `zone` and `otherwise` may be changed at any time, and from any thread."""

    def __init__(self) -> None:
        self.host = HOST
        self.port = 0
        self.hosts: tuple[str, ...] = ()
        """All addresses that it listens on."""
        self.zone: dict[str, Name] = {}
        """By lower-case name, without the last dot."""
        self.otherwise: Callable[[str], Name] = lambda name: Name(how=How.NXDOMAIN)
        self.queries: list[Query] = []
        self.connections = 0
        """How many connections were opened so far (over TLS: whose handshake succeeded)."""
        self._open: set[_Stream] = set()
        self._waiters: list[tuple[int, Future[None]]] = []
        self._lock = threading.Lock()
        self._asked: Counter[tuple[str, str]] = Counter()
        self._timers: set[asyncio.TimerHandle] = set()
        self._loop = asyncio.get_running_loop()
        self._transport = ""
        self._listeners: list[asyncio.Server] = []
        self._datagrams: list[_Datagrams] = []

    # What tests do

    def asked(self, name: str, type: str = "A") -> int:
        """How many questions there were for a name and a type."""
        return sum(query.name == name and query.type == type for query in self.queries)

    def arrival(self, count: int) -> Future[None]:
        """A future that is done when so many questions have come, all in all."""
        future: Future[None] = Future()
        with self._lock:
            if len(self.queries) >= count:
                future.set_result(None)
            else:
                self._waiters.append((count, future))
        return future

    async def until(self, count: int) -> None:
        """Wait until so many questions have come, all in all; from any loop."""
        await asyncio.wait_for(asyncio.wrap_future(self.arrival(count)), LIMIT)

    def hang_up(self) -> None:
        """Close all connections, as servers do with idle ones; from any thread."""

        def close() -> None:
            for stream in self._open:
                stream.transport.close()

        self._loop.call_soon_threadsafe(close)

    # What happens to a question

    def respond(
        self, data: bytes, transport: str, port: int, reply: Reply, aside: Callable[[How, bytes], None] | None = None
    ) -> None:
        """Answer one message.

        Args:
            data: the message; what is none is passed over.
            transport: over what it came, for `queries`.
            port: the asker's.
            reply: sends a message back; called any number of times, now or later.
            aside: sends a message from `How.OTHER_PORT` or `How.OTHER_ADDRESS`, where there is such a way.
        """
        try:
            ident, _, count = struct.unpack_from("!HHH", data)
            asked, size = dns.name.from_wire(data, 12)
            (kind,) = struct.unpack_from("!H", data, 12 + size)
        except (struct.error, dns.exception.DNSException):
            return
        if count != 1:
            return
        name, type_ = asked.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(kind)
        entry = self.zone.get(name) or self.otherwise(name)
        entry = entry.of.get(type_, entry)
        turn = self._asked[name, type_]
        self._asked[name, type_] += 1
        self._record(Query(name, type_, transport, port, ident))
        if entry.how is How.DROP or turn < entry.drop:
            return
        addresses = entry.turns[turn % len(entry.turns)] if entry.turns else entry.addresses
        found = [address for address in addresses if type_ == ("AAAA" if ":" in address else "A")]
        question = data[12 : 12 + size + 4]

        def answer() -> None:
            if entry.how in _FORGERIES:
                forgery = _forgery(entry.how, ident, question, kind, FORGED.get(type_))
                if entry.how in (How.OTHER_PORT, How.OTHER_ADDRESS):
                    if aside is not None:
                        aside(entry.how, forgery)
                else:
                    reply(forgery)
                if not entry.right:
                    return
            plain = entry.how is not How.TRUNCATED and found and not entry.aliases
            if plain and entry.how not in _FAILURES and (len(found) < 8 or transport != "udp"):
                reply(_usual(ident, question, kind, found, entry.ttl))
                return
            reply(_whole(data, transport == "udp", entry, found, type_))

        if entry.delay:
            self._later(entry.delay, answer)
        else:
            answer()

    def _record(self, query: Query) -> None:
        with self._lock:
            self.queries.append(query)
            ready = [waiter for waiter in self._waiters if len(self.queries) >= waiter[0]]
            self._waiters = [waiter for waiter in self._waiters if waiter not in ready]
        for _, future in ready:
            if future.set_running_or_notify_cancel():
                future.set_result(None)

    def _later(self, delay: float, call: Callable[[], None]) -> None:
        def due() -> None:
            self._timers.discard(timer)
            call()

        timer = self._loop.call_later(delay, due)
        self._timers.add(timer)

    # Its life

    async def open(self, hosts: Sequence[str], port: int, tls: ssl.SSLContext | None) -> None:
        """Listen."""
        sockets = _bind(hosts, port)
        self.hosts = tuple(host for host, _, _ in sockets)
        self.host, self.port = self.hosts[0], sockets[0][1].getsockname()[1]
        self._transport = "tcp" if tls is None else "tls"
        for _, udp, tcp in sockets:
            listener = await self._loop.create_server(lambda: _Stream(self), sock=tcp, ssl=tls)
            self._listeners.append(listener)
            _, datagrams = await self._loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=udp)
            self._datagrams.append(datagrams)

    async def close(self) -> None:
        """Close everything, and leave nothing for later."""
        for timer in self._timers:
            timer.cancel()
        for listener in self._listeners:
            listener.close()
        ends: list[_Stream | _Datagrams] = [*self._open, *self._datagrams]
        for end in ends:
            end.transport.abort()
        for end in ends:
            await end.lost
        for listener in self._listeners:
            await listener.wait_closed()


class _Stream(asyncio.Protocol):
    """A connection: messages with their length before them (RFC 1035 §4.2.2), answered in any order."""

    transport: asyncio.Transport

    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._held = b""
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._server.connections += 1
        self._server._open.add(self)

    def data_received(self, data: bytes) -> None:
        self._held += data
        while len(self._held) >= 2 and len(self._held) >= (end := 2 + int.from_bytes(self._held[:2])):
            message, self._held = self._held[2:end], self._held[end:]
            port = self.transport.get_extra_info("peername")[1]
            self._server.respond(message, self._server._transport, port, self._reply)

    def _reply(self, message: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(len(message).to_bytes(2) + message)

    def connection_lost(self, error: Exception | None) -> None:
        self._server._open.discard(self)
        self.lost.set_result(None)


class _Datagrams(asyncio.DatagramProtocol):
    """A UDP socket."""

    transport: asyncio.DatagramTransport

    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        def reply(message: bytes) -> None:
            if not self.transport.is_closing():
                self.transport.sendto(message, address)

        def aside(how: How, message: bytes) -> None:
            host, port = self.transport.get_extra_info("sockname")[:2]
            if how is How.OTHER_ADDRESS and host != HOST:
                return
            source = (host, 0) if how is How.OTHER_PORT else (ELSEWHERE, port)
            with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.bind(source)
                sock.sendto(message, address)

        self._server.respond(data, "udp", address[1], reply, aside)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set_result(None)


@asynccontextmanager
async def dns_server(
    *, hosts: Sequence[str] = (HOST, HOST6), port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[DnsServer]:
    """Run a server in the loop that is running.

    Args:
        hosts: addresses to listen on; one that the machine has not is passed over.
        port: of both UDP and TCP on all of them; 0: the system's choice.
        tls: serve TLS where otherwise TCP is served.
    """
    server = DnsServer()
    await server.open(hosts, port, tls)
    try:
        yield server
    finally:
        await server.close()


@contextmanager
def dns_server_thread(
    *, hosts: Sequence[str] = (HOST, HOST6), port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[DnsServer]:
    """Run a server in a thread of its own; see `dns_server`."""
    started: Future[tuple[DnsServer, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        async with dns_server(hosts=hosts, port=port, tls=tls) as server:
            stop = asyncio.Event()
            started.set_result((server, asyncio.get_running_loop(), stop))
            await stop.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except Exception as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=run, name="dns-server")
    thread.start()
    server, loop, stop = started.result(LIMIT)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(LIMIT)


def many(count: int) -> list[str]:
    """So many different IPv4 addresses, of the block for measurements; 4000 make an answer of 64 kB."""
    return [f"198.18.{number >> 8}.{number & 255}" for number in range(count)]


def _bind(hosts: Sequence[str], port: int) -> list[tuple[str, socket.socket, socket.socket]]:
    """Bind UDP and TCP on one port of all hosts; another port where somebody has it already."""
    for _ in range(100):
        bound: list[tuple[str, socket.socket, socket.socket]] = []
        number = port
        try:
            for host in hosts:
                family = socket.AF_INET6 if ":" in host else socket.AF_INET
                if family == socket.AF_INET6 and not _has_ipv6():
                    continue
                udp, tcp = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family, socket.SOCK_STREAM)
                bound.append((host, udp, tcp))
                tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                udp.bind((host, number))
                number = udp.getsockname()[1]
                tcp.bind((host, number))
                for sock in (udp, tcp):
                    sock.setblocking(False)
            assert bound, f"none of {hosts} is an address of this machine"
            return bound
        except OSError:
            for _, udp, tcp in bound:
                udp.close()
                tcp.close()
            if port:
                raise
    raise AssertionError("no port is free for UDP and TCP")


def _has_ipv6() -> bool:
    with suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind((HOST6, 0))
        return True
    return False


# Messages

_FORGERIES: Final = {How.WRONG_ID, How.WRONG_QUESTION, How.OTHER_PORT, How.OTHER_ADDRESS, How.GARBAGE}
_FAILURES: Final = {How.SERVFAIL, How.REFUSED, How.NXDOMAIN, How.NODATA, How.LOOP}
_RCODES: Final = {
    How.SERVFAIL: dns.rcode.SERVFAIL,
    How.REFUSED: dns.rcode.REFUSED,
    How.NXDOMAIN: dns.rcode.NXDOMAIN,
}


def _usual(ident: int, question: bytes, kind: int, found: Sequence[str], ttl: int) -> bytes:
    """The addresses, and nothing else: an answer to a recursive question, without error (RFC 1035 §4.1)."""
    parts = [struct.pack("!6H", ident, 0x8180, 1, len(found), 0, 0), question]
    for address in found:
        packed = socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
        parts.append(struct.pack("!HHHLH", 0xC00C, kind, 1, ttl, len(packed)) + packed)
    return b"".join(parts)


def _forgery(how: How, ident: int, question: bytes, kind: int, address: str | None) -> bytes:
    """What nobody may believe."""
    if how is How.GARBAGE:
        return struct.pack("!H", ident) + b"\xff" * 30
    if how is How.WRONG_ID:
        ident ^= 0x5555
    elif how is How.WRONG_QUESTION:
        question = b"\x06forged\x04test\x00" + question[-4:]
    return _usual(ident, question, kind, [address] if address else [], 60)


def _whole(data: bytes, over_udp: bool, entry: Name, found: Sequence[str], type_: str) -> bytes:
    """Any answer."""
    query = dns.message.from_wire(data)
    response = dns.message.make_response(query, recursion_available=True)
    response.set_rcode(_RCODES.get(entry.how, dns.rcode.NOERROR))
    owner = query.question[0].name
    links = list(entry.aliases)
    if entry.how is How.LOOP:
        links = [("loop.test", 60), (owner.to_text(), 60)]
    for target, ttl in links:
        alias = dns.name.from_text(target)
        response.answer.append(dns.rrset.from_text(owner, ttl, "IN", "CNAME", alias.to_text()))
        owner = alias
    if over_udp and len(found) > 4096 // 16:  # longer than any datagram here may be: do not write it just to cut it
        response.flags |= dns.flags.TC
    elif entry.how not in _FAILURES and found:
        response.answer.append(dns.rrset.from_text_list(owner, entry.ttl, "IN", type_, list(found)))
    elif entry.how not in (How.SERVFAIL, How.REFUSED, How.LOOP) and entry.negative_ttl is not None:
        soa = f"ns.{ZONE} root.{ZONE} 1 3600 600 86400 {entry.negative_ttl}"
        response.authority.append(dns.rrset.from_text(ZONE, 3600, "IN", "SOA", soa))
    wire = response.to_wire(max_size=65535)
    room = query.payload if query.edns >= 0 else PLAIN_SIZE
    if over_udp and (entry.how is How.TRUNCATED or len(wire) > room):
        for section in (response.answer, response.authority):
            section.clear()
        response.flags |= dns.flags.TC
        wire = response.to_wire()
    return wire
