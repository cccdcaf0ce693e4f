"""`shadesocks check`: every problem of a config, with its file, line and key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from .command import command
from .exits import CONFIG, OK, say, tell
from .family.program import OLD_NAME
from .flags import dialect_option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..config.load import Report

_OTHERWISE: Final = "; with --dialect NAME it is read as that program's"


@command(
    "check",
    usage="FILE [--dialect NAME]",
    examples="""
shadesocks check config.json
shadesocks check config.json && systemctl restart shadesocks
shadesocks check old.json --dialect go
""",
    params=[dialect_option()],
)
@click.argument("file", metavar="FILE")
def command_check(file: str, dialect: str | None) -> int:
    """Tell everything that is wrong with a config and its access lists, and change nothing; - reads stdin.

    Whose config it was taken for is told, too, and why. Keys that no program of the family knows are errors here,
    where a start only warns of them. Exit code 78 when there is any error, 0 when there is none.
    """
    from ..core.errors import ConfigError
    from ..service.plugins.plugins import check_plugins
    from ..service.rules import AclShelf
    from .source import read_source

    text, where = read_source(file)
    report = _examine(text, where, file, dialect)
    seen = report.taken and f"read as {report.taken.dialect.name}: {report.taken.why}"
    if report.config is None and report.taken is not None:
        tell(f"note: {where}: {seen}{_OTHERWISE if report.taken.common and dialect is None else ''}")
    for warning in report.warnings:
        tell(f"warning: {warning}")
    for problem in report.problems:
        tell(f"error: {problem}")
    config = report.config
    if config is None:
        return CONFIG
    for warning in AclShelf(config).warnings:
        tell(f"warning: {warning}")
    try:
        check_plugins(config)
    except ConfigError as error:  # another machine may have them
        for problem in error.problems:
            tell(f"warning: {problem}")
    if not config.servers and config.manager_listen is None and config.online is None:
        tell(f"error: {where}: it names no server, so it starts neither end; add server, server_port, method, password")
        return CONFIG
    ends = f"{_count(len(config.servers), 'server')}, {_count(len(config.locals), 'local listener')}"
    if config.online is not None:
        ends += f", {_count(len(config.online.urls), 'subscription')}"
    say(f"{where}: {seen}")
    say(f"{where}: no error; {ends}")
    return OK


def _examine(text: str, where: str, file: str, dialect: str | None) -> Report:
    """Look at a config as the program would that it is for: an old one takes old methods without being told to."""
    from ..config.load import examine
    from ..wire.uri import parse_link
    from .source import directory_of

    def look(fallbacks: Mapping[str, str]) -> Report:
        base = directory_of(file)
        return examine(
            text,
            where=where,
            strict=True,
            read_link=parse_link,
            base=base,
            dialect=dialect,
            fallbacks=fallbacks,
        )

    report = look({})
    if report.config is not None or report.taken is None or report.taken.dialect.name == "rust":
        return report
    behind = look(OLD_NAME)
    if behind.config is not None:
        tell(f"note: {where}: it needs a name of its old program to start, or --allow-legacy")
    return behind


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
