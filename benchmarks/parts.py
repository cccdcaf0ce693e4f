"""What single parts of ours cost that the ancestors' authors praised in theirs: setting up an old cipher, the speed of
one, and a deadline among very many. No server and no peer: their figures are in `docs/heritage.md`.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from .figures import Row
from .load import quiet
from .rules import Bench
from .systems import OURS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORK: Final = "parts"
CIPHERS: Final = {
    "aes-128-cfb": ("aes-cfb", 16, 16),
    "aes-256-cfb": ("aes-cfb", 32, 16),
    "des-cfb": ("des-cfb", 8, 8),
    "bf-cfb": ("bf-cfb", 16, 8),
    "cast5-cfb": ("cast5-cfb", 16, 8),
    "rc4-md5": ("rc4-md5", 16, 16),
    "salsa20": ("salsa20", 32, 8),
    "chacha20": ("chacha20", 32, 8),
}
"""Method -> our cipher, bytes of key and of vector."""
SETUPS: Final = 2000
PIECE: Final = 1 << 16
PIECES: Final = 64
WAITING: Final = (1_000, 100_000, 1_000_000)
TOUCHES: Final = 20_000
TIMES: Final = 5


class Waiter:
    """Whoever waits for a deadline."""

    __slots__ = ()

    def expire(self) -> None:
        """Nothing: none of these comes."""


def measure(bench: Bench, turn: int) -> None:
    """All of one round."""
    began = time.monotonic()
    for name in CIPHERS:
        for row, value in measure_cipher(name):
            bench.results.add(row, OURS, turn, value)
    for count in WAITING if not turn else ():
        row = Row(WORK, f"among {count:>9,}", "deadline", "any")
        bench.results.add(row, OURS, turn, asyncio.run(measure_deadlines(count)))
    bench.say(f"round {turn + 1}  {WORK}  {time.monotonic() - began:.1f} s")


def measure_cipher(name: str) -> Iterator[tuple[Row, float]]:
    """The seconds until a stream can be sealed, with its key at hand as a server has it, and then for a byte."""
    from shadesocks.crypto.stream import CIPHERS as MADE

    cipher, key_size, iv_size = CIPHERS[name]
    key = MADE[cipher](os.urandom(key_size))
    vectors = [os.urandom(iv_size) for _ in range(SETUPS)]
    row = Row(WORK, "a stream", "setup", name)
    begin = key.seal

    def set_up() -> None:
        for iv in vectors:
            begin(iv)

    yield row, fastest(set_up) / SETUPS

    data, out = bytes(PIECE), memoryview(bytearray(PIECE + 64))
    seal = begin(vectors[0])

    def run() -> None:
        for _ in range(PIECES):
            seal(data, out)

    yield replace(row, metric="rate"), PIECE * PIECES / 1e9 / fastest(run)


async def measure_deadlines(count: int) -> float:
    """The seconds for putting off one deadline of so many, which is what each use of a connection does to a list
    in the order of use, and for taking one away and setting it again."""
    from shadesocks.net.lane import Lane
    from shadesocks.net.reactor import Reactor

    reactor = Reactor()
    lane = Lane(reactor, 3600.0)
    waiters = [Waiter() for _ in range(count)]
    for waiter in waiters:
        lane.start(waiter)
    asked = [waiters[number * 7919 % count] for number in range(TOUCHES)]

    def touch() -> None:
        for waiter in asked:
            lane.start(waiter)

    try:
        return fastest(touch) / TOUCHES
    finally:
        lane.stop()
        reactor.stop()


def fastest(action: Callable[[], None]) -> float:
    """Return the seconds of the fastest of a few times: what is slower was slowed by something else."""
    times = []
    with quiet():
        for _ in range(TIMES):
            began = time.perf_counter()
            action()
            times.append(time.perf_counter() - began)
    return min(times)
