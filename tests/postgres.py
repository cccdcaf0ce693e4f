"""A real PostgreSQL for tests: a cluster of its own in a folder of its own, on a Unix socket, ended by its pid.

It runs as an unprivileged user, since it refuses to be root. Nothing of one that the machine has is touched.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp, mkstemp
from typing import Any, Final
from urllib.parse import quote

import pytest

PASSWORD: Final = "pg/s3cret@?:#%"
"""With all that a URL has to escape."""
START_LIMIT: Final = 60.0
_PLACES: Final = ("/usr/lib/postgresql", "/usr/local/pgsql", "/opt/homebrew/opt/postgresql")


@functools.cache
def programs() -> Path | None:
    """Return the folder with `postgres` and `initdb`, None where there is none: Debian keeps them off PATH."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    for place in _PLACES:
        for path in sorted(Path(place).glob("**/bin/initdb"), reverse=True):
            return path.parent
    return None


def need_postgres() -> Path:
    """Return that folder, or skip the test; with SHADESOCKS_REQUIRE_PEERS=1 a missing one fails."""
    folder = programs()
    if folder is None:
        reason = "PostgreSQL not found: make peers"
        if os.environ.get("SHADESOCKS_REQUIRE_PEERS") == "1":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    return folder


def _user() -> dict[str, Any]:
    """Return whom to run as, as `subprocess` takes it; nothing where we are no root."""
    if os.getuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    pytest.skip("PostgreSQL refuses to be root, and there is no other user here")


def _children_of(pid: int) -> list[int]:
    """Return the children of a process; where the system does not tell, they see for themselves that it is gone."""
    with contextlib.suppress(OSError):
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    return []


def _is_there(pid: int) -> bool:
    """Whether a process lives, and is no corpse that its parent did not look at yet."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


class Postgres:
    """One cluster, and its server where that runs."""

    def __init__(self) -> None:
        self._programs = need_postgres()
        self._as = _user()
        self.folder = Path(mkdtemp(prefix="pg-", dir="/tmp"))  # the path of a socket is short
        self._server: subprocess.Popen[bytes] | None = None
        self._count = 0
        handle, name = mkstemp(dir=self.folder)
        os.write(handle, PASSWORD.encode())
        os.close(handle)
        if self._as:
            for path in (self.folder, Path(name)):
                os.chown(path, self._as["user"], self._as["group"])
        self._run(
            *("initdb", "-D", str(self.folder / "data"), "-U", "shade", "-A", "scram-sha-256", "--pwfile", name),
            *("-E", "UTF8", "--no-locale", "--no-sync"),
        )

    def _run(self, program: str, *options: str) -> None:
        command = (str(self._programs / program), *options)
        done = subprocess.run(command, capture_output=True, timeout=120, cwd=self.folder, check=False, **self._as)
        assert done.returncode == 0, done.stderr.decode()

    def start(self) -> None:
        """Start the server, and wait until it lets somebody in."""
        options = ("-c", "listen_addresses=", "-k", str(self.folder), "-c", "fsync=off", "-c", "max_connections=40")
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                (str(self._programs / "postgres"), "-D", str(self.folder / "data"), *options),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                **self._as,
            )
        until = time.monotonic() + START_LIMIT
        while time.monotonic() < until:
            assert self._server.poll() is None, (self.folder / "log").read_text()[-3000:]
            with contextlib.suppress(ConnectionError):
                self.execute("SELECT 1")
                return
            time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text()[-3000:])

    def kill(self) -> None:
        """End it at once, as a loss of power would: the server and its children, each by its pid."""
        assert self._server is not None
        family = [self._server.pid, *_children_of(self._server.pid)]
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._server.wait(30)
        self._server = None
        until = time.monotonic() + START_LIMIT
        while time.monotonic() < until and any(map(_is_there, family)):
            time.sleep(0.01)

    def drop_connections(self) -> None:
        """Break all connections, as an operator or a firewall would."""
        others = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        self.execute(f"SELECT pg_terminate_backend(pid) {others}")
        until = time.monotonic() + START_LIMIT
        while time.monotonic() < until and self.execute(f"SELECT pid {others}"):
            time.sleep(0.01)

    def stop(self) -> None:
        """End it as its operator would who does not wait for clients."""
        self._end(signal.SIGINT)

    def _end(self, number: signal.Signals) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.send_signal(number)
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait(30)

    def remove(self) -> None:
        """End it, and delete everything."""
        self._end(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, schema: str = "public", password: str = PASSWORD, user: str = "shade") -> str:
        """Return the URL of a schema of the one database that all use."""
        place = f"host={quote(str(self.folder), safe='')}&options=-csearch_path%3D{schema}"
        return f"postgresql://{user}:{quote(password, safe='')}@/postgres?{place}"

    def execute(self, statement: str, schema: str = "public") -> list[tuple[Any, ...]]:
        """Run a statement; raises ConnectionError where nobody is let in."""
        import psycopg

        try:
            db = psycopg.connect(f"{self.url(schema)}&connect_timeout=10", autocommit=True)
        except psycopg.OperationalError as error:
            raise ConnectionError(str(error)) from None
        with contextlib.closing(db):
            cursor = db.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def new_schema(self) -> str:
        """Make an empty schema, and return its name: what a database is to others, for a thousandth of its time."""
        self._count += 1
        name = f"s{self._count}"
        self.execute(f"CREATE SCHEMA {name}")
        return name


@contextlib.contextmanager
def running() -> Iterator[Postgres]:
    """Run one for as long as the block lasts."""
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.remove()
