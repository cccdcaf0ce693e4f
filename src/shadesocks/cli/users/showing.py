"""`shadesocks user list` and `show`."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import click

from ..asking import control_option, json_option
from ..command import command
from ..exits import OK, say
from .book import opened, place_options
from .live import living

if TYPE_CHECKING:
    from .book import Book


@command(
    "list",
    usage="[--json] [-c FILE | --store FILE]",
    examples="""
shadesocks user list                              those of the config, and of its store
shadesocks user list --json                       for programs
""",
)
@json_option
@click.option("--keys", is_flag=True, help="With --json: the passwords, too.")
@place_options
@control_option
def command_list(as_json: bool, keys: bool, file: str | None, store: str | None, path: str | None) -> int:
    """Show all users: who is served, who is refused and why, what lives, what passed, what the quota leaves.

    What lives is told by a server that runs on the store, where one does; its numbers are a second old at most.
    """
    from . import told
    from .people import everybody

    if keys and not as_json:
        raise click.UsageError("--keys goes with --json; `shadesocks user show --keys NAME` shows those of one user")
    with opened(file, store) as book, living(book, path) as live:
        people = everybody(book, live.rows())
    now = time.time()
    if as_json:
        say(json.dumps([told.members(person, now, keys=keys) for person in people], indent=2))
    elif people:
        say("\n".join(told.table(people, now)))
    else:
        say(_nobody(book))
    return OK


def _nobody(book: Book) -> str:
    if book.path:
        return f"there are no users in {book.named}; `shadesocks user add NAME` makes one"
    return f'there are no users in {book.file}; for such as come and go add "store": "users.db" to it'


@command(
    "show",
    usage="NAME [--keys] [--json] [-c FILE | --store FILE]",
    examples="""
shadesocks user show anna
shadesocks user show anna --json --keys           all of it, for programs
""",
)
@click.argument("name", metavar="NAME")
@click.option("--keys", is_flag=True, help="The passwords and links, too.")
@json_option
@place_options
@control_option
def command_show(name: str, keys: bool, as_json: bool, file: str | None, store: str | None, path: str | None) -> int:
    """Show one user: limits, passwords without their text, what was used and is left, the last 30 days by day."""
    from . import told
    from .linking import links_of
    from .people import somebody

    with opened(file, store) as book, living(book, path) as live:
        person = somebody(book, name, live.rows(name))
        if keys:
            person.links = [link for link, _ in links_of(book, person.user, None)]
    now = time.time()
    if as_json:
        say(json.dumps(told.members(person, now, keys=keys), indent=2))
        return OK
    say("\n".join(told.lines(person, now, keys=keys)))
    for link in person.links or ():
        say(f"  {'link':<9} {link}")
    return OK
