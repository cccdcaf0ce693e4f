"""A server whose users stand in PostgreSQL: commands, counts, and a database that is killed while bytes pass.

All are programs: the database, the server, the client, the commands.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from shadesocks.service.store.choose import open_store
from tests.cli.programs import run
from tests.postgres import PASSWORD, Postgres
from tests.postgres import running as postgres_running

from .crowd import eventually
from .test_user_commands import SOON, Site, pass_bytes, serving

HIDDEN = (PASSWORD, quote(PASSWORD, safe=""), "s3cret")
PART = 3_000


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with postgres_running() as server:
        yield server


def stored(url: str, name: str) -> tuple[int, int, int]:
    """Return the payload of a user in the database, up and down, and that of its hours together."""
    store = open_store(url)
    store.open()
    try:
        counts = next(user.counts for user in store.users() if user.name == name)
        return counts.up, counts.down, sum(row.counts.payload for row in store.hours(0, 10**7, name))
    finally:
        store.close()


def test_users_come_and_are_counted(tmp_path: Path, postgres: Postgres) -> None:
    url = postgres.url(postgres.new_schema())
    said = ""
    with serving(tmp_path, store=url) as site:
        said += site.user("add", "anna", "--quota", "1G", "--no-qr")
        with site.client(site.link("anna")) as proxy:
            site.open(proxy, 4 * PART).close()
        eventually(lambda: stored(url, "anna") == (4 * PART, 4 * PART, 8 * PART), "what passed is written", SOON)
        assert site.told("anna")["used"] == 8 * PART
        said += site.user("set", "anna", "--disable") + site.user("list")
        eventually(lambda: site.told("anna")["refused"] == "disabled", "the change is in force", SOON)
        assert site.server.end(signal.SIGTERM) == 0
        said += "\n".join(site.server.err)
    with serving(tmp_path, store=url) as site:
        assert site.told("anna")["used"] == 8 * PART
        said += site.user("reset", "anna")
        assert site.told("anna")["used"] == 0
        assert site.server.end(signal.SIGTERM) == 0
        said += "\n".join(site.server.err)
    for hidden in HIDDEN:
        assert hidden not in said


def test_a_start_without_the_database_is_a_sentence(tmp_path: Path, postgres: Postgres) -> None:
    url = postgres.url().replace(postgres.folder.name, "nowhere")
    with serving_nothing(tmp_path, url) as (code, said):
        assert code == 78
    assert "postgresql://shade@/postgres" in said
    assert "see that the database runs" in said
    for hidden in HIDDEN:
        assert hidden not in said


@contextlib.contextmanager
def serving_nothing(home: Path, url: str) -> Iterator[tuple[int, str]]:
    """Start a server that cannot have its store, and give its exit code and what it says."""
    with contextlib.suppress(AssertionError), serving(home, store=url):
        pytest.fail("it serves")
    done = run(home, "server", "-c", str(home / "c.json"))
    yield done.returncode, done.stdout + done.stderr


@pytest.mark.timeout(240)
def test_a_database_that_is_killed_while_bytes_pass_counts_them_all_once(tmp_path: Path) -> None:
    with postgres_running() as server:
        url = server.url()
        with serving(tmp_path, store=url, workers=2) as site:
            site.user("add", "ben", "--no-qr")
            with site.client(site.link("ben")) as proxy:
                passed = passing_through(site, proxy, server)
            up, down, hours = passed, passed, 2 * passed
            eventually(lambda: stored(url, "ben") == (up, down, hours), f"{passed} bytes are written", SOON)
            assert site.server.end(signal.SIGTERM) == 0
            assert stored(url, "ben") == (up, down, hours)
            log = "\n".join(site.server.err)
        assert (
            "users' traffic cannot be written, and is kept in memory until it can: postgresql://shade@/postgres" in log
        )
        assert "users' traffic is written again; what passed meanwhile is not lost" in log
        for hidden in HIDDEN:
            assert hidden not in log


def passing_through(site: Site, proxy: int, server: Postgres) -> int:
    """Let bytes pass without a pause while the database is killed twice; return how many there were."""
    is_over = threading.Event()
    counts = [0, 0, 0]
    errors: list[BaseException] = []

    def visit(number: int) -> None:
        try:
            while not is_over.is_set():
                with site.open(proxy, PART) as sock:
                    counts[number] += PART
                    for _ in range(40):  # nobody reads the server's log meanwhile: lines of ends have to be few
                        pass_bytes(sock, PART)
                        counts[number] += PART
                        time.sleep(0.005)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(len(counts))]
    for thread in threads:
        thread.start()
    try:
        for rest in (0.7, 2.2):
            time.sleep(1.3)
            server.kill()
            time.sleep(rest)
            server.start()
        time.sleep(1.5)
    finally:
        is_over.set()
        for thread in threads:
            thread.join(60)
    assert errors == []
    return sum(counts)
