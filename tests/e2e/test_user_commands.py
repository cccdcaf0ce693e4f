"""`shadesocks user` beside a server that runs: a change is served at once, without a restart, and what lives follows.

All are programs: the server, the clients that the links make, the commands.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.programs import KEY, METHOD, Program, run, running, socks_connect
from tests.interop.streams import HOST
from tests.peers import free_port

from .crowd import Echo, echo, eventually

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no control sockets")

SOON = 20.0


class Site:
    """A server with users, and the commands that manage them."""

    def __init__(self, home: Path, server: Program, target: Echo, port: int) -> None:
        self.home = home
        self.server = server
        self.target = target
        self.port = port

    def user(self, *words: str, code: int = 0) -> str:
        """Run `shadesocks user WORDS`."""
        done = run(self.home, "user", *words, "-c", str(self.home / "c.json"))
        assert done.returncode == code, done.stderr
        return done.stdout

    def told(self, name: str) -> dict[str, Any]:
        """Return what is told of a user."""
        found: dict[str, Any] = json.loads(self.user("show", name, "--json"))
        return found

    def link(self, name: str) -> str:
        return self.user("link", name).strip()

    @property
    def processes(self) -> list[int]:
        """Those that serve: the workers, or the one that there is."""
        pid = self.server.process.pid
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(each) for each in found] or [pid]

    def is_left_by(self, first: list[int]) -> bool:
        """Say whether those that served first accept no more, and others do, where there are workers."""
        if self.server.process.pid in first:
            return not self._accepts()
        return len({*self.processes} - {*first}) == len(first)

    def _accepts(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), SOON).close()
        except ConnectionRefusedError:
            return False
        return True

    @contextlib.contextmanager
    def client(self, link: str) -> Iterator[int]:
        """Run a client of a link, and say where it listens."""
        with running(self.home, "connect", link, "--port", "0") as client:
            yield int(client.until_out("listening on").rpartition(":")[2])

    def open(self, proxy: int, size: int = 5) -> socket.socket:
        """Return a connection through a client that has echoed so many bytes."""
        sock = socks_connect(proxy, self.target.port)
        sock.settimeout(SOON)
        try:
            pass_bytes(sock, size)
        except BaseException:
            sock.close()
            raise
        return sock

    def is_refused(self, proxy: int) -> bool:
        """Say whether nobody answers to a connection through a client."""
        with contextlib.suppress(OSError, AssertionError), socks_connect(proxy, self.target.port) as sock:
            sock.settimeout(1.0)
            sock.sendall(b"hello")
            return sock.recv(5) == b""
        return True


def pass_bytes(sock: socket.socket, size: int) -> None:
    """Let so many bytes be echoed; raises what the connection raises."""
    while size > 0:
        part = bytes(min(size, 16_000))
        sock.sendall(part)
        size -= len(part)
        left = len(part)
        while left:
            got = len(sock.recv(left))
            if not got:
                raise ConnectionResetError("the connection has ended")
            left -= got


def has_ended(sock: socket.socket) -> bool:
    """Wait for the end of a connection."""
    try:
        while sock.recv(4096):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


@contextlib.contextmanager
def serving(home: Path, *, method: str = METHOD, **settings: Any) -> Iterator[Site]:
    port = free_port()
    server = {"server": HOST, "server_port": port, "method": method, "users": []}
    if method == METHOD:
        server["password"] = KEY
    config = {"store": "users.db", "allow_private": True, "servers": [server], **settings}
    (home / "c.json").write_text(json.dumps(config))
    with echo() as target, running(home, "server", "-c", str(home / "c.json")) as program:
        program.until_err("listening on")
        yield Site(home, program, target, port)


@pytest.mark.parametrize(("workers", "method"), [(1, METHOD), (2, METHOD), (1, "chacha20-ietf-poly1305")])
def test_a_new_user_is_served_at_once_and_a_disabled_one_no_more(tmp_path: Path, workers: int, method: str) -> None:
    with serving(tmp_path, method=method, workers=workers) as site:
        made = site.user("add", "anna", "--no-qr")
        link = site.link("anna")
        assert link in made.splitlines()
        with site.client(link) as proxy:
            live = site.open(proxy)
            eventually(lambda: site.told("anna")["live"]["connections"] == 1, "a connection is told of", SOON)
            site.user("set", "anna", "--note", "third floor")
            pass_bytes(live, 5)
            site.user("set", "anna", "--disable")
            assert has_ended(live)
            live.close()
            assert site.is_refused(proxy)
            assert site.told("anna")["refused"] == "disabled"
            status = run(tmp_path, "status").stdout
            assert "users: 1; refused: disabled 1" in status
            site.user("set", "anna", "--enable")
            site.open(proxy).close()
            site.user("set", "anna", "--rotate", "0")
            assert site.is_refused(proxy)
        with site.client(site.link("anna")) as proxy:
            site.open(proxy).close()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_reset_lets_in_again_who_was_cut_off(tmp_path: Path, workers: int) -> None:
    with serving(tmp_path, workers=workers) as site:
        site.user("add", "ben", "--quota", "100K")
        with site.client(site.link("ben")) as proxy:
            with contextlib.suppress(ConnectionError):
                site.open(proxy, 4 << 20).close()
                pytest.fail("a quota of 100 KiB let 8 MiB pass")
            eventually(lambda: site.told("ben")["left"] == 0, "a sweep has counted it", SOON)
            assert site.told("ben")["refused"] == "quota"
            assert site.is_refused(proxy)
            site.user("reset", "ben")
            site.server.until_err("reset: ben")
            site.open(proxy).close()
            told = site.told("ben")
            assert told["used"] < 100 << 10
            assert told["up"] + told["down"] >= 100 << 10
        found = csv.DictReader(io.StringIO(site.user("export", "ben"), newline=""))
        assert sum(int(row["up"]) + int(row["down"]) for row in found) >= 100 << 10


@pytest.mark.parametrize("workers", [1, 2])
def test_whoever_is_in_a_process_that_leaves_is_within_reach(tmp_path: Path, workers: int) -> None:
    """Its connections end with a kick, or with a change of their user, as everybody's."""
    with serving(tmp_path, workers=workers) as site:
        for name in ("anna", "ben"):
            site.user("add", name, "--no-qr")
        with site.client(site.link("anna")) as one, site.client(site.link("ben")) as other:
            anna, ben = site.open(one), site.open(other)
            first = site.processes
            for pid in first:
                os.kill(pid, signal.SIGQUIT)
            eventually(lambda: site.is_left_by(first), "they accept no more, and others do", SOON)
            pass_bytes(anna, 5)
            rows = json.loads(run(tmp_path, "sessions", "--json").stdout)
            assert {"anna", "ben"} <= {row["user"] for service in rows for row in service["sessions"]}
            assert run(tmp_path, "kick", "--user", "ben").returncode == 0
            assert has_ended(ben)
            pass_bytes(anna, 5)
            run(tmp_path, "user", "set", "anna", "--disable", "-c", str(tmp_path / "c.json"))
            assert has_ended(anna)
            anna.close()
            ben.close()


def test_a_port_comes_and_goes_with_its_user(tmp_path: Path) -> None:
    with serving(tmp_path) as site:
        port = free_port()
        site.user("add", "carl", "--port", str(port))
        with site.client(site.link("carl")) as proxy:
            live = site.open(proxy)
            site.user("del", "carl", "--forget")
            assert has_ended(live)
            live.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, port), SOON).close()
        assert json.loads(site.user("list", "--json")) == []
        assert site.user("export").splitlines()[1:] == []


def test_whoever_has_the_password_of_a_port_has_limits(tmp_path: Path) -> None:
    port = free_port()
    server = {"server": HOST, "server_port": port, "method": "aes-256-gcm", "password": "mVt5-kd93Qpz_0Lr2xWc"}
    with serving(tmp_path, servers=[server]) as site, site.client(site.link(str(port))) as proxy:
        live = site.open(proxy)
        site.user("set", str(port), "--disable")
        assert has_ended(live)
        live.close()
        assert site.is_refused(proxy)
        site.user("del", str(port))
        site.open(proxy).close()


def test_a_refused_reload_is_told(tmp_path: Path) -> None:
    with serving(tmp_path):
        (tmp_path / "c.json").write_text(json.dumps({"store": "users.db", "servers": [{"server": HOST}]}))
        done = run(tmp_path, "user", "add", "dora", "--password", "x", "--store", str(tmp_path / "users.db"))
        assert done.returncode == 1
        assert "the store has the change" in done.stderr
