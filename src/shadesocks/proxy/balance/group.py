"""Some of a client's servers, from which one is taken for each connection and each session of datagrams.

The policy orders them; a server that was pinned by hand goes before the policy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from .policies import POLICIES, Below, Policy

if TYPE_CHECKING:
    from ...core.address import Address
    from .member import Member, Side

TCP: Final = "tcp"
UDP: Final = "udp"


class Group:
    """Servers that are chosen from. `members` may change at any time; what is known of those that stay, stays."""

    def __init__(self, name: str, policy: str, margin: float, below: Below, told: Switched | None = None) -> None:
        """Begin without members.

        Args:
            name: of the group; empty for all servers.
            policy: its word in the configuration.
            margin: by how much another server must be better to take the place of the best: 0.2 is a fifth.
            below: draws a number from 0 up to, and not with, the one given.
            told: who is told that another server is the best one.
        """
        self.name = name
        self.pinned: Member | None = None
        self.members: tuple[Member, ...] = ()
        make = POLICIES[policy]
        self._told = told
        self._policies: Final[dict[str, Policy]] = {
            transport: make(margin, below, lambda old, new, why, by=transport: self._switched(by, old, new, why))  # type: ignore[misc]  # mypy infers no lambda with a default
            for transport in (TCP, UDP)
        }
        self._sides: dict[Side, Member] = {}

    def take(self, members: Sequence[Member]) -> None:
        """Choose among these from now on."""
        self.members = tuple(members)
        self._sides = {side: member for member in members for side in (member.tcp, member.udp)}
        if self.pinned not in self.members:
            self.pinned = None

    def order(self, transport: str, target: Address | None, now: float) -> Sequence[Member]:
        """Return the servers that are tried, in their order; empty where there are none."""
        if self.pinned is not None:
            return (self.pinned,)
        every: list[Side] = [getattr(member, transport) for member in self.members]
        # Where all are said not to serve it, or excluded, none is: somebody has to.
        serving = [side for side in every if side.serves] or every
        sides = [side for side in serving if side.weight > 0] or serving
        if len(sides) > 1:
            sides = self._policies[transport].order(sides, target, now)
        return [self._sides[side] for side in sides]

    def best(self, transport: str) -> Member | None:
        """Return the server that the policy prefers to all others now; None where it prefers none."""
        side = self._policies[transport].leader
        return None if side is None else self._sides.get(side)

    def _switched(self, transport: str, old: Side, new: Side, why: str) -> None:
        before, after = self._sides.get(old), self._sides.get(new)
        if self._told is not None and after is not None and self.pinned is None:
            self._told(self, transport, before, after, why)


Switched = Callable[[Group, str, "Member | None", "Member", str], None]
"""Is told that in a group, for a transport, one server took the place of another, and why."""
