"""Two thousand ports in one process, each with a password of its own, as the Python original's performance test has it:
how long until all listen, what they weigh, and what they cost while nothing happens.
"""

from __future__ import annotations

import itertools
import json
import random
import re
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from . import ancestors, load
from .bench import Bench
from .figures import Row
from .plan import alternate
from .process import BenchError, Server, TargetProcess, family, settled_memory
from .systems import OURS, REFERENCE, Launch
from .wire import METHODS, Account, make_account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .systems import Found

WORK: Final = "ports"
COUNT: Final = 2000
LIMIT: Final = 60.0
"""Seconds until all ports listen: twenty times the goal."""
SETTLE: Final = 2.0
"""Seconds between the last port and the watch: what a start leaves to do is no idling."""
LOW, HIGH = 5000, 30000
"""Where free ports are looked for: the system gives none of these to clients."""
SEARCHES: Final = 100
LISTEN: Final = "0A"
"""What /proc/net/tcp calls it."""

Passwords = dict[int, str]


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write such a configuration."""

    system: str
    method: str
    launch: Callable[[Path, Passwords, str], Launch]


def _write(directory: Path, config: dict[str, Any]) -> str:
    path = directory / "ports.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    path.chmod(0o600)
    return str(path)


def _ours(directory: Path, program: str, config: dict[str, Any], *words: str) -> Launch:
    state = directory / "state"
    state.mkdir(exist_ok=True)
    argv = [str(Path(sys.executable).parent / program), *words, "-c", _write(directory, config)]
    return Launch(argv, {"STATE_DIRECTORY": str(state)})


def _old_form(directory: Path, passwords: Passwords, method: str) -> Launch:
    """A file of the Python original, as it is, for the program of that name."""
    keys = {str(port): password for port, password in passwords.items()}
    config = {"server": "127.0.0.1", "port_password": keys, "method": method, "timeout": 300, "local_port": 1081}
    return _ours(directory, "ssserver", {**config, "forbidden_ip": ""})


def _servers(passwords: Passwords, method: str) -> list[dict[str, Any]]:
    return [
        {"server": "127.0.0.1", "server_port": port, "method": method, "password": password}
        for port, password in passwords.items()
    ]


def _own_form(directory: Path, passwords: Passwords, method: str) -> Launch:
    config = {"servers": _servers(passwords, method), "mode": "tcp_and_udp", "allow_private": True}
    return _ours(directory, "shadesocks", config, "server")


def _rust(program: Path) -> Callable[[Path, Passwords, str], Launch]:
    def launch(directory: Path, passwords: Passwords, method: str) -> Launch:
        config = {"servers": _servers(passwords, method), "mode": "tcp_and_udp"}
        return Launch([str(program), "-c", _write(directory, config)])

    return launch


def _ancestor(name: str) -> Callable[[Path, Passwords, str], Launch]:
    def launch(directory: Path, passwords: Passwords, method: str) -> Launch:
        return Launch(ancestors.command_of_ports(name, directory, passwords, method))

    return launch


WITH_PORTS: Final = ("python", "go-1.1.5", "go-1.2.2", "node")
"""The ancestors that have `port_password`."""


def forms(systems: Iterable[Found]) -> list[Form]:
    """What of this can be measured with the systems that are here."""
    made = []
    for found in systems:
        if found.name == OURS:
            made += [Form(OURS, "aes-256-cfb", _old_form), Form(OURS, "aes-256-gcm", _own_form)]
        elif found.name == REFERENCE:
            made.append(Form(REFERENCE, "aes-256-gcm", _rust(found.program)))
        elif found.name in WITH_PORTS:
            made.append(Form(found.name, "aes-256-cfb", _ancestor(found.name)))
    return made


class PortWorks:
    """This work of one run."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._serial = itertools.count()

    def measure(self, turn: int, method: str) -> None:
        """Once: what it counts is not a matter of luck."""
        bench = self._bench
        if turn or WORK not in bench.works:
            return
        systems = {found.name: found for found in bench.systems}
        for form in forms(alternate(bench.systems, turn)):
            if form.method == method:
                self._measure(turn, systems[form.system], form)

    def _measure(self, turn: int, found: Found, form: Form) -> None:
        bench, began = self._bench, time.monotonic()
        first = free_range(COUNT)
        accounts = {port: make_account(METHODS[form.method]) for port in range(first, first + COUNT)}
        directory = bench.directory / f"ports-{found.name}-{next(self._serial)}"
        directory.mkdir(parents=True)

        def launch(_port: int) -> Launch:
            return form.launch(directory, {port: made.password for port, made in accounts.items()}, form.method)

        what = f"{found.name}, {form.method}, {WORK}"
        try:
            with Server(found, accounts[first], directory, bench.cores, launch, first) as server:
                self._watch(turn, server, accounts)
        except (BenchError, OSError) as error:
            bench.results.fail(what, str(error) or repr(error))
        bench.say(f"{WORK}  {what}  {time.monotonic() - began:.1f} s")

    def _watch(self, turn: int, server: Server, accounts: dict[int, Account]) -> None:
        listening = wait_listening(server, accounts)
        with TargetProcess(4) as target:
            ports = sorted(accounts)
            for port in (ports[0], ports[len(ports) // 2], ports[-1]):
                to = target.address(server.target_host)
                load.Check(accounts[port], (server.address[0], port), to).run()
        time.sleep(SETTLE)
        resident, _ = settled_memory(server)
        cpu, at = server.cpu(), time.monotonic()
        time.sleep(self._bench.plan.rest)
        used, took = server.cpu() - cpu, time.monotonic() - at
        for metric, value in (
            ("all", listening),
            ("resident", resident),
            ("shared_out", shared_out(server.process.pid)),
            ("rest", used / took),
        ):
            row = Row(WORK, f"{len(accounts):,} ports", metric, server.account.method.name)
            self._bench.results.add(row, server.name, turn, value)


def wait_listening(server: Server, ports: Iterable[int]) -> float:
    """Wait until all the ports listen; return the seconds since its exec."""
    wanted = set(ports)
    while missing := wanted - listening_ports():
        took = time.perf_counter() - server.began
        if server.process.poll() is not None:
            raise BenchError(f"{server.name} ended while starting: {server.last_words()}")
        if took > LIMIT:
            raise BenchError(f"after {LIMIT:.0f} s {len(missing)} of {len(wanted)} ports do not listen")
        time.sleep(0.01)
    return time.perf_counter() - server.began


def listening_ports() -> set[int]:
    """The TCP ports of this system that anybody listens on."""
    ports = set()
    for name in ("tcp", "tcp6"):
        path = Path(f"/proc/net/{name}")
        if path.exists():
            for line in path.read_text().splitlines()[1:]:
                words = line.split(maxsplit=4)
                if words[3] == LISTEN:
                    ports.add(int(words[1].rpartition(":")[2], 16))
    return ports


def shared_out(pid: int) -> int:
    """Resident bytes of a process and its children, with what several hold divided among them."""
    total = 0
    for member in family(pid):
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{member}/smaps_rollup").read_text(), re.MULTILINE)
        total += int(found[1]) * 1024 if found else 0
    return total


def free_range(count: int) -> int:
    """The first of so many ports in a row that nobody has at this moment, neither for TCP nor for UDP."""
    for _ in range(SEARCHES):
        first = random.randrange(LOW, HIGH - count)  # noqa: S311 - not to meet others who search
        if all(_is_free(port) for port in range(first, first + count)):
            return first
    raise BenchError(f"no {count} free ports in a row were found between {LOW} and {HIGH}")


def _is_free(port: int) -> bool:
    with socket.socket() as sock, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        try:
            sock.bind(("127.0.0.1", port))
            datagrams.bind(("0.0.0.0", port))  # noqa: S104 - some of them bind all addresses
        except OSError:
            return False
    return True
