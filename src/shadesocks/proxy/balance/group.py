"""Some of a client's servers, from which one is taken for each connection and each session of datagrams.

The policy orders them; a server that was pinned by hand goes before the policy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Final

from .leader import Leader, Told
from .policies import POLICIES, Policy

if TYPE_CHECKING:
    from ...core.address import Address
    from .member import Member, Side

TCP: Final = "tcp"
UDP: Final = "udp"


class Group:
    """Servers that are chosen from. `members` may change at any time; what is known of those that stay, stays."""

    def __init__(
        self, name: str, policy: str, margin: float, chance: Random | None = None, told: Switched | None = None
    ) -> None:
        """Begin without members.

        Args:
            name: of the group; empty for all servers.
            policy: its word in the configuration.
            margin: by how much another server must be better to take the place of the best: 0.2 is a fifth.
            chance: draws for the policy; None: a new one. Which of the operator's servers is taken is no secret.
            told: who is told that another server is the best one.
        """
        self.name = name
        self.pinned: Member | None = None
        self.members: tuple[Member, ...] = ()
        make, chance = POLICIES[policy], chance or Random()  # noqa: S311 - see `chance`
        self._told = told
        self._policies: Final[dict[str, Policy]] = {
            transport: make(margin, chance, self._teller(transport)) for transport in (TCP, UDP)
        }
        self._choices: dict[str, tuple[Side, ...]] = {TCP: (), UDP: ()}
        """For each transport, who may be tried."""
        self._sides: dict[Side, Member] = {}

    def take(self, members: Sequence[Member]) -> None:
        """Choose among these from now on."""
        self.members = tuple(members)
        self._choices = {
            TCP: _choices([member.tcp for member in members]),
            UDP: _choices([member.udp for member in members]),
        }
        self._sides = {side: member for member in members for side in (member.tcp, member.udp)}
        if self.pinned not in self.members:
            self.pinned = None

    def order(self, transport: str, target: Address | None, now: float) -> Sequence[Member]:
        """Return the servers that are tried, in their order; empty where there are none."""
        if self.pinned is not None:
            return (self.pinned,)
        sides: Sequence[Side] = self._choices[transport]
        if len(sides) > 1:
            sides = self._policies[transport].order(sides, target, now)
        members = self._sides
        return [members[side] for side in sides]

    def choices(self, transport: str) -> Sequence[Member]:
        """Return the servers that the policy chooses from."""
        return [self._sides[side] for side in self._choices[transport]]

    def look(self, now: float) -> None:
        """Let what was learnt be told while nobody asks: that another server is the best one."""
        for transport, sides in self._choices.items():
            policy = self._policies[transport]
            if len(sides) > 1 and isinstance(policy, Leader):
                policy.order(sides, None, now)

    def best(self, transport: str) -> Member | None:
        """Return the server that the policy prefers to all others now; None where it prefers none."""
        side = self._policies[transport].leader
        return None if side is None else self._sides.get(side)

    def _teller(self, transport: str) -> Told:
        def tell(old: Side | None, new: Side, why: str) -> None:
            if self._told is not None and self.pinned is None:
                self._told(self, transport, None if old is None else self._sides.get(old), self._sides[new], why)

        return tell


def _choices(every: list[Side]) -> tuple[Side, ...]:
    """Return who may be tried. Where all are said not to serve it, or are excluded, none is: somebody has to."""
    serving = [side for side in every if side.serves] or every
    return tuple([side for side in serving if side.weight > 0] or serving)


Switched = Callable[[Group, str, "Member | None", "Member", str], None]
"""Is told that in a group, for a transport, one server took the place of another, and why."""
