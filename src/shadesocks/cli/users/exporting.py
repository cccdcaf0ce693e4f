"""`shadesocks user export`: what passed, for accounts and spreadsheets."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Final

import click

from ...proxy.users.quota import HOUR
from ...service.store.store import DAY
from ..command import command
from ..exits import CONFIG, OK, Failed, write
from ..running import shown
from .book import opened, place_options
from .entries import instant
from .people import NOBODY, days_of

if TYPE_CHECKING:
    from ...service.store.history import Span
    from ...service.store.store import Store

    Read = Callable[[Store, Collection[str], int, int], list[Span]]

ROWS: Final = 50_000
"""Hours of users that are in memory at a time, a day of all users at least where days are wanted: 20 MB."""


@command(
    "export",
    usage="[NAME]... [--from DATE] [--until DATE] [--hours] [--json] [-c FILE | --store FILE]",
    examples="""
shadesocks user export > traffic.csv              all users, day by day
shadesocks user export anna --from 2027-01-01 --until 2027-02-01 --hours
shadesocks user export --json
""",
)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--from", "begin", metavar="DATE", help="The first day or hour, in UTC; 30d is so long ago. Default: all."
)
@click.option("--until", "end", metavar="DATE", help="Before which day or hour it ends. Default: now.")
@click.option("--days", "by_days", is_flag=True, help="Day by day: the default.")
@click.option("--hours", "by_hours", is_flag=True, help="Hour by hour, as far back as hours are kept (`store_days`).")
@click.option("--csv", "as_csv", is_flag=True, help="CSV with a line of names above: the default.")
@click.option("--json", "as_json", is_flag=True, help="An array of objects, one a line.")
@place_options
def command_export(
    names: tuple[str, ...],
    begin: str | None,
    end: str | None,
    by_days: bool,
    by_hours: bool,
    as_csv: bool,
    as_json: bool,
    file: str | None,
    store: str | None,
) -> int:
    """Print what passed for users: bytes of payload, up and down, and on the wire.

    Also of those who are deleted. What passed in the last second may be missing.
    """
    from ...service.store.history import to_csv, to_json

    if (by_days and by_hours) or (as_csv and as_json):
        raise click.UsageError("choose one: --days or --hours, and --csv or --json")
    now = time.time()
    unit = HOUR if by_hours else DAY
    first = 0 if begin is None else _at("--from", begin, now) // unit
    last = int(now) // unit + 1 if end is None else -(-_at("--until", end, now) // unit)
    with opened(file, store) as book:
        if book.store is None:
            raise Failed("there is no store, and so no history", CONFIG)
        known = book.roll().stored
        for name in names:
            if name not in known:
                raise Failed(f"the store knows nobody called {shown(name)}", NOBODY)
        oldest = book.store.oldest()
        first = last if oldest is None else max(first, oldest * HOUR // unit)
        hours_at_once = ROWS // max(1, len({*names} or known))
        read = _hours if by_hours else days_of
        spans = _some_at_a_time(read, book.store, {*names}, range(first, last, max(1, hours_at_once * HOUR // unit)))
        write((to_json if as_json else to_csv)(spans))
    return OK


def _some_at_a_time(read: Read, store: Store, names: Collection[str], begins: range) -> Iterator[Span]:
    """Yield what passed from each of these days, or hours, to before the next one: a year of thousands of users has
    millions of rows."""
    for first in begins:
        yield from read(store, names, first, min(first + begins.step, begins.stop))


def _hours(store: Store, names: Collection[str], first: int, end: int) -> list[Span]:
    from ...service.store.history import by_hour

    rows = [row for name in names or (None,) for row in store.hours(first, end, name)]
    return by_hour(sorted(rows, key=lambda row: (row.hour, row.user)))


def _at(flag: str, text: str, now: float) -> int:
    from ...config.limits import MemberError, parse_instant

    try:
        found = parse_instant(flag, instant(text, now, ago=True))
    except MemberError as error:
        raise click.UsageError(f"{error}; or 30d, so long ago") from None
    if found is None or found < 0:
        raise click.UsageError(f"{flag} is a day or an instant")
    return found
