"""Who is next of many strangers who wait for long work, more than can be served: those who come, by their addresses.

In the order in which they came, all would wait for whoever came before in numbers; and whoever goes on coming keeps out
those who wait. So it is whoever came last, and every other time it is drawn. Who had his turn and comes again, comes
last no more: a few addresses that are at it all the time do not.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from secrets import choice
from typing import Final, Generic, TypeVar

SERVED_MOST: Final = 1024
"""Of those who had a turn, as many as may search (`slices.py`): some 100 KiB."""
_SITE_SIZE: Final = 6
"""Bytes of a /48, what many are given who ask for IPv6."""

T = TypeVar("T")


def site_of(source: Hashable) -> Hashable:
    """Return what counts as one where there is little room: of a /64 (`datagrams.group_of`) its /48."""
    return source[:_SITE_SIZE] if isinstance(source, bytes) and len(source) > _SITE_SIZE else source


class Lots(Generic[T]):
    """Sites that wait, and what each of them waits with."""

    __slots__ = ("_is_drawn", "_make", "_served", "sites")

    def __init__(self, make: Callable[[], T]) -> None:
        """`make` makes what a site waits with."""
        self._make = make
        self.sites: Final[OrderedDict[Hashable, T]] = OrderedDict()
        """Who had a turn first, then in the order in which they came."""
        self._served: Final[OrderedDict[Hashable, None]] = OrderedDict()
        """Those who had a turn, the last one last. Only addresses: nothing else comes from outside."""
        self._is_drawn = False
        """Who was next last."""

    def __bool__(self) -> bool:
        """Return whether anybody waits."""
        return bool(self.sites)

    def enter(self, site: Hashable) -> T:
        """Let a site wait, if it does not yet; return what it waits with."""
        if site not in self.sites:
            self.sites[site] = self._make()
            if site in self._served:
                self.sites.move_to_end(site, last=False)
        return self.sites[site]

    def leave(self, site: Hashable) -> None:
        """Forget a site that waits."""
        del self.sites[site]

    def draw(self) -> Hashable:
        """Return whose turn it is. He waits on."""
        self._is_drawn = not self._is_drawn
        site = choice(list(self.sites)) if self._is_drawn else next(reversed(self.sites))
        self.sites.move_to_end(site, last=False)
        if isinstance(site, bytes):
            self._served[site] = None
            self._served.move_to_end(site)
            if len(self._served) > SERVED_MOST:
                self._served.popitem(last=False)
        return site
