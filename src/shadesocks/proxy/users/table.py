"""The users of one port, found by what they send: among ten thousand as fast as among two.

It may be changed while it is used: whoever looks somebody up finds those of now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Protocol, TypeVar


class Keyholder(Protocol):
    """Whoever has keys."""

    @property
    def keys(self) -> tuple[bytes, ...]:
        """All of them, one at least."""


T = TypeVar("T", bound=Keyholder)


class UserTable(Generic[T]):
    """Users, or servers, by the tags of their keys (SIP023). A key is one holder's; of two it is the last one's."""

    __slots__ = ("_by_key", "_by_tag")

    def __init__(self, users: Iterable[T] = ()) -> None:
        self._by_key: dict[bytes, T] = {}
        self._by_tag: dict[bytes, T] | None = None
        """Made when it is first asked for: hardly any edition has tags."""
        self.set(users)

    def set(self, users: Iterable[T]) -> None:
        """Let these be the users from now on, in place of all others."""
        self._by_key = {key: user for user in users for key in user.keys}
        if self._by_tag is not None:
            tags = self._tags()
            self._by_tag.clear()
            self._by_tag.update(tags)

    def _tags(self) -> dict[bytes, T]:
        from ...crypto.subkeys_2022 import key_hash

        return {key_hash(key): user for key, user in self._by_key.items()}

    @property
    def by_identity(self) -> Callable[[bytes], T | None]:
        """Finds whose tag this is; None: nobody's. It may be kept: it sees what changes."""
        if self._by_tag is None:
            self._by_tag = self._tags()
        return self._by_tag.get

    def __len__(self) -> int:
        """How many users there are."""
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[T]:
        """Every user once, whatever the number of his keys."""
        return iter(dict.fromkeys(self._by_key.values()))
