"""Users are found by the tags of their keys, and by nothing else."""

from __future__ import annotations

from shadesocks.crypto.subkeys_2022 import key_hash
from shadesocks.proxy.users.table import UserTable
from shadesocks.proxy.users.user import User


def test_each_is_found() -> None:
    users = [User(f"user {number}", number.to_bytes(32)) for number in range(1000)]
    table = UserTable(users)
    assert len(table) == 1000
    assert list(table) == users
    for user in users:
        assert table.by_identity(key_hash(user.key)) is user


def test_nobody_else_is() -> None:
    table = UserTable([User("anna", b"a" * 32)])
    assert table.by_identity(key_hash(b"b" * 32)) is None
    assert table.by_identity(b"") is None
    assert UserTable[User]([]).by_identity(key_hash(b"a" * 32)) is None
