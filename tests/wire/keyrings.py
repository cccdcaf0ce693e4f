"""Tables of users for the AEAD methods whose keys are tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shadesocks.crypto.methods import METHODS
from shadesocks.proxy.users.table import UserTable
from shadesocks.proxy.users.user import User
from shadesocks.wire.editions import make_shadow

if TYPE_CHECKING:
    from shadesocks.wire.shadow import Shadow


def user_key(name: str, number: int) -> bytes:
    """Return the key of a user by his number; that of a stranger for one that nobody has."""
    return (number + 1).to_bytes(METHODS[name].key_size)


def keyring_of(name: str, count: int) -> UserTable[User]:
    """Return a table of so many users."""
    return UserTable(User(f"user {number}", (user_key(name, number),)) for number in range(count))


def client_shadow(name: str, number: int) -> Shadow:
    """Return the method with the key of one user."""
    return make_shadow(METHODS[name], [user_key(name, number)])
