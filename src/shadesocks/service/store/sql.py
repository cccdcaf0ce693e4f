"""The store in a database, by SQLAlchemy: PostgreSQL first of all. Imported only where a URL asks for it.

One connection, made when it is needed, and made again when it was lost. What is said to the database is Core's, the
same for each; what differs (`_SETTINGS`, `_GATES`) is said when a connection is made, and before tables are.

Several processes write at once, and add to the same rows in place. What keeps them apart are locks of rows, taken in
one order by all: the writer's own, those of users by number, then new users by name. So nobody waits in a circle. A row
that two insert at once fails for one of them, which begins again.

A batch takes its writer's row first, and only if it is newer than what stands there. Where the outcome of one is
unknown it may still be under way in the database, on a connection that we have given up: sent again, it waits there
for the end of the first, and then sees whether it was counted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from ...core.secret import Secret
from ...proxy.users.counts import Counts
from .choose import shown
from .sql_schema import (
    DAYS,
    HOURS,
    METADATA,
    RESET_SUMS,
    REVISIONS,
    SUMS,
    USERS,
    VERSION_TABLE,
    WRITERS,
)
from .sql_sums import Key, add_to_history, add_to_users, numbers_of, portions
from .store import (
    HOURS_A_DAY,
    WRITERS_KEPT,
    Batch,
    ByHour,
    Day,
    Reach,
    Row,
    Stored,
    StoreError,
    days_in,
    last_hour,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, Table

TRIES: Final = 5
"""How often a transaction is begun where others insert the same rows: each time, one of them is done with that."""

_LIBPQ: Final = {
    "connect_timeout": 3,  # seconds; less than the end of a service waits for its store
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,  # milliseconds: what was sent is waited for as long as keepalives wait
}
"""What holds unless the URL says otherwise, as in `?connect_timeout=10`."""
_SETTINGS: Final = {
    "postgresql": (
        "SET lock_timeout = '10s'",  # our transactions take milliseconds
        "SET idle_in_transaction_session_timeout = '20s'",  # who is gone without a word gives up its locks
    ),
    "sqlite": ("PRAGMA foreign_keys = ON",),
}
"""Said on each new connection."""
_GATES: Final = {
    "postgresql": "SELECT pg_advisory_xact_lock(6009313871)",
    "mysql": "SELECT GET_LOCK('shadesocks', 10)",
    "mariadb": "SELECT GET_LOCK('shadesocks', 10)",
}
"""What lets one process at a time make tables; the end of the connection lets go of MySQL's. SQLite needs none."""

_EXAMPLE: Final = "postgresql://user:password@host/database, with %40 for an @ in a password, and %2F for a /"
_HELP: Final = "see that the database runs, and that this user may use it"

Result = TypeVar("Result")


class SqlStore:
    """A `store.Store`. Made anywhere, before a fork, too; from `open` to `close` it belongs to one thread."""

    def __init__(self, url: str, wall: Callable[[], float] = time.time) -> None:
        """Connect to nothing yet.

        Raises:
            StoreError: this is no URL, or what it takes is not installed.
        """
        self.title: Final = shown(url)
        self.notes: list[str] = []
        self._wall = wall
        self._engine: Final = self._make(Secret(url))
        self._is_open = False

    def _make(self, secret: Secret) -> Engine:
        if self.title.endswith("…"):
            raise StoreError(f"{self.title} is no URL of a database; write {_EXAMPLE}")
        try:
            url = sa.make_url(secret.reveal())
            if url.drivername in ("postgres", "postgresql"):
                url = url.set(drivername="postgresql+psycopg")
            backend = url.get_backend_name()
            options: dict[str, Any] = {}
            if backend != "sqlite":
                options["isolation_level"] = "READ COMMITTED"  # a statement sees what others have done by then
            if url.drivername in ("postgresql+psycopg", "postgresql+psycopg2"):
                options["connect_args"] = {name: value for name, value in _LIBPQ.items() if name not in url.query}
            engine = sa.create_engine(url, hide_parameters=True, **options)
        except NoSuchModuleError:
            raise StoreError(f"{self.title}: SQLAlchemy knows no such database; write {_EXAMPLE}") from None
        except ImportError as error:  # a driver's
            raise StoreError(
                f"{self.title}: the driver {error.name} is not installed; pip install 'shadesocks[store]' brings "
                "PostgreSQL's, psycopg, and others come by names of their own"
            ) from None
        except (ArgumentError, ValueError):  # their own words may quote a password
            raise StoreError(f"{self.title} is no URL of a database; write {_EXAMPLE}") from None
        if engine.dialect.is_async:
            raise StoreError(
                f"{self.title}: {engine.driver} is an asynchronous driver; name one that waits, as psycopg"
            )

        def greet(raw: Any, _record: object) -> None:
            if backend == "sqlite":
                raw.isolation_level = None  # a transaction begins where we say so, below
            cursor = raw.cursor()
            for statement in _SETTINGS.get(backend, ()):
                cursor.execute(statement)
            cursor.close()
            raw.commit()

        sa.event.listen(engine, "connect", greet)
        if backend == "sqlite":
            sa.event.listen(engine, "begin", lambda db: db.exec_driver_sql("BEGIN IMMEDIATE"))
        return engine

    # -- opening -------------------------------------------------------------------------------

    def open(self) -> None:
        """See `Store`. The tables are made where there are none, and brought to the present form."""
        if self._is_open:
            return
        if self._engine.dialect.name == "sqlite":
            _make_private(self._engine.url.database)
        try:
            with self._engine.begin() as db:
                version = self._version(db)
            if version != REVISIONS[-1]:
                self._migrate()
        except SQLAlchemyError as error:
            self.close()
            raise StoreError(f"{self.title}: {_words(error)}; {_HELP}") from None
        except BaseException:
            self.close()
            raise
        self._is_open = True

    def _version(self, db: Connection) -> str | None:
        """Return the revision of the tables, None where there are none."""
        if not sa.inspect(db).has_table(VERSION_TABLE):
            return None
        version = db.scalar(sa.select(sa.column("version_num")).select_from(sa.table(VERSION_TABLE)))
        if version is not None and version not in REVISIONS:
            raise StoreError(
                f"{self.title} was written by a later version of shadesocks, and left alone; use that, or another one"
            )
        return None if version is None else str(version)

    def _migrate(self) -> None:
        from alembic import command
        from alembic.config import Config

        config = Config()
        folder = Path(__file__).parent / "migrations"
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        with self._engine.begin() as db:
            gate = _GATES.get(db.dialect.name)
            if gate is not None:
                db.exec_driver_sql(gate)
            if self._version(db) != REVISIONS[-1]:  # again: another process may have been here
                config.attributes.update(connection=db, version_table=VERSION_TABLE, metadata=METADATA)
                command.upgrade(config, "head")
        self._engine.dispose()

    def close(self) -> None:
        """See `Store`."""
        self._is_open = False
        self._engine.dispose()

    def look(self) -> None:
        """See `Store`. A connection that was lost is noticed when it is used."""

    # -- what is done in it --------------------------------------------------------------------

    def do(self, work: Callable[[Connection], Result]) -> Result:
        """Do all of it, or nothing; perhaps more than once, where others come between.

        A connection that proves to be gone is replaced: who was idle may have lost it long ago. But if it breaks while
        all is committed, nobody knows whether it was, and that is for the caller to judge.
        """
        self.open()  # a call opens what an accident closed
        was_lost = False
        for _ in range(TRIES):
            is_done = False
            try:
                with self._engine.begin() as db:
                    result = work(db)
                    is_done = True
            except IntegrityError as error:
                words = _words(error)  # others inserted a row that we had not seen, or deleted its user
            except SQLAlchemyError as error:
                if was_lost or is_done or not (isinstance(error, DBAPIError) and error.connection_invalidated):
                    self._engine.dispose()  # what answers elsewhere by now may do what this server refuses
                    raise StoreError(f"{self.title}: {_words(error)}") from None
                was_lost = True
                words = _words(error)
            else:
                return result
        raise StoreError(f"{self.title}: {words}, {TRIES} times over")

    def write(self, batch: Batch) -> bool:
        """See `Store`."""
        return self.do(lambda db: self._write(db, batch))

    def _write(self, db: Connection, batch: Batch) -> bool:
        if not self._claim(db, batch):
            return False
        numbers = numbers_of(db, sorted({row.user for row in batch.rows}))
        totals: dict[int, Counts] = {}
        hours: dict[Key, Counts] = {}
        for row in batch.rows:
            number, counts = numbers[row.user], row.counts
            at = row.hour, number
            totals[number] = totals[number].plus(counts) if number in totals else counts
            hours[at] = hours[at].plus(counts) if at in hours else counts
        add_to_users(db, totals)
        add_to_history(db, HOURS, "hour", hours)
        return True

    def _claim(self, db: Connection, batch: Batch) -> bool:
        """Lock the writer's row until the end, and note the batch there; False where that was done before."""
        values = {"sequence": batch.sequence, "wrote_at": int(self._wall())}
        is_his = WRITERS.c.writer == batch.writer
        if db.execute(sa.update(WRITERS).where(is_his, WRITERS.c.sequence < batch.sequence).values(values)).rowcount:
            return True
        if db.scalar(sa.select(WRITERS.c.sequence).where(is_his)) is not None:
            return False
        db.execute(sa.insert(WRITERS).values(writer=batch.writer, **values))
        return True

    def last(self, writer: str) -> int:
        """See `Store`: where a transaction of it is still under way, this waits for its end, or makes its row first."""

        def work(db: Connection) -> int:
            is_his = WRITERS.c.writer == writer
            if db.execute(sa.update(WRITERS).where(is_his).values(wrote_at=int(self._wall()))).rowcount:
                return int(db.scalar(sa.select(WRITERS.c.sequence).where(is_his)) or 0)
            db.execute(sa.insert(WRITERS).values(writer=writer, sequence=0, wrote_at=int(self._wall())))
            return 0

        return self.do(work)

    def users(self) -> list[Stored]:
        """See `Store`."""
        names = ("name", "definition", "reset_at", *SUMS, *RESET_SUMS)
        found = self.do(lambda db: db.execute(sa.select(*(USERS.c[name] for name in names))).all())
        return sorted(
            (Stored(row[0], row[1], Counts(*row[3:7]), row[2], Counts(*row[7:11])) for row in found),
            key=lambda user: user.name,  # databases have orders of their own
        )

    def put(self, name: str, definition: str) -> None:
        """See `Store`."""

        def work(db: Connection) -> None:
            if not db.execute(sa.update(USERS).where(USERS.c.name == name).values(definition=definition)).rowcount:
                db.execute(sa.insert(USERS).values(name=name, definition=definition))

        self.do(work)

    def drop(self, name: str, *, forget: bool = False) -> bool:
        """See `Store`."""
        statement = sa.delete(USERS) if forget else sa.update(USERS).values(definition=None)
        return self.do(lambda db: db.execute(statement.where(USERS.c.name == name)).rowcount == 1)

    def reset(self, name: str, now: int) -> bool:
        """See `Store`."""
        values = {"reset_at": now, **{f"reset_{one}": USERS.c[one] for one in SUMS}}
        statement = sa.update(USERS).where(USERS.c.name == name).values(values)
        return self.do(lambda db: db.execute(statement).rowcount == 1)

    def hours(self, first: int, end: int, name: str | None = None) -> list[Row]:
        """See `Store`."""
        return [Row(*row) for row in self._history(HOURS, "hour", first, end, name)]

    def days(self, first: int, end: int, name: str | None = None) -> list[Day]:
        """See `Store`."""
        return [Day(*row) for row in self._history(DAYS, "day", first, end, name)]

    def _history(self, table: Table, unit: str, first: int, end: int, name: str | None) -> list[tuple[Any, ...]]:
        at = table.c[unit]
        query = sa.select(USERS.c.name, at, *_sums_of(table)).join(USERS, USERS.c.id == table.c.user_id)
        query = query.where(at >= first, at < end)
        if name is not None:
            query = query.where(USERS.c.name == name)
        found = self.do(lambda db: db.execute(query).all())
        return sorted((tuple(row) for row in found), key=lambda row: (row[1], row[0]))

    def used(self, names: Collection[str], reach: Reach | None = None) -> dict[str, int]:
        """See `Store`."""

        def work(db: Connection) -> dict[str, int]:
            totals = _since_reset(db, names)
            if reach is None:
                return dict(totals.values())
            passed = dict.fromkeys(totals, 0)
            for number, _, size in _passed(db, totals, reach, by_unit=False):
                passed[number] += size
            return {name: min(total, passed[number]) for number, (name, total) in totals.items()}

        return self.do(work)

    def used_by_hour(self, names: Collection[str], reach: Reach) -> dict[str, ByHour]:
        """See `Store`."""

        def work(db: Connection) -> dict[str, ByHour]:
            totals = _since_reset(db, names)
            by_hour = {number: ByHour() for number in totals}
            for hour, number, size in sorted(
                (hour, number, size) for number, hour, size in _passed(db, totals, reach, by_unit=True)
            ):
                by_hour[number].add(hour, size)
            return {name: by_hour[number].newest(total) for number, (name, total) in totals.items()}

        return self.do(work)

    def newest(self) -> int | None:
        """See `Store`."""
        newest = self.do(lambda db: db.scalar(sa.select(sa.func.max(HOURS.c.hour))))
        return None if newest is None else int(newest)

    def oldest(self) -> int | None:
        """See `Store`."""
        hour, day = (self.do(_first_of(at)) for at in (HOURS.c.hour, DAYS.c.day))
        return min((at for at in (hour, None if day is None else day * HOURS_A_DAY) if at is not None), default=None)

    def roll(self, before: int) -> int:
        """See `Store`. Some users at a time; what processes wrote that are long gone is forgotten as well."""
        if before % HOURS_A_DAY:
            raise ValueError("hours are rolled up to the first hour of a day")
        late = HOURS.c.hour < before
        numbers = self.do(lambda db: db.scalars(sa.select(HOURS.c.user_id).where(late).distinct()).all())
        gone = 0
        for some in portions(sorted(numbers)):
            gone += self.do(_roll_of(some, before))
        forgotten = sa.delete(WRITERS).where(WRITERS.c.wrote_at < int(self._wall()) - WRITERS_KEPT)
        self.do(lambda db: db.execute(forgotten))
        return gone


def _first_of(at: sa.Column[Any]) -> Callable[[Connection], int | None]:
    return lambda db: db.scalar(sa.select(sa.func.min(at)))


def _since_reset(db: Connection, names: Collection[str]) -> dict[int, tuple[str, int]]:
    """Return by their numbers those whom we know, and their payload since the last reset."""
    since = USERS.c.up + USERS.c.down - USERS.c.reset_up - USERS.c.reset_down
    totals: dict[int, tuple[str, int]] = {}
    for some in portions(list(names)):
        found = db.execute(sa.select(USERS.c.id, USERS.c.name, since).where(USERS.c.name.in_(some)))
        totals.update((row[0], (row[1], int(row[2]))) for row in found)
    return totals


def _passed(db: Connection, numbers: Collection[int], reach: Reach, *, by_unit: bool) -> Iterator[tuple[int, int, int]]:
    """Yield users, hours and payload of a reach of hours; without `by_unit` hours and days are summed up, and are 0.

    Of days there is nothing, unless a clock was wrong.
    """
    for table, (first, end), hour_of in ((HOURS, reach, int), (DAYS, days_in(reach), last_hour)):
        at, user = table.c[0], table.c.user_id
        keys = (user, at) if by_unit else (user,)
        query = sa.select(*keys, sa.func.sum(table.c.up), sa.func.sum(table.c.down)).group_by(*keys)
        for some in portions(list(numbers)):
            for row in db.execute(query.where(at >= first, at < end, user.in_(some))):
                yield row[0], hour_of(row[1]) if by_unit else 0, int(row[-2]) + int(row[-1])


def _roll_of(numbers: Sequence[int], before: int) -> Callable[[Connection], int]:
    late = sa.and_(HOURS.c.user_id.in_(numbers), HOURS.c.hour < before)
    day = (HOURS.c.hour // sa.literal_column(str(HOURS_A_DAY), sa.BigInteger())).label("day")

    def work(db: Connection) -> int:
        # Nobody adds to a user's hours without his row: what is summed up here is what is deleted.
        lock = sa.select(USERS.c.id).where(USERS.c.id.in_(numbers)).order_by(USERS.c.id)
        db.execute(lock.with_for_update(key_share=True)).all()
        sums = [sa.func.sum(column) for column in _sums_of(HOURS)]
        found = db.execute(sa.select(day, HOURS.c.user_id, *sums).where(late).group_by(day, HOURS.c.user_id)).all()
        add_to_history(
            db, DAYS, "day", {(int(row[0]), row[1]): Counts(*(int(one) for one in row[2:6])) for row in found}
        )
        return db.execute(sa.delete(HOURS).where(late)).rowcount

    return work


def _sums_of(table: Table) -> list[sa.Column[int]]:
    return [table.c[name] for name in SUMS]


def _make_private(path: str | None) -> None:
    """Make a file before SQLite does, which would let others read it."""
    if path and path != ":memory:":
        with suppress(OSError):  # it is for SQLite to say what is wrong with it
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _words(error: SQLAlchemyError) -> str:
    """Return what a database says, without the statement, what was in it, and what it goes on to explain."""
    said = str(error.orig if isinstance(error, DBAPIError) and error.orig is not None else error)
    return next(iter(said.splitlines()), type(error).__name__)
