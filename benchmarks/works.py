"""What is measured, and in which order: rounds outside, methods inside, systems alternating innermost.

Every round starts every server afresh, so that a lucky or unlucky layout of
one process is one sample and not the whole result.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from . import accounts, crowd, load, parts, pool, ports, rules, users, workers
from .beside import Beside
from .figures import Results, Row, percentile
from .names import NAME_WORKS, NameWorks
from .old_wire import OLD
from .plan import AFTERMATH, MIB, WARM_CONNECTIONS, Plan, alternate
from .process import BenchError, Cores, Server, TargetProcess, core_busy, settled_memory
from .target import ANSWER, PATIENCE_SECONDS, SHORT, SHORT_END
from .udp_works import UDP_WORKS, UdpWorks
from .wire import METHODS, Account, answer_size, make_account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from .systems import Found

GB: Final = 1e9

BULK_METHODS: Final = tuple(METHODS)
SHORT_METHODS: Final = ("aes-256-gcm", "2022-blake3-aes-256-gcm", OLD[0])
START_METHODS: Final = ("aes-256-gcm", OLD[0])  # every system has the one or the other

WORKS: Final = (
    *("bulk", "short", "ping", "idle", "stalled", "start", ports.WORK, crowd.WORK, workers.WORK, pool.WORK),
    *(*NAME_WORKS, *UDP_WORKS, rules.WORK, parts.WORK, users.WORK, accounts.WORK),
)

WARM_UP: Final = 8 * MIB
"""Moved each way before a bulk sample: buffers have grown, code is loaded."""
SHORT_CASES: Final = (
    ("16 at once, client ends", SHORT, 16),
    ("16 at once, target ends", SHORT_END, 16),
    ("one at a time, client ends", SHORT, 1),
)
PING_BLOCK: Final = 100  # round trips before the next system has its turn


@dataclass(slots=True)
class Bench:
    """One run."""

    plan: Plan
    systems: list[Found]
    methods: list[str]
    works: list[str]
    directory: Path
    cores: Cores
    say: Callable[[str], None]
    results: Results = field(default_factory=Results)
    cut_short: str = ""
    _useless: set[tuple[str, str]] = field(default_factory=set)
    """(system, method) pairs that failed their check: not asked again."""
    _serial: int = 0

    def run(self) -> Results:
        began = time.monotonic()
        udp, names = UdpWorks(self), NameWorks(self)
        others = (
            ports.PortWorks(self),
            crowd.CrowdWorks(self),
            Beside(self, workers.VARIANTS),
            Beside(self, accounts.VARIANTS),
            pool.PoolWorks(self),
        )
        for turn in range(self.plan.rounds):
            if time.monotonic() - began > self.plan.limit:
                self.cut_short = f"stopped after {turn} of {self.plan.rounds} rounds, {self.plan.limit:.0f} s were over"
                self.say(self.cut_short)
                break
            for method in self.methods:
                if METHODS[method].is_old and turn >= self.plan.memory_rounds:
                    continue  # what lies far apart needs fewer rounds
                if self._wanted(method):
                    at = time.monotonic()
                    self._group(turn, make_account(METHODS[method]))
                    self.say(f"round {turn + 1}/{self.plan.rounds}  {method}  {time.monotonic() - at:.1f} s")
                if method in SHORT_METHODS:
                    names.measure(turn, method)
                    udp.measure(turn, method)
                for work in others:
                    work.measure(turn, method)
            if turn < self.plan.memory_rounds:
                self._memory(turn)
            for module in (rules, parts, users, accounts):
                if module.WORK in self.works:
                    module.measure(self, turn)
        if "start" in self.works:
            self._starts()
        return self.results

    def _wanted(self, method: str) -> bool:
        return "bulk" in self.works or (method in SHORT_METHODS and not {"short", "ping"}.isdisjoint(self.works))

    def _group(self, turn: int, account: Account) -> None:
        """All that is measured of one method while one set of servers runs."""
        order = [found for found in alternate(self.systems, turn) if self._can(found, account)]
        with contextlib.ExitStack() as stack:
            target = stack.enter_context(TargetProcess())
            servers: list[tuple[Found, Server]] = []
            for found in order:
                server = self._start(found, account)
                if server is not None:
                    stack.enter_context(server)
                    if turn or self._check(server, target):
                        servers.append((found, server))
            if "bulk" in self.works:
                self._bulk(turn, account, servers, target)
            if account.method.name in SHORT_METHODS:
                if "short" in self.works:
                    self._short(turn, account, servers, target)
                if "ping" in self.works:
                    self._ping(turn, account, [server for _, server in servers], target)

    def _can(self, found: Found, account: Account) -> bool:
        name = account.method.name
        return name in found.system.methods and (found.name, name) not in self._useless

    def _start(self, found: Found, account: Account) -> Server | None:
        self._serial += 1
        try:
            return Server(found, account, self.directory / f"{found.name}-{self._serial}", self.cores)
        except (BenchError, OSError) as error:
            self._useless.add((found.name, account.method.name))
            self.results.fail(f"{found.name}, {account.method.name}", str(error))
            return None

    def _check(self, server: Server, target: TargetProcess) -> bool:
        """Judge one server's answers once; a slow one that is wrong has no speed."""
        try:
            load.Check(server.account, server.address, target.address(server.target_host)).run()
        except Exception as error:  # whatever a peer does wrong ends its part, not the run
            self.results.fail(f"{server.name}, {server.account.method.name}", f"check: {error!r}")
            self.say(f"  {server.name} fails its check of {server.account.method.name}: {error!r}")
            # What fails only uploads (pproxy) is still measured where it works: each sample fails for itself.
        return server.process.poll() is None

    @contextlib.contextmanager
    def attempt(self, server: Server, what: str) -> Iterator[None]:
        """A failure is noted, and `given_up` from then on: no second wait for a server that hangs."""
        try:
            yield
        except BlockingIOError:  # what a kernel time-out looks like
            self.results.fail(self._name(server, what), f"nothing moved for {PATIENCE_SECONDS} s")
        except (BenchError, OSError) as error:
            self.results.fail(self._name(server, what), str(error) or repr(error))

    def given_up(self, server: Server, what: str) -> bool:
        return self._name(server, what) in self.results.failures

    @staticmethod
    def _name(server: Server, what: str) -> str:
        return f"{server.name}, {server.account.method.name}, {what}"

    def charged(self, server: Server, action: Callable[[], float], after: float) -> tuple[float, float]:
        """CPU seconds of the server for an action, with its aftermath, and what the action returned."""
        began, busy, cpu = time.perf_counter(), core_busy(self.cores.server), server.cpu()
        returned = action()
        time.sleep(after)
        used = server.cpu() - cpu
        took = time.perf_counter() - began
        foreign = core_busy(self.cores.server) - busy - used
        self.results.foreign.append(max(0.0, foreign / took))
        return used, returned

    def _bulk(
        self, turn: int, account: Account, servers: Sequence[tuple[Found, Server]], target: TargetProcess
    ) -> None:
        method = account.method
        receipt = answer_size(method, load.RECEIPT)
        warm, stream = load.Upload(account, WARM_UP), load.Upload(account, self.plan.bulk)
        warm.renew()
        stream.renew()

        def up(server: Server, sealed: load.Upload, share: float) -> tuple[Callable[[], float], int]:
            data, size = sealed.stamped(target.address(server.target_host), share)
            return lambda: load.upload(server.address, data, receipt), size

        def down(server: Server, sealed: load.Upload, share: float) -> tuple[Callable[[], float], int]:
            size = int((WARM_UP if sealed is warm else self.plan.bulk) * share)
            to = target.address(server.target_host)
            return lambda: load.download(server.address, account, to, size), size

        for case, make in (("up", up), ("down", down)):
            for found, server in servers:
                if self.given_up(server, f"bulk {case}"):
                    continue
                with self.attempt(server, f"bulk {case}"):
                    make(server, warm, found.system.effort)[0]()
                    action, size = make(server, stream, found.system.effort)
                    own = time.process_time() + target.cpu()
                    used, took = self.charged(server, action, 0.02)
                    own = time.process_time() + target.cpu() - own
                    for metric, value in (
                        ("cpu_gb", used / size * GB),
                        ("rate", size / GB / took),
                        ("load", own / took),
                    ):
                        self.results.add(Row("bulk", case, metric, method.name), found.name, turn, value)

    def _short(
        self, turn: int, account: Account, servers: Sequence[tuple[Found, Server]], target: TargetProcess
    ) -> None:
        wanted = answer_size(account.method, len(ANSWER))
        latencies: list[float] = []

        def connections(server: Server, kind: bytes, depth: int, count: int) -> Callable[[], float]:
            requests = load.make_requests(account, target.address(server.target_host), kind, count)

            def action() -> float:
                began = time.perf_counter()
                with load.quiet():
                    latencies[:] = load.short_connections(server.address, requests, wanted, depth, kind == SHORT_END)
                return time.perf_counter() - began

            return action

        for case, kind, depth in SHORT_CASES:
            asked = [(found, server) for found, server in servers if not self.given_up(server, f"short, {case}")]
            for _, server in asked:
                with self.attempt(server, f"short, {case}"):
                    connections(server, kind, depth, WARM_CONNECTIONS)()
            time.sleep(AFTERMATH)
            for found, server in asked:
                count = max(200, int(self.plan.connections * found.system.effort**0.5))
                if depth == 1:
                    count //= 4
                with self.attempt(server, f"short, {case}"):
                    used, _ = self.charged(server, connections(server, kind, depth, count), AFTERMATH)
                    for metric, value in (
                        ("cpu", used / count),
                        ("p50", percentile(latencies, 50)),
                        ("p99", percentile(latencies, 99)),
                    ):
                        self.results.add(Row("short", case, metric, account.method.name), found.name, turn, value)

    def _ping(self, turn: int, account: Account, servers: Sequence[Server], target: TargetProcess) -> None:
        """All systems hold a connection and are asked in turns of 100, so that a noisy moment hits all alike."""
        case = "one at a time"
        talks: dict[str, tuple[Server, load.Conversation, list[float], list[float]]] = {}
        try:
            for server in servers:
                with self.attempt(server, "ping"):
                    talk = load.Conversation(server.address, account, target.address(server.target_host))
                    talks[server.name] = (server, talk, [], [])
                    talk.pings(PING_BLOCK)
            for block in range(max(1, self.plan.pings // PING_BLOCK)):
                for name in sorted(talks, reverse=bool(block % 2)):
                    server, talk, latencies, used = talks[name]
                    if self.given_up(server, "ping"):
                        continue
                    with self.attempt(server, "ping"):
                        cpu = server.cpu()
                        latencies += talk.pings(PING_BLOCK)
                        used.append((server.cpu() - cpu) / PING_BLOCK)
        finally:
            for _, talk, _, _ in talks.values():
                talk.close()
        for name, (_, _, latencies, used) in talks.items():
            if latencies:
                for metric, value in (
                    ("p50", percentile(latencies, 50)),
                    ("p99", percentile(latencies, 99)),
                    ("cpu", sum(used) / len(used)),
                ):
                    self.results.add(Row("ping", case, metric, account.method.name), name, turn, value)

    def _memory(self, turn: int) -> None:
        """Idle and stalled connections; each count in a fresh server, since freed memory is used again."""
        for method in self.methods:
            if method not in SHORT_METHODS:
                continue
            account = make_account(METHODS[method])
            for found in alternate(self.systems, turn):
                for work in ("idle",) if account.method.is_old else ("idle", "stalled"):
                    if work in self.works and self._can(found, account):
                        self._hold(turn, found, account, work)

    def _hold(self, turn: int, found: Found, account: Account, work: str) -> None:
        server = self._start(found, account)
        if server is None:
            return
        count, case = self.plan.idle, f"{self.plan.idle} connections"
        with server, TargetProcess(4) as target, self.attempt(server, work):
            base, base_own = settled_memory(server)
            to = target.address(server.target_host)
            load.close_all(load.open_idle(server.address, account, to, 20))  # what is loaded on first use
            before, before_own = settled_memory(server)
            held = server.descriptors()
            if work == "idle":
                socks = load.open_idle(server.address, account, target.address(server.target_host), count)
            else:
                socks = load.open_stalled(server.address, count)
            try:
                after, after_own = settled_memory(server)
                if server.descriptors() < held + count:
                    raise BenchError(f"it holds fewer than {count} connections")
            finally:
                load.close_all(socks)
            for metric, value in (
                ("base", base),
                ("base_own", base_own),
                ("each", (after - before) / count),
                ("anonymous", (after_own - before_own) / count),
            ):
                self.results.add(Row(work, case, metric, account.method.name), found.name, turn, value)
        self.say(f"round {turn + 1}  {work}  {found.name}  {account.method.name}")

    def _starts(self) -> None:
        for method in START_METHODS:
            if method not in self.methods:
                continue
            account = make_account(METHODS[method])
            for turn in range(-1, self.plan.starts):  # the first one only warms the disk's cache
                for found in alternate(self.systems, turn + 1):
                    server = self._start(found, account) if self._can(found, account) else None
                    if server is not None:
                        server.stop()
                        if turn >= 0:
                            row = Row("start", "fresh process", "start", method)
                            self.results.add(row, found.name, turn, server.started_in)
