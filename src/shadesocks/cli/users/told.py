"""What is told of a user: as JSON for programs, as lines and rows of a table for people.

Keys are in neither, unless they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from ...config.limits import NEVER, pack_limits
from ...core.limits import LIMITS
from ...service.store.store import Stored
from ..asking import time_text
from ..running import shown
from ..status import size_text
from ..table import Column, aligned

if TYPE_CHECKING:
    from ...config.user import UserConfig
    from ...service.store.history import Span

_SERVED: Final = "served"
_NONE_VALID: Final = "no valid password"


@dataclass(slots=True)
class Person:
    """A user, and all that is known of him."""

    user: UserConfig
    stands: dict[str, Any]
    """Where: `{"store": PATH}`, `{"config": FILE, "line": NUMBER}`, or `{"manager": true}`."""
    stored: Stored
    used: int | None = None
    """Of the quota; None where there is none, or nobody knows."""
    row: dict[str, Any] | None = None
    """What a running service says."""
    days: Sequence[Span] | None = None
    links: Sequence[str] | None = None
    ports: tuple[int, ...] = field(default=())
    """At which he is served."""

    @property
    def left(self) -> int | None:
        """Bytes that the quota leaves; None where there is none."""
        quota = self.user.limits.quota
        return None if quota is None or self.used is None else max(0, quota.size - self.used)

    def state(self, now: float) -> str:
        """Say for people whether he is served: the word for why not, or that none of his passwords is valid now."""
        return self.refused(now) or unserved(self.user, now) or _SERVED

    def refused(self, now: float) -> str | None:
        """Return the word for why he is not served, None if he is."""
        if self.row is not None:
            word = self.row["refused"]
            return None if word is None else shown(word)
        return self.user.limits.refuse(now) or ("quota" if self.left == 0 else None)


def unserved(user: UserConfig, now: float) -> str | None:
    """Return why a user is not served, as far as he himself says; None where he is."""
    if (word := user.limits.refuse(now)) is not None:
        return word
    return _NONE_VALID if user.credentials and not any(each.is_valid(now) for each in user.credentials) else None


def members(person: Person, now: float, *, keys: bool = False) -> dict[str, Any]:
    """Return a user for programs: these keys in each version, bytes as numbers, instants as Unix seconds."""
    user, counts, row = person.user, person.stored.counts, person.row
    limits = pack_limits(user.limits)
    told: dict[str, Any] = {
        "name": user.name,
        "stands": person.stands,
        "enabled": user.limits.enabled,
        "refused": person.refused(now),
        "note": user.note,
        "port": user.port,
        "ports": list(person.ports),
        "limits": {name: limits.get(name) for name in LIMITS if name != "enabled"},
        "used": person.used,
        "left": person.left,
        **{name: getattr(counts, name) for name in counts._fields},
        "reset_at": person.stored.reset_at or None,
        "live": None if row is None else {name: row[name] for name in ("connections", "sessions", "sources")},
        "credentials": [
            {"number": number, "from": each.valid_from, "until": each.valid_until, "valid": each.is_valid(now)}
            | ({"password": each.password.reveal()} if keys else {})
            for number, each in enumerate(user.credentials, 1)
        ],
    }
    if person.days is not None:
        told["days"] = [
            {"day": day_text(span.begins_at), **{name: getattr(span.counts, name) for name in counts._fields}}
            for span in person.days
        ]
    if keys and person.links is not None:
        told["links"] = list(person.links)
    return told


# -- for people ------------------------------------------------------------------------------------

_COLUMNS: Final = (
    Column("USER", 8),
    Column("STATE", 8),
    Column("PORT", 5, right=True, optional=True),
    Column("TCP", 3, right=True, optional=True),
    Column("UDP", 3, right=True, optional=True),
    Column("UP", 8, right=True),
    Column("DOWN", 8, right=True),
    Column("USED", 8, right=True, optional=True),
    Column("QUOTA", 8, optional=True),
    Column("LEFT", 8, right=True, optional=True),
    Column("EXPIRES", 10, optional=True),
    Column("NOTE", 4, optional=True),
)
_DAYS: Final = (Column("DAY", 10), Column("UP", 9, right=True), Column("DOWN", 9, right=True))


def table(people: Sequence[Person], now: float) -> list[str]:
    """Return the lines of a table."""
    return aligned(_COLUMNS, [_cells(person, now) for person in people])


def _cells(person: Person, now: float) -> list[str]:
    user, row = person.user, person.row
    limits, counts = user.limits, person.stored.counts
    quota = limits.quota
    ports = person.ports or ((user.port,) if user.port is not None else ())
    return [
        shown(user.name),
        person.state(now),
        ",".join(map(str, ports[:3])) + (",…" if len(ports) > 3 else ""),
        "" if row is None else str(int(row["connections"])),
        "" if row is None else str(int(row["sessions"])),
        size_text(counts.up),
        size_text(counts.down),
        "" if quota is None or person.used is None else size_text(person.used),
        "" if quota is None else f"{size_text(quota.size)}{_WINDOW_SHORT[quota.window]}",
        "" if person.left is None else size_text(person.left),
        "" if limits.expires is None else day_text(limits.expires),
        shown(user.note),
    ]


_WINDOW_SHORT: Final = {"lifetime": "", "month": " a month", "days": " in 30 days"}


def lines(person: Person, now: float, *, keys: bool = False) -> Iterator[str]:
    """Yield what is to be said of one user."""
    user, counts = person.user, person.stored.counts
    yield shown(user.name)
    for word, text in _facts(person, now):
        yield f"  {word:<9} {text}"
    for number, each in enumerate(user.credentials, 1):
        ends = [f"from {instant_text(each.valid_from)}"] if each.valid_from is not None else []
        ends += [f"until {instant_text(each.valid_until)}"] if each.valid_until is not None else []
        validity = "" if each.is_valid(now) else ", not valid now"
        secret = f" {each.password.reveal()}" if keys else ""
        title = "password" if number == 1 else ""
        yield f"  {title:<9} {number}:{secret} {' '.join(ends) or 'valid for good'}{validity}"
    if counts.payload:
        wire = f"{size_text(counts.wire_up)} and {size_text(counts.wire_down)} on the wire"
        yield f"  {'passed':<9} up {size_text(counts.up)}, down {size_text(counts.down)} ({wire})"
    if person.days:
        yield ""
        rows = [(day_text(day.begins_at), size_text(day.counts.up), size_text(day.counts.down)) for day in person.days]
        yield from (f"  {line}" for line in aligned(_DAYS, rows))


def _facts(person: Person, now: float) -> Iterator[tuple[str, str]]:
    user, row = person.user, person.row
    limits = user.limits
    yield "stands in", place_text(person.stands)
    state = person.state(now)
    yield "state", state if state == _SERVED else f"refused: {state}"
    if row is not None:
        live = [f"{int(row[name])} {noun}" for name, noun in (("connections", "TCP"), ("sessions", "UDP"))]
        yield "now", f"{', '.join(live)}, from {_count(int(row['sources']), 'address', 'addresses')}"
    if user.note:
        yield "note", shown(user.note)
    if person.ports or user.port is not None:
        yield "port", ", ".join(map(str, person.ports or (user.port,)))
    if limits.quota is not None:
        window = _WINDOW_LONG[limits.quota.window].format(day=limits.quota.day)
        passed = "" if person.used is None else f"; used {size_text(person.used)}, left {size_text(person.left or 0)}"
        yield "quota", f"{size_text(limits.quota.size)}{window}{passed}"
    if person.stored.reset_at:
        yield "reset", instant_text(person.stored.reset_at)
    if limits.expires is not None:
        rest = limits.expires - now
        yield "expires", f"{instant_text(limits.expires)}{f' (in {time_text(rest)})' if rest > 0 else ''}"
    speeds = [
        f"{way} {size_text(speed)}/s"
        for way, speed in (("up", limits.up_speed), ("down", limits.down_speed))
        if speed is not None
    ]
    if speeds:
        yield "speed", ", ".join(speeds)
    most = [
        _count(number, *nouns)
        for number, nouns in (
            (limits.connections, ("connection", "connections")),
            (limits.sessions, ("UDP session", "UDP sessions")),
            (limits.sources, ("address", "addresses")),
        )
        if number is not None
    ]
    if most:
        yield "at once", ", ".join(most)
    packed = pack_limits(limits)
    allowed = [
        f"{name} {', '.join(map(shown, packed[name])) or 'none'}" for name in ("ports", "targets") if name in packed
    ]
    if allowed:
        yield "allowed", "; ".join(allowed)


_WINDOW_LONG: Final = {"lifetime": "", "month": " a month, from day {day}", "days": " in 30 days"}


def _count(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def place_text(stands: dict[str, Any]) -> str:
    """Say where a user stands."""
    if "store" in stands:
        return f"the store {shown(stands['store'])}"
    if "manager" in stands:
        return "a port that was added while the server runs"
    line = stands["line"]
    return f"{shown(stands['config'])}{'' if line is None else f' line {line}'}"


def day_text(at: int) -> str:
    """Write the day of an instant, in UTC."""
    return _text(at, "%Y-%m-%d")


def instant_text(at: int) -> str:
    """Write an instant, in UTC."""
    return _text(at, "%Y-%m-%d %H:%M UTC")


def _text(at: int, form: str) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):
        return NEVER
