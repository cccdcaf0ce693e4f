"""From the lists of a configuration to the tables of those who share a port."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...crypto.keys import parse_keys
from ...proxy.users.destination import Destination
from ...proxy.users.table import UserTable
from ...proxy.users.user import User

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ...config.model import ServerConfig


def users_of(server: ServerConfig, wall: float | None = None, before: Iterable[User] = ()) -> Iterator[User]:
    """Yield those who share a server with keys of their own: of each the keys that are valid at an instant.

    Whoever has the same keys as one of those `before` is that one.
    """
    method, known = server.method, {user.name: user for user in before}
    for user in server.users or ():
        keys = tuple([each.key(method) for each in user.credentials if wall is None or each.is_valid(wall)])
        if keys:
            same = known.get(user.name)
            yield same if same is not None and same.keys == keys else User(user.name, keys)


def table_of(server: ServerConfig, wall: float | None = None) -> UserTable[User] | None:
    """Return the users of a server, None where whoever has its key is served. One table for streams and datagrams."""
    return UserTable(users_of(server, wall)) if server.is_shared else None


def next_turn(server: ServerConfig, wall: float) -> float:
    """Return when a key of a server begins or ceases to be valid the next time; infinity: never."""
    ends = (
        end
        for user in server.users or ()
        for each in user.credentials
        for end in (each.valid_from, each.valid_until)
        if end is not None and end > wall
    )
    return min(ends, default=float("inf"))


def destinations_of(server: ServerConfig) -> UserTable[Destination] | None:
    """Return the servers that a server stands in front of, None where it dials targets."""
    if not server.destinations:
        return None
    return UserTable(
        Destination(each.name, parse_keys(server.method, each.password.reveal())[-1], each.address)
        for each in server.destinations
    )
