"""What is measured over UDP. One set of servers a round and method; systems take turns block by block."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from .figures import Results, Row
from .load import quiet
from .plan import Plan, alternate
from .process import Cores, Server, UdpTargetProcess
from .udp_load import Batch, Client, Tally, check
from .udp_wire import make_sessions
from .wire import METHODS, Account, make_account

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from .systems import Found

UDP_WORKS: Final = ("udp-echo", "udp-ping")

SIZES: Final = (100, 1300)
ECHO_CASES: Final = (("1 flow", 1, 16), ("100 flows", 100, 64), ("1000 flows", 1000, 64))
"""Name, sessions, and how many datagrams may be under way: below ninety, which is what a receive buffer holds."""
PING_CASES: Final = (("1 flow", 1, 1),)
BLOCKS: Final = 4
"""Into how many a sample is cut, so that a noisy moment hits all systems alike."""
AFTERWARDS: Final = 0.005
"""Seconds between the last answer and the second reading of the clock."""


class Bench(Protocol):
    """What these works take over from a run."""

    plan: Plan
    systems: list[Found]
    works: list[str]
    directory: Path
    cores: Cores
    results: Results

    @property
    def say(self) -> Callable[[str], None]: ...
    def attempt(self, server: Server, what: str) -> contextlib.AbstractContextManager[None]: ...
    def given_up(self, server: Server, what: str) -> bool: ...
    def charged(self, server: Server, action: Callable[[], float], after: float) -> tuple[float, float]: ...


class UdpWorks:
    """The UDP part of one run."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._useless: set[tuple[str, str]] = set()
        """(system, method) pairs that do not answer over UDP: not asked again."""
        self._serial = 0

    def measure(self, turn: int, method: str) -> None:
        """All of one method in one round."""
        bench, account, began = self._bench, make_account(METHODS[method]), time.monotonic()
        if {"udp-echo", "udp-ping"}.isdisjoint(bench.works):
            return
        with contextlib.ExitStack() as stack:
            target = stack.enter_context(UdpTargetProcess())
            servers: list[tuple[Server, Client]] = []
            for found in self._systems(turn, account):
                server = self._start(found, account, target)
                if server is not None:
                    stack.enter_context(server)
                    servers.append((server, stack.enter_context(Client(server.address))))
            for work, cases in (("udp-echo", ECHO_CASES), ("udp-ping", PING_CASES)):
                if work in bench.works:
                    self._echo(turn, account, servers, target, work, cases)
        bench.say(f"round {turn + 1}/{bench.plan.rounds}  udp  {method}  {time.monotonic() - began:.1f} s")

    def _charged(self, server: Server, target: UdpTargetProcess, action: Callable[[], Tally]) -> tuple[Tally, float]:
        """What became of the datagrams, and the CPU seconds of the server."""
        tallies: list[Tally] = []

        def act() -> float:
            with quiet():
                tallies.append(action())
            return tallies[0].seconds

        target_before = target.cpu()
        used, _ = self._bench.charged(server, act, AFTERWARDS)
        return replace(tallies[0], load=tallies[0].load + target.cpu() - target_before), used

    def _systems(self, turn: int, account: Account) -> list[Found]:
        name = account.method.name
        return [
            found
            for found in alternate(self._bench.systems, turn)
            if found.system.launch_udp is not None
            and name in found.system.methods
            and (found.name, name) not in self._useless
        ]

    def _start(self, found: Found, account: Account, target: UdpTargetProcess) -> Server | None:
        """A fresh server that was seen to answer rightly over UDP."""
        self._serial += 1
        directory = self._bench.directory / f"udp-{found.name}-{self._serial}"
        try:
            server = Server(
                found, account, directory, self._bench.cores, lambda port: found.launch_udp(directory, port, account)
            )
            try:
                check(account, server.address, target.echo)
            except BaseException:
                server.stop()
                raise
        except Exception as error:  # whatever a peer does wrong ends its part, not the run
            self._useless.add((found.name, account.method.name))
            self._bench.results.fail(f"{found.name}, {account.method.name}, udp", str(error) or repr(error))
            self._bench.say(f"  {found.name} is left out of UDP with {account.method.name}: {error!r}")
            return None
        return server

    def _echo(
        self,
        turn: int,
        account: Account,
        servers: Sequence[tuple[Server, Client]],
        target: UdpTargetProcess,
        work: str,
        cases: Sequence[tuple[str, int, int]],
    ) -> None:
        sessions = make_sessions(account, max(flows for _, flows, _ in cases))
        count = self._bench.plan.trips // (4 if work == "udp-ping" else 1)
        for flows_name, flows, window in cases:
            for size in SIZES:
                # In front those that make each session known, which no clock sees.
                warm = max(flows, window)
                batch = Batch(account, sessions[:flows], target.echo, size, warm + count)
                self._trips(
                    turn,
                    servers,
                    target,
                    batch,
                    Row(work, f"{flows_name}, {size} bytes", "", account.method.name),
                    warm,
                    window,
                )

    def _trips(
        self,
        turn: int,
        servers: Sequence[tuple[Server, Client]],
        target: UdpTargetProcess,
        batch: Batch,
        row: Row,
        warm: int,
        window: int,
    ) -> None:
        bench, what = self._bench, f"{row.work}, {row.case}"
        asked = [(server, client) for server, client in servers if not bench.given_up(server, what)]
        sums: dict[str, tuple[Tally, float]] = {}
        for server, client in asked:
            with bench.attempt(server, what):
                client.trips(batch, 0, warm, window)
        block = (batch.outbox.count - warm) // BLOCKS
        for number in range(BLOCKS):
            for server, client in asked[:: -1 if number % 2 else 1]:
                if bench.given_up(server, what):
                    continue
                with bench.attempt(server, what):
                    first = warm + number * block
                    now, used = self._charged(server, target, partial(client.trips, batch, first, block, window))
                    tally, cpu = sums.get(server.name, (Tally(0, 0, 0.0), 0.0))
                    sums[server.name] = tally + now, cpu + used
        for name, (tally, cpu) in sums.items():
            if not tally.came:
                bench.results.fail(f"{name}, {row.method}, {what}", "not one answer came")
                continue
            for metric, value in (
                ("cpu", cpu / tally.came),
                ("trips", tally.came / tally.seconds),
                ("loss", tally.lost / tally.sent),
                ("busy", cpu / tally.seconds),
                ("load", tally.load / tally.seconds),
            ):
                bench.results.add(Row(row.work, row.case, metric, row.method), name, turn, value)
