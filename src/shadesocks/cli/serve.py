"""`shadesocks server` and `shadesocks local`: one service, made of a config and of flags over it."""

from __future__ import annotations

import logging
import os
import sys
from copy import copy
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

import click

from ..config.flags import PASSWORD_VARIABLE
from ..config.load import load
from ..core.errors import Problem
from ..core.later import later
from .background import run_placed, set_up
from .command import Command
from .exits import COMMAND_LINE
from .family.libraries import LIBRARIES, LIBRARY, check_library
from .flags import dialect_option, make_options, overrides, strangers
from .logs import log_screen, warn_of
from .run import start_local, start_server
from .screen import is_terminal
from .source import STDIN, Source, source_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..config.flags import Given
    from ..config.model import Config
    from ..config.setting import Role

log = logging.getLogger("shadesocks.cli")

_SERVER_FLAGS: Final = frozenset({"server", "server_url", "online_urls"})
"""Given one of these, the file that was not named is not looked for (as in shadowsocks-rust)."""
_HABITS: Final = {
    "sslocal": {"udp_require_association": "false", "allow_legacy": "true"},
    "ssserver": {"allow_legacy": "true"},
}
"""By the name of the program: what its users count on where their files do not say; shadowsocks-rust's never asks."""
_LEVELS: Final = ("info", "debug", "trace")
"""Of no, one and two `-v`."""
_START: Final = {"server": start_server, "local": start_local}
_parse_link = later(__package__, "..wire.uri", "parse_link")


def _serve(
    role: Role,
    config: str | None,
    verbose: int,
    dialect: str | None,
    daemonize_pid: str | None,
    known: Source | None = None,
    **rows: Any,
) -> int:
    libraries = _check_libraries(rows)
    given = overrides(role, rows)
    if daemonize_pid is not None:
        given |= {"daemonize": "true", "pid_file": daemonize_pid}
    if verbose:
        given.setdefault("log_level", _LEVELS[min(verbose, 2)])
    file = _file(role, config, given)
    _ask_password(given)
    again = partial(_read, role, source_of(file, known), dialect, given, _habits())
    read = again()
    screen = log_screen(read.log_style)
    set_up(read, screen)
    if file is not None and config is None:
        log.info("the config that was found: %s", file)
    warn_of((*libraries, *read.warnings))
    reread = again if file not in (None, STDIN) else None
    return run_placed(read, partial(_START[role], read), screen, reread=reread, file=file)


def _check_libraries(rows: dict[str, Any]) -> list[Problem]:
    """Take out the libraries that are named, and return what is to be said of them; none may be missing."""
    flags = [(f"--{name}", rows.pop(name)) for name in LIBRARIES]
    for flag, path in flags:
        refusal = check_library(path) if path is not None else ""
        if refusal:
            raise click.UsageError(f"{flag}: {refusal}")
    return [Problem(flag, None, "", LIBRARY) for flag, path in flags if path is not None]


def _file(role: Role, file: str | None, given: Mapping[str, Given]) -> str | None:
    """Return the config to read; look for one where nothing names a server."""
    if file is not None or not _SERVER_FLAGS.isdisjoint(given):
        return file
    # Who starts a program by its old name has that program's places in mind, and no other's.
    from ..config.files import find_config

    by_old_name = click.get_current_context().find_root().info_name in _HABITS
    found = find_config(role, old_places=not by_old_name)
    if found is None:
        raise click.UsageError(
            "no server is named, and no config was found; give -c FILE, or -s HOST:PORT with -m and -k"
        )
    return str(found)


def _habits() -> dict[str, Any]:
    """Return what holds where nobody says anything, by the name of the program and its doors."""
    root = click.get_current_context().find_root()
    return {**_HABITS.get(root.info_name or "", {}), **(root.obj or {})}


def _read(
    role: Role, source: Source | None, dialect: str | None, given: Mapping[str, Given], habits: Mapping[str, Any]
) -> Config:
    """Make the config of the file and the flags; also in another thread, which has no command."""
    return load(
        None if source is None else source.take(),
        where=COMMAND_LINE,
        role=role,
        overrides=given,
        fallbacks=habits,
        read_link=_parse_link,
        dialect=dialect,
        base="" if source is None else source.base,
    )


def _ask_password(given: dict[str, Given]) -> None:
    """Ask a person for the password of a server that the flags name, as shadowsocks-rust does."""
    if "server" not in given or "password" in given or PASSWORD_VARIABLE in os.environ:
        return
    if str(given.get("method", "")).lower() in ("none", "plain") or not is_terminal(sys.stdin):
        return
    given["password"] = click.prompt("password", hide_input=True, err=True)


def _options(role: Role) -> list[click.Parameter]:
    """The options of the table, with the two that are no settings before them."""
    return [
        click.Option(["-c", "--config"], metavar="FILE", help="Read this config; - reads stdin."),
        *make_options(role),
        click.Option(["-v", "verbose"], count=True, help="Log more; twice for all. The same as --log-level."),
        click.Option(["--daemonize-pid"], metavar="FILE", help="The same as --daemonize --pid-file FILE."),
        dialect_option(),
        *(click.Option([f"--{name}"], metavar="PATH", hidden=True) for name in LIBRARIES),
    ]


def command_named(role: Role, fallbacks: Mapping[str, str], known: Source | None = None) -> click.Command:
    """Return `server` or `local` with further settings that hold where neither the config nor a flag says.

    `known` is a config that was looked at already.
    """
    command = copy(_made(f"command_{role}"))
    command.context_settings = {**command.context_settings, "obj": dict(fallbacks)}
    command.callback = partial(_serve, role, known=known)
    return command


def _server() -> Command:
    return Command(
        "server",
        usage="-c FILE  |  -s HOST:PORT -m METHOD -k PASSWORD",
        help="""Run a Shadowsocks server: for TCP, and for UDP where the config or -U says so.

    Flags go before the keys of the config. Without -c and -s the config is looked for: server.json, then config.json,
    in the working directory, in the user's config directory and in /etc, under shadesocks and shadowsocks-rust; then
    where the old programs had theirs. The log says which one was found.""",
        examples="""
shadesocks server -c config.json
shadesocks server -c config.json -v
shadesocks server -c config.json -U               TCP and UDP, where the config names no mode
SS_SERVER_PASSWORD=… shadesocks server -s 0.0.0.0:8388 -m 2022-blake3-aes-256-gcm
""",
        params=_options("server"),
        strangers=strangers("server"),
        callback=partial(_serve, "server"),
    )


def _local() -> Command:
    return Command(
        "local",
        usage="-c FILE  |  -s HOST:PORT -m METHOD -k PASSWORD [-b HOST:PORT]  |  --server-url LINK [-b HOST:PORT]",
        help="""Run a Shadowsocks client: a SOCKS5 port whose connections go out through a server, and datagrams where
    the config or -U says so.

    Flags go before the keys of the config. Without -c and -s the config is looked for: local.json, then config.json,
    in the working directory, in the user's config directory and in /etc, under shadesocks and shadowsocks-rust; then
    where the old programs had theirs. The log says which one was found.""",
        examples="""
shadesocks local -c config.json
shadesocks local -c config.json -b 127.0.0.1:1081
SS_SERVER_PASSWORD=… shadesocks local -s example.org:8388 -m 2022-blake3-aes-256-gcm
""",
        params=_options("local"),
        strangers=strangers("local"),
        callback=partial(_serve, "local"),
    )


_COMMANDS: Final = {"command_server": _server, "command_local": _local}


@cache
def _made(name: str) -> Command:
    return _COMMANDS[name]()


def __getattr__(name: str) -> Command:
    """Make a command when it is asked for: each has a hundred options, and nobody calls both."""
    if name not in _COMMANDS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _made(name)
