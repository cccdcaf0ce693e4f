"""The accounts of a service, by the names of their users; one sweep for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from .account import Account
from .counts import NOTHING, Counts

if TYPE_CHECKING:
    from ...core.limits import Limits
    from .elsewhere import Others


class Accounts:
    """Who is known to this process, and what passes for them."""

    def __init__(self, meet: Callable[[str], Others | None] | None = None) -> None:
        """`meet` returns a user's place among several processes; None where there is one, or for a user without."""
        self._meet = meet
        self._all: dict[str, Account] = {}
        self.awake: Final[dict[Account, None]] = {}
        """Those with something live, or something untold: of ten thousand users hardly any has."""

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Account]:
        return iter(self._all.values())

    def find(self, name: str) -> Account | None:
        """Return the account of that name, if there is one."""
        return self._all.get(name)

    def open(self, name: str, limits: Limits, now: float, wall: int) -> Account:
        """Return the account of that name, with these limits: the one that is there goes on."""
        account = self._all.get(name)
        if account is None:
            account = self._all[name] = Account(name, awake=self.awake, meet=self._meet)
        if account.limits != limits:
            account.limit(limits, now, wall)
        return account

    def close(self, name: str, word: str = "disabled") -> None:
        """End all of a user, and forget the account once its last bytes were told."""
        account = self._all.pop(name, None)
        if account is not None:
            account.end_all(word)
            account.close()

    def sweep(self, now: float, wall: int) -> list[tuple[str, Counts]]:
        """Sweep those that are awake; return what passed, by user, where anything did."""
        deltas = []
        for account in list(self.awake):
            delta = account.sweep(now, wall)
            if delta != NOTHING:
                deltas.append((account.name, delta))
            if account.is_asleep:
                del self.awake[account]
        return deltas
