"""Accounts to the byte: after any mix of traffic the store has for each user what targets counted for him.

200 users: most on one port of 2022, some on one AEAD port, some with ports of their own; half of them stand in the
file, half in the store. They pass streams and datagrams, broken off in every way that `traffic.py` knows, and clients
are killed. Then the server is asked what passed at each port, and ended gracefully. There are four ledgers: the
targets', the store's, the ports', and the lines of the log. All agree, by user and in sum: the difference is 0.

Of users that break nothing off, bytes on the wire are compared as well, with what their clients' sockets gave and took.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest

from shadesocks.cli.running import find
from shadesocks.config.user import parse_user
from shadesocks.proxy.users.counts import Counts
from shadesocks.service.store.roll import write_user
from shadesocks.service.store.sqlite import SqliteStore
from tests.interop.streams import HOST
from tests.peers import PASSWORDS, PEERS, ROOT, Program, start

from .crowd import eventually
from .herd import lasting_port
from .traffic import Client, Member, Sums, Targets, key_of

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no control sockets")

SHARED, SEARCHED, ALONE = 120, 50, 30
"""Users on one port of 2022, on one AEAD port, and with ports of their own."""
METHOD_SHARED: Final = "2022-blake3-aes-128-gcm"
METHOD: Final = "aes-256-gcm"
CLEAN: Final = 5
"""Each fifth breaks nothing off."""
KILLED: Final = 4
"""Clients that are killed."""
AT_ONCE: Final = 12
ENDINGS: Final = {"done", "reset_left", "reset_right", "truncated", "bad_chunk", "refused", "auth", "stopped"}
"""Words of the log for what is to have happened: of streams, of who got nowhere, of sessions."""


class Site:
    """A server with users, of a file and of a store."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder = folder
        self.workers = workers
        self.store = SqliteStore(folder / "users.db")
        self.control = folder / "run"
        self.control.mkdir()
        self.members: list[Member] = []
        shared, searched, *own = _ports(2 + ALONE)
        for number in range(SHARED + SEARCHED + ALONE):
            name = f"u{number:03}"
            if number < SHARED:
                key = key_of(name, METHOD_SHARED)
                member = Member(number, name, METHOD_SHARED, shared, key, PASSWORDS[METHOD_SHARED])
            else:
                is_searched = number < SHARED + SEARCHED
                port = searched if is_searched else own.pop()
                member = Member(number, name, METHOD, port, key_of(name, METHOD), is_searched=is_searched)
            self.members.append(member)
        self.port = shared
        self.file = folder / "c.json"
        self.file.write_text(json.dumps(self._config(shared, searched)))
        self._keep()

    def _config(self, shared: int, searched: int) -> dict[str, Any]:
        common = {"server": HOST, "mode": "tcp_and_udp"}
        several: tuple[dict[str, Any], ...] = (
            {"server_port": shared, "method": METHOD_SHARED, "password": PASSWORDS[METHOD_SHARED]},
            {"server_port": searched, "method": METHOD},
        )
        servers: list[dict[str, Any]] = [
            {**common, **each, "users": [_user(member) for member in self._of_file(each["server_port"])]}
            for each in several
        ]
        own = {**common, "method": METHOD}
        servers += [
            {**own, "server_port": each.port, "password": each.password, "users": [{"name": each.name}]}
            for each in self.members[SHARED + SEARCHED :]
        ]
        return {
            "servers": servers,
            "allow_private": True,
            "store": str(self.store.path),
            "workers": self.workers,
            "control": f"{self.control}/",
            "handshake_timeout": 2,
        }

    def _of_file(self, port: int) -> list[Member]:
        return [member for member in self.members if member.port == port and member.number % 2]

    def _keep(self) -> None:
        """Put the others into the store."""
        self.store.open()
        for member in self.members[: SHARED + SEARCHED]:
            if member.number % 2 == 0:
                write_user(self.store, parse_user(member.name, {"password": member.password, "port": member.port}))
        self.store.close()

    @contextlib.contextmanager
    def serve(self) -> Iterator[Program]:
        command = (*PEERS["ours"].server, "-c", str(self.file))
        with start(command, self.port, self.folder, udp=True) as program:
            eventually(lambda: len(self.ask("status")) == self.workers, "its control sockets are there")
            yield program

    def ask(self, what: str) -> list[dict[str, Any]]:
        """Return what each process says."""
        services = find(str(self.control)).services
        try:
            return [service.ask(what) for service in services]
        finally:
            for service in services:
                service.close()

    def idle(self) -> bool:
        """Whether no stream is open."""
        return not any(count for said in self.ask("status") for count in said["stages"].values())

    def ports(self) -> Counter[int]:
        """Return payload bytes, both ways, by port."""
        found: Counter[int] = Counter()
        for said in self.ask("servers"):
            for server in said["servers"]:
                found[int(server["address"].rpartition(":")[2])] += server["bytes"]
        return found

    def stored(self) -> dict[str, Counts]:
        self.store.open()
        found = {user.name: user.counts for user in self.store.users()}
        self.store.close()
        return found


def _ports(count: int) -> list[int]:
    """Return so many free ports, none twice."""
    found: dict[int, None] = {}
    while len(found) < count:
        found[lasting_port()] = None
    return list(found)


def _user(member: Member) -> dict[str, str]:
    return {"name": member.name, "password": member.password}


def told(log: str) -> dict[str, tuple[int, int]]:
    """Return payload bytes up and down by user, from the lines of the log."""
    sums = Sums()
    for name, up, down in re.findall(r" user u(\d+) up (\d+) down (\d+) ", log):
        sums.add(int(name), int(up), int(down))
    return {f"u{number:03}": sums.of(number) for number in range(SHARED + SEARCHED + ALONE)}


def kill_some(members: list[Member], targets: Targets, source: random.Random) -> None:
    """Start clients, and kill each while it sends."""
    for member in members:
        words = (member.number, member.method, member.port, member.password, member.server, targets.port)
        process = subprocess.Popen(
            (sys.executable, "-m", "tests.e2e.traffic", *map(str, words)), stdout=subprocess.PIPE, cwd=ROOT
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(source.uniform(0, 0.2))
            process.kill()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("workers", [1, 3])
def test_the_difference_is_nothing(workers: int, tmp_path: Path, whole: bool) -> None:
    if workers > 1 and not hasattr(socket, "SO_REUSEPORT"):
        pytest.skip("this system serves no port by several processes")
    flows, killed = (60, 10 * KILLED) if whole else (5, KILLED)
    site, wire = Site(tmp_path, workers), Sums()
    with Targets() as targets, site.serve() as program, ThreadPoolExecutor(AT_ONCE) as pool:
        lives = []
        for member in site.members:
            client = Client(member, targets, random.Random(member.number), wire)  # noqa: S311 - traffic, not secrets
            lives.append(pool.submit(client.live, flows, is_clean=member.number % CLEAN == 0))
        source = random.Random(workers)  # noqa: S311
        mortal = [member for member in site.members if member.number % CLEAN]
        kill_some(source.sample(mortal, killed), targets, source)
        for life in lives:
            life.result()
        targets.settle()
        eventually(site.idle, "all streams are over")
        ports = site.ports()
        program.signal(signal.SIGTERM)
        assert program.wait() == 0
        log = program.log()
        assert "Traceback" not in log
        assert set(re.findall(r" (?:stream|dial|handshake|packets) (\w+)$", log, re.M)) >= ENDINGS

        counted = {member.name: targets.sums.of(member.number) for member in site.members}
        stored = site.stored()
        kept = {name: (stored[name].up, stored[name].down) for name in counted}
        assert kept == counted
        assert told(log) == counted
        assert stored.keys() == counted.keys(), "strangers have no account"
        by_port: Counter[int] = Counter()
        for member in site.members:
            by_port[member.port] += sum(counted[member.name])
        assert ports == by_port
        assert sum(ports.values()) == sum(each.payload for each in stored.values()) == targets.sums.total() > 0
        for member in site.members[::CLEAN]:
            assert (stored[member.name].wire_up, stored[member.name].wire_down) == wire.of(member.number)
