"""`shadesocks as`: an old program by its name, where no link of that name is wanted."""

from __future__ import annotations

import click

from .command import command


@command(
    "as",
    usage="NAME [ARGS]...",
    examples="""
shadesocks as ss-local -c config.json
shadesocks as shadowsocks-server -c config.json -d
shadesocks as ss-server -h                        the flags of one program
""",
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,
    },
)
@click.argument("name", metavar="NAME")
@click.argument("words", metavar="ARGS", nargs=-1, type=click.UNPROCESSED)
def command_as(name: str, words: tuple[str, ...]) -> None:
    """Do what an old program of the family did under this name: its flags, its config, its exit codes.

    \b
    Python       ssserver sslocal      (rust's too: the words and the config tell whose is meant)
    rust         ssmanager ssurl
    libev        ss-server ss-local ss-tunnel ss-redir ss-manager
    Go           shadowsocks-server shadowsocks-local
    lite         sslserver ssllocal
    Node.js      node-ssserver node-sslocal
    procurator   procurator-server procurator-local

    `shadesocks links DIR` makes each of them a program by itself.
    """
    from .doors import as_program, is_old, old_names

    if not is_old(name):
        from difflib import get_close_matches

        near = get_close_matches(name, old_names(), 1, 0.5)
        hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(old_names())}"
        raise click.UsageError(f"no program of the family is called {name!r}{hint}")
    as_program(name, words)
