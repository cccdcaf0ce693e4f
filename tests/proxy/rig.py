"""A flow of made parts over socket pairs: what the tests of this floor share."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from socket import SocketType, socket, socketpair
from typing import Any

from shadesocks.core.address import Address
from shadesocks.core.errors import DialError
from shadesocks.net.end import End
from shadesocks.net.pipe import Scratch
from shadesocks.net.reactor import Reactor
from shadesocks.net.relay import Relay
from shadesocks.proxy.flow import Flow
from shadesocks.proxy.inbound.shadowsocks import ShadowsocksInbound
from shadesocks.proxy.seams import First, Inbound, Metering, OneWay
from shadesocks.proxy.silent import Strangers
from shadesocks.wire.shadow import Random

NOW = 1_700_000_000
CLIENT = ("192.0.2.7", 5000)


class Ledger:
    """Notes what became of connections."""

    def __init__(self) -> None:
        self.relays: set[Relay] = set()
        self.words: Counter[str] = Counter()
        self.stages: list[tuple[str, str]] = []
        self.sizes: list[int] = []
        """Bytes that each stranger sent."""
        self.dials: list[tuple[str, float]] = []
        self.searches: list[tuple[float, bool]] = []

    def ended(self, relay: Relay, word: str) -> None:
        self.relays.discard(relay)
        self.words[word] += 1

    def failed(self, _client: Any, _target: Address | None, stage: str, word: str, _user: Any = None) -> None:
        self.words[word] += 1
        self.stages.append((stage, word))

    def stranger(self, client: Any, word: str, size: int, _user: Any = None) -> None:
        self.failed(client, None, "handshake", word)
        self.sizes.append(size)

    def dialled(self, word: str, seconds: float) -> None:
        self.dials.append((word, seconds))

    def searched(self, seconds: float, *, is_found: bool) -> None:
        self.searches.append((seconds, is_found))


class Salts:
    """A memory of salts that tells when each was recorded."""

    def __init__(self) -> None:
        self.recorded: list[bytes] = []

    def known(self, salt: bytes) -> bool:
        return salt in self.recorded

    def insert(self, salt: bytes, _stamp: int) -> bool:
        if salt in self.recorded:
            return False
        self.recorded.append(salt)
        return True

    def fresh(self, size: int, draw: Random) -> bytes:
        return draw(size)


class Target:
    """A dialer whose every target is one end of a socket pair, or an error."""

    def __init__(self, error: DialError | None = None) -> None:
        self.dialled: list[tuple[Address, bytes]] = []
        self.error = error
        self.near, self.far = socketpair()
        self.far.setblocking(False)

    async def dial(self, target: Address, first: First) -> End:
        self.dialled.append((target, bytes(first)))
        if self.error is not None:
            raise self.error
        end = End(self.near)
        end.tail = bytes(first)
        return end

    def close(self) -> None:
        self.near.close()
        self.far.close()


class Stage:
    """A reactor, its scratch, a ledger, and flows on them."""

    def __init__(self, event_model: str = "auto") -> None:
        self.reactor = Reactor(event_model)
        self.scratch = Scratch()
        self.ledger = Ledger()
        self.salts = Salts()
        self.target = Target()
        self._socks: list[socket] = []

    def strangers(self, deadline: float, limit: int = 100, policy: str = "silent") -> Strangers:
        lane = self.reactor.lane(deadline)
        return Strangers(self.reactor, self.scratch, lane, limit, self.ledger, policy)

    def enter(self, inbound: Inbound, client: Any = CLIENT) -> socket:
        """Begin a connection; return the client's socket."""
        ours, theirs = socketpair()
        theirs.setblocking(False)
        self._socks += [ours, theirs]
        Flow(self.reactor, self.scratch, inbound, OneWay(self.target), self.ledger).accept(_raw(ours), client)
        self.reactor.settle()
        return theirs

    def close(self) -> None:
        for relay in list(self.ledger.relays):
            relay.close("stopped")
        for sock in self._socks:
            sock.close()
        self.target.close()
        self.reactor.stop()


def _raw(sock: socket) -> SocketType:
    """Give the descriptor to a bare socket, as a listener does."""
    return SocketType(sock.family, sock.type, sock.proto, sock.detach())


@contextmanager
def stage(event_model: str = "auto") -> Iterator[Stage]:
    made = Stage(event_model)
    try:
        yield made
    finally:
        made.close()


async def receive(sock: socket, size: int = 65536) -> bytes:
    """Return what comes next; empty for an end of file."""
    return await asyncio.get_running_loop().sock_recv(sock, size)


def shadow_inbound(
    made: Stage, shadow: Any, strangers: Strangers, *, strict: bool = False, meter: Metering | None = None
) -> ShadowsocksInbound:
    return ShadowsocksInbound(
        shadow,
        made.salts,
        strangers,
        lambda: NOW,
        lambda size: b"a" * size,
        strict_first_read=strict,
        meter_of=None if meter is None else lambda _user: meter,
    )
