"""A search goes on step by step, in the order of the keyring, and ends with the first key that fits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shadesocks.proxy.users.table import UserTable
from shadesocks.proxy.users.user import User
from shadesocks.wire.search import STEP, Search

KEYS = [number.to_bytes(32) for number in range(100)]


class Fits:
    """In the place of a trial: one key fits."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.tried: list[bytes] = []

    def find(self, keys: Iterable[bytes]) -> bytes | None:
        for key in keys:
            self.tried.append(key)
            if key == self.key:
                return key
        return None


def table(keys: Iterable[bytes] = KEYS) -> UserTable[User]:
    return UserTable(User(key.hex(), (key,)) for key in keys)


def search(key: bytes, keyring: UserTable[User], group: bytes = b"near") -> tuple[Fits, Search]:
    fits = Fits(key)
    return fits, Search(fits, keyring, group)  # type: ignore[arg-type]  # what is asked of a trial


def steps(one: Search) -> Iterator[int]:
    yield 1
    while not one.step():
        yield 1


def test_it_ends_with_the_key_that_fits() -> None:
    for place in (0, STEP - 1, STEP, 99):
        fits, one = search(KEYS[place], table())
        assert sum(steps(one)) == place // STEP + 1
        assert one.key == KEYS[place]
        assert fits.tried == KEYS[: place + 1]


def test_it_ends_where_none_does() -> None:
    for count in (0, 1, STEP - 1, STEP, 100):
        fits, one = search(b"none", table(KEYS[:count]))
        assert sum(steps(one)) == count // STEP + 1
        assert one.key == b""
        assert fits.tried == KEYS[:count]


def test_a_key_that_was_taken_away_meanwhile_is_nobodys() -> None:
    keyring = table()
    _, one = search(KEYS[99], keyring)
    assert not one.step()
    keyring.set([User("other", (KEYS[0],))])
    for _ in steps(one):
        pass
    assert one.key == b""


def test_who_changes_meanwhile_is_found_as_he_is_now() -> None:
    keyring = table()
    _, one = search(KEYS[99], keyring)
    assert not one.step()
    late = User("late", (b"l" * 32, KEYS[99]))
    keyring.set([late])
    for _ in steps(one):
        pass
    assert keyring.holder(one.key) is late


def test_keys_of_the_same_address_come_first() -> None:
    keyring = table()
    keyring.used(KEYS[70], b"near")
    keyring.used(KEYS[80], b"far")
    fits, one = search(KEYS[70], keyring)
    assert one.step()
    assert fits.tried == [KEYS[70]]
    fits, one = search(b"none", keyring)
    one.step()
    assert fits.tried[:3] == [KEYS[70], KEYS[80], KEYS[0]]


def test_what_is_found_for_the_same_address_meanwhile_is_tried_next() -> None:
    keyring = table()
    fits, one = search(KEYS[99], keyring)
    other, _ = search(KEYS[99], keyring, b"far")
    assert not one.step()
    keyring.used(KEYS[98], b"near")
    assert not one.step()
    assert fits.tried[STEP] == KEYS[98]
    keyring.used(KEYS[99], b"near")
    assert one.step()
    assert fits.tried[2 * STEP + 1 :] == [KEYS[99]]
    assert not other.tried
