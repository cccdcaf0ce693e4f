"""Ours beside itself: servers that differ in their config alone, at the same time and in turns, on the same core.

What is compared is work: the CPU of a short connection and of a gigabyte, and its growth from the first variant on.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from . import load
from .bench import Bench
from .figures import Row
from .plan import AFTERMATH, MIB, WARM_CONNECTIONS
from .process import BenchError, Server, TargetProcess
from .systems import OURS, launch_ours
from .target import ANSWER, SHORT
from .wire import METHODS, Account, answer_size, make_account

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .systems import Found

DOWNLOADS: Final = 16
"""That a bulk sample is made of, so that each of several processes has its share of it."""
GB: Final = 1e9


@dataclass(frozen=True, slots=True)
class Variants:
    """What is compared."""

    work: str
    configs: Mapping[str, Mapping[str, Any]]
    """By label what is added to the config; the first is what the others are compared to."""
    methods: tuple[str, ...]
    depths: tuple[int, ...]
    """Connections under way at a time."""
    growth: str
    """The metric of how much more it is."""


class Beside:
    """Such a comparison in one run."""

    def __init__(self, bench: Bench, variants: Variants) -> None:
        self._bench = bench
        self._variants = variants
        self._serial = itertools.count()

    def measure(self, turn: int, method: str) -> None:
        """One round of a method."""
        variants = self._variants
        ours = next((found for found in self._bench.systems if found.name == OURS), None)
        if ours is None or variants.work not in self._bench.works or method not in variants.methods:
            return
        account = make_account(METHODS[method])
        with contextlib.ExitStack() as stack:
            target = stack.enter_context(TargetProcess())
            try:
                servers = {label: stack.enter_context(self._start(ours, account, label)) for label in variants.configs}
            except (BenchError, OSError) as error:
                self._bench.results.fail(f"{OURS}, {method}, {variants.work}", str(error))
                return
            order = tuple(variants.configs)[:: -1 if turn % 2 else 1]
            for depth in variants.depths:
                self._compare(turn, account, f"{depth} at once", "cpu", self._short(servers, target, depth), order)
            self._compare(turn, account, "down", "cpu_gb", self._bulk(servers, target), order)

    def _start(self, ours: Found, account: Account, label: str) -> Server:
        directory: Path = self._bench.directory / f"{self._variants.work}-{next(self._serial)}"
        launch = partial(
            launch_ours, ours.program, directory, account=account, config=dict(self._variants.configs[label])
        )
        return Server(ours, account, directory, self._bench.cores, lambda port: launch(port=port))

    def _short(self, servers: dict[str, Server], target: TargetProcess, depth: int) -> dict[str, Sample]:
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

        return {label: partial(sample, server) for label, server in servers.items()}

    def _bulk(self, servers: dict[str, Server], target: TargetProcess) -> dict[str, Sample]:
        size = max(MIB, self._bench.plan.bulk // DOWNLOADS)

        def sample(server: Server) -> float:
            def action() -> float:
                for _ in range(DOWNLOADS):
                    load.download(server.address, server.account, target.address(), size)
                return 0.0

            return self._bench.charged(server, action, 0.02)[0] / (DOWNLOADS * size) * GB

        return {label: partial(sample, server) for label, server in servers.items()}

    def _compare(
        self,
        turn: int,
        account: Account,
        case: str,
        metric: str,
        samples: dict[str, Sample],
        order: tuple[str, ...],
    ) -> None:
        method, results, variants = account.method.name, self._bench.results, self._variants
        used: dict[str, float] = {}
        try:
            for label in order:
                used[label] = samples[label]()
        except (BenchError, OSError) as error:
            results.fail(f"{OURS}, {method}, {variants.work} {case}", str(error) or repr(error))
            return
        first, *others = variants.configs
        for label in variants.configs:
            results.add(Row(variants.work, f"{case}, {label}", metric, method), OURS, turn, used[label])
        for label in others:
            told = case if len(others) == 1 else f"{case}, {label}"
            results.add(Row(variants.work, told, variants.growth, method), OURS, turn, used[label] / used[first])
            self._bench.say(f"{variants.work}  {method}  {told}  x{used[label] / used[first]:.2f}")


Sample = partial[float]
"""Measures one server."""
