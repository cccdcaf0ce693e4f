"""What a user may do: the limits that an operator gave. None is no limit, and `FREE` has none at all.

Limits are values. What was used of them is kept by the user's `Account`; changing a limit is giving it other ones.
They have a form in JSON (`pack_limits`, `parse_limits`), in which stores keep them: what is not limited is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from .allowed import PORT_MOST, Allowed
from .quota import Quota

SOURCE_GRACE: Final = 60.0
"""Seconds in which more source addresses than allowed are borne with: a telephone that leaves a house has two for a
while, and some carriers change them without being asked."""
SPEED_MIN: Final = 1024
"""Bytes a second that a speed is at least: a handshake must come through before its time is over."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one user."""

    enabled: bool = True
    expires_at: int | None = None
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
    """Seconds; see `sources.py`."""
    ports: tuple[tuple[int, int], ...] | None = None
    """Target ports that are allowed, in ranges that hold both their ends."""
    targets: tuple[str, ...] | None = None
    """Targets that are allowed: names with all below them, addresses, networks."""

    def __post_init__(self) -> None:
        for name in ("up_speed", "down_speed"):
            speed = getattr(self, name)
            if speed is not None and speed < SPEED_MIN:
                raise ValueError(f"{name} is {SPEED_MIN} bytes a second or more; to let nothing pass, disable the user")
        for name in ("connections", "sessions", "sources", "source_grace"):
            number = getattr(self, name)
            if number is not None and number < 0:
                raise ValueError(f"{name} is 0 or more")
        for low, high in self.ports or ():
            if not 0 <= low <= high <= PORT_MOST:
                raise ValueError(f"ports are ranges within 0 and {PORT_MOST}, the lower end first")
        Allowed(self.ports, self.targets)  # raises where a target is none

    def refuse(self, wall: float) -> str | None:
        """Return the word for why the user is not served now, as far as that needs no count; None if it is."""
        if not self.enabled:
            return "disabled"
        return "expired" if self.expires_at is not None and wall >= self.expires_at else None

    @property
    def is_metered(self) -> bool:
        """True where bytes are looked at as they pass; for all others the sums are looked at once a second."""
        return not (self.quota is None and self.up_speed is None and self.down_speed is None)


FREE: Final = Limits()
"""Of whoever has no limits."""

_NUMBERS: Final = ("expires_at", "up_speed", "down_speed", "connections", "sessions", "sources")
_NAMES: Final = frozenset(field.name for field in fields(Limits))
_QUOTA_NAMES: Final = frozenset(field.name for field in fields(Quota))


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
        members["ports"] = [list(pair) for pair in limits.ports]
    if limits.targets is not None:
        members["targets"] = list(limits.targets)
    return members


def parse_limits(members: Mapping[str, Any]) -> Limits:
    """Return the limits that the members of a JSON object say.

    Raises:
        ValueError: one is unknown, or of the wrong kind; the message says which.
    """
    if unknown := members.keys() - _NAMES:
        raise ValueError(f"{min(unknown)!r} is no limit")
    given = {name: value for name, value in members.items() if value is not None}
    if not isinstance(given.get("enabled", True), bool):
        raise ValueError("enabled is true or false")
    for name in _NUMBERS:
        if name in given and not _is_whole(given[name]):
            raise ValueError(f"{name} is a whole number")
    grace = given.get("source_grace", SOURCE_GRACE)
    if isinstance(grace, bool) or not isinstance(grace, int | float):
        raise ValueError("source_grace is a number of seconds")
    if "quota" in given:
        given["quota"] = _parse_quota(given["quota"])
    if "ports" in given:
        given["ports"] = _parse_ports(given["ports"])
    if "targets" in given:
        targets = given["targets"]
        if not isinstance(targets, list) or not all(isinstance(target, str) for target in targets):
            raise ValueError("targets is a list of names, addresses and networks")
        given["targets"] = tuple(targets)
    return Limits(**given)


def _parse_quota(members: Any) -> Quota:
    if not isinstance(members, Mapping) or not members.keys() <= _QUOTA_NAMES or "size" not in members:
        raise ValueError("a quota has a size, and may have a window and a day")
    if not all(_is_whole(members[name]) for name in ("size", "day") if name in members):
        raise ValueError("size and day of a quota are whole numbers")
    if not isinstance(members.get("window", ""), str):
        raise ValueError("the window of a quota is a word")
    return Quota(**members)


def _parse_ports(pairs: Any) -> tuple[tuple[int, int], ...]:
    found = []
    for pair in pairs if isinstance(pairs, list) else [None]:
        if not isinstance(pair, list) or len(pair) != 2 or not all(_is_whole(number) for number in pair):
            raise ValueError("ports is a list of pairs: the first port and the last")
        found.append((pair[0], pair[1]))
    return tuple(found)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
