"""The addresses that one user comes from, and who of them is one too many.

As many addresses as the limit says have a place, in the order in which they came, each until nothing was heard of it
for the grace time. Beyond them as many again are borne with, each for the grace time: a telephone that goes from one
network to another keeps working, and its old address has lost its place by then. Who is still too many after that is
refused, until an older one went quiet, or until it was quiet itself for as long. Quiet is who was not heard of for the
grace time, but for no less than two sweeps: what lives is heard of once a sweep.

A key that a hundred people use serves, at any time, no more than twice the limit of them. It has no clock: instants
are seconds of a clock that does not go back.
"""

from __future__ import annotations

from typing import Any, Final

from ...core.address import MAPPED_TEXT
from ...net.datagrams import group_of

KNOWN_MOST: Final = 256
"""Addresses remembered for a user beyond twice the limit; further ones are refused and not remembered."""
QUIET_MIN: Final = 2.5
"""Seconds for which an address is remembered at least. Sweeps come a second apart, and a little more: one that talks
all the time would be forgotten before each, and borne with as a new one for ever."""


class _Source:
    """One address."""

    __slots__ = ("came_at", "heard_at")

    def __init__(self, now: float) -> None:
        self.came_at = now
        self.heard_at = now


class Sources:
    """The addresses of one user: an IPv4 address, or the /64 of an IPv6 one (`net.datagrams.group_of`)."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[bytes, _Source] = {}
        """In the order in which they came."""

    def __len__(self) -> int:
        return len(self._known)

    def knock(self, group: bytes, most: int, grace: float, now: float) -> bool:
        """Say whether an address may come in, or go on where bytes passed; something was heard of it."""
        self._forget(grace, now)
        source = self._known.get(group)
        if source is None:
            if len(self._known) >= 2 * most + KNOWN_MOST:
                return False
            source = self._known[group] = _Source(now)
        source.heard_at = now
        return group not in self._refused(most, grace, now)

    def excess(self, most: int, grace: float, now: float) -> list[bytes]:
        """Return the addresses that are refused now: what is live of them is to end."""
        self._forget(grace, now)
        return self._refused(most, grace, now)

    def _forget(self, grace: float, now: float) -> None:
        """Let go of those that went quiet."""
        quiet = max(grace, QUIET_MIN)
        for group in [group for group, source in self._known.items() if now - source.heard_at > quiet]:
            del self._known[group]

    def _refused(self, most: int, grace: float, now: float) -> list[bytes]:
        if len(self._known) <= most:
            return []
        return [
            group
            for place, (group, source) in enumerate(self._known.items())
            if place >= most and (place >= 2 * most or now - source.came_at > grace)
        ]


def group_at(source: Any) -> bytes:
    """Return what counts as one address: of a client as its socket has it; a group is one already."""
    if isinstance(source, bytes):
        return source
    return group_of(source[0].removeprefix(MAPPED_TEXT).partition("%")[0]) if isinstance(source, tuple) else b""
