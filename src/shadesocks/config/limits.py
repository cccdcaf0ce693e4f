"""Limits as people write them, and as JSON.

    {"quota": {"size": "50G", "window": "month"}, "expires": "2027-01-31", "up_speed": "2M", "ports": ["443"]}

They stand beside what else is said of a user (`user.py`); what is not limited is not there. Sizes may have K, M, G or
T, and instants may be dates; what we write are numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, Final

from ..core.address import pack_ip
from ..core.limits import FREE, MOST, WINDOWS, Limits, LimitValueError, Quota
from ..core.networks import parse_network
from .hosts import UnfitError, check_host
from .reader import printable

NEVER: Final = "never"
"""In the place of an instant: there is none."""


class MemberError(UnfitError):
    """A member of an object is not what it should be."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key: Final = key

    def __reduce__(self) -> tuple[Any, ...]:
        return MemberError, (self.key, *self.args)


def pack_limits(limits: Limits) -> dict[str, Any]:
    """Return the members of a JSON object: those limits that there are."""
    members: dict[str, Any] = {}
    for field in fields(Limits):
        value = getattr(limits, field.name)
        if value != field.default:
            members[field.name] = value
    if limits.quota is not None:
        members["quota"] = {name: getattr(limits.quota, name) for name in ("size", "window", "day")}
    if limits.ports is not None:
        members["ports"] = [str(low) if low == high else f"{low}-{high}" for low, high in limits.ports]
    if limits.targets is not None:
        members["targets"] = list(limits.targets)
    return members


def parse_limits(members: Mapping[str, Any]) -> Limits:
    """Return the limits that members of a JSON object say, `FREE` where they say none; others, and null, say none.

    Raises:
        MemberError: one is not what it should be.
    """
    given = {}
    for name, parse in _PARSERS.items():
        value = members.get(name)
        if value is not None:
            given[name] = parse(name, value)
    try:
        limits = Limits(**given)
    except LimitValueError as error:
        raise MemberError(error.key, str(error)) from None
    return FREE if limits == FREE else limits


# -- what people write -----------------------------------------------------------------------------

_SIZE: Final = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?) ?(?:([KMGT])(?:i?B)?|B)?", re.IGNORECASE)
_NUMBER: Final = re.compile("[0-9]+|0x[0-9a-f]*", re.IGNORECASE)
_POWERS: Final = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}


def parse_size(key: str, value: Any) -> int:
    """Return bytes: a number, or a text such as 50G, whose letters are powers of 1024."""
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is not None:
        return int(float(found[1]) * (1 << _POWERS[(found[2] or "").upper()])) if found[2] else int(float(found[1]))
    if not _is_whole(value):
        raise MemberError(key, f'{key} is a number of bytes, or text such as "500M" or "2G"')
    return int(value)


def parse_instant(key: str, value: Any) -> int | None:
    """Return Unix seconds: a number, or a text such as 2027-01-31 or 2027-01-31T18:00; None for `never`."""
    if _is_whole(value):
        if abs(value) > MOST:
            raise MemberError(
                key, f"{key} is seconds since 1970, and {MOST} at most; leave it out where there is no end"
            )
        return int(value)
    if value == NEVER:
        return None
    try:
        date = datetime.fromisoformat(value if isinstance(value, str) else "")
        return int((date if date.tzinfo is not None else date.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        text = f'{key} is a day or an instant, as in "2027-01-31" or "2027-01-31T18:00+02:00"; UTC where no zone stands'
        raise MemberError(key, text) from None


def parse_ports(key: str, value: Any) -> tuple[tuple[int, int], ...]:
    """Return ranges: of a list of ports, texts such as 8000-8999, and pairs, or a text with commas between them."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")] if value else []
    found = []
    for item in value if isinstance(value, list | tuple) else [None]:
        pair = item.partition("-")[::2] if isinstance(item, str) else item
        if _is_whole(pair):
            pair = (pair, pair)
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise MemberError(key, f'{key} is a list of ports and ranges, as in ["443", "8000-8999"]')
        low, high = (_port(key, number) for number in (pair[0], pair[1] if pair[1] != "" else pair[0]))
        found.append((low, high))
    return tuple(found)


def _port(key: str, value: Any) -> int:
    if isinstance(value, str) and re.fullmatch("[0-9]{1,5}", value):
        return int(value)
    if not _is_whole(value):
        raise MemberError(key, f'{key} is a list of ports and ranges, as in ["443", "8000-8999"]')
    return int(value)


def _parse_quota(key: str, value: Any) -> Quota:
    if not isinstance(value, Mapping):
        return _quota(parse_size(key, value))
    if not value.keys() <= {"size", "window", "day"} or "size" not in value:
        raise MemberError(key, "a quota has a size, and may have a window and a day")
    if not _is_whole(value.get("day", 1)):
        raise MemberError(f"{key}.day", "the day of a quota is a whole number")
    if not isinstance(value.get("window", ""), str):
        raise MemberError(f"{key}.window", "the window of a quota is a word")
    return _quota(parse_size(f"{key}.size", value["size"]), value.get("window", WINDOWS[0]), value.get("day", 1))


def _quota(size: int, window: str = WINDOWS[0], day: int = 1) -> Quota:
    try:
        return Quota(size, window, day)
    except LimitValueError as error:
        raise MemberError(error.key, str(error)) from None


def _parse_flag(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise MemberError(key, f"{key} is true or false")
    return value


def _parse_count(key: str, value: Any) -> int:
    if not _is_whole(value):
        raise MemberError(key, f"{key} is a whole number")
    return int(value)


def _parse_seconds(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not (abs(value) <= MOST):
        raise MemberError(key, f"{key} is a number of seconds, {MOST} at most")
    return float(value)


def _parse_targets(key: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")] if value else []
    if not isinstance(value, list | tuple) or not all(isinstance(target, str) for target in value):
        raise MemberError(key, f"{key} is a list of names, addresses and networks")
    for target in value:
        _check_target(target)
    return tuple(value)


def _check_target(target: str) -> None:
    try:
        if "/" in target or pack_ip(target) is not None:
            parse_network(target)
        else:
            name = target.removeprefix("*.")
            check_host(name)
            if pack_ip(name) is not None or _NUMBER.fullmatch(name.rpartition(".")[2]):  # no name ends in a number
                raise UnfitError("a name is expected here")
    except ValueError as error:
        raise MemberError("targets", f"the target '{printable(target)}' is none: {error}") from None
    except UnfitError:
        raise MemberError("targets", f"the target '{printable(target)}' is neither a name nor an address") from None


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_PARSERS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "enabled": _parse_flag,
    "expires": parse_instant,
    "quota": _parse_quota,
    "up_speed": parse_size,
    "down_speed": parse_size,
    "connections": _parse_count,
    "sessions": _parse_count,
    "sources": _parse_count,
    "source_grace": _parse_seconds,
    "ports": parse_ports,
    "targets": _parse_targets,
}
"""From what stands in JSON to the value of a limit."""
