"""The processes of a bench: servers and the target, pinned, started, measured and ended (Linux only).

Ends nothing but what it started, each by its own handle.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from .systems import Found, Launch
    from .wire import Account

START_LIMIT: Final = 15.0  # seconds a server may take to listen: sixty times the goal
STOP_LIMIT: Final = 5.0  # seconds between asking to end and killing


class BenchError(Exception):
    """A server did not do its part; the message says which and what."""


@dataclass(frozen=True, slots=True)
class Cores:
    """The core of the server that is measured, and the core of everything else."""

    server: int | None
    load: int | None

    @contextlib.contextmanager
    def on_server(self) -> Iterator[None]:
        """What is started inside inherits the server's core: no code runs between fork and exec."""
        if self.server is None or self.load is None:
            yield
            return
        os.sched_setaffinity(0, {self.server})
        try:
            yield
        finally:
            os.sched_setaffinity(0, {self.load})

    def settle_here(self) -> None:
        """Put this process, and what it starts from now on, on the load's core."""
        if self.load is not None:
            os.sched_setaffinity(0, {self.load})


def pick_cores() -> Cores:
    """The first core for the server, the last for the load; neither where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(allowed[0], allowed[-1]) if len(allowed) > 1 else Cores(None, None)


class Server:
    """One running server, fresh: its own directory, log file, port and, where it has one, replay store."""

    def __init__(
        self,
        found: Found,
        account: Account,
        directory: Path,
        cores: Cores,
        launch: Callable[[int], Launch] | None = None,
        port: int | None = None,
    ) -> None:
        """Start it and wait until it listens; `launch` replaces the system's own, given the port (a free one)."""
        self.name = found.name
        self.target_host = found.system.target_host
        self.account = account
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port() if port is None else port
        what = launch(self.port) if launch is not None else found.launch(directory, self.port, account)
        self._log_path = directory / "log"
        env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(directory), "LANG": "C.UTF-8", **what.env}
        with self._log_path.open("wb") as log, cores.on_server():
            self.began = began = time.perf_counter()
            self.process = subprocess.Popen(  # noqa: S603 - a program of the table of systems
                what.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, cwd=directory
            )
        try:
            self._wait_listening(began + START_LIMIT)
        except BaseException:
            self.stop()
            raise
        self.started_in = time.perf_counter() - began
        """Seconds from exec to the first connection that was accepted."""

    @property
    def address(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    def cpu(self) -> float:
        """CPU seconds it has used so far, children included, to the nanosecond."""
        return sum(cpu_clock(pid) for pid in family(self.process.pid))

    def memory(self) -> tuple[int, int]:
        """Resident bytes, and how many of them are its own (anonymous) rather than mapped files."""
        total = [memory_of(pid) for pid in family(self.process.pid)]
        return sum(rss for rss, _ in total), sum(anonymous for _, anonymous in total)

    def descriptors(self) -> int:
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in family(self.process.pid))

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()

    def last_words(self) -> str:
        """The end of its log, for a message."""
        lines = self._log_path.read_text(errors="replace").strip().splitlines()
        return re.sub(r"\x1b\[[\d;]*m", "", lines[-1])[:200] if lines else "(it logged nothing)"

    def _wait_listening(self, until: float) -> None:
        while True:
            try:
                socket.create_connection(self.address, timeout=1).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    raise BenchError(f"{self.name} ended while starting: {self.last_words()}") from None
                if time.perf_counter() > until:
                    raise BenchError(f"{self.name} does not listen after {START_LIMIT:.0f} s") from None
                time.sleep(0.001)

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Child:
    """A module of this bench in a process of its own, on the load's core: says its ports, ends with its input."""

    def __init__(self, ports: int, *argv: str, prefix: Sequence[str] = ()) -> None:
        """`prefix` stands before the command: what puts it into a network namespace."""
        self._process = subprocess.Popen(  # noqa: S603 - this Python
            [*prefix, sys.executable, "-m", *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parent.parent,
        )
        self._ports = [int(word) for word in _pipe(self._process.stdout).readline().split()]
        if len(self._ports) != ports:
            raise BenchError("the target process did not start")

    def cpu(self) -> float:
        return cpu_clock(self._process.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _pipe(self._process.stdin).close()
        try:
            self._process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _pipe(self._process.stdout).close()


class TargetProcess(_Child):
    """The process of `benchmarks.target`; hands out its ports one sample at a time."""

    def __init__(self, ports: int = 64, prefix: Sequence[str] = ()) -> None:
        super().__init__(ports, "benchmarks.target", str(ports), prefix=prefix)
        self._next = 0

    def address(self, host: str = "127.0.0.1") -> tuple[str, int]:
        """The next port, under the name it shall have; used again only when all others have had their turn."""
        self._next += 1
        return (host, self._ports[self._next % len(self._ports)])


class NameTargetProcess(_Child):
    """The process of `benchmarks.name_target`."""

    def __init__(self) -> None:
        super().__init__(1, "benchmarks.name_target")
        self.port = self._ports[0]


class UdpTargetProcess(_Child):
    """The process of `benchmarks.udp_target`."""

    def __init__(self) -> None:
        super().__init__(3, "benchmarks.udp_target")
        self.echo, self.sink, self.source = (("127.0.0.1", port) for port in self._ports)

    def taken(self) -> tuple[int, int]:
        """Datagrams the sink received since the last time, and how many found no room at it."""
        pipe = _pipe(self._process.stdin)
        pipe.write(b"?\n")
        pipe.flush()
        received, dropped = map(int, _pipe(self._process.stdout).readline().split())
        return received, dropped


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise AssertionError("it was started with pipes")
    return pipe


def free_port() -> int:
    """A port nobody has at this moment, neither for TCP nor for UDP: sessions of other servers hold many of those."""
    while True:
        with socket.socket() as sock, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            sock.bind(("127.0.0.1", 0))
            port: int = sock.getsockname()[1]
            with contextlib.suppress(OSError):
                datagrams.bind(("0.0.0.0", port))  # noqa: S104 - where sessions of other servers are bound
                return port


def family(pid: int) -> list[int]:
    """The process and all that descend from it."""
    pids = [pid]
    for parent in pids:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{parent}/task"):
                pids += [int(word) for word in Path(f"/proc/{parent}/task/{task}/children").read_text().split()]
    return pids


def cpu_clock(pid: int) -> float:
    """CPU seconds of a process, all threads, gone ones too.

    The clock of another process has the number (~pid << 3) | 2 in Linux'
    interface (clock_getcpuclockid); /proc/PID/stat knows the same only to 10 ms.
    """
    return time.clock_gettime((~pid << 3) | 2)


def memory_of(pid: int) -> tuple[int, int]:
    """Resident and anonymous bytes of one process."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    sizes = {key: int(size) * 1024 for key, size in re.findall(r"^(Rss|Anonymous):\s+(\d+) kB", text, re.MULTILINE)}
    return sizes["Rss"], sizes["Anonymous"]


def settled_memory(server: Server, limit: float = 5.0) -> tuple[int, int]:
    """Its memory once that has stood still for 0.4 s, or after `limit` seconds as it is."""
    until = time.monotonic() + limit
    seen, same = server.memory(), 0
    while same < 4 and time.monotonic() < until:
        time.sleep(0.1)
        now = server.memory()
        same = same + 1 if now == seen else 0
        seen = now
    return seen


def udp_queue(port: int) -> tuple[int, int]:
    """Bytes that wait at the UDP sockets of a port, and how many datagrams found no room there so far."""
    waiting = drops = 0
    wanted = f":{port:04X}"
    for name in ("udp", "udp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
                words = line.split()
                if words[1].endswith(wanted):
                    waiting += int(words[4].partition(":")[2], 16)
                    drops += int(words[12])
    return waiting, drops


def core_busy(core: int | None) -> float:
    """Seconds a core has spent on anything at all, guests' stolen time included, to 10 ms."""
    name = "cpu" if core is None else f"cpu{core}"
    for line in Path("/proc/stat").read_text().splitlines():
        words = line.split()
        if words[0] == name:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, words[1:9])
            return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return 0.0
