"""A user is a value that shows no key, and is nobody else."""

from __future__ import annotations

import dataclasses

import pytest

from shadesocks.proxy.users.user import User


def test_a_key_is_not_shown() -> None:
    assert repr(User("anna", (b"key",))) == "User(name='anna')"


def test_two_with_one_name_are_two() -> None:
    """A port has its own users: what is counted for one is not the other's."""
    one, other = User("anna", (b"key",)), User("anna", (b"key",))
    assert one != other
    assert len({one, other}) == 2


def test_it_does_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        User("anna", (b"key",)).name = "ben"  # type: ignore[misc]  # this is what may not be
