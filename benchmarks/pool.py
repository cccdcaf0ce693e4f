"""What warm connections are for: time to the first byte of an answer, through a link of 50 ms, with and without them.

Client and server of ours stand in two network namespaces, with the link of the tests (`tests/link.py`) between them;
the load asks the client, over SOCKS5, for a target beside the server. No peer: what a connect over such a link costs is
the same for all, and it is what is spared here. The round trip is that of the link, so the machine hardly matters.
"""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from tests.interop.streams import pack_address, read_exactly
from tests.link import Weather, bad_link, missing
from tests.peers import start

from .figures import Row, percentile
from .load import quiet
from .process import BenchError, TargetProcess, free_port
from .systems import OURS
from .target import SHORT, be_patient, order
from .wire import METHODS, Account, make_account

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.link import Link, Side
    from tests.peers import Program

    from .bench import Bench
    from .process import Cores
    from .systems import Found

WORK: Final = "pool"
POOL_METHODS: Final = ("aes-256-gcm", "2022-blake3-aes-256-gcm")
ROUND_TRIP: Final = 0.05
"""Seconds: Frankfurt to Madrid, or a mobile phone to the next town."""
POOL: Final = 8
"""procurator's number."""
KINDS: Final = (("cold", 0), ("warm", POOL))
CASES: Final = (("one at a time", 1), ("6 at once", 6))
"""A browser opens six connections to one host."""
PAUSE: Final = 2 * ROUND_TRIP
"""Seconds between two requests of one asker: a pool that is asked for more than it has helps with what it has."""
REQUEST_SIZE: Final = 100
_HOST: Final = "127.0.0.1"


class PoolWorks:
    """This work of one run."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._serial = itertools.count()

    def measure(self, turn: int, method: str) -> None:
        """One round; the link is slow enough to be the same in each, so a few do."""
        bench = self._bench
        ours = next((found for found in bench.systems if found.name == OURS), None)
        if WORK not in bench.works or method not in POOL_METHODS or ours is None or turn >= bench.plan.memory_rounds:
            return
        what = f"{OURS}, {method}, {WORK}"
        if why := missing():
            bench.results.fail(what, why)
            return
        began = time.monotonic()
        directory = bench.directory / f"pool-{next(self._serial)}"
        directory.mkdir()
        try:
            self._measure(turn, ours, make_account(METHODS[method]), directory)
        except (BenchError, OSError, EOFError) as error:
            bench.results.fail(what, str(error) or repr(error))
        bench.say(f"round {turn + 1}  {WORK}  {method}  {time.monotonic() - began:.1f} s")

    def _measure(self, turn: int, found: Found, account: Account, directory: Path) -> None:
        bench = self._bench
        with (
            bad_link(Weather(delay=ROUND_TRIP / 2)) as link,
            Ends(found, account, directory, link, bench.cores) as ends,
        ):
            found_out: dict[tuple[str, str], float] = {}
            for kind, count in KINDS[:: -1 if turn % 2 else 1]:
                near = ends.client(count)
                for case, askers in CASES:
                    seconds = first_bytes(link.left, near.port, ends.target, bench.plan.first_bytes, askers)
                    for percent in (50, 99):
                        found_out[case, f"{kind}_p{percent}"] = percentile(seconds, percent)
        for case, _ in CASES:
            for which in ("p50", "p99"):
                cold, warm = (found_out[case, f"{kind}_{which}"] for kind, _ in KINDS)
                found_out[case, f"left_{which}"] = warm / cold
        for (case, metric), value in found_out.items():
            bench.results.add(Row(WORK, case, metric, account.method.name), OURS, turn, value)


class Ends(ExitStack):
    """A server on the right with a target beside it, and clients on the left."""

    def __init__(self, found: Found, account: Account, directory: Path, link: Link, cores: Cores) -> None:
        super().__init__()
        self._program = str(found.program)
        self._directory = directory
        self._link = link
        self._cores = cores
        self._account = account
        self._server_port = free_port()
        self.target = ("", 0)

    def __enter__(self) -> Ends:
        super().__enter__()
        try:
            child = self.enter_context(TargetProcess(1, self._link.right.prefix))
            self.target = child.address(_HOST)
            self._run("server", self._link.right, self._server_port, {"allow_private": True})
        except BaseException:
            self.close()
            raise
        return self

    def client(self, pool: int) -> Program:
        """Start a client that keeps so many connections ready."""
        port = free_port()
        return self._run("local", self._link.left, port, {"local_address": _HOST, "local_port": port, "pool": pool})

    def _run(self, role: str, side: Side, port: int, settings: dict[str, object]) -> Program:
        path = self._directory / f"{role}-{port}.json"
        keys = {
            "server": self._link.right.ipv4,
            "server_port": self._server_port,
            "method": self._account.method.name,
            "password": self._account.password,
            **settings,
        }
        path.write_text(json.dumps(keys), encoding="utf-8")
        path.chmod(0o600)
        command = (*side.prefix, self._program, role, "-c", str(path))
        with self._cores.on_server():
            return self.enter_context(start(command, port, self._directory, title=role))


def first_bytes(side: Side, port: int, target: tuple[str, int], count: int, askers: int) -> list[float]:
    """Ask so many times, by so many at once; return the seconds to the first byte of each answer."""
    seconds: list[float] = []
    failed: list[Exception] = []

    def run(numbers: Iterable[int]) -> None:
        try:
            for _ in numbers:
                with side.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
                    be_patient(sock)
                    seconds.append(first_byte(sock, port, target))
                time.sleep(PAUSE)
        except (OSError, EOFError) as error:
            failed.append(error)

    with quiet():
        run(range(1))  # code is loaded, and a pool has time to fill
        seconds.clear()
        threads = [threading.Thread(target=run, args=(range(at, count, askers),)) for at in range(askers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if failed:
        raise BenchError(f"a request failed: {failed[0]!r}")
    return seconds


def first_byte(sock: socket.socket, port: int, target: tuple[str, int]) -> float:
    """Ask a target through a SOCKS5 proxy as a browser does, step by step; return the seconds to its first byte."""
    began = time.perf_counter()
    sock.connect((_HOST, port))
    sock.sendall(b"\5\1\0")
    read_exactly(sock, 2)
    sock.sendall(b"\5\1\0" + pack_address(*target))
    answer = read_exactly(sock, 10)
    if answer[1]:
        raise BenchError(f"the client answers {answer[1]}")
    sock.sendall(order(SHORT, size=REQUEST_SIZE))
    read_exactly(sock, 1)
    return time.perf_counter() - began
