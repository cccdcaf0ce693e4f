"""What came of reading a configuration again: what is another now, what needs a restart, what went wrong.

    compare(as it was, as it is, as it was wanted) -> Reloaded -> lines for the log, members for a program

Keys and passwords are in none of it: of a server that changed it says which of its fields did.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from ..config.model import Config
from .follow import differ

if TYPE_CHECKING:
    from ..config.model import ServerConfig
    from ..config.user import UserConfig
    from ..core.errors import Problem

log = logging.getLogger(__name__)

SHOWN_MOST: Final = 50
"""Servers of a kind that the log names one by one: of thousands nobody reads more."""
NAMES_MOST: Final = 10
"""Users of a server that are told by name; of more, their number."""
_IN_ITSELF: Final = frozenset(("servers", "locals", "template", "warnings", "where", "online"))
"""Fields that are told in another way than by their name, or not at all."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What came of one reload."""

    applied: bool = True
    """False: all is as it was."""
    added: tuple[str, ...] = ()
    """Servers, by name or address."""
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    """Servers, with the fields that are others now."""
    settings: tuple[str, ...] = ()
    """Those in force from now on."""
    lists: tuple[str, ...] = ()
    """The files of access lists that say something else now."""
    reset: tuple[str, ...] = ()
    """Users whose quota begins anew."""
    restart: tuple[str, ...] = ()
    """Settings that are in force after a restart only."""
    problems: tuple[str, ...] = ()
    """What could not be done, or why nothing was."""

    def told(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def lines(self) -> Iterator[str]:
        """Yield what the log says of it, problems and restarts apart."""
        for word, servers in (("added", self.added), ("removed", self.removed), ("changed", self.changed)):
            for server in servers[:SHOWN_MOST]:
                yield f"{word}: {server}"
            if len(servers) > SHOWN_MOST:
                yield f"{word}: {len(servers) - SHOWN_MOST} more"
        for path in self.lists:
            yield f"changed: the access list {path}"
        if self.reset:
            yield f"reset: {_some(self.reset)}"
        if self.settings:
            yield f"changed, and in force from now on: {', '.join(self.settings)}"


def tell(reloaded: Reloaded) -> None:
    """Log what is another now, and what needs a restart."""
    for line in reloaded.lines():
        log.info("%s", line)
    if reloaded.restart:
        log.warning("changed, and in force after a restart only: %s", ", ".join(reloaded.restart))


def refused(problems: Iterable[Problem]) -> Reloaded:
    """Return what came of a configuration that changed nothing."""
    return Reloaded(applied=False, problems=tuple(map(str, problems)))


def compare(
    before: Config,
    now: Config,
    wanted: Config,
    lists: tuple[str, ...],
    problems: Sequence[Problem],
    reset: tuple[str, ...] = (),
) -> Reloaded:
    """Return what came of one: what the service went by, what it goes by now, and what the file says."""
    names = [field.name for field in fields(Config) if field.name not in _IN_ITSELF]
    gone, come = [_without(one, other) for one, other in ((before, now), (now, before))]
    pairs = _pairs(come, gone)
    twins = {*pairs.values()}
    gone = [server for server in gone if server not in twins]
    restart = differ(now, wanted, (*names, "locals"))
    settings = differ(before, now, names)
    return Reloaded(
        added=tuple(_name(server) for server in come if server not in pairs),
        removed=tuple(map(_name, gone)),
        changed=tuple(f"{_name(server)} ({', '.join(_others(pairs[server], server))})" for server in pairs),
        settings=(*settings, "online") if before.online != now.online else settings,
        lists=lists,
        reset=reset,
        restart=restart,
        problems=tuple(map(str, problems)),
    )


def _without(one: Config, other: Config) -> list[ServerConfig]:
    there = set(other.servers)
    return [server for server in one.servers if server not in there]


def _pairs(come: Iterable[ServerConfig], gone: Iterable[ServerConfig]) -> dict[ServerConfig, ServerConfig]:
    """Return the servers that came in the place of others: on their address, or with their id."""
    left: dict[object, ServerConfig] = {}
    for server in gone:
        left[server.address] = server
        if server.id:
            left[server.id] = server
    pairs: dict[ServerConfig, ServerConfig] = {}
    used: set[ServerConfig] = set()
    for server in come:
        twin = left.get(server.address) or left.get(server.id)
        if twin is not None and twin not in used:
            pairs[server] = twin
            used.add(twin)
    return pairs


def _others(before: ServerConfig, now: ServerConfig) -> list[str]:
    """Return the fields that are others now; of users, who came, went, or is another."""
    names = [field.name for field in fields(now) if getattr(before, field.name) != getattr(now, field.name)]
    if "users" in names and before.users is not None and now.users is not None:
        names[names.index("users")] = f"users: {_who(before.users, now.users)}"
    return names


def _who(before: tuple[UserConfig, ...], now: tuple[UserConfig, ...]) -> str:
    old, new = ({user.name: user for user in users} for users in (before, now))
    kinds = (
        ("added", [name for name in new if name not in old]),
        ("removed", [name for name in old if name not in new]),
        ("changed", [name for name in new if name in old and new[name] is not old[name] and new[name] != old[name]]),
    )
    return ", ".join(f"{_some(names)} {word}" for word, names in kinds if names) or "in another order"


def _some(names: Sequence[str]) -> str:
    """Return some names, or how many they are."""
    return ", ".join(names) if len(names) <= NAMES_MOST else str(len(names))


def _name(server: ServerConfig) -> str:
    return f"{server.remarks} ({server.address})" if server.remarks else str(server.address)
