"""The store in a database: what it connects to, what is never said, and what holds when connections break."""

from __future__ import annotations

import asyncio
import logging
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from shadesocks.proxy.users.counts import Counts
from shadesocks.service.store import sql
from shadesocks.service.store.clerk import Clerk
from shadesocks.service.store.flush import Flush
from shadesocks.service.store.sql import SqlStore
from shadesocks.service.store.sql_schema import VERSION_TABLE
from shadesocks.service.store.store import Batch, Row, StoreError
from tests.postgres import PASSWORD, Postgres, running

BATCH = Batch("w", 1, (Row("ann", 10, 1, 2, 3, 4), Row("bob", 10, 1, 2, 3, 4)))


def opened(url: str) -> SqlStore:
    store = SqlStore(url)
    store.open()
    return store


def lite(folder: Path) -> str:
    return f"sqlite:///{folder}/users.db"


# -- URLs, and what is said of them ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://ann:s3cret@host:port/db", "postgresql://ann@host:port/db is no URL of a database; write "),
        ("postgresql://ann:s3@cret@host/db", "postgresql://… is no URL of a database; write "),
        ("postgresql://ann:s3/cret@host/db", "postgresql://… is no URL of a database; write "),
        ("postgresql://ann:s3?cret@host/db", "postgresql://… is no URL of a database; write "),
        ("postgresql://ann:s3#cret@host/db", "postgresql://… is no URL of a database; write "),
        ("postgresql://an:n:s3cret@host/db", "postgresql://… is no URL of a database; write "),
        ("bookshelf://ann:s3cret@host/db", "bookshelf://ann@host/db: SQLAlchemy knows no such database"),
        ("postgresql+wings://ann:s3cret@host/db", "postgresql+wings://ann@host/db: SQLAlchemy knows no such"),
        ("postgresql+psycopg_async://ann:s3cret@host/db", "psycopg is an asynchronous driver"),
        ("postgresql+pg8000://ann:s3cret@host/db", "the driver pg8000 is not installed; pip install 'shadesocks"),
        ("s3cret://", "no such database"),
    ],
)
def test_what_is_no_url_says_so_without_a_password(url: str, words: str) -> None:
    with pytest.raises(StoreError) as caught:
        SqlStore(url)
    assert words in str(caught.value)
    assert "cret@" not in str(caught.value)
    assert ":s3" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_nothing_of_it_shows_the_password(postgres: Postgres, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever goes wrong, in whatever the log shows at its most talkative."""
    said = []
    schema = postgres.new_schema()
    with caplog.at_level(logging.DEBUG):
        for url in (
            postgres.url(schema, "wrong" + PASSWORD),
            postgres.url(schema, user="nobody"),
            postgres.url(schema).replace("/postgres?", "/nowhere?"),
            postgres.url(schema) + "&sslmode=maybe",
            postgres.url(schema) + "&wings=2",
            postgres.url(schema).replace(str(postgres.folder.name), "nowhere"),
            "postgresql://shade:pg-s3cret@127.0.0.1:1/postgres",
            "postgresql://shade:pg-s3cret@nowhere.invalid/postgres?connect_timeout=1",
        ):
            with pytest.raises(StoreError) as caught:
                opened(url)
            said.append(str(caught.value))
        store = opened(postgres.url(schema))
        store.put("ann", '{"password": "her pg-s3cret"}')
        with pytest.raises(StoreError) as caught:
            store.put("ann\0", '{"password": "her pg-s3cret"}')
        said += [str(caught.value), repr(store), repr(vars(store))]
        store.close()
    assert "password authentication failed" in said[0]
    assert 'database "nowhere" does not exist' in said[2]
    assert "Connection refused" in said[6]
    assert all(text.startswith("postgresql://") for text in said[:9])
    for text in (*said, caplog.text):
        assert "s3cret" not in text
        assert "\n" not in text or text == caplog.text


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_postgresql_is_psycopgs(scheme: str) -> None:
    engine = SqlStore(f"{scheme}://ann:x@host:1/db?connect_timeout=7")._engine
    assert engine.dialect.driver == "psycopg"
    assert "connect_timeout" in engine.url.query


# -- tables ----------------------------------------------------------------------------------------


def test_a_later_version_is_left_alone(tmp_path: Path) -> None:
    store = opened(lite(tmp_path))
    with store._engine.begin() as db:
        db.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")  # noqa: S608 - our own words
    store.close()
    before = (tmp_path / "users.db").read_bytes()
    with pytest.raises(StoreError, match="later version"):
        store.open()
    with pytest.raises(StoreError, match="later version"):
        store.users()
    assert (tmp_path / "users.db").read_bytes() == before


def test_tables_of_others_stay(tmp_path: Path) -> None:
    engine = sa.create_engine(lite(tmp_path))
    with engine.begin() as db:
        db.exec_driver_sql("CREATE TABLE users (name)")
        db.exec_driver_sql("CREATE TABLE alembic_version (version_num)")
        db.exec_driver_sql("INSERT INTO alembic_version VALUES ('of another program')")
    store = opened(lite(tmp_path))
    assert store.write(BATCH)
    store.close()
    with engine.begin() as db:
        assert db.exec_driver_sql("SELECT version_num FROM alembic_version").all() == [("of another program",)]
    engine.dispose()


def test_who_may_not_make_tables_may_use_them(postgres: Postgres) -> None:
    """An operator can have them made by another user."""
    schema = postgres.new_schema()
    postgres.execute(f"CREATE ROLE guest_{schema} LOGIN PASSWORD 'x'; GRANT USAGE ON SCHEMA {schema} TO guest_{schema}")
    guest = postgres.url(schema, "x", f"guest_{schema}")
    with pytest.raises(StoreError, match=r"permission denied.*; see that"):
        opened(guest)
    opened(postgres.url(schema)).close()
    postgres.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO guest_{schema}")
    store = opened(guest)
    assert store.write(BATCH)
    store.close()


def test_alembic_is_loaded_where_tables_are_made_only(tmp_path: Path) -> None:
    look = (
        "import sys; from shadesocks.service.store.choose import open_store; store = open_store(sys.argv[1]); "
        "store.open(); store.close(); print('alembic' in sys.modules)"
    )
    for expected in (b"True", b"False"):
        done = subprocess.run([sys.executable, "-c", look, lite(tmp_path)], capture_output=True, timeout=60, check=True)
        assert done.stdout.split() == [expected]


# -- once, and once only ---------------------------------------------------------------------------


def in_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    return thread, found


def wait_for_lock(postgres: Postgres) -> None:
    """Wait until somebody waits for a lock."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if postgres.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
            return
        time.sleep(0.01)
    raise AssertionError("nobody waits")


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("is_kept", [True, False])
@pytest.mark.parametrize("is_asked", [True, False])
def test_a_batch_that_is_still_under_way_elsewhere_counts_once(
    postgres: Postgres, is_first: bool, is_kept: bool, is_asked: bool
) -> None:
    """Its connection was given up, but the database still works on it.

    Who sends it again waits for what becomes of it, and so does who asks for the last one.
    """
    url = postgres.url(postgres.new_schema())
    first, second = opened(url), opened(url)
    if not is_first:
        assert first.write(Batch("w", 0, BATCH.rows))
    old = first._engine.connect()
    transaction = old.begin()
    assert first._write(old, BATCH)
    thread, found = in_thread(lambda: second.last("w") if is_asked else second.write(BATCH))
    wait_for_lock(postgres)
    if is_kept:
        transaction.commit()
    else:
        transaction.rollback()
    thread.join(20)
    if is_asked:
        assert found == [1 if is_kept else 0]
        assert second.write(BATCH) is not is_kept
    else:
        assert found == [not is_kept]
    times = 1 if is_first else 2
    assert {user.counts for user in second.users()} == {Counts(*(times * one for one in (1, 2, 3, 4)))}
    old.close()
    first.close()
    second.close()


def test_a_user_who_is_forgotten_meanwhile_begins_anew(postgres: Postgres) -> None:
    url = postgres.url(postgres.new_schema())
    first, second = opened(url), opened(url)
    assert first.write(BATCH)
    old = first._engine.connect()
    transaction = old.begin()
    old.exec_driver_sql("DELETE FROM shadesocks_users WHERE name = 'ann'")
    thread, found = in_thread(lambda: second.write(Batch("other", 1, BATCH.rows)))
    wait_for_lock(postgres)
    transaction.commit()
    thread.join(20)
    assert found == [True]
    assert {user.name: user.counts.up for user in second.users()} == {"ann": 1, "bob": 2}
    assert [(row.user, row.up) for row in second.hours(0, 99)] == [("ann", 1), ("bob", 2)]
    old.close()
    first.close()
    second.close()


def test_who_rolls_and_who_writes_lose_nothing(postgres: Postgres) -> None:
    url = postgres.url(postgres.new_schema())
    first, second = opened(url), opened(url)
    assert first.write(BATCH)
    old = first._engine.connect()
    transaction = old.begin()
    assert first._write(old, Batch("w", 2, BATCH.rows))
    thread, found = in_thread(lambda: second.roll(24))
    wait_for_lock(postgres)
    transaction.commit()
    thread.join(20)
    assert found == [2]
    assert {day.counts for day in second.days(0, 1)} == {Counts(2, 4, 6, 8)}
    assert second.hours(0, 99) == []
    old.close()
    first.close()
    second.close()


def test_a_lock_that_is_held_too_long_is_an_error_of_that_call(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sql._SETTINGS, "postgresql", ("SET lock_timeout = '50ms'",))
    url = postgres.url(postgres.new_schema())
    first, second = opened(url), opened(url)
    assert first.write(BATCH)
    with first._engine.begin() as db:
        assert first._write(db, Batch("other", 1, BATCH.rows))
        with pytest.raises(StoreError, match="lock timeout"):
            second.write(Batch("w", 2, BATCH.rows))
    assert second.write(Batch("w", 2, BATCH.rows))
    first.close()
    second.close()


def test_what_others_insert_again_and_again_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(lite(tmp_path))

    def fail(*_: object) -> bool:
        raise sa.exc.IntegrityError("INSERT secret", {}, Exception("it is there\nDETAIL: secret"))

    monkeypatch.setattr(store, "_write", fail)
    with pytest.raises(StoreError) as caught:
        store.write(BATCH)
    assert str(caught.value).endswith("users.db: it is there, 5 times over")
    store.close()


# -- databases that go away ------------------------------------------------------------------------


def test_a_connection_that_broke_between_calls_costs_nothing(postgres: Postgres) -> None:
    store = opened(postgres.url(postgres.new_schema()))
    assert store.write(BATCH)
    postgres.drop_connections()
    assert store.write(Batch("w", 2, BATCH.rows))
    assert store.users()[0].counts.up == 2
    store.close()


def test_a_connection_that_breaks_before_the_end_is_replaced(postgres: Postgres) -> None:
    store = opened(postgres.url(postgres.new_schema()))
    calls = []

    def work(db: sa.Connection) -> bool:
        is_new = store._write(db, BATCH)
        calls.append(is_new)
        if len(calls) == 1:
            postgres.drop_connections()
            db.execute(sa.text("SELECT 1"))
        return is_new

    assert store.do(work)
    assert calls == [True, True]
    assert store.users()[0].counts.up == 1
    store.close()


def test_a_connection_that_breaks_at_the_end_is_for_the_caller_to_judge(postgres: Postgres) -> None:
    store = opened(postgres.url(postgres.new_schema()))
    calls = []

    def work(db: sa.Connection) -> None:
        calls.append(store._write(db, BATCH))
        postgres.drop_connections()

    with pytest.raises(StoreError, match="terminating connection"):
        store.do(work)
    assert calls == [True]
    assert store.write(BATCH)
    assert store.users()[0].counts.up == 1
    store.close()


def test_a_server_that_refuses_is_left(postgres: Postgres) -> None:
    """As one that is no longer the primary: the next call connects anew, to whoever is it then."""
    store = opened(postgres.url(postgres.new_schema()))
    with store._engine.begin() as db:
        db.exec_driver_sql("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
    with pytest.raises(StoreError, match="read-only transaction"):
        store.write(BATCH)
    assert store.write(BATCH)
    store.close()


def test_the_password_may_stand_in_libpqs_own_file(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pgpass"
    file.write_text("*:*:*:shade:" + PASSWORD.replace(":", "\\:"))
    file.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(file))
    url = postgres.url(postgres.new_schema(), "")
    assert ":@" in url
    store = opened(url.replace(":@", "@"))
    assert store.write(BATCH)
    store.close()


def test_a_database_that_is_not_there_fails_each_call_until_it_is() -> None:
    with running() as server:
        store = opened(server.url())
        assert store.write(BATCH)
        server.stop()
        for _ in range(2):
            with pytest.raises(StoreError, match=r"(?i)connection"):
                store.write(Batch("w", 2, BATCH.rows))
        store.close()
        with pytest.raises(StoreError, match=r"see that the database runs"):
            store.open()
        server.start()
        assert store.write(Batch("w", 2, BATCH.rows))
        assert store.users()[0].counts.up == 2
        store.close()


@pytest.mark.timeout(300)
def test_a_database_that_is_killed_counts_every_byte_once(request: pytest.FixtureRequest) -> None:
    """In the midst of writes, again and again, while two processes' worth of deltas flow: sums are exact."""
    lives = 40 if request.config.getoption("--whole", default=False) else 4
    chance = random.Random(17)  # noqa: S311 - the same again where it fails

    async def count(url: str, writer: str, is_over: threading.Event) -> int:
        clerk = Clerk(SqlStore(url))
        await clerk.open()
        are_open.release()
        flush, total = Flush(clerk, writer), 0
        until = time.monotonic() + 200
        while not (is_over.is_set() and flush.is_clean) and time.monotonic() < until:
            if not is_over.is_set():
                for number in range(20):
                    size = chance.randrange(1, 1000)
                    flush.add([(f"user {number}", Counts(size, 1, 0, 0))], number * 3600)
                    total += size
            flush.tick(time.monotonic())
            await asyncio.sleep(0.002)
        assert flush.is_clean, flush.trouble
        assert await clerk.close()
        return total

    with running() as server:
        url, is_over, are_open = server.url(), threading.Event(), threading.Semaphore(0)
        counting = [in_thread(lambda: asyncio.run(count(url, f"w{time.monotonic_ns()}", is_over))) for _ in range(2)]
        try:
            assert all(are_open.acquire(timeout=30) for _ in counting)
            for _ in range(lives):
                time.sleep(chance.uniform(0.1, 0.6))
                server.kill()
                time.sleep(chance.uniform(0, 0.2))
                server.start()
            time.sleep(0.3)
        finally:
            is_over.set()
            for thread, _ in counting:
                thread.join(220)
        total = sum(found[0] for _, found in counting)
        store = opened(url)
        assert sum(user.counts.up for user in store.users()) == total
        assert sum(row.up for row in store.hours(0, 99)) == total
        store.close()
        assert total > 0
