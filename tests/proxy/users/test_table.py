"""Users are found by the tags of their keys, and by nothing else."""

from __future__ import annotations

from shadesocks.crypto.subkeys_2022 import key_hash
from shadesocks.proxy.users.table import UserTable
from shadesocks.proxy.users.user import User

ANNA, BEN = User("anna", (b"a" * 32, b"A" * 32)), User("ben", (b"b" * 32,))


def test_each_is_found() -> None:
    users = [User(f"user {number}", (number.to_bytes(32),)) for number in range(1000)]
    table = UserTable(users)
    assert len(table) == 1000
    assert list(table) == users
    for user in users:
        assert table.by_identity(key_hash(user.keys[0])) is user


def test_nobody_else_is() -> None:
    table = UserTable([User("anna", (b"a" * 32,))])
    assert table.by_identity(key_hash(b"b" * 32)) is None
    assert table.by_identity(b"") is None
    assert UserTable[User]([]).by_identity(key_hash(b"a" * 32)) is None


def test_one_with_several_keys_is_one() -> None:
    table = UserTable([ANNA, BEN])
    assert list(table) == [ANNA, BEN]
    assert len(table) == 2
    assert [table.by_identity(key_hash(key)) for key in ANNA.keys] == [ANNA, ANNA]


def test_what_was_taken_from_it_sees_its_changes() -> None:
    table = UserTable([ANNA])
    find = table.by_identity
    table.set([BEN, User("anna", (b"n" * 32,))])
    assert find(key_hash(b"a" * 32)) is None
    assert find(key_hash(b"b" * 32)) is BEN
    found = find(key_hash(b"n" * 32))
    assert found is not None
    assert found.name == "anna"
    table.set([])
    assert find(key_hash(b"b" * 32)) is None
    assert len(table) == 0
