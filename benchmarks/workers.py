"""Two workers beside one: what a connection and a gigabyte cost when the kernel spreads them over two processes.

Ours alone, once with one process and once with two, at the same time and in turns. All of them have the same core,
so that what is compared is work and not how many cores there are.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from . import load
from .bench import Bench
from .figures import Row
from .plan import AFTERMATH, MIB, WARM_CONNECTIONS
from .process import BenchError, Server, TargetProcess
from .systems import OURS, launch_ours
from .target import ANSWER, SHORT
from .wire import METHODS, Account, answer_size, make_account

if TYPE_CHECKING:
    from .systems import Found

WORK: Final = "workers"
WORKER_METHODS: Final = ("aes-256-gcm", "2022-blake3-aes-256-gcm")
COUNTS: Final = (1, 2)
DEPTHS: Final = (16, 64)
"""Connections under way at a time."""
DOWNLOADS: Final = 16
"""That a bulk sample is made of, so that both workers have their share of it."""
GB: Final = 1e9


class WorkerWorks:
    """This work of one run."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._serial = itertools.count()

    def measure(self, turn: int, method: str) -> None:
        """One round of a method."""
        ours = next((found for found in self._bench.systems if found.name == OURS), None)
        if ours is None or WORK not in self._bench.works or method not in WORKER_METHODS:
            return
        account = make_account(METHODS[method])
        with contextlib.ExitStack() as stack:
            target = stack.enter_context(TargetProcess())
            try:
                servers = {count: stack.enter_context(self._start(ours, account, count)) for count in COUNTS}
            except (BenchError, OSError) as error:
                self._bench.results.fail(f"{OURS}, {method}, {WORK}", str(error))
                return
            order = COUNTS[:: -1 if turn % 2 else 1]
            for depth in DEPTHS:
                self._compare(turn, account, f"{depth} at once", "cpu", self._short(servers, target, depth), order)
            self._compare(turn, account, "down", "cpu_gb", self._bulk(servers, target), order)

    def _start(self, ours: Found, account: Account, count: int) -> Server:
        directory = self._bench.directory / f"workers-{count}-{next(self._serial)}"
        launch = partial(launch_ours, ours.program, directory, account=account, config={"workers": count})
        return Server(ours, account, directory, self._bench.cores, lambda port: launch(port=port))

    def _short(self, servers: dict[int, Server], target: TargetProcess, depth: int) -> dict[int, Sample]:
        count = self._bench.plan.connections

        def sample(server: Server) -> float:
            account = server.account
            wanted = answer_size(account.method, len(ANSWER))

            def action(size: int) -> float:
                requests = load.make_requests(account, target.address(), SHORT, size)
                with load.quiet():
                    load.short_connections(server.address, requests, wanted, depth, False)
                return 0.0

            action(WARM_CONNECTIONS)
            time.sleep(AFTERMATH)
            return self._bench.charged(server, lambda: action(count), AFTERMATH)[0] / count

        return {count: partial(sample, server) for count, server in servers.items()}

    def _bulk(self, servers: dict[int, Server], target: TargetProcess) -> dict[int, Sample]:
        size = max(MIB, self._bench.plan.bulk // DOWNLOADS)

        def sample(server: Server) -> float:
            def action() -> float:
                for _ in range(DOWNLOADS):
                    load.download(server.address, server.account, target.address(), size)
                return 0.0

            return self._bench.charged(server, action, 0.02)[0] / (DOWNLOADS * size) * GB

        return {count: partial(sample, server) for count, server in servers.items()}

    def _compare(
        self,
        turn: int,
        account: Account,
        case: str,
        metric: str,
        samples: dict[int, Sample],
        order: tuple[int, ...],
    ) -> None:
        method, results = account.method.name, self._bench.results
        used: dict[int, float] = {}
        try:
            for count in order:
                used[count] = samples[count]()
        except (BenchError, OSError) as error:
            results.fail(f"{OURS}, {method}, {WORK} {case}", str(error) or repr(error))
            return
        for count in COUNTS:
            results.add(
                Row(WORK, f"{case}, {count} worker{'s' * (count > 1)}", metric, method), OURS, turn, used[count]
            )
        results.add(Row(WORK, case, "cpu_growth", method), OURS, turn, used[COUNTS[-1]] / used[COUNTS[0]])
        self._bench.say(f"{WORK}  {method}  {case}  x{used[COUNTS[-1]] / used[COUNTS[0]]:.2f}")


Sample = partial[float]
"""Measures one server."""
