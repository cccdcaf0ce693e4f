"""What a user may do: the limits that an operator gave. None is no limit, and `FREE` has none at all.

    {"quota": {"size": "50G", "window": "month"}, "expires": "2027-01-31", "up_speed": "2M", "ports": ["443"]}

Limits are values. What was used of them is kept by the user's account; changing a limit is giving it other ones. In
JSON they stand beside what else is said of a user (`user.py`); what is not limited is not there. People may write sizes
with K, M, G or T and instants as dates; what we write are numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Final

from ..core.address import PORT_MAX, pack_ip
from ..core.networks import parse_network
from .hosts import UnfitError, check_host

SOURCE_GRACE: Final = 60.0
"""Seconds in which more source addresses than allowed are borne with: a telephone that leaves a house has two for a
while, and some carriers change them without being asked."""
SPEED_MIN: Final = 1024
"""Bytes a second that a speed is at least: a handshake must come through before its time is over."""
WINDOWS: Final = ("lifetime", "month", "days")
"""Since the beginning, since a day of the month, in the last 30 days."""
DAY_MOST: Final = 28
"""The last day that every month has, and so the last on which a month may begin."""
NEVER: Final = "never"
"""In the place of an instant: there is none."""


class MemberError(UnfitError):
    """A member of an object is not what it should be."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key: Final = key

    def __reduce__(self) -> tuple[Any, ...]:
        return MemberError, (self.key, *self.args)


@dataclass(frozen=True, slots=True)
class Quota:
    """Payload bytes, up and down together, that may pass in a window."""

    size: int
    window: str = "lifetime"
    """One of `WINDOWS`."""
    day: int = 1
    """On which day of the month it begins anew, for `month`."""

    def __post_init__(self) -> None:
        if self.size < 0:
            raise MemberError("quota", "a quota is 0 bytes or more")
        if self.window not in WINDOWS:
            raise MemberError("quota.window", f"the window of a quota is one of {', '.join(WINDOWS)}")
        if not 1 <= self.day <= DAY_MOST:
            text = f"the month of a quota begins on a day from 1 to {DAY_MOST}: every month has these"
            raise MemberError("quota.day", text)


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one user."""

    enabled: bool = True
    expires: int | None = None
    """Unix seconds: from then on the user is unknown."""
    quota: Quota | None = None
    up_speed: int | None = None
    """Payload bytes a second, of all connections and sessions together."""
    down_speed: int | None = None
    connections: int | None = None
    """At once, over TCP."""
    sessions: int | None = None
    """At once, over UDP."""
    sources: int | None = None
    """Addresses at once: of IPv6 a /64 is one."""
    source_grace: float = SOURCE_GRACE
    """Seconds in which an address too many is borne with."""
    ports: tuple[tuple[int, int], ...] | None = None
    """Target ports that are allowed, in ranges that hold both their ends."""
    targets: tuple[str, ...] | None = None
    """Targets that are allowed: names with all below them, addresses, networks."""

    def __post_init__(self) -> None:
        for name in ("up_speed", "down_speed"):
            speed = getattr(self, name)
            if speed is not None and speed < SPEED_MIN:
                text = f"{name} is {SPEED_MIN} bytes a second or more; to let nothing pass, disable the user"
                raise MemberError(name, text)
        for name in ("connections", "sessions", "sources", "source_grace"):
            number = getattr(self, name)
            if number is not None and number < 0:
                raise MemberError(name, f"{name} is 0 or more")
        for low, high in self.ports or ():
            if not 0 <= low <= high <= PORT_MAX:
                raise MemberError("ports", f"ports are ranges within 0 and {PORT_MAX}, the lower end first")
        for target in self.targets or ():
            _check_target(target)

    def refuse(self, wall: float) -> str | None:
        """Return the word for why the user is not served now, as far as that needs no count; None if it is."""
        if not self.enabled:
            return "disabled"
        return "expired" if self.expires is not None and wall >= self.expires else None

    @property
    def is_metered(self) -> bool:
        """True where bytes are looked at as they pass; for all others the sums are looked at once a second."""
        return not (self.quota is None and self.up_speed is None and self.down_speed is None)


FREE: Final = Limits()
"""Of whoever has no limits."""
LIMITS: Final = tuple(field.name for field in fields(Limits))
"""Their names, in JSON as here."""


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
    """Return the limits that members of a JSON object say; other members, and null, say none.

    Raises:
        MemberError: one is not what it should be.
    """
    given = {}
    for name, parse in _PARSERS.items():
        value = members.get(name)
        if value is not None:
            given[name] = parse(name, value)
    return Limits(**given) if given else FREE


# -- what people write -----------------------------------------------------------------------------

_SIZE: Final = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?) ?(?:([KMGT])(?:i?B)?|B)?", re.IGNORECASE)
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
        return Quota(parse_size(key, value))
    if not value.keys() <= {"size", "window", "day"} or "size" not in value:
        raise MemberError(key, "a quota has a size, and may have a window and a day")
    if not _is_whole(value.get("day", 1)):
        raise MemberError(f"{key}.day", "the day of a quota is a whole number")
    if not isinstance(value.get("window", ""), str):
        raise MemberError(f"{key}.window", "the window of a quota is a word")
    return Quota(parse_size(f"{key}.size", value["size"]), value.get("window", WINDOWS[0]), value.get("day", 1))


def _parse_flag(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise MemberError(key, f"{key} is true or false")
    return value


def _parse_count(key: str, value: Any) -> int:
    if not _is_whole(value):
        raise MemberError(key, f"{key} is a whole number")
    return int(value)


def _parse_seconds(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise MemberError(key, f"{key} is a number of seconds")
    return float(value)


def _parse_targets(key: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")] if value else []
    if not isinstance(value, list | tuple) or not all(isinstance(target, str) for target in value):
        raise MemberError(key, f"{key} is a list of names, addresses and networks")
    return tuple(value)


def _check_target(target: str) -> None:
    try:
        if "/" in target or pack_ip(target) is not None:
            parse_network(target)
        else:
            check_host(target.removeprefix("*."))
    except ValueError as error:
        raise MemberError("targets", f"the target {target!r} is none: {error}") from None
    except UnfitError:
        raise MemberError("targets", f"the target {target!r} is neither a name nor an address") from None


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
