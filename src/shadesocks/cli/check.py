"""`shadesocks check`: every problem of a config, with its file, line and key."""

from __future__ import annotations

import click

from .command import command
from .exits import CONFIG, OK, say, tell


@command(
    "check",
    usage="FILE",
    examples="""
shadesocks check config.json
shadesocks check config.json && systemctl restart shadesocks
""",
)
@click.argument("file", metavar="FILE")
def command_check(file: str) -> int:
    """Tell everything that is wrong with a config and its access lists, and change nothing; - reads stdin.

    Keys that no program of the family knows are errors here, where a start only warns of them. Exit code 78 when
    there is any error, 0 when there is none.
    """
    from ..config.load import examine
    from ..service.rules import AclShelf
    from ..wire.uri import parse_link
    from .source import directory_of, read_source

    text, where = read_source(file)
    report = examine(text, where=where, strict=True, read_link=parse_link, base=directory_of(file))
    for warning in report.warnings:
        tell(f"warning: {warning}")
    for problem in report.problems:
        tell(f"error: {problem}")
    config = report.config
    if config is None:
        return CONFIG
    for warning in AclShelf(config).warnings:
        tell(f"warning: {warning}")
    if not config.servers:
        tell(f"error: {where}: it names no server, so it starts neither end; add server, server_port, method, password")
        return CONFIG
    ends = f"{_count(len(config.servers), 'server')}, {_count(len(config.locals), 'local listener')}"
    say(f"{where}: no error; {ends}")
    return OK


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
