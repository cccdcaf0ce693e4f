"""Proxies on loopback that tests chain: SOCKS5 and HTTP ones written here, Shadowsocks servers made of our parts.

The former share nothing with the package, so that a mistake of ours does not cancel itself out.
"""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final

from shadesocks.core.address import Address
from shadesocks.core.secret import Secret
from shadesocks.net.end import End
from shadesocks.net.loop import run as run_plane
from shadesocks.net.pipe import Scratch
from shadesocks.net.reactor import Reactor
from shadesocks.net.relay import Relay
from shadesocks.proxy.flow import Flow
from shadesocks.proxy.inbound.shadowsocks import ShadowsocksInbound
from shadesocks.proxy.outbound.chain import ChainMeans, HttpHop, ShadowHop, SocksHop, chain_dialer
from shadesocks.proxy.seams import Dialer, First, OneWay
from shadesocks.proxy.silent import Strangers
from shadesocks.wire.shadow import WallClock
from tests.interop.streams import pack_address
from tests.proxy.rig import NOW, Ledger, Salts
from tests.socks_udp import parse_address, udp_socket, unwrap, wrap
from tests.wire.codecs import shadow_of

HOST: Final = "127.0.0.1"
LIMIT: Final = 20.0
"""Seconds after which a test that waits has failed."""
USER, PASSWORD = "alice", "open: sesame"
METHOD: Final = "2022-blake3-aes-128-gcm"
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Hop = SocksHop | HttpHop | ShadowHop


def run(story: Callable[[Net], Coroutine[Any, Any, None]], deadline: float = 10.0) -> None:
    """Run a test on the loop of the commands, and see that nothing is left."""

    async def whole() -> None:
        async with asyncio.timeout(LIMIT), AsyncExitStack() as stack:
            net = Net(stack, deadline)
            try:
                await story(net)
                await net.quiet()
            finally:
                net.close()

    run_plane(whole())


class Net:
    """A reactor, and the proxies and targets of one test."""

    def __init__(
        self, stack: AsyncExitStack, deadline: float, reactor: Reactor | None = None, wall: WallClock = lambda: NOW
    ) -> None:
        self.reactor = reactor or Reactor()
        self.scratch = Scratch()
        self.ledger = Ledger()
        self.means = ChainMeans(self.reactor, self.scratch, self.reactor.lane(deadline), wall, os.urandom)
        self.asked: list[tuple[str, str, int]] = []
        """(kind of proxy, host, port) of every target that was asked for, in order."""
        self.words: Counter[str] = Counter()
        """How the relays between the test and its far ends ended."""
        self.opened = 0
        self.associations: list[Association] = []
        self.controls: list[asyncio.StreamWriter] = []
        """The proxies' sides of the connections that associations live by."""
        self._handling: set[asyncio.Task[Any] | None] = set()
        """Handlers that have not ended; kept here, since the loop keeps none of its tasks from being collected."""
        self._stack = stack
        self._live: set[Relay] = set()

    # Where chains lead

    async def listen(self, handler: Handler) -> Address:
        """Listen with a handler for every connection; its errors of the network are not the test's."""

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            self._handling.add(task)
            try:
                with suppress(OSError, asyncio.IncompleteReadError):
                    await handler(reader, writer)
            finally:
                writer.close()
                self._handling.discard(task)

        server = await asyncio.start_server(handle, HOST, 0)
        self._stack.callback(server.close)
        return Address(HOST, server.sockets[0].getsockname()[1])

    async def socks(self, *, login: bool = False, reply: int = 0, behind: bytes = b"", bound: str = HOST) -> SocksHop:
        """A SOCKS5 proxy; with a login it wants one. `bound` is where it says that it takes datagrams."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            version, count = await reader.readexactly(2)
            methods = await reader.readexactly(count)
            assert version == 5
            if (2 if login else 0) not in methods:
                writer.write(b"\x05\xff")
                return
            writer.write(b"\x05\x02" if login else b"\x05\x00")
            if login:
                _, size = await reader.readexactly(2)
                user = await reader.readexactly(size)
                password = await reader.readexactly((await reader.readexactly(1))[0])
                if (user, password) != (USER.encode(), PASSWORD.encode()):
                    writer.write(b"\x01\x01")
                    return
                writer.write(b"\x01\x00")
            head = await reader.readexactly(4)
            assert head[:1] + head[2:3] == b"\x05\x00"
            lead = await reader.readexactly(1) if head[3] == 3 else b""
            rest = await reader.readexactly((lead[0] if lead else {1: 4, 4: 16}[head[3]]) + 2)
            (host, port), _ = parse_address(head[3:] + lead + rest)
            if head[1] == 3:
                assert (host, port) == ("0.0.0.0", 0)
                self.asked.append(("associate", host, port))
                if reply:
                    writer.write(bytes([5, reply, 0, 1, 0, 0, 0, 0, 0, 0]))
                    return
                await self._associate(reader, writer, bound)
                return
            assert head[1] == 1
            self.asked.append(("socks5", host, port))
            if reply:
                writer.write(bytes([5, reply, 0, 1, 0, 0, 0, 0, 0, 0]))
                return
            far_reader, far_writer = await asyncio.open_connection(host, port)
            writer.write(b"\x05\x00\x00\x03\x09localhost\x00\x50" + behind)
            await splice(reader, writer, far_reader, far_writer)

        address = await self.listen(serve)
        return SocksHop(address, USER, Secret(PASSWORD)) if login else SocksHop(address)

    async def _associate(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, bound: str) -> None:
        """Serve datagrams while the connection stands."""
        loop = asyncio.get_running_loop()
        association = Association(loop)
        self.associations.append(association)
        self.controls.append(writer)
        try:
            port = association.near.getsockname()[1]
            writer.write(b"\x05\x00\x00" + pack_address(bound, port))
            await reader.read()
        finally:
            association.close()

    async def http(
        self, *, login: bool = False, answer: bytes = b"HTTP/1.1 200 OK\r\n\r\n", behind: bytes = b""
    ) -> HttpHop:
        """An HTTP proxy; with a login it wants one."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            request, *headers = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
            method, where, version = request.split(" ")
            assert (method, version) == ("CONNECT", "HTTP/1.1")
            assert f"Host: {where}" in headers
            wanted = "Proxy-Authorization: Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            if login and wanted not in headers:
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 3\r\n\r\nno!")
                return
            host, _, port = where.rpartition(":")
            self.asked.append(("http", host.strip("[]"), int(port)))
            if not answer.split(b" ")[1].startswith(b"2"):
                writer.write(answer)
                return
            far_reader, far_writer = await asyncio.open_connection(host.strip("[]"), int(port))
            writer.write(answer + behind)
            await splice(reader, writer, far_reader, far_writer)

        address = await self.listen(serve)
        return HttpHop(address, USER, Secret(PASSWORD)) if login else HttpHop(address)

    async def shadow(self, method: str = METHOD, port: int = 0) -> ShadowHop:
        """A Shadowsocks server, of streams."""
        shadow = shadow_of(method)
        lane = self.reactor.lane(20.0, of="strangers")
        strangers = Strangers(self.reactor, self.scratch, lane, 100, self.ledger, "silent")
        inbound = ShadowsocksInbound(shadow, Salts(), strangers, lambda: NOW, os.urandom, strict_first_read=False)
        flow = Flow(self.reactor, self.scratch, inbound, OneWay(Noting(self, "ss")), self.ledger)
        listener = socket.create_server((HOST, port))
        listener.setblocking(False)
        loop = asyncio.get_running_loop()

        def accept() -> None:
            fd, client = listener._accept()  # type: ignore[attr-defined]  # a bare socket, as listeners make them
            os.set_blocking(fd, False)
            flow.accept(socket.SocketType(socket.AF_INET, socket.SOCK_STREAM, 0, fd), client)
            self.reactor.settle()

        loop.add_reader(listener, accept)
        self._stack.callback(listener.close)
        self._stack.callback(loop.remove_reader, listener)
        return ShadowHop(Address(HOST, listener.getsockname()[1]), shadow)

    # How they are used

    async def connect_to(self, address: Address, first: First) -> End:
        """Connect as the network's connector does; loopback does it at once."""
        sock = socket.SocketType(socket.AF_INET, socket.SOCK_STREAM, 0)
        code = sock.connect_ex((address.host, address.port))
        assert not code, "somebody listens there"
        os.set_blocking(sock.fileno(), False)
        self.opened += 1
        end = End(sock)
        end.tail = bytes(first)  # as where the socket takes nothing yet
        return end

    def chain(self, *hops: Hop) -> Dialer:
        return chain_dialer(hops, self.connect_to, self.means)

    async def dial(self, dialer: Dialer, target: Address, first: bytes = b"") -> End:
        end: End = await self.reactor.spawn(dialer.dial(target, first))
        return end

    def drop(self, end: End) -> None:
        """Close an end that nobody joined."""
        self.reactor.close(end.sock)
        self.reactor.settle()

    async def join(self, dialer: Dialer, target: Address, first: bytes = b"") -> Program:
        """Dial, and relay between the far end and a program's socket, which is returned."""
        far = await self.dial(dialer, target, first)
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        near = End(socket.SocketType(ours.family, ours.type, ours.proto, ours.detach()))
        relay = Relay(self.reactor, self.scratch, near, far, self._ended)
        self._live.add(relay)
        relay.begin()
        self.reactor.settle()
        self._stack.callback(theirs.close)
        return Program(theirs)

    def _ended(self, relay: Relay, word: str) -> None:
        self._live.discard(relay)
        self.words[word] += 1

    async def quiet(self) -> None:
        """Wait until nothing goes on."""
        while self.reactor.stories or self.ledger.relays or self._live or self._handling:  # noqa: ASYNC110 - they tell nobody
            await asyncio.sleep(0)
        assert self.scratch.tails == 0

    def close(self) -> None:
        for relay in [*self._live, *self.ledger.relays]:
            relay.close("stopped")
        self.reactor.stop()
        assert not self.reactor.errors


class Association:
    """What a SOCKS5 proxy has for one client's datagrams: a socket towards it, and one towards targets."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.near, self.far = udp_socket(HOST), udp_socket(HOST)
        self.client: Any = None
        self.live = True
        self._loop = loop
        for sock, handler in ((self.near, self._up), (self.far, self._down)):
            sock.setblocking(False)
            loop.add_reader(sock, handler)

    def _up(self) -> None:
        datagram, self.client = self.near.recvfrom(1 << 16)
        payload, (host, port) = unwrap(datagram)
        self.far.sendto(payload, (HOST if host == "localhost" else host, port))

    def _down(self) -> None:
        payload, sender = self.far.recvfrom(1 << 16)
        self.near.sendto(wrap(payload, sender), self.client)

    def close(self) -> None:
        self.live = False
        for sock in (self.near, self.far):
            self._loop.remove_reader(sock)
            sock.close()


class Noting:
    """The dialer of a Shadowsocks server: straight, and noted."""

    def __init__(self, net: Net, kind: str) -> None:
        self._net = net
        self._kind = kind

    async def dial(self, target: Address, first: First) -> End:
        self._net.asked.append((self._kind, target.host, target.port))
        host = HOST if target.host == "localhost" else target.host
        return await self._net.connect_to(Address(host, target.port), first)


class Program:
    """Who speaks through a chain."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    async def say(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    def end(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    async def hear(self, size: int = 65536) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self.sock, size)

    async def hear_exactly(self, size: int) -> bytes:
        heard = bytearray()
        while len(heard) < size and (data := await self.hear(size - len(heard))):
            heard += data
        return bytes(heard)

    async def hear_all(self) -> bytes:
        heard = bytearray()
        while data := await self.hear():
            heard += data
        return bytes(heard)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def splice(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    far_reader: asyncio.StreamReader,
    far_writer: asyncio.StreamWriter,
) -> None:
    """Move bytes both ways until both ended."""

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
            sink.write_eof()
        except OSError:
            reset(sink)

    await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
    far_writer.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Greet, send back what comes, and say how much it was after its end."""
    writer.write(b"hello ")
    size = 0
    while data := await reader.read(65536):
        size += len(data)
        writer.write(data)
        await writer.drain()
    writer.write(b" %d" % size)


@asynccontextmanager
async def scripted(net: Net, script: bytes, *, wait: int = 1) -> AsyncIterator[Address]:
    """A peer that says its script, whatever it hears, and then ends. It waits for so many bytes before."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if wait:
            await reader.readexactly(wait)
        writer.write(script)
        await writer.drain()

    yield await net.listen(serve)
