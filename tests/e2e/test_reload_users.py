"""Users that come, go and change under load: nobody else is dropped, and nobody who connects meanwhile is refused.

Each round changes the store: one user comes, also to a port of his own, the one before him goes, one has another key,
one has other limits; every fifth finds a file with a mistake, too. The server is told by signal, by the control
socket, or by the commands themselves. What lives goes on: also of who has another key by now, and other limits. With
the mistake nothing changes, whatever the store has by then.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from shadesocks.cli.running import Running, find
from shadesocks.config.user import parse_user
from shadesocks.service.store.roll import write_user
from shadesocks.service.store.sqlite import SqliteStore
from tests.interop.streams import HOST
from tests.peers import PASSWORDS, PEERS, ROOT, Program, start

from .crowd import Echo, echo, eventually
from .herd import lasting_port
from .test_reload import Visits, allow_descriptors
from .traffic import Member, Stream, key_of

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no control sockets")

METHOD: Final = "2022-blake3-aes-128-gcm"
OF_FILE: Final = ("f0", "f1", "f2", "f3")
OF_STORE: Final = ("s0", "s1", "s2", "s3", "limited", "rotated")
LIMITS: Final[tuple[dict[str, Any], ...]] = (
    {"quota": "1T"},
    {"connections": 100_000},
    {},
    {"up_speed": "10G", "down_speed": "10G"},
    {"quota": {"size": 1 << 40, "window": "month"}, "ports": ["1-65535"]},
)
BAD: Final = 5
"""Each fifth round has a file with a mistake."""
SILENCE: Final = 0.3
"""Seconds without an answer after which there will be none."""


class Site:
    """A server with users, and what changes them."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder, self.workers = folder, workers
        self.file, self.control, self.path = folder / "c.json", folder / "shadesocks", folder / "users.db"
        self.control.mkdir(0o700)
        self.port = lasting_port()
        self.rounds = 0
        self.rotations = self.served = 0
        """How often a user had a new key, and which of them is served."""
        self.members = [self.member(name) for name in (*OF_FILE, *OF_STORE)]
        users = [{"name": name, "password": key_of(name, METHOD)} for name in OF_FILE]
        at = {"server": HOST, "server_port": self.port, "method": METHOD, "password": PASSWORDS[METHOD]}
        config = {
            "servers": [{**at, "users": users}],
            "allow_private": True,
            "store": str(self.path),
            "workers": workers,
            "control": f"{self.control}/",
            "handshake_timeout": 2,
        }
        self.text = json.dumps(config)
        self.file.write_text(self.text)
        for name in OF_STORE:
            self.put(name)

    def member(self, name: str, key: str = "", port: int = 0) -> Member:
        return Member(0, name, METHOD, port or self.port, key_of(key or name, METHOD), PASSWORDS[METHOD])

    # -- changes -------------------------------------------------------------------------------

    def change(self, call: Callable[[SqliteStore], object]) -> None:
        """Do something to the store, as another process."""
        store = SqliteStore(self.path)
        store.open()
        try:
            call(store)
        finally:
            store.close()

    def put(self, name: str, key: str = "", **limits: Any) -> None:
        user = parse_user(name, {"password": key_of(key or name, METHOD), **limits})
        self.change(lambda store: write_user(store, user))

    def command(self, *words: str) -> None:
        """Run `shadesocks user`, which lets the server read its store again."""
        env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "XDG_RUNTIME_DIR": str(self.folder)}
        env.pop("RUNTIME_DIRECTORY", None)
        line = (sys.executable, "-m", "shadesocks", "user", *words, "-c", str(self.file))
        done = subprocess.run(line, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        assert "warning" not in done.stderr, done.stderr

    def round(self, program: Program, target: Echo) -> None:
        """Change the users, have it served, and see that it is."""
        number = self.rounds = self.rounds + 1
        if number % 4 == 3:
            self._by_commands(number)
        else:
            self._by_store(number)
            self._tell(program, number)
        if number % BAD:
            self._see(number, target)
            self.served = self.rotations
        else:
            visit(self._rotated(self.served), target.port)
            assert self.served == self.rotations or is_refused(self._rotated(self.rotations), target.port)

    def _by_commands(self, number: int) -> None:
        if number % BAD == 0:
            return
        limits = LIMITS[number % len(LIMITS)].get("quota", "none")
        self.command("set", "limited", "--quota", "none" if isinstance(limits, dict) else limits)
        self.command("add", f"p{number}", "--password", key_of(f"p{number}", METHOD), "--no-qr")
        if (number - 1) % BAD:
            self.command("del", f"p{number - 1}")

    def _by_store(self, number: int) -> None:
        self.put("limited", **LIMITS[number % len(LIMITS)])
        if number % 2:
            self.rotations += 1
        self.put("rotated", f"r{self.rotations}")
        if number % BAD:
            self.put(f"p{number}")
        self.change(lambda store: store.drop(f"p{number - 1}"))
        self.file.write_text(self.text[:-2] if number % BAD == 0 else self.text)

    def _tell(self, program: Program, number: int) -> None:
        bad = number % BAD == 0
        words = "the config has mistakes" if bad else "the config was read again"
        if number % 3:
            told = program.log().count(words)
            program.signal((signal.SIGHUP, signal.SIGUSR1)[number % 2])
            eventually(lambda: program.log().count(words) > told, f"round {number}")
        else:
            services = self.services()
            try:
                services[0].sock.settimeout(60)
                answer = services[0].ask("reload")
            finally:
                self.leave(services)
            assert answer["applied"] is not bad, answer
        if bad:
            self.file.write_text(self.text)

    def _see(self, number: int, target: Echo) -> None:
        """See that who came is served, and by his new key who has one; and that who has gone is not.

        All processes serve it once one has answered. After a signal they take their moment.
        """
        came, gone, other = self.member(f"p{number}"), self.member(f"p{number - 1}"), self._rotated(self.rotations)
        if number % 4 != 3 and number % 3:
            eventually(lambda: all(came.name in names for names in self.names()), f"round {number}")
        visit(came, target.port)
        visit(other, target.port)
        assert is_refused(gone, target.port)

    def _rotated(self, number: int) -> Member:
        return self.member("rotated", f"r{number}" if number else "")

    # -- what is told --------------------------------------------------------------------------

    def services(self) -> list[Running]:
        return find(str(self.control)).services

    def leave(self, services: list[Running]) -> None:
        for service in services:
            service.close()

    def ready(self) -> bool:
        services = self.services()
        self.leave(services)
        return len(services) == self.workers

    def names(self) -> list[set[str]]:
        """Return who is served, by each process."""
        services = self.services()
        try:
            return [{row["name"] for row in service.ask("users")["users"]} for service in services]
        finally:
            self.leave(services)

    def relaying(self) -> int:
        services = self.services()
        try:
            return sum(service.ask("status")["stages"]["relaying"] for service in services)
        finally:
            self.leave(services)


def visit(member: Member, target: int) -> None:
    """Have an answer."""
    stream = Stream(member, target, b"hello")
    try:
        stream.receive(5)
    finally:
        stream.close()


def lives(stream: Stream) -> None:
    stream.send(b"more")
    stream.receive(4)


def is_refused(member: Member, target: int) -> bool:
    with contextlib.suppress(OSError, EOFError):
        stream = Stream(member, target, b"hello")
        try:
            stream.sock.settimeout(SILENCE)
            stream.receive(5)
            return False
        finally:
            stream.close()
    return True


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("workers", [1, 2])
def test_nobody_is_dropped_and_none_refused_but_who_is_gone(workers: int, tmp_path: Path, whole: bool) -> None:
    if workers > 1 and not hasattr(socket, "SO_REUSEPORT"):
        pytest.skip("this system serves no port by several processes")
    live, rate, rounds = (1000, 200.0, 100) if whole else (100, 20.0, 10)
    allow_descriptors(4 * live)
    site = Site(tmp_path, workers)
    command = (*PEERS["ours"].server, "-c", str(site.file))
    with echo() as target, start(command, site.port, tmp_path) as program, contextlib.ExitStack() as held:
        eventually(site.ready, "its control sockets are there")
        streams = []
        for number in range(live):
            streams.append(Stream(site.members[number % len(site.members)], target.port, b"hello"))
            held.callback(streams[-1].close)
        for stream in streams:
            stream.receive(5)
        steady = [member for member in site.members if member.name != "rotated"]
        visits = Visits([partial(visit, member, target.port) for member in steady], rate)
        longest = 0.0
        try:
            for _ in range(rounds):
                began_at, seen = time.monotonic(), visits.count
                site.round(program, target)
                longest = max(longest, time.monotonic() - began_at)
                eventually(lambda so_far=seen: visits.count >= so_far + 3, "visitors come")  # type: ignore[misc]
        finally:
            visits.stop()
        assert visits.failures == []
        assert visits.count >= 3 * rounds
        for stream in streams:
            lives(stream)
        eventually(lambda: site.relaying() == live, "all others have ended")
        assert program.alive
        assert "Traceback" not in program.log()
        sys.stdout.write(f"{live} live, {visits.count} visits, {rounds} rounds, the longest {longest:.1f} s\n")


@pytest.mark.parametrize("is_stored", [False, True])
def test_who_is_new_is_served_by_every_worker_once_a_reload_has_an_answer(tmp_path: Path, is_stored: bool) -> None:
    site = Site(tmp_path, 2)
    config = json.loads(site.text)
    command = (*PEERS["ours"].server, "-c", str(site.file))
    with echo() as target, start(command, site.port, tmp_path) as program:
        eventually(site.ready, "its control sockets are there")
        for number in range(5):
            name = f"n{number}"
            if is_stored:
                site.put(name)
            else:
                config["servers"][0]["users"].append({"name": name, "password": key_of(name, METHOD)})
                site.file.write_text(json.dumps(config))
            site._tell(program, 3)
            for _ in range(10):
                visit(site.member(name), target.port)
            assert all(name in names for names in site.names())
