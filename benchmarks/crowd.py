"""Very many connections relayed at the same time by one process, as the ancestors' author counted: what they weigh.

Each has had one round trip and is left open. A server that stops taking them is measured with what it holds.
"""

from __future__ import annotations

import itertools
import socket
import time
from typing import TYPE_CHECKING, Final

from . import load
from .bench import Bench
from .figures import Row
from .plan import alternate
from .process import BenchError, Server, TargetProcess, settled_memory
from .target import ECHO
from .wire import METHODS, Account, answer_size, make_account

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .systems import Found

WORK: Final = "crowd"
CROWD_METHODS: Final = ("aes-256-gcm", "aes-256-cfb")
STEPS: Final = (100, 5000)
"""Where memory is read on the way: what the ancestors' claims name."""
LIMIT: Final = 60.0
"""Seconds until the last connection stands; the slowest needs a third."""
SOURCE_COUNT: Final = 4000
"""Connections from one address of loopback: its ports are then never short."""
AT_ONCE: Final = 100
"""Requests sealed ahead: they carry a time with some methods."""


class CrowdWorks:
    """This work of one run."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._serial = itertools.count()

    def measure(self, turn: int, method: str) -> None:
        """Once: what it counts is not a matter of luck."""
        if turn or WORK not in self._bench.works or method not in CROWD_METHODS:
            return
        account = make_account(METHODS[method])
        for found in alternate(self._bench.systems, turn):
            if method in found.system.methods:
                self._measure(turn, found, account)

    def _measure(self, turn: int, found: Found, account: Account) -> None:
        bench, count, began = self._bench, self._bench.plan.crowd, time.monotonic()
        directory = bench.directory / f"crowd-{found.name}-{next(self._serial)}"
        try:
            server = Server(found, account, directory, bench.cores)
        except (BenchError, OSError) as error:
            bench.results.fail(f"{found.name}, {account.method.name}, {WORK}", str(error))
            return
        held: list[socket.socket] = []

        def note(metric: str, at: int, value: float) -> None:
            row = Row(WORK, f"{at:>6,} connections", metric, account.method.name)
            bench.results.add(row, found.name, turn, value)

        with server, TargetProcess(16) as target, bench.attempt(server, WORK):
            try:
                for _ in open_crowd(server, target, count, held):
                    if len(held) in (*STEPS, count):
                        if server.descriptors() < 2 * len(held):
                            raise BenchError(f"it does not relay {len(held)} connections any more")
                        note("resident", len(held), settled_memory(server)[0])
            finally:
                note("reached", count, len(held))
                load.close_all(held)
        bench.say(f"{WORK}  {found.name}  {account.method.name}  {len(held)}  {time.monotonic() - began:.1f} s")


def open_crowd(server: Server, target: TargetProcess, count: int, held: list[socket.socket]) -> Iterator[None]:
    """Add one connection after the other, each of which was answered, to `held`.

    Raises:
        BenchError: one was not answered, or all of them took too long.
    """
    account, until = server.account, time.monotonic() + LIMIT
    wanted = answer_size(account.method, load.REQUEST_SIZE)
    while len(held) < count:
        to = target.address(server.target_host)
        for request in load.make_requests(account, to, ECHO, min(AT_ONCE, count - len(held))):
            if time.monotonic() > until:
                raise BenchError(f"after {LIMIT:.0f} s it had taken {len(held)} of {count} connections")
            sock = load.open_connection(server.address, (source(len(held)), 0))
            try:
                sock.sendall(request)
                answered = len(sock.recv(wanted, socket.MSG_WAITALL)) == wanted
            except OSError as error:
                sock.close()
                raise BenchError(f"connection {len(held) + 1} was not answered: {error.strerror}") from None
            if not answered:
                sock.close()
                raise BenchError(f"connection {len(held) + 1} ended without an answer")
            held.append(sock)
            yield


def source(number: int) -> str:
    """The address of loopback that a connection comes from."""
    return f"127.0.0.{1 + number // SOURCE_COUNT}"


def most(limit: int) -> int:
    """How many connections a process with so many descriptors can relay: two for each, and some to live."""
    return (limit - 500) // 2
