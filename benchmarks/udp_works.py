"""What is measured over UDP. One set of servers a round and method; systems take turns block by block."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from .bench import Bench
from .figures import Row
from .load import quiet
from .process import BenchError, Server, UdpTargetProcess
from .udp_load import Batch, Client, Tally, prepare
from .udp_start import Starter
from .udp_states import STATE_WORKS, UdpStates
from .udp_wire import make_sessions
from .wire import METHODS, Account, make_account

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


SPEED: Final = {"udp-echo", "udp-ping", "udp-oneway"}
OLD_SPEED: Final = {"udp-echo"}
"""What the ancestors are asked."""
UDP_WORKS: Final = ("udp-echo", "udp-ping", "udp-oneway", *STATE_WORKS)

SIZES: Final = (100, 1300)
ECHO_CASES: Final = (("1 flow", 1, 16), ("100 flows", 100, 64), ("1000 flows", 1000, 64))
"""Name, sessions, and how many datagrams may be under way: below ninety, which is what a receive buffer holds."""
OLD_FLOWS: Final = 100
"""The ancestors lose much when there are more, and each loss is waited for."""
PING_CASES: Final = (("1 flow", 1, 1),)
FLOW_SIZE: Final = 1300
FLOW_CASES: Final = ((20_000, 1.0), (200_000, 0.25))
"""Datagrams offered a second, a load that all can take and one that none can, and the share of the plan's time."""
SETTLE: Final = 0.05
"""Seconds after which a sink that got nothing has got everything."""
BLOCKS: Final = 4
"""Into how many a sample is cut, so that a noisy moment hits all systems alike."""
AFTERWARDS: Final = 0.005
"""Seconds between the last answer and the second reading of the clock."""


class UdpWorks:
    """The UDP part of one run."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._starter = Starter(bench)
        self._states = UdpStates(bench, self._starter)

    def measure(self, turn: int, method: str) -> None:
        """All of one method in one round."""
        bench, began = self._bench, time.monotonic()
        if not set(UDP_WORKS).isdisjoint(bench.works):
            account = make_account(METHODS[method])
            works = set(bench.works) & (OLD_SPEED if account.method.is_old else SPEED)
            if works and not (account.method.is_old and turn >= bench.plan.memory_rounds):
                self._speed(turn, account, works)
            if not account.method.is_old:
                self._states.measure(turn, account)
            bench.say(f"round {turn + 1}/{bench.plan.rounds}  udp  {method}  {time.monotonic() - began:.1f} s")

    def _speed(self, turn: int, account: Account, works: set[str]) -> None:
        with contextlib.ExitStack() as stack:
            target = stack.enter_context(UdpTargetProcess())
            servers = [
                (server, stack.enter_context(Client(server.address)))
                for server in self._starter.start_all(stack, turn, account, target)
            ]
            for work, cases in (("udp-echo", ECHO_CASES), ("udp-ping", PING_CASES)):
                if work in works:
                    self._echo(turn, account, servers, target, work, cases)
            if "udp-oneway" in works:
                self._oneway(turn, account, servers, target)

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
        count = self._bench.plan.trips // (4 if work == "udp-ping" or account.method.is_old else 1)
        if account.method.is_old:
            cases = [case for case in cases if case[1] <= OLD_FLOWS]
        for flows_name, flows, window in cases:
            for size in SIZES:
                # In front those that make each session known, and of which every answer is opened.
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
                client.rehearse(batch, warm, window)
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

    def _oneway(
        self, turn: int, account: Account, servers: Sequence[tuple[Server, Client]], target: UdpTargetProcess
    ) -> None:
        for rate, share in FLOW_CASES:
            count = int(rate * share * self._bench.plan.flow)
            prepare(target.source, FLOW_SIZE, count)
            batch = Batch(account, make_sessions(account, 1), target.sink, FLOW_SIZE, count)

            def up(client: Client, batch: Batch = batch, rate: int = rate) -> Tally:
                sent = client.upload(batch, 0, batch.outbox.count, rate)
                came, drops = self._taken(target)
                return replace(sent, came=came, own_drops=drops)

            def down(client: Client, count: int = count, rate: int = rate) -> Tally:
                return client.download(account, target.source, FLOW_SIZE, count, rate)

            for way, flow in (("up", up), ("down", down)):
                row = Row("udp-oneway", f"{way}, {rate:,} a second offered", "", account.method.name)
                self._flow(turn, servers, target, row, flow)

    def _flow(
        self,
        turn: int,
        servers: Sequence[tuple[Server, Client]],
        target: UdpTargetProcess,
        row: Row,
        flow: Callable[[Client], Tally],
    ) -> None:
        bench, what = self._bench, f"{row.work}, {row.case}"
        for server, client in servers:
            if bench.given_up(server, what):
                continue
            with bench.attempt(server, what):
                tally, used = self._charged(server, target, partial(flow, client))
                if not tally.came:
                    raise BenchError("not one datagram came")
                for metric, value in (
                    ("cpu", used / tally.came),
                    ("packets", tally.came / tally.seconds),
                    ("offered", tally.sent / tally.seconds),
                    ("loss", tally.lost / tally.sent),
                    ("load", tally.load / tally.seconds),
                ):
                    bench.results.add(replace(row, metric=metric), server.name, turn, value)

    @staticmethod
    def _taken(target: UdpTargetProcess) -> tuple[int, int]:
        """What the sink got since it was last asked, once nothing more comes."""
        came = drops = 0
        while True:
            time.sleep(SETTLE)
            more, dropped = target.taken()
            came, drops = came + more, drops + dropped
            if not more:
                return came, drops
