"""Users are found by the tags of their keys, or by trying their keys in a good order, and by nothing else."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.crypto.subkeys_2022 import key_hash
from shadesocks.proxy.users.table import GROUPS_LEAST, NEAR_MOST, UserTable
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


# Keys that are tried


def some(count: int) -> list[User]:
    return [User(f"user {number}", (number.to_bytes(16),)) for number in range(count)]


def order(table: UserTable[User], group: bytes = b"nowhere") -> list[int]:
    return [int.from_bytes(key) for key in table.candidates(group)]


def use(table: UserTable[User], number: int, group: bytes = b"here") -> None:
    table.used(number.to_bytes(16), group)


def test_the_first_order_is_that_of_the_list() -> None:
    assert order(UserTable(some(5))) == [0, 1, 2, 3, 4]
    assert order(UserTable[User]()) == []


def test_last_used_first() -> None:
    table = UserTable(some(100))
    for number in (7, 50, 7, 99):
        use(table, number)
    assert order(table)[:5] == [99, 7, 50, 0, 1]
    assert sorted(order(table)) == list(range(100))


def test_it_is_the_order_of_a_plain_list_whatever_happens() -> None:
    """Against a list that is put in order each time."""
    table, plain = UserTable(some(200)), list(range(200))
    draw = Random(1)  # noqa: S311 - a test's choice, not a secret
    for _ in range(2000):
        number = draw.randrange(200)
        use(table, number)
        plain.remove(number)
        plain.insert(0, number)
        assert next(iter(order(table))) == number
    assert order(table) == plain


def test_those_of_an_address_come_before_all_others() -> None:
    table = UserTable(some(100))
    for number in (3, 4, 3):
        use(table, number, b"here")
    for number in (60, 61):
        use(table, number, b"there")
    assert order(table, b"here")[:4] == [3, 4, 61, 60]
    assert order(table, b"there")[:4] == [61, 60, 3, 4]
    for group in (b"here", b"there", b"nowhere"):
        assert sorted(order(table, group)) == list(range(100)), "each once"


def test_of_an_address_so_many_are_remembered() -> None:
    table = UserTable(some(1000))
    for number in range(100):
        use(table, number)
    for number in range(500, 600):
        use(table, number, b"there")
    assert order(table, b"here")[:NEAR_MOST] == list(range(99, 99 - NEAR_MOST, -1))
    assert order(table, b"here")[NEAR_MOST] == 599


def test_so_many_addresses_are_remembered() -> None:
    table = UserTable(some(3))
    for number in range(GROUPS_LEAST + 1):
        use(table, 2, number.to_bytes(4))
    use(table, 1, b"other")
    assert order(table, (2).to_bytes(4)) == [2, 1, 0]
    assert order(table, (0).to_bytes(4)) == [1, 2, 0], "it was unused for longest"


def test_who_is_gone_is_tried_no_more_and_who_is_new_is_tried_early() -> None:
    table = UserTable(some(100))
    use(table, 3)
    use(table, 5)
    table.set([*some(100)[:5], User("new", ((200).to_bytes(16),))])
    assert order(table, b"here") == [3, 200, 0, 1, 2, 4]
    use(table, 5)
    assert order(table, b"here") == [3, 200, 0, 1, 2, 4], "its key is nobody's"
    assert table.holder((5).to_bytes(16)) is None


def test_what_changes_while_somebody_looks_does_not_hide_the_rest() -> None:
    table = UserTable(some(1000))
    use(table, 1)
    for group in (b"here", b"nowhere"):
        seen = []
        for place, key in enumerate(table.candidates(group)):
            seen.append(int.from_bytes(key))
            use(table, 999 - place % 1000, b"there")
        assert sorted(seen) == list(range(1000))


def test_tags_are_not_made_where_keys_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shadesocks.crypto.subkeys_2022.key_hash", None)
    table = UserTable(some(3))
    table.set(some(4))
    assert order(table) == [3, 0, 1, 2]


def test_a_change_says_whose_key_is_his_no_more() -> None:
    """And makes no tag of a key that was there."""
    table = UserTable([ANNA, BEN])
    assert table.by_identity(key_hash(b"A" * 32)) is ANNA
    assert table.set([BEN, ANNA]) == []
    asked: list[bytes] = []

    def ask(key: bytes) -> bytes:
        asked.append(key)
        return key_hash(key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shadesocks.crypto.subkeys_2022.key_hash", ask)
        less, other = User("anna", (b"A" * 32,)), User("carl", (b"b" * 32, b"c" * 32))
        assert set(table.set([less, other])) == {ANNA, BEN}
    assert asked == [b"c" * 32]
    for key, user in ((b"a", None), (b"A", less), (b"b", other), (b"c", other)):
        assert table.by_identity(key_hash(key * 32)) is user


@given(st.lists(st.lists(st.integers(1, 1023), max_size=4), min_size=1, max_size=5))
def test_a_table_that_was_changed_is_as_a_new_one(steps: list[list[int]]) -> None:
    """A number is a user: each of its bits is a key."""
    table = UserTable[User]([])
    table.by_identity  # noqa: B018 - tags are kept from now on
    for step in steps:
        users = [User(str(bits), tuple(key.to_bytes(16) for key in range(10) if bits >> key & 1)) for bits in step]
        table.set(users)
        new = UserTable(users)
        for key in map(int.to_bytes, range(10), [16] * 10):
            assert table.holder(key) is new.holder(key)
            assert table.by_identity(key_hash(key)) is new.by_identity(key_hash(key))
        assert sorted(order(table)) == sorted(order(new))
