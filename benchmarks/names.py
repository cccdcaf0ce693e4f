"""What it costs that a target has a name, and what hanging look-ups cost everybody else.

One name server answers all systems (`name_target`), and nobody answers in `names-dead`. In one method only: a name
costs the same in each.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import time
from typing import TYPE_CHECKING, Final

from . import load
from .bench import Bench
from .figures import Row, percentile
from .name_target import SLOW
from .plan import AFTERMATH, WARM_CONNECTIONS, alternate
from .process import BenchError, NameTargetProcess, Server, TargetProcess
from .target import ANSWER, SHORT
from .wire import METHODS, Account, answer_size, make_account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .load import Endpoint
    from .systems import Found, Launch

CACHED, UNCACHED, MANY, DEAD = "names-cached", "names-uncached", "names-10000", "names-dead"
NAME_WORKS: Final = (CACHED, UNCACHED, MANY, DEAD)
METHOD: Final = "2022-blake3-aes-256-gcm"

KNOWN: Final = "known.test"
"""Asked for again and again."""
DEPTHS: Final = (("16 at once", 16), ("one at a time", 1))
MANY_NAMES: Final = 10_000
MANY_AT_ONCE: Final = 256
HANGING: Final = 500
HOLD_SETTLE: Final = 0.5
"""Seconds after which all look-ups are under way."""
RATE: Final = 400
"""Connections to addresses that begin each second while the look-ups hang: a load that nobody feels."""
DEAD_SECONDS: Final = 6.0
"""Long enough for the name servers to be asked again, and shorter than anybody's patience."""


class NameWorks:
    """The part of one run that is about names."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._useless: set[str] = set()
        """Systems that do not reach a target by its name."""
        self._servers = itertools.count()
        self._names = itertools.count()

    def measure(self, turn: int, method: str) -> None:
        """All of one round, if it is the turn of the one method."""
        bench, began = self._bench, time.monotonic()
        if method != METHOD or set(NAME_WORKS).isdisjoint(bench.works):
            return
        account = make_account(METHODS[method])
        if not {CACHED, UNCACHED, MANY}.isdisjoint(bench.works):
            self._answered(turn, account)
        if DEAD in bench.works:
            self._dead(turn, account)
        bench.say(f"round {turn + 1}/{bench.plan.rounds}  names  {method}  {time.monotonic() - began:.1f} s")

    def _systems(self, turn: int) -> list[Found]:
        return [
            found
            for found in alternate(self._bench.systems, turn)
            if found.system.launch_names is not None and found.name not in self._useless
        ]

    def _start(self, found: Found, account: Account, names: int) -> Server:
        """A fresh server that asks the name server on that port."""
        directory = self._bench.directory / f"names-{found.name}-{next(self._servers)}"

        def launch(port: int) -> Launch:
            return found.launch_names(directory, port, account, names)

        return Server(found, account, directory, self._bench.cores, launch)

    # A name server that answers

    def _answered(self, turn: int, account: Account) -> None:
        with contextlib.ExitStack() as stack:
            target, names = stack.enter_context(TargetProcess()), stack.enter_context(NameTargetProcess())
            servers: list[Server] = []
            for found in self._systems(turn):
                try:
                    server = stack.enter_context(self._start(found, account, names.port))
                    load.Check(account, server.address, (KNOWN, target.address()[1])).run()
                except Exception as error:  # whatever a peer does wrong ends its part, not the run
                    self._useless.add(found.name)
                    self._bench.results.fail(f"{found.name}, names", repr(error))
                else:
                    servers.append(server)
            count = self._bench.plan.connections // 2
            for case, depth in DEPTHS:
                few = count if depth > 1 else count // 2
                for work, what, host in (
                    (CACHED, "an address", self._address),
                    (CACHED, "a name", self._known),
                    (UNCACHED, "a name", self._new),
                ):
                    self._short(turn, Row(work, f"{what}, {case}", "", METHOD), servers, target, host, depth, few)
            many = min(MANY_NAMES, 4 * count)
            row = Row(MANY, f"{many:,} names, {MANY_AT_ONCE} at once", "", METHOD)
            self._short(turn, row, servers, target, self._slow, MANY_AT_ONCE, many)

    def _address(self) -> str:
        return "127.0.0.1"

    def _known(self) -> str:
        return KNOWN

    def _new(self) -> str:
        return f"n{next(self._names)}.test"

    def _slow(self) -> str:
        return f"{SLOW}{next(self._names)}.test"

    def _short(
        self,
        turn: int,
        row: Row,
        servers: Sequence[Server],
        target: TargetProcess,
        make_host: Callable[[], str],
        depth: int,
        count: int,
    ) -> None:
        """Short connections to hosts that are made one by one; the row's metric is filled in."""
        bench, what = self._bench, f"{row.work}, {row.case}"
        if row.work not in bench.works:
            return
        asked = [server for server in servers if not bench.given_up(server, what)]
        for server in asked:
            with bench.attempt(server, what):
                _connections(server, target.address(), make_host, depth, WARM_CONNECTIONS)()
        time.sleep(AFTERMATH)
        for server in asked:
            if bench.given_up(server, what):
                continue
            with bench.attempt(server, what):
                latencies: list[float] = []
                action = _connections(server, target.address(), make_host, depth, count, latencies)
                used, took = bench.charged(server, action, AFTERMATH)
                for metric, value in (
                    ("cpu", used / count),
                    ("connections", count / took),
                    ("p50", percentile(latencies, 50)),
                    ("p99", percentile(latencies, 99)),
                ):
                    bench.results.add(Row(row.work, row.case, metric, row.method), server.name, turn, value)

    # Nobody answers

    def _dead(self, turn: int, account: Account) -> None:
        """Connections to addresses while look-ups hang, and without; which is first alternates."""
        bench, seconds = self._bench, min(DEAD_SECONDS, self._bench.plan.connections / RATE)
        with TargetProcess() as target, dead_name_server() as names:
            for found in self._systems(turn):
                seen: dict[int, list[float]] = {}
                for hanging in (0, HANGING)[:: -1 if turn % 2 else 1]:
                    try:
                        server = self._start(found, account, names)
                    except (BenchError, OSError) as error:
                        bench.results.fail(f"{found.name}, {DEAD}", str(error))
                        break
                    with server:
                        if bench.given_up(server, DEAD):
                            break
                        with bench.attempt(server, DEAD):
                            seen[hanging] = beside_hanging(server, target, hanging, seconds)
                self._compare(turn, found.name, seen)

    def _compare(self, turn: int, name: str, seen: dict[int, list[float]]) -> None:
        for hanging in sorted(seen):
            case = f"{hanging or 'no'} look-ups hang"
            for percent in (50, 99):
                row = Row(DEAD, case, f"p{percent}", METHOD)
                self._bench.results.add(row, name, turn, percentile(seen[hanging], percent))
        if len(seen) == 2:
            for percent in (50, 99):
                row = Row(DEAD, f"{HANGING} look-ups hang", f"p{percent}_growth", METHOD)
                growth = percentile(seen[HANGING], percent) / percentile(seen[0], percent)
                self._bench.results.add(row, name, turn, growth)


@contextlib.contextmanager
def dead_name_server() -> Iterator[int]:
    """The port of a name server that takes every question and answers none; it costs no processor."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def beside_hanging(server: Server, target: TargetProcess, hanging: int, seconds: float) -> list[float]:
    """The latencies of connections to addresses while so many others wait for a name that nobody knows.

    Raises:
        BenchError: one of those did not wait to the end.
    """
    account, wanted = server.account, answer_size(server.account.method, len(ANSWER))
    warm = load.make_requests(account, target.address(), SHORT, WARM_CONNECTIONS)
    with load.quiet():
        load.short_connections(server.address, warm, wanted, 16, to_end=False)
    port = target.address()[1]
    held: list[socket.socket] = []
    try:
        for number in range(hanging):
            sock = load.open_connection(server.address)
            held.append(sock)
            sock.sendall(load.make_requests(account, (f"dead{number}.test", port), SHORT, 1)[0])
        time.sleep(HOLD_SETTLE)
        requests = load.make_requests(account, target.address(), SHORT, int(RATE * seconds))
        with load.quiet():
            latencies = load.paced_connections(server.address, requests, wanted, RATE)
        gone = sum(not _is_silent(sock) for sock in held)
    finally:
        load.close_all(held)
    if gone:
        raise BenchError(f"{gone} of {hanging} look-ups were over before the sample was")
    return latencies


def _is_silent(sock: socket.socket) -> bool:
    """Whether neither bytes nor an end have come."""
    try:
        sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _connections(
    server: Server,
    target: Endpoint,
    make_host: Callable[[], str],
    depth: int,
    count: int,
    latencies: list[float] | None = None,
) -> Callable[[], float]:
    """An action that makes so many short connections, each to a host of its own, and returns the seconds they took."""
    account, port = server.account, target[1]
    requests = [load.make_requests(account, (make_host(), port), SHORT, 1)[0] for _ in range(count)]
    wanted = answer_size(account.method, len(ANSWER))

    def action() -> float:
        began = time.perf_counter()
        with load.quiet():
            seen = load.short_connections(server.address, requests, wanted, depth, to_end=False)
        if latencies is not None:
            latencies[:] = seen
        return time.perf_counter() - began

    return action
