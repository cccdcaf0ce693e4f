"""A packet relay on loopback with everything around it in the test's hands: clock, names, judge, ledger, clients."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from shadesocks.core.address import Address, parse_address
from shadesocks.core.errors import DialError
from shadesocks.crypto.keys import make_key_text, parse_keys
from shadesocks.crypto.methods import find_method
from shadesocks.crypto.replay_packets import PacketSalts
from shadesocks.net.backs import DirectBack, ShadowBack
from shadesocks.net.crowd import Crowd
from shadesocks.net.datagrams import DatagramOptions, bind_socket, make_datagrams
from shadesocks.net.packets import PacketRelay
from shadesocks.net.reactor import Reactor
from shadesocks.wire.editions import make_packets
from shadesocks.wire.packet import HEADROOM

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from shadesocks.net.lookup import Found
    from shadesocks.net.packet_session import Session
    from shadesocks.wire.packet import PacketShadow, Talk

HOST: Final = "127.0.0.1"
LIMIT: Final = 20.0
AEAD, SIP022 = "aes-128-gcm", "2022-blake3-aes-128-gcm"
METHODS: Final = (AEAD, SIP022, "2022-blake3-chacha20-poly1305", "none")


def run(
    story: Callable[[Rig], Coroutine[Any, Any, None]], way: str = "auto", limits: Mapping[str, int] | None = None
) -> None:
    """Run a test with a rig, and see that nothing is left of either."""

    async def limited() -> None:
        rig = Rig(way, **(limits or {}))
        try:
            async with asyncio.timeout(LIMIT):
                await story(rig)
        finally:
            rig.close()

    asyncio.run(limited())


class Names:
    """Names whose addresses the test knows, and those that it makes wait."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[Found, ...]] = {}
        self.waiting: dict[str, list[asyncio.Future[tuple[Found, ...]]]] = {}

    def cached(self, host: str) -> tuple[Found, ...] | None:
        with suppress(OSError):
            socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
            return ((socket.AF_INET6 if ":" in host else socket.AF_INET, host),)
        return self.known.get(host)

    def lookup(self, host: str) -> asyncio.Future[tuple[Found, ...]]:
        future: asyncio.Future[tuple[Found, ...]] = asyncio.get_running_loop().create_future()
        self.waiting.setdefault(host, []).append(future)
        return future

    def find(self, host: str, *ips: str) -> None:
        """Answer all who wait; no address means that there is no such name."""
        found = tuple((socket.AF_INET6 if ":" in ip else socket.AF_INET, ip) for ip in ips)
        if ips:
            self.known[host] = found
        for future in self.waiting.pop(host, []):
            if ips and not future.done():
                future.set_result(found)
            elif not future.done():
                future.set_exception(DialError("no_name"))


class Judge:
    """Refuses what the test says, and counts how often it is asked."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.asked = 0

    def refuse_name(self, _host: str) -> str | None:
        return None

    def refuse(self, ip: str, _port: int, _host: str = "") -> str | None:
        self.asked += 1
        return "private" if ip in self.refused else None


class Rig:
    """The surroundings of relays."""

    def __init__(self, way: str = "auto", most: int = 100, each: int = 100, per_source: int = 100) -> None:
        self.reactor = Reactor()
        self.datagrams = make_datagrams(self.reactor, way)
        self.names, self.judge = Names(), Judge()
        self.crowd = Crowd(most, each, per_source)
        self.ended: list[tuple[str, int, int, int, int]] = []
        """(word, packets up, bytes up, packets down, bytes down) of each session that is over."""
        self.now, self.unix = 1000.0, 1_700_000_000
        self.salts = PacketSalts()
        self._socks: list[socket.socket] = []

    # What a relay is given

    def session_ended(self, _client: tuple[str, int], session: Session, word: str) -> None:
        self.ended.append((word, session.up_packets, session.up_bytes, session.down_packets, session.down_bytes))

    def packets(self, method: str) -> PacketShadow:
        """A method with a new key; what it makes has time stamps of the rig's clock."""
        found = find_method(method)
        return make_packets(found, parse_keys(found, make_key_text(found, os.urandom)), os.urandom, self.salts.insert)

    def relay(self, packets: PacketShadow, back: Any = None, idle: float = 300.0, ip: str = HOST) -> PacketRelay:
        """A server's relay on a port of loopback."""
        back = back or DirectBack(self.datagrams, self.names, self.judge, DatagramOptions())
        family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        sock = bind_socket((ip, 0), family, DatagramOptions())
        idle = max(idle, packets.idle_min)
        relay = PacketRelay(
            self.reactor, self.datagrams, sock, packets.host(), back, self.crowd, self, lambda: self.unix, idle
        )
        relay.time = lambda: self.now
        return relay

    def way_through(self, relay: PacketRelay, packets: PacketShadow, host: str = "") -> ShadowBack:
        """The back of a client of that relay."""
        name = relay.front.sock.getsockname()
        server = Address(host or name[0], name[1])
        return ShadowBack(self.datagrams, self.names, server, packets, DatagramOptions())

    # Who talks to it

    def socket(self, ip: str = HOST) -> socket.socket:
        sock = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind((ip, 0))
        self._socks.append(sock)
        return sock

    def client(self, relay: PacketRelay, packets: PacketShadow, ip: str = HOST) -> Client:
        return Client(self, relay, packets.join(), ip)

    async def settle(self) -> None:
        """Let everything happen that is going to: a datagram to a socket of the reactor, and its turn."""
        for _ in range(20):
            await asyncio.sleep(0)

    def close(self) -> None:
        for relay in list(self.crowd.relays):
            relay.close()
        self.reactor.stop()
        assert not self.reactor.errors
        assert self.crowd.live == 0
        for sock in self._socks:
            sock.close()
        for futures in self.names.waiting.values():
            for future in futures:
                future.cancel()
        self.salts.close()


class Client:
    """A client of a relay: its talk, its socket."""

    def __init__(self, rig: Rig, relay: PacketRelay, talk: Talk, ip: str) -> None:
        self.rig, self.talk = rig, talk
        self.sock = rig.socket(ip)
        self.server = relay.front.sock.getsockname()
        self._room = memoryview(bytearray(HEADROOM + 70_000))
        self._out = memoryview(bytearray(72_000))

    def sealed(self, target: Address | socket.socket, payload: bytes) -> bytes:
        """The packet that says this."""
        address = (target if isinstance(target, Address) else Address(*target.getsockname()[:2])).pack()
        begin = HEADROOM + len(address)
        end = begin + len(payload)
        self._room[HEADROOM:end] = address + payload
        return bytes(self._out[: self.talk.seal(self._room, (HEADROOM, begin, end), self._out, 0, self.rig.unix)])

    async def say(self, target: Address | socket.socket, payload: bytes) -> bytes:
        """Send a packet, let it be handled, and return it."""
        packet = self.sealed(target, payload)
        await self.send(packet)
        return packet

    async def send(self, packet: bytes, sock: socket.socket | None = None) -> None:
        (sock or self.sock).sendto(packet, self.server)
        await self.rig.settle()

    async def hear(self) -> tuple[Address, bytes]:
        """The next answer: who sent it to us, and what."""
        packet = await asyncio.get_running_loop().sock_recv(self.sock, 70_000)
        start, payload, end = self.talk.open(memoryview(packet), self._room, HEADROOM, self.rig.unix)
        return parse_address(self._room[start:end])[0], bytes(self._room[payload:end])


async def heard(sock: socket.socket) -> tuple[bytes, tuple[Any, ...]]:
    """The next datagram of a target's socket."""
    loop = asyncio.get_running_loop()
    got, sender = await loop.sock_recvfrom(sock, 70_000)
    return got, sender


def nothing(sock: socket.socket) -> bool:
    """True where nothing came."""
    try:
        sock.recv(10)
    except BlockingIOError:
        return True
    return False
