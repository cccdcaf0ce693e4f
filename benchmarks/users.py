"""What it costs that many users share one AEAD port: to find whose a handshake is, and how long others wait for it.

No server and no peer. A handshake is all from the first bytes to the request, without sockets. Searches in slices are
run in a real loop beside a heart that beats once a turn: the longest pause between two beats is what anybody waits (in
time of the processor, so that what else runs on the machine is not taken for it).
"""

from __future__ import annotations

import asyncio
import os
import time
import tracemalloc
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from .figures import Row
from .load import quiet
from .rules import Bench
from .systems import OURS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shadesocks.crypto.methods import Method
    from shadesocks.net.slices import Slices
    from shadesocks.proxy.users.table import UserTable
    from shadesocks.proxy.users.user import User
    from shadesocks.wire.search import Search

WORK: Final = "users"
METHOD: Final = "aes-256-gcm"
COUNTS: Final = (1, 10, 100, 1_000, 10_000)
TRIES: Final = 20_000
"""Keys that are tried for one figure, at least."""
PROBERS: Final = 10
HERE: Final = b"here"


def measure(bench: Bench, turn: int) -> None:
    """All of one round."""
    began = time.monotonic()
    for count in COUNTS:
        for case, metric, value in measure_users(count):
            bench.results.add(Row(WORK, f"{count:>6,} {case}", metric, METHOD), OURS, turn, value)
    bench.say(f"round {turn + 1}  {WORK}  {time.monotonic() - began:.1f} s")


def measure_users(count: int) -> Iterator[tuple[str, str, float]]:
    """Yield (case, metric, value) of a port of so many users."""
    from shadesocks.crypto.methods import METHODS
    from shadesocks.crypto.subkeys import subkey_sha1
    from shadesocks.proxy.users.table import UserTable
    from shadesocks.proxy.users.user import User

    method = METHODS[METHOD]
    subkey_sha1(bytes(method.key_size), bytes(method.salt_size))  # what is loaded is not the users'
    users = [User(f"user {number}", (os.urandom(method.key_size),)) for number in range(count)]
    tracemalloc.start()
    table = UserTable(users)
    yield "users", "user_memory", tracemalloc.get_traced_memory()[0] / count
    tracemalloc.stop()

    middle = users[(count - 1) // 2].keys[0]
    table.used(middle, HERE)
    yield "users, known at the address", "handshake", _handshake(method, middle, lambda: table, TRIES // 10)
    times = max(3, TRIES // count)
    yield "users, in the middle of the order", "handshake", _handshake(method, middle, lambda: UserTable(users), times)
    stranger = os.urandom(method.key_size)
    yield "users, nobody", "handshake", _handshake(method, stranger, lambda: table, times)
    from shadesocks.net.loop import PlaneLoop

    with asyncio.Runner(loop_factory=PlaneLoop) as runner:
        yield "users, nobody", "pause", runner.run(_pause(method, table))


def _handshake(method: Method, key: bytes, make: Callable[[], UserTable[User]], times: int) -> float:
    """The seconds of a handshake with that key, as the fastest tenth have it."""
    from shadesocks.core.address import Address
    from shadesocks.core.errors import RemoteProtocolError
    from shadesocks.wire.aead import AeadShadow
    from shadesocks.wire.aead_users import AeadUsersShadow
    from shadesocks.wire.reader import Reader

    taken = []
    with quiet():
        for _ in range(min(times, 500)):
            sealer, _ = AeadShadow(method, key).open_stream(Address("192.0.2.1", 443), lambda: 0, os.urandom)
            out = memoryview(bytearray(1024))
            stream = out[: sealer.seal(memoryview(b"first"), 5, out)]
            shadow = AeadUsersShadow(method, make())
            began = time.perf_counter()
            reader = Reader(shadow.seek(lambda _salt: False))
            sought = reader.feed(stream)
            assert sought is not None
            search = shadow.search(sought, HERE)
            while not search.step():
                pass
            with suppress(RemoteProtocolError):
                Reader(shadow.go_on(sought, search, lambda: 0, os.urandom)).feed(reader.rest)
            taken.append(time.perf_counter() - began)
    return sorted(taken)[len(taken) // 10]


class _Job:
    """A search as `proxy/inbound/seeking.py` has it."""

    def __init__(self, search: Search) -> None:
        self.step: Final = search.step

    def done(self) -> None:
        """Nothing: nobody is found."""


async def _pause(method: Method, table: UserTable[User]) -> float:
    """The longest time between two turns of a loop in which some search in vain: the median of a few."""
    from shadesocks.crypto.trial import Trial
    from shadesocks.net.reactor import Reactor
    from shadesocks.wire.search import Search

    reactor = Reactor()
    longest = []
    try:
        with quiet():
            for _ in range(5):
                for number in range(PROBERS):
                    trial = Trial(method, os.urandom(method.salt_size), os.urandom(18))
                    reactor.slices.add(number, _Job(Search(trial, table, HERE)))
                longest.append(await _longest(reactor.slices))
    finally:
        reactor.stop()
    return sorted(longest)[len(longest) // 2]


async def _longest(slices: Slices) -> float:
    pause, before = 0.0, time.thread_time()
    while len(slices):
        await asyncio.sleep(0)
        now = time.thread_time()
        pause, before = max(pause, now - before), now
    return pause
