"""`shadesocks user set`, `del` and `reset`."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from shlex import quote
from typing import TYPE_CHECKING, Any, Final

import click

from ..asking import control_option, json_option
from ..command import command
from ..exits import OK, Failed, say
from ..running import shown
from .book import Function, opened, place_options
from .entries import entry_options, members_of, seconds
from .live import living
from .people import NOBODY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...config.user import UserConfig
    from ...service.store.roll import Roll
    from .book import Book
    from .live import Live

LAST_BYTES: Final = 3.5
"""Seconds after which a server has written the last bytes of a user who is gone: a sweep ends what lives, the next one
counts that, and writes it."""

_no_reload_option = click.option(
    "--no-reload", is_flag=True, help="Ask no running server to serve the change: many follow."
)


def change_options(function: Function) -> Function:
    """Give a command what all have that change users: `no_reload`, where they stand, and `path`, what serves them."""
    return _no_reload_option(place_options(control_option(function)))


def checked(book: Book, roll: Roll, user: UserConfig) -> UserConfig:
    """Return a user whom the servers of the config take.

    Raises:
        Failed: they would leave him out.
    """
    if text := book.alone(user):
        raise Failed(f"{shown(user.name)} {text}; nothing is changed", NOBODY)
    others = [each for name, each in roll.users.items() if name != user.name]
    for problem in book.problems([*others, user]):
        if problem.key == user.name:
            raise Failed(f"{shown(user.name)}: {problem.text}; nothing is changed", NOBODY)
    return user


_BY_PORT: Final = "is whoever has the password of that port; it stands where the port does"


def known(book: Book, roll: Roll, live: Live, name: str) -> UserConfig:
    """Return a user of the config, the store, or what runs; raises Failed where there is none."""
    from .people import user_named

    try:
        return user_named(book, roll, name)
    except Failed:
        return user_named(book, roll, name, live.rows(name))


_TYPED: Final = {"expires": "; or 30d, from now", "ports": "; on a command line 443,8000-8999"}
"""How members may be said here, beside what JSON has."""


def made(name: str, members: dict[str, Any]) -> UserConfig:
    """Return the user that members make.

    Raises:
        click.UsageError: they make none.
    """
    from ...config.hosts import UnfitError
    from ...config.user import parse_user

    try:
        return parse_user(name, members)
    except UnfitError as unfit:
        typed = _TYPED.get(getattr(unfit, "key", ""), "")
        raise click.UsageError(f"{shown(name) or 'a user'}: {unfit}{typed}") from None


def not_in_file(book: Book, name: str) -> None:
    """Raise Failed where a user stands in the config."""
    user = book.in_file.get(name)
    if user is None:
        return
    from .people import stands_of
    from .told import place_text

    where = place_text(stands_of(book, user, stored=False))
    raise Failed(f"{shown(name)} stands in {where}: change it there, then `shadesocks reload`", NOBODY)


def _whole(flag: str, text: str | None, most: int = 65_535) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > len(str(most)) or not 1 <= int(text) <= most:
        raise click.UsageError(f"{flag}: a number from 1 to {most} is expected")
    return int(text)


@command(
    "set",
    usage="NAME [OPTION]... [-c FILE | --store FILE]",
    examples="""
shadesocks user set anna --quota 20G --expires never
shadesocks user set anna --disable                what is live of her ends
shadesocks user set anna --rotate 7d              a new password; the old one holds for a week
shadesocks user set anna --add-password new --valid-from 2027-01-01
shadesocks user set anna --drop-password 1        by its number of `shadesocks user show anna`
""",
)
@click.argument("name", metavar="NAME")
@entry_options
@click.option("--enable/--disable", "enabled", default=None, help="Serve it again, or no more.")
@click.option("--port", metavar="N", help="The port of its server; `none`: every server with a list of users.")
@click.option("--password", metavar="KEY", help="In the place of all passwords; `new` makes one, - reads stdin.")
@click.option(
    "--add-password", "added", metavar="KEY", help="Beside those that there are; `new` makes one, - reads stdin."
)
@click.option("--valid-from", metavar="DATE", help="From when on the added one opens the door.")
@click.option("--valid-until", metavar="DATE", help="Until when.")
@click.option(
    "--drop-password", "dropped", metavar="N", type=int, multiple=True, help="By its number; may be given again."
)
@click.option("--rotate", metavar="TIME", help="Make a new password; the others hold for so long: 7d, 12h, 0.")
@json_option
@click.option("--keys", is_flag=True, help="Print the passwords and links, too.")
@change_options
def command_set(
    name: str,
    enabled: bool | None,
    port: str | None,
    password: str | None,
    added: str | None,
    valid_from: str | None,
    valid_until: str | None,
    dropped: tuple[int, ...],
    rotate: str | None,
    as_json: bool,
    keys: bool,
    no_reload: bool,
    file: str | None,
    store: str | None,
    path: str | None,
    **given: str | None,
) -> int:
    """Change what is named of a user, and nothing else; `none` takes a limit away.

    Its link changes with its password and its port, and with nothing else. Exit code 1 where there is no such user, or
    where a server that runs refuses the change.
    """
    from ...config.user import pack_user
    from ...service.store.roll import write_user
    from . import told
    from .linking import links_of
    from .passwords import NEW, credential_of, rotated, typed, without
    from .people import somebody

    now = time.time()
    words = (enabled, port, password, added, valid_from, valid_until, rotate, *given.values())
    if not dropped and all(each is None for each in words):
        raise click.UsageError("say what is to change, as with --quota 10G")
    if sum(each is not None for each in (password, added, rotate)) > 1:
        raise click.UsageError("one of --password, --add-password and --rotate is enough")
    if password is None and added is None and rotate is None and (valid_from is not None or valid_until is not None):
        raise click.UsageError("--valid-from and --valid-until go with --add-password, --password or --rotate")
    password, added = typed(password), typed(added)
    with opened(file, store, change=True) as book, living(book, path) as live:
        roll = book.roll()
        not_in_file(book, name)
        before = known(book, roll, live, name)
        if not before.credentials and {password, added, rotate} != {None}:
            raise Failed(f"{shown(name)} {_BY_PORT}", NOBODY)
        members = members_of(given, pack_user(before), now)
        if enabled is not None:
            members["enabled"] = enabled
        if port is not None:
            members["port"] = None if port == "none" else _whole("--port", port)
        user = made(name, members)
        its = without(user.credentials, dropped)
        if rotate is not None:
            fresh = credential_of(book, user.port, NEW, valid_from, valid_until, now)
            its = rotated(its, fresh, seconds(rotate), now)
        elif added is not None or password is not None:
            fresh = credential_of(
                book, user.port, password or "" if added is None else added, valid_from, valid_until, now
            )
            its = (fresh,) if added is None else (*its, fresh)
        if before.credentials and not its:
            raise click.UsageError("a user keeps one password at least; to let him in no more: --disable")
        user = replace(user, credentials=its)
        if user == before and not dropped:
            say("all is as before")
            return OK
        write_user(book.ready, checked(book, roll, user))
        good = no_reload or live.serve([user])
        person = somebody(book, name, live.rows(name))
        moved = (user.credentials, user.port) != (before.credentials, before.port)
        links = [link for link, _ in links_of(book, user, None)] if keys or moved else []
        another = moved and links != [link for link, _ in links_of(book, before, None)]
        if keys:
            person.links = links
    person.days = None
    if as_json:
        say(json.dumps(told.members(person, now, keys=keys), indent=2))
    else:
        say("\n".join(told.lines(person, now, keys=keys)))
        for link in person.links or ():
            say(f"  {'link':<9} {link}")
        if another and not keys:
            say(f"another link: shadesocks user link {quote(name)}{'' if file is None else f' -c {quote(file)}'}")
    return OK if good else NOBODY


@command(
    "del",
    usage="NAME... [--forget] [-c FILE | --store FILE]",
    examples="""
shadesocks user del anna                          what passed for her is kept
shadesocks user del anna --forget                 that is deleted, too
""",
)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--forget", is_flag=True, help="Delete what passed for them, too.")
@change_options
def command_del(
    names: tuple[str, ...], forget: bool, no_reload: bool, file: str | None, store: str | None, path: str | None
) -> int:
    """Delete users, and end what is live of them. What passed for them is kept, and stays in the export.

    Exit code 1 where there is no such user, or where a server that runs refuses the change.
    """
    good = True
    with opened(file, store, change=True) as book, living(book, path) as live:
        roll = book.roll()
        try:
            for name in names:
                _may_go(book, roll, name, forget=forget)
        except Failed as failed:
            more = "; nothing is deleted" if len(names) > 1 else ""
            raise Failed(f"{failed}{more}", NOBODY) from None
        if not no_reload and live.services:
            _end(book, roll, names)
            good = live.reload()
        for name in names:
            book.ready.drop(name)
        if not no_reload:
            good = live.reload() and good
        if forget and live.services:
            time.sleep(LAST_BYTES)
        for name in names:
            if forget:
                book.ready.drop(name, forget=True)
            its = roll.users.get(name)
            what = "" if its is None or its.credentials else "the limits of "  # of a port, which is served on
            say(f"deleted: {what}{shown(name)}{', and all that passed' if forget else ''}")
    return OK if good else NOBODY


def _may_go(book: Book, roll: Roll, name: str, *, forget: bool) -> None:
    from .people import user_named

    not_in_file(book, name)
    if name not in roll.faults and not (forget and name in roll.stored):
        user_named(book, roll, name)
    if name in book.by_number and name not in roll.users and not forget:
        raise Failed(f"{shown(name)} {_BY_PORT}", NOBODY)


def _end(book: Book, roll: Roll, names: Sequence[str]) -> None:
    """Let what lives of users end: of one who is disabled it does, of one who is no more it would go on."""
    from ...service.store.roll import write_user

    for name in names:
        user = roll.users.get(name)
        if user is not None and user.credentials:  # else these are limits of a port, which stays
            write_user(book.ready, replace(user, limits=replace(user.limits, enabled=False)))


@command(
    "reset",
    usage="NAME... [-c FILE | --store FILE]",
    examples="""
shadesocks user reset anna                        whoever was cut off is let in again
shadesocks user reset anna ben
""",
)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@change_options
def command_reset(
    names: tuple[str, ...], no_reload: bool, file: str | None, store: str | None, path: str | None
) -> int:
    """Let the quota of users count from now on: who was cut off is let in again.

    The sums of what passed, and its history, stay. It holds also for users that stand in the config. Exit code 1 where
    there is no such user, or where a server that runs does not hear of it.
    """
    good = True
    with opened(file, store, change=True) as book, living(book, path) as live:
        roll = book.roll()
        for name in names:
            known(book, roll, live, name)
        for name in names:
            book.ready.reset(name, int(time.time()))
        if not no_reload:
            good = live.reload()
        for name in names:
            say(f"reset: {shown(name)}")
    return OK if good else NOBODY
