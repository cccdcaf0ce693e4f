"""`shadesocks user move`: from a file to a database."""

from __future__ import annotations

import os

import click

from ..command import command
from ..exits import CONFIG, OK, Failed, say
from .book import place_options, store_of


@command(
    "move",
    usage="DATABASE [-c FILE | --store FILE]",
    examples="""
shadesocks user move postgresql://shade@db.example.org/users     its password stands in ~/.pgpass
shadesocks user move '${NEW_STORE}' --store users.db             the URL stands in that variable
""",
)
@click.argument("target", metavar="DATABASE")
@place_options
def command_move(target: str, file: str | None, store: str | None) -> int:
    """Copy all users, and what passed for them, into an empty database.

    DATABASE is a URL. End the server first; afterwards let its config name the database, and start it again. The
    store that was used until then stays as it is.
    """
    from ...config.hops import from_environment
    from ...config.hosts import UnfitError
    from ...service.store.move import move

    source = store_of(file, store)
    if not source:
        raise Failed(f"{file or 'the config'} names no store; name one with --store FILE", CONFIG)
    try:
        target = from_environment(target, os.environ)
    except UnfitError as unfit:
        raise Failed(str(unfit), CONFIG) from None
    say(move(source, target))
    say('now let "store" in the config name it, and start the server')
    return OK
