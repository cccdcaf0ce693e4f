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
from ...proxy.users.quota import HOUR, SLIDING_HOURS, next_month, this_month, window_of

if TYPE_CHECKING:
    from ...core.limits import Quota
    from .store import Store, Stored


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


def used(store: Store, quotas: Mapping[str, Quota], wall: int) -> dict[str, int]:
    """Return the payload bytes that count against the quotas now, by name; raises StoreError."""
    past, found = look_up(store, quotas, wall), {}
    for name, quota in quotas.items():
        window = window_of(quota)
        if name in past:
            window.restore(*past[name], wall)
        found[name] = window.used(wall)
    return found


Past = tuple[int, Iterable[tuple[int, int]]]
"""What a store knows of a quota: payload bytes that count, and hours with theirs; see `Window.restore`."""


def look_up(store: Store, quotas: Mapping[str, Quota], wall: int) -> dict[str, Past]:
    """Return what the store knows of what counts against the quotas, by name; raises StoreError.

    A lifetime is told as its sum, a month as that of its first hour, 30 days hour by hour.
    """
    alike: dict[tuple[str, int], list[str]] = {}
    for name, quota in quotas.items():
        alike.setdefault((quota.window, quota.day), []).append(name)
    found: dict[str, Past] = {}
    for (window, day), names in alike.items():
        if window == "lifetime":
            found.update((name, (size, ())) for name, size in store.used(names).items())
        elif window == "month":
            reach = this_month(wall, day) // HOUR, next_month(wall, day) // HOUR
            found.update((name, (size, ((reach[0], size),))) for name, size in store.used(names, reach).items())
        else:
            reach = wall // HOUR + 1 - SLIDING_HOURS, wall // HOUR + SLIDING_HOURS
            found.update((name, (hours.total, hours)) for name, hours in store.used_by_hour(names, reach).items())
    return found
