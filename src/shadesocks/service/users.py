"""From the lists of a configuration to the tables of those who share a port."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..crypto.keys import parse_keys
from ..proxy.users.destination import Destination
from ..proxy.users.table import UserTable
from ..proxy.users.user import User

if TYPE_CHECKING:
    from ..config.model import ServerConfig


def users_of(server: ServerConfig) -> UserTable[User] | None:
    """Return the users of a server, None where whoever has its key is served. One table for streams and datagrams."""
    if server.users is None:
        return None
    return UserTable(User(user.name, (parse_keys(server.method, user.password.reveal())[-1],)) for user in server.users)


def destinations_of(server: ServerConfig) -> UserTable[Destination] | None:
    """Return the servers that a server stands in front of, None where it dials targets."""
    if not server.destinations:
        return None
    return UserTable(
        Destination(each.name, parse_keys(server.method, each.password.reveal())[-1], each.address)
        for each in server.destinations
    )
