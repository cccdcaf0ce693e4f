"""`shadesocks servers`: the servers of the services that run here, how they are, and one of them pinned by hand."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

import click

from ..wire.control import NOT_FOUND, ControlError
from .asking import EVERY, HOME, NOTHING, called, control_option, json_option, nothing, watch_option
from .command import command
from .exits import OK, Failed, say, tell
from .running import MISFIT, NOT_UNDERSTOOD, Found, Running, SilentError, ask_for, find, shown
from .screen import is_terminal
from .status import size_text
from .table import Column, aligned

DEAD: Final = 10_000
"""The score of a server that answers nobody (`proxy/balance/health.py`)."""
_NONE: Final = "-"
_SHOW: Final = "show"


@command(
    "servers",
    usage="[pin NAME | unpin] [--json] [--watch] [--control PATH]",
    examples="""
shadesocks servers                                all servers, and how they are
shadesocks servers --watch                        the same once a second
shadesocks servers --json                         for programs
shadesocks servers pin tokyo                      let all connections go through one
shadesocks servers unpin                          let the client choose again
""",
)
@click.argument("action", metavar="[ACTION]", default=_SHOW)
@click.argument("name", metavar="[NAME]", default="")
@json_option
@watch_option
@control_option
def command_servers(action: str, name: str, as_json: bool, watch: bool, path: str | None) -> int:
    """Show the servers of every client and server that runs on this machine and may be asked, and how they are.

    pin NAME lets all connections of a client go through one server, which is named by its name, its id or its address,
    until unpin, its restart, or the end of that server in its config. While that server fails, nothing gets through.
    Exit code 1 where nothing runs that can be asked.
    """
    if action not in (_SHOW, "pin", "unpin"):
        raise click.UsageError(f"{shown(action)!r} is nothing to do with servers: write pin NAME, unpin, or no word")
    if action == "pin" and not name:
        raise click.UsageError("pin which one? Give its name, as in `shadesocks servers pin tokyo`")
    if name and action != "pin":
        raise click.UsageError(f"{action} takes no name")
    if action != _SHOW and (watch or as_json):
        raise click.UsageError("--json and --watch are for the table alone")
    if watch:
        return _watch(path, as_json)
    found = _find(path)
    try:
        if not found.services:
            raise Failed(nothing(found, path), NOTHING)
        if action != _SHOW:
            _pin(found.services, name) if action == "pin" else _unpin(found.services)
            return OK
        reports = _look(found)
        say(json.dumps(reports, indent=2) if as_json else _text(reports, colours=is_terminal(sys.stdout)))
    finally:
        found.close()
    return OK


def _find(path: str | None) -> Found:
    found = find(path)
    for sentence in found.silent:
        tell(f"warning: {sentence}")
    return found


def _watch(path: str | None, as_json: bool) -> int:
    terminal = is_terminal(sys.stdout)
    try:
        while True:
            found = _find(path)
            try:
                reports = _look(found)
            finally:
                found.close()
            if as_json:
                say(json.dumps(reports, separators=(",", ":")))
            else:
                text = _text(reports, colours=terminal) if reports else nothing(found, path)
                say(f"{HOME}{text}" if terminal else f"{text}\n")
            time.sleep(EVERY)
    except KeyboardInterrupt:
        return OK


def _look(found: Found) -> list[dict[str, Any]]:
    """Ask each service for its servers."""
    reports = []
    for service in found.services:
        try:
            servers = ask_for(service, "servers", "servers")
        except (SilentError, ControlError) as error:
            tell(f"warning: {error}")
            continue
        about = {"role": service.role, "pid": service.pid, "config": service.config, "control": service.path}
        reports.append({**about, "servers": servers})
    return reports


# -- by hand ---------------------------------------------------------------------------------------


def _pin(services: Sequence[Running], name: str) -> None:
    why = ["no client runs here that can be asked: servers do not choose"]
    done = False
    for service in services:
        if "pin" not in service.words:
            continue
        try:
            pinned = ask_for(service, "pinned", "pin", name=name)
        except ControlError as error:
            if error.code != NOT_FOUND:
                raise Failed(f"{called(service)}: {error}", NOTHING) from None
            why[:] = [*why[1:], f"{called(service)}: {error}; `shadesocks servers` lists them"]
        else:
            done = True
            say(f"{called(service)}: all goes through {shown(pinned)}, until `shadesocks servers unpin`")
    if not done:
        raise Failed("; ".join(why), NOTHING)


def _unpin(services: Sequence[Running]) -> None:
    clients = [service for service in services if "unpin" in service.words]
    if not clients:
        raise Failed("no client runs here that can be asked: servers do not choose", NOTHING)
    for service in clients:
        was = ask_for(service, "unpinned", "unpin")
        say(f"{called(service)}: {'it chooses by its policy again' if was else 'nothing was pinned'}")


# -- the table -------------------------------------------------------------------------------------


_CLIENT: Final = (
    Column("USE", 6),
    Column("SERVER", 12),
    Column("ADDRESS", 18),
    Column("GROUP", 5, optional=True),
    Column("WAY", 3),
    Column("SCORE", 5, right=True),
    Column("LATENCY", 9, right=True),
    Column("FAILED", 6, right=True),
    Column("LIVE", 4, right=True),
    Column("POOL", 5, right=True, optional=True),
    Column("PLUGIN", 12, optional=True),
    Column("LAST ERROR", 10),
)
_SERVER: Final = (
    Column("SERVER", 12),
    Column("ADDRESS", 18),
    Column("METHOD", 12),
    Column("MODE", 11),
    Column("LIVE", 4, right=True),
    Column("UDP", 4, right=True),
    Column("PASSED", 8, right=True),
    Column("PLUGIN", 12, optional=True),
)


def _text(reports: Sequence[dict[str, Any]], *, colours: bool) -> str:
    """Return a table for each service."""
    texts = []
    for report in reports:
        try:
            texts.append(_report(report, colours=colours))
        except MISFIT:
            texts.append(f"pid {report['pid']}: {NOT_UNDERSTOOD}")
    return "\n\n".join(texts)


def _report(report: dict[str, Any], *, colours: bool) -> str:
    rows = report["servers"]
    chooses = report["role"] == "local"
    parts = [shown(report["role"]), f"pid {report['pid']}", shown(report["config"])]
    if chooses and rows:
        parts.append(f"policy {shown(rows[0].get('policy'))}")
    heading = ", ".join(part for part in parts if part)
    if not rows:
        return f"{heading}\nno servers"
    columns = _CLIENT if chooses else _SERVER
    cells = [line for row in rows for line in (_of_client(row) if chooses else [_of_server(row)])]
    lines = aligned(columns, [[shown(cell) for cell in line] for line in cells])  # numbers, too: root asks everybody
    if colours:
        heading, lines[0] = click.style(heading, bold=True), click.style(lines[0], dim=True)
        lines[1:] = [
            click.style(line, fg="green") if cell[0] in ("best", "pinned") and chooses else line
            for line, cell in zip(lines[1:], cells, strict=True)
        ]
    return "\n".join((heading, *lines))


def _of_client(row: dict[str, Any]) -> list[list[str]]:
    """Return the lines of a server: TCP's, and UDP's once something is known of it."""
    name, address, group = (shown(row.get(key)) for key in ("name", "address", "group"))
    pool = row.get("pool")
    first = (name, address, group, f"{pool['ready']}/{pool['size']}" if pool else "", _plugin(row))
    lines = []
    for way in ("tcp", "udp"):
        side = row[way]
        if way == "udp" and side["latency_ms"] is None and not (side["failures"] or side["live"] or side["error"]):
            continue
        name, address, group, ready, plugin = first if way == "tcp" else ("",) * 5
        use = "off" if not side["weight"] else "" if way not in row["chosen"] else "pinned" if row["pinned"] else "best"
        score, latency = side["score"], side["latency_ms"]
        lines.append(
            [
                use,
                name,
                address,
                group,
                way,
                _NONE if score is None else "dead" if score >= DEAD else f"{score:.0f}",
                _NONE if latency is None else f"{latency:.1f} ms",
                str(side["failures"]),
                str(side["live"]),
                ready,
                plugin,
                shown(side["error"]) or _NONE,
            ]
        )
    return lines


def _of_server(row: dict[str, Any]) -> list[str]:
    words = [shown(row.get(key)) for key in ("name", "address", "method", "mode")]
    return [*words, str(row["live"]), str(row["sessions"]), size_text(row["bytes"]), _plugin(row)]


def _plugin(row: dict[str, Any]) -> str:
    plugin = row.get("plugin")
    if not plugin:
        return ""
    text = f"{shown(plugin['name'])} {shown(plugin['state'])}"
    restarts = plugin["restarts"]
    return f"{text}, {restarts} {'restart' if restarts == 1 else 'restarts'}" if restarts else text
