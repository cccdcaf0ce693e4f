"""`shadesocks sessions` and `kick`: who is connected to what runs here, how far, how much; and their end by hand."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import click

from ..wire.control import ARGUMENTS, NOT_FOUND, ControlError
from .asking import (
    EVERY,
    HOME,
    NOTHING,
    Report,
    called,
    control_option,
    explained,
    heading,
    json_option,
    services,
    time_text,
    together,
    watch_option,
)
from .asking import reports as ask_all
from .command import command
from .exits import OK, Failed, say, tell
from .running import MISFIT, NOT_UNDERSTOOD, Running, SilentError, ask_for, shown
from .screen import is_terminal
from .status import size_text
from .table import Column, aligned

_COLUMNS: Final = (
    Column("ID", 8),
    Column("WAY", 3),
    Column("PORT", 5, right=True),
    Column("SERVER", 12),
    Column("USER", 8, optional=True),
    Column("SOURCE", 18),
    Column("TARGET", 18, optional=True),
    Column("STAGE", 11),
    Column("AGE", 9, right=True),
    Column("UP", 8, right=True),
    Column("DOWN", 8, right=True),
)


@command(
    "sessions",
    usage="[--json] [--watch] [--control PATH]",
    examples="""
shadesocks sessions                               who is there, and how far each is
shadesocks sessions --watch                       the same once a second
shadesocks sessions --json                        for programs
""",
)
@json_option
@watch_option
@control_option
def command_sessions(as_json: bool, watch: bool, path: str | None) -> int:
    """Show the connections and UDP sessions of every client and server that runs on this machine and may be asked.

    Stages are handshake, dialling, relaying, half-closed and ending. Targets are shown where the config has
    control_targets. Exit code 1 where nothing runs that can be asked.
    """
    try:
        while True:
            with services(path) as found:
                reports = ask_all(found, "sessions")
            if as_json:
                say(json.dumps(reports, indent=None if watch else 2))
            else:
                text = _text(reports)
                say(f"{HOME}{text}" if watch and is_terminal(sys.stdout) else text)
            if not watch:
                return OK
            time.sleep(EVERY)
    except KeyboardInterrupt:
        return OK


def _text(reports: Sequence[Report]) -> str:
    return "\n\n".join(explained(group, partial(_of_service, group)) for group in together(reports))


def _of_service(group: Sequence[Report]) -> str:
    rows = [_cells(report["pid"], row) for report in group for row in report["sessions"]]
    return "\n".join((heading(group), *(aligned(_COLUMNS, rows) if rows else ("nobody is there",))))


def _cells(pid: int, row: dict[str, Any]) -> list[str]:
    return [
        f"{pid}.{int(row['number'])}",
        shown(row["way"]),
        str(int(row["port"])),
        shown(row["server"]) or "-",
        shown(row.get("user")),
        shown(row["source"]) or "-",
        shown(row["target"]),
        shown(row["stage"]),
        time_text(float(row["age"])),
        size_text(int(row["up"])),
        size_text(int(row["down"])),
    ]


@command(
    "kick",
    usage="ID... | [--source ADDRESS] [--user NAME] [--server NAME] [--port NUMBER]  [--control PATH]",
    examples="""
shadesocks kick 4711.12                           one session, by its ID of `shadesocks sessions`
shadesocks kick --source 198.51.100.0/24          all of a network, or of an address
shadesocks kick --server tokyo                    all of one server
shadesocks kick --source 198.51.100.7 --port 8388 those for which both hold
""",
)
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--source", metavar="ADDRESS", help="All of an address, or a network.")
@click.option("--user", metavar="NAME", help="All of a user, at every port.")
@click.option("--server", metavar="NAME", help="All of a server, by name, id or address.")
@click.option("--port", metavar="NUMBER", type=int, help="All of a port of ours.")
@control_option
def command_kick(
    ids: tuple[str, ...],
    source: str | None,
    user: str | None,
    server: str | None,
    port: int | None,
    path: str | None,
) -> int:
    """End sessions of what runs on this machine: those with an ID, or all of a source, user, server or port.

    Nobody is kept from coming again. Exit code 1 where none was ended.
    """
    wanted = {
        word: value
        for word, value in (("source", source), ("user", user), ("server", server), ("port", port))
        if value is not None
    }
    if bool(ids) == bool(wanted):
        raise click.UsageError(
            "name sessions by their IDs, or say of what all are to end: --source, --user, --server, --port"
        )
    with services(path) as found:
        ended = sum(_kick_one(found, number) for number in ids) if ids else _kick_all(found, wanted)
    say(f"ended: {ended}")
    return OK if ended else NOTHING


def _ended(service: Running, **which: Any) -> int:
    """Let a service end what is meant, and return how many there were; raises as `Running.ask`."""
    ended = ask_for(service, "ended", "kick", **which)
    try:
        return int(ended)
    except MISFIT:
        raise SilentError(NOT_UNDERSTOOD) from None


def _kick_one(found: Sequence[Running], text: str) -> int:
    pid, dot, number = text.rpartition(".")
    if not number.isascii() or not number.isdecimal() or (dot and not pid.isdecimal()):
        raise click.UsageError(
            f"{shown(text)}: an ID is as `shadesocks sessions` shows it: 4711.12; all of a user: --user NAME"
        )
    if not dot and len(found) > 1:
        raise click.UsageError(f"{number}: several processes can be asked; say of which it is: PID.{number}")
    for service in found:
        if not dot or service.pid == int(pid):
            try:
                return _ended(service, session=int(number))
            except (ControlError, SilentError) as error:
                tell(f"error: {called(service)}: {error}")
                return 0
    tell(f"error: {text}: no process {pid} runs here that can be asked")
    return 0


def _kick_all(found: Sequence[Running], wanted: dict[str, Any]) -> int:
    ended = 0
    for service in found:
        try:
            ended += _ended(service, **wanted)
        except ControlError as error:
            if error.code == ARGUMENTS:
                raise Failed(f"--{error}", NOTHING) from None
            if error.code != NOT_FOUND:
                tell(f"warning: {called(service)}: {error}")
        except SilentError as error:
            tell(f"warning: {called(service)}: {error}")
    return ended
