"""What is said of a user on the command line, as the members that stand for it in JSON (`config/user.py`).

What a value must be is judged there, once for all: here an option becomes a member, `none` and `never` take one away,
and a date may be told from now on: `30d`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import click

from ...core.limits import DAY_MOST, WINDOWS

NONE: Final = ("none", "never", "unlimited", "")
"""What takes a limit away."""
_UNITS: Final = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_FROM_NOW: Final = re.compile(r"([0-9]{1,6}) ?([mhdw])")
_WHOLE: Final = re.compile(r"[0-9]{1,18}")
_LATE: Final = 100_000_000
"""Unix seconds in 1973. Who writes a smaller number thinks of days, or of 20270131."""

Function = TypeVar("Function", bound=Callable[..., Any])

_OPTIONS: Final = (
    ("--quota", "quota", "SIZE", "Bytes in all, up and down: 10G."),
    ("--window", "window", "WORD", f"In which the quota counts: {', '.join(WINDOWS)} (the last 30)."),
    ("--day", "day", "DAY", f"Of the month on which a month begins, 1 to {DAY_MOST}."),
    ("--expires", "expires", "DATE", "When it ends: 2027-01-31, an ISO instant, or 30d from now."),
    ("--up-speed", "up_speed", "SIZE", "Bytes a second that it sends at most: 2M."),
    ("--down-speed", "down_speed", "SIZE", "Bytes a second that it receives at most."),
    ("--connections", "connections", "N", "TCP connections at once."),
    ("--sessions", "sessions", "N", "UDP sessions at once."),
    ("--sources", "sources", "N", "Addresses from which it comes at once: devices, or houses."),
    ("--source-grace", "source_grace", "SECONDS", "For which an address too many is borne with."),
    ("--ports", "ports", "PORTS", "Target ports that it may reach: 80,443,8000-8999."),
    ("--targets", "targets", "TARGETS", "Names with all below them, addresses, networks: example.org,10.0.0.0/8."),
    ("--note", "note", "TEXT", "For people; an empty one takes it away."),
)
"""Flag, name of the member, what is expected, help."""
NAMES: Final = tuple(name for _, name, _, _ in _OPTIONS)


def entry_options(function: Function) -> Function:
    """Give a command the options that say what a user is."""
    for flag, name, expected, text in reversed(_OPTIONS):
        function = click.option(flag, name, metavar=expected, help=text)(function)
    return function


def members_of(given: Mapping[str, str | None], before: Mapping[str, Any], now: float) -> dict[str, Any]:
    """Return the members of a user with what was given in the place of what was before.

    Raises:
        click.UsageError: a value belongs to one that is not there, or is no number.
    """
    members = dict(before)
    for _, name, _, _ in _OPTIONS:
        text = given.get(name)
        if text is None or name in ("quota", "window", "day"):
            continue
        if name != "note" and text.strip().lower() in NONE:
            members.pop(name, None)
        else:
            members[name] = _value(name, text, now)
    _set_quota(members, given)
    return members


def _set_quota(members: dict[str, Any], given: Mapping[str, str | None]) -> None:
    size, window, day = (given.get(name) for name in ("quota", "window", "day"))
    if size is not None and size.strip().lower() in NONE:
        if window is not None or day is not None:
            raise click.UsageError("--window and --day say when a quota begins anew, and there is to be none")
        members.pop("quota", None)
        return
    if size is None and window is None and day is None:
        return
    before = members.get("quota")
    quota = dict(before) if isinstance(before, Mapping) else {} if before is None else {"size": before}
    if size is not None:
        quota["size"] = _number(size)
    if "size" not in quota:
        raise click.UsageError("--window and --day say when a quota begins anew; say how much it is: --quota 10G")
    if window is not None:
        quota["window"] = window.lower()
    if day is not None:
        quota["day"] = _number(day)
    members["quota"] = quota["size"] if quota.keys() == {"size"} else quota


def _value(name: str, text: str, now: float) -> Any:
    if name == "note":
        return text
    if name == "expires":
        return instant(text, now)
    if name == "source_grace":
        try:
            return float(text)
        except ValueError:
            return text
    return text if name in ("ports", "targets") else _number(text)


def _number(text: str) -> int | str:
    """Return the number that a text is; another text is for others to judge."""
    text = text.strip()
    return int(text) if _WHOLE.fullmatch(text) else text


def instant(text: str, now: float, *, ago: bool = False) -> int | str:
    """Return the instant that a text is: `30d` is so long from now, or `ago`; another date is for others to judge.

    Raises:
        click.UsageError: it is a number that stands for none.
    """
    found = _FROM_NOW.fullmatch(text.strip().lower())
    if found is None:
        number = _number(text)
        if not ago and isinstance(number, int) and number < _LATE:
            raise click.UsageError(f"{number} is no date: write 2027-01-31, or 30d for 30 days from now")
        return number
    distance = int(found[1]) * _UNITS[found[2]]
    return int(now) + (-distance if ago else distance)


def seconds(text: str) -> int:
    """Return a stretch of time: `7d`, `12h`, 0 for none.

    Raises:
        click.UsageError: it is none.
    """
    found = _FROM_NOW.fullmatch(text.strip().lower())
    if found is None and text.strip() != "0":
        raise click.UsageError("a time is a number with its unit behind: 12h, 7d, 2w; or 0")
    return 0 if found is None else int(found[1]) * _UNITS[found[2]]
