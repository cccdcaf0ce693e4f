"""`shadesocks user add`: a new user, or many."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from ..asking import json_option
from ..command import command
from ..exits import OK, Failed, say, tell
from ..running import shown
from ..screen import is_terminal
from ..status import size_text
from .book import opened
from .changing import change_options, made, not_in_file
from .entries import entry_options, members_of
from .live import living
from .people import NOBODY

if TYPE_CHECKING:
    from ...config.user import UserConfig
    from ...service.store.roll import Roll
    from .book import Book


@command(
    "add",
    usage="NAME [OPTION]...  |  --from FILE  [--store FILE]",
    examples="""
shadesocks user add anna                          at every server with users, with a new key
shadesocks user add anna --quota 50G --window month --expires 2027-01-31 --sources 3
shadesocks user add ben --port 8390               the one user of a port of his own
shadesocks user add --from users.csv --json --keys > made.json
""",
)
@click.argument("name", metavar="[NAME]", required=False)
@click.option(
    "--port", metavar="N", type=click.IntRange(1, 65_535), help="The port of its server. Default: all with users."
)
@click.option("--password", metavar="KEY", help="Its own; - reads stdin. Default: a new one, made for the method.")
@click.option("--valid-from", metavar="DATE", help="From when on the password opens the door.")
@click.option("--valid-until", metavar="DATE", help="Until when.")
@entry_options
@click.option("--disabled", is_flag=True, help="Serve it later: `shadesocks user set NAME --enable`.")
@click.option("--from", "source", metavar="FILE", help="Make all users of a CSV or JSON file; - reads stdin.")
@click.option("--host", metavar="NAME", help="Name or address by which others reach the server, for the link.")
@click.option("--no-qr", is_flag=True, help="Draw no QR code.")
@json_option
@click.option("--keys", is_flag=True, help="With --json: the passwords and links, too.")
@change_options
def command_add(
    name: str | None,
    port: int | None,
    password: str | None,
    valid_from: str | None,
    valid_until: str | None,
    disabled: bool,
    source: str | None,
    host: str | None,
    no_qr: bool,
    as_json: bool,
    keys: bool,
    no_reload: bool,
    file: str | None,
    store: str | None,
    path: str | None,
    **given: str | None,
) -> int:
    """Make a user, let a server that runs serve it, and print the link of its own.

    Whatever is not said is not limited. A file has a user a line (CSV, with the names of these options above), or is an
    array of objects as in a config; --port, limits and note hold for those of whom it does not say. All are made, or
    none. Exit code 1 where the name is taken, or where a server that runs refuses the change.
    """
    from .importing import read_users
    from .passwords import typed

    now = time.time()
    if (name is None) == (source is None):
        raise click.UsageError("give a NAME, or a file of users with --from")
    common = members_of(given, {} if port is None else {"port": port}, now)
    if disabled:
        common["enabled"] = False
    if source is not None and (password is not None or valid_from is not None or valid_until is not None):
        raise click.UsageError("--password and its dates are of one user; a file has a column for passwords")
    password = typed(password)
    wanted = [(name, common)] if name is not None else read_users(source or "", common, now)
    with opened(file, store, change=True, new=True) as book, living(book, path) as live:
        roll = book.roll()
        users = [_user(book, roll, each, members, password, (valid_from, valid_until), now) for each, members in wanted]
        _check(book, roll, users)
        _write(book, users)
        _remember(roll, users)
        good = no_reload or live.serve(users)
        _tell(book, users, live.rows() if as_json else {}, host, qr=not no_qr, as_json=as_json, keys=keys, now=now)
    return OK if good else NOBODY


def _user(
    book: Book,
    roll: Roll,
    name: str,
    members: dict[str, Any],
    password: str | None,
    ends: tuple[str | None, str | None],
    now: float,
) -> UserConfig:
    from .passwords import NEW, credential_of

    not_in_file(book, name)
    if name in roll.users or name in roll.faults or name in book.by_number:
        raise Failed(f"there is a user {shown(name)} already; `shadesocks user set` changes it", NOBODY)
    user = made(name, members)
    if user.credentials:
        return user
    text = NEW if password is None else password
    return replace(user, credentials=(credential_of(book, user.port, text, *ends, now),))


def _check(book: Book, roll: Roll, users: list[UserConfig]) -> None:
    names = {user.name for user in users}
    for user in users:
        if text := book.alone(user):
            raise Failed(f"{shown(user.name)} {text}", NOBODY)
    problems = [each for each in book.problems([*roll.users.values(), *users]) if each.key in names]
    for problem in problems[:10]:
        tell(f"error: {shown(problem.key)}: {problem.text}")
    if problems:
        raise Failed("nothing is changed", NOBODY)


def _write(book: Book, users: list[UserConfig]) -> None:
    """Write all, or none: what was written is taken back where the store fails."""
    from ...service.store.roll import write_user
    from ...service.store.store import StoreError

    written = []
    try:
        for user in users:
            write_user(book.ready, user)
            written.append(user.name)
    except StoreError:
        for name in written:
            book.ready.drop(name)
        raise


def _remember(roll: Roll, users: list[UserConfig]) -> None:
    """Say that a name is not new: what passed for it is still there."""
    for user in users:
        passed = roll.stored[user.name].counts.payload if user.name in roll.stored else 0
        if passed:
            quota = "" if user.limits.quota is None else "; the quota counts from now after `shadesocks user reset`"
            tell(f"note: {shown(user.name)} was here before, and {size_text(passed)} passed{quota}")


def _draws() -> bool:
    """Say whether a person looks, at a terminal that has the characters of a code."""
    return is_terminal(sys.stdout) and "utf" in (sys.stdout.encoding or "").lower()


def _tell(
    book: Book,
    users: list[UserConfig],
    rows: dict[str, dict[str, Any]],
    host: str | None,
    *,
    qr: bool,
    as_json: bool,
    keys: bool,
    now: float,
) -> None:
    from . import told
    from .linking import links_by_name, links_of, show_links
    from .people import people

    if as_json:
        found = people(book, book.roll(), users, rows)
        if keys:
            links = links_by_name(book, users, host)
            for person in found:
                person.links = [link for link, _ in links.get(person.user.name, ())]
        told_of = [told.members(person, now, keys=keys) for person in found]
        say(json.dumps(told_of[0] if len(users) == 1 else told_of, indent=2))
        return
    if len(users) > 1:
        say(f"made: {len(users)} users, in {book.named}")
        say("their links: shadesocks user link NAME; the keys of all, for programs: shadesocks user list --json --keys")
        return
    say(f"made: {shown(users[0].name)}, in {book.named}")
    if users[0].limits.enabled and (word := told.unserved(users[0], now)) is not None:
        tell(f"note: he is not served now: {word}")
    its = links_of(book, users[0], host)
    if its:
        say("link, which holds the key, so treat it as a password:")
        show_links(its, qr=qr and _draws())
    elif book.config is None:
        say("its link: shadesocks user link NAME -c FILE; its password: shadesocks user show NAME --keys")
