"""What commands that ask running services have in common: whom they ask, and what they say where nobody answers.

Workers of one master are one service to people: they are asked one by one, and told together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import click

from ..wire.control import UNKNOWN, ControlError
from .exits import Failed, tell
from .running import MISFIT, NOT_UNDERSTOOD, Found, Running, SilentError, find, shown

NOTHING: Final = 1
"""Exit code: nothing runs that could be asked, or nothing there is what was named."""
EVERY: Final = 1.0
"""Seconds between two looks of --watch."""
HOME: Final = "\x1b[H\x1b[J"
"""What --watch puts before a page on a screen."""
_HINT: Final = (
    "start one, as by `shadesocks server -c FILE` or `shadesocks local -c FILE`, or say where its socket is with "
    "--control PATH"
)

control_option = click.option(
    "--control", "path", metavar="PATH", help="The control socket to ask, or a directory. Default: all."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
watch_option = click.option("--watch", is_flag=True, help="Look again every second, until Ctrl-C.")

Report = dict[str, Any]


@contextmanager
def services(path: str | None) -> Iterator[list[Running]]:
    """Find the services that run, and hang up in the end.

    Raises:
        Failed: there is none, or none that may be asked.
    """
    found = find(path)
    try:
        for sentence in found.silent:
            tell(f"warning: {sentence}")
        if not found.services:
            raise Failed(nothing(found, path), NOTHING)
        yield found.services
    finally:
        found.close()


def nothing(found: Found, path: str | None) -> str:
    """Say that nothing can be asked, and what to do."""
    if found.closed:
        places = ", ".join(map(shown, found.closed))
        return f"what runs here is another user's ({places}); ask as that user, or as root"
    if path is not None:
        return f"nobody answers at {shown(path)}; is it the `control` of a service that runs?"
    return f"nothing runs here that can be asked; {_HINT}"


def reports(asked: Sequence[Running], word: str, **args: Any) -> list[Report]:
    """Ask each for the same, and return the answers, each with whose it is. One that fails is told on stderr."""
    answers = []
    for service in asked:
        answer = ask(service, word, **args)
        if answer is not None:
            answers.append(report_of(service, answer))
    return answers


def report_of(service: Running, answer: Report) -> Report:
    """Return an answer with whose it is; what is known of that is not the answer's to say."""
    base = about(service)
    return {**base, **answer, **base} | ({"master": service.master} if "master" in answer else {})


def explained(group: Sequence[Report], explain: Callable[[], str]) -> str:
    """Return what is told of a service, which has another form than we know where that fails."""
    try:
        return explain()
    except MISFIT:
        return f"{heading(group)}\n{NOT_UNDERSTOOD}"


def ask(service: Running, word: str, **args: Any) -> Report | None:
    """Ask one; None where it has no answer, which is told on stderr."""
    try:
        answer = service.ask(word, **args)
        if isinstance(answer, dict):
            return answer
        raise SilentError(NOT_UNDERSTOOD)
    except ControlError as error:
        text = "its version knows no such command" if error.code == UNKNOWN else str(error)
    except SilentError as error:
        text = str(error)
    tell(f"warning: {called(service)}: {text}")
    return None


def one_of_each(found: Sequence[Running]) -> list[Running]:
    """Return one worker of each master, which has the config read by all."""
    return list({service.master or service.pid: service for service in found}.values())


def about(service: Running) -> Report:
    """Return what a report of a service begins with."""
    base = {"role": service.role, "pid": service.pid, "config": service.config, "control": service.path}
    return base if service.master is None else {**base, "master": service.master}


def called(service: Running) -> str:
    """Return what people call it."""
    return f"{service.role}, pid {service.pid}"


def together(found: Sequence[Report]) -> list[list[Report]]:
    """Return the reports of each service: those of the workers of one master together."""
    groups: dict[Any, list[Report]] = {}
    for report in found:
        groups.setdefault(report.get("master") or report["pid"], []).append(report)
    return list(groups.values())


def heading(group: Sequence[Report], *, counted: bool = True) -> str:
    """Return the line above what is told of a service."""
    first = group[0]
    parts = [first["role"], f"pid {first.get('master') or first['pid']}", shown(first["config"])]
    if counted and first.get("master"):
        parts.append(f"workers: {len(group)}")
    return ", ".join(part for part in parts if part)


def time_text(seconds: float) -> str:
    """Write a time with two units at most: `3 d 4 h`, `12.5 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    rest, parts = int(seconds), list[str]()
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append(f"{count} {unit}")
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if not part.startswith("0 "))
