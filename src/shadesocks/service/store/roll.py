"""The users that a store defines: their definitions read and written, and what they used of their quotas.

For whoever serves them and for whoever changes them, so that both have one form: the members of `config/user.py` as
JSON. The calls may wait for a disk, as those of the store.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ...config.hosts import UnfitError
from ...config.user import UserConfig, pack_user, parse_user
from ...proxy.users.quota import HOUR, SLIDING_HOURS, this_month, window_of
from .store import HOURS_A_DAY, Stored

if TYPE_CHECKING:
    from ...core.limits import Quota
    from .store import Store


@dataclass(frozen=True, slots=True)
class Roll:
    """Who stands in a store."""

    users: Mapping[str, UserConfig]
    """Those with a definition that can be read, by name."""
    stored: Mapping[str, Stored]
    """All that the store knows of anybody: also of those who are defined elsewhere, or no more."""
    faults: Mapping[str, str]
    """By name, why a definition cannot be read: a sentence without its text."""


NOBODY: Final = Roll({}, {}, {})


def call_roll(store: Store, before: Roll = NOBODY) -> Roll:
    """Return who stands in a store; raises StoreError."""
    return roll_of(store.users(), before)


def roll_of(stored: Iterable[Stored], before: Roll = NOBODY) -> Roll:
    """Return the users among what a store knows; whoever is defined as before is the same object."""
    users: dict[str, UserConfig] = {}
    known: dict[str, Stored] = {}
    faults: dict[str, str] = {}
    for each in stored:
        known[each.name] = each
        if each.definition is not None:
            was = before.users.get(each.name)
            if was is not None and before.stored[each.name].definition == each.definition:
                users[each.name] = was
                continue
            try:
                users[each.name] = parse_definition(each.name, each.definition)
            except UnfitError as unfit:
                faults[each.name] = str(unfit)
    return Roll(users, known, faults)


def parse_definition(name: str, text: str) -> UserConfig:
    """Return the user that a definition says.

    Raises:
        UnfitError: it says none; the sentence does not repeat it.
    """
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        raise UnfitError("what the store has of this user is no JSON; write it anew") from None
    if not isinstance(members, dict):
        raise UnfitError("what the store has of this user is no object of JSON; write it anew")
    return parse_user(name, members)


def pack_definition(user: UserConfig) -> str:
    """Return the definition of a user; his keys are in it."""
    return json.dumps(pack_user(user), ensure_ascii=False, separators=(",", ":"))


def write_user(store: Store, user: UserConfig) -> None:
    """Keep a user, new or changed; raises StoreError."""
    store.put(user.name, pack_definition(user))


_NOBODY: Final = Stored("")


def used(store: Store, quotas: Mapping[str, Quota], stored: Mapping[str, Stored], wall: int) -> dict[str, int]:
    """Return the payload bytes that count against the quotas now, by name; raises StoreError.

    Hours are read a day at a time: all of those of all users may be much.
    """
    hours: dict[str, list[tuple[int, int]]] = {
        name: [] for name, quota in quotas.items() if quota.window != "lifetime" and name in stored
    }
    if hours:
        first = min(_first_hour(quotas[name], wall) for name in hours)
        end = wall // HOUR + 1
        one = next(iter(hours)) if len(hours) == 1 else None
        for hour in range(first, end, HOURS_A_DAY):
            for row in store.hours(hour, min(hour + HOURS_A_DAY, end), one):
                if row.user in hours:
                    hours[row.user] += stored[row.user].hours_since_reset([row])
    found = {}
    for name, quota in quotas.items():
        window = window_of(quota)
        window.restore(stored.get(name, _NOBODY).since_reset, hours.get(name, ()), wall)
        found[name] = window.used(wall)
    return found


def _first_hour(quota: Quota, wall: int) -> int:
    """Return the first hour that a window looks at."""
    if quota.window == "month":
        return this_month(wall, quota.day) // HOUR
    return wall // HOUR + 1 - SLIDING_HOURS
