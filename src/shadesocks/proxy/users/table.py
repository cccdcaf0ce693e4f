"""The users of one port, found by what they send: among ten thousand as fast as among two.

Where their tags are sent (SIP023) a dictionary finds them. Where nothing is (AEAD) their keys are tried, in an order
that makes this short: first those that were used from the same address, then all others, last used first.

It may be changed while it is used: whoever looks somebody up finds those of now.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Generic, Protocol, TypeVar

NEAR_MOST: Final = 32
"""Keys that are remembered for one address: a household, an office. Some hundred bytes."""
GROUPS_EACH: Final = 4
"""Addresses that are remembered for each key, as many as the four networks of somebody on the move."""
GROUPS_LEAST: Final = 1024
"""Addresses that are remembered at least."""
_LATELY: Final = 32
"""The keys that were used since all were put in order last are at most this part of them."""


class Keyholder(Protocol):
    """Whoever has keys."""

    @property
    def keys(self) -> tuple[bytes, ...]:
        """All of them, one at least."""


T = TypeVar("T", bound=Keyholder)


class UserTable(Generic[T]):
    """Users, or servers, by their keys. A key is one holder's; of two it is the last one's."""

    __slots__ = ("__weakref__", "_by_key", "_by_tag", "_lately", "_near", "_order")

    def __init__(self, users: Iterable[T] = ()) -> None:
        self._by_key: dict[bytes, T] = {}
        self._by_tag: dict[bytes, T] | None = None
        """Made when it is first asked for: hardly any edition has tags."""
        self._order: tuple[bytes, ...] = ()
        """All keys, those first that were used last, `_lately` apart."""
        self._lately: dict[bytes, None] = {}
        """Keys that were used since they were put in order; the last one was used last."""
        self._near: OrderedDict[bytes, tuple[bytes, ...]] = OrderedDict()
        """The keys that were used from an address, the last one first. The address unused for longest comes first."""
        self.set(users)

    def set(self, users: Iterable[T]) -> list[T]:
        """Let these be the users from now on, in place of all others; return who has keys that are his no more."""
        before = self._by_key
        known = {key: user for user in users for key in user.keys}
        gone = [user for key, user in before.items() if known.get(key) is not user]
        if not gone and len(known) == len(before):
            return gone
        self._by_key = known
        if known.keys() != before.keys():
            stay = [key for key in self._in_order() if key in known]
            self._order = (*(key for key in known if key not in before), *stay)
            self._lately = {}
        if self._by_tag is not None:
            tags = self._tags(dict(zip(before, self._by_tag, strict=True)))
            self._by_tag.clear()
            self._by_tag.update(tags)
        return gone

    # -- by tag --------------------------------------------------------------------------------

    def _tags(self, known: Mapping[bytes, bytes]) -> dict[bytes, T]:
        """All users by the tags of their keys, in the order of these; some are `known`, by key."""
        from ...crypto.subkeys_2022 import key_hash

        return {known.get(key) or key_hash(key): user for key, user in self._by_key.items()}

    @property
    def by_identity(self) -> Callable[[bytes], T | None]:
        """Finds whose tag this is; None: nobody's. It may be kept: it sees what changes."""
        if self._by_tag is None:
            self._by_tag = self._tags({})
        return self._by_tag.get

    # -- by trial ------------------------------------------------------------------------------

    def holder(self, key: bytes) -> T | None:
        """See `search.Keyring`."""
        return self._by_key.get(key)

    def near(self, group: bytes) -> Sequence[bytes]:
        """See `search.Keyring`."""
        near = self._near.get(group)
        return [key for key in near if key in self._by_key] if near else ()

    def candidates(self, group: bytes) -> Iterator[bytes]:
        """See `search.Keyring`. What changes meanwhile may be missed."""
        near = self.near(group)
        yield from near
        first, order = dict.fromkeys(reversed(self._lately)), self._order
        for key in first:
            if key not in near:
                yield key
        first.update(dict.fromkeys(near))
        for key in order:
            if key not in first:
                yield key

    def used(self, key: bytes, group: bytes) -> None:
        """See `search.Keyring`."""
        if key not in self._by_key:
            return
        near = self._near.pop(group, ())
        if near[:1] != (key,):
            known = self._by_key
            near = (key, *[other for other in near if other != key and other in known][: NEAR_MOST - 1])
        self._near[group] = near
        if len(self._near) > max(GROUPS_LEAST, GROUPS_EACH * len(self._by_key)):
            self._near.popitem(last=False)
        self._lately.pop(key, None)
        if len(self._lately) * _LATELY > len(self._order):
            self._order = tuple(self._in_order())
            self._lately = {}
        self._lately[key] = None

    def _in_order(self) -> Iterator[bytes]:
        """All keys that are in order."""
        lately = self._lately
        yield from reversed(lately)
        yield from (key for key in self._order if key not in lately)

    # -- all of them ---------------------------------------------------------------------------

    def __len__(self) -> int:
        """How many users there are."""
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[T]:
        """Every user once, whatever the number of his keys."""
        return iter(dict.fromkeys(self._by_key.values()))
