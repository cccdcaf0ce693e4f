"""The servers of a client: made, kept and let go, as its file and its subscriptions name them.

    Roster.update(servers) -> Member for each -> Group for each name -> Balancer, BalancerBack (`ways.py`)

A server that stays keeps all that is known of it, and whatever goes through it. One that is gone takes nothing new; it
is let go when the last connection through it has ended.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from secrets import randbelow
from typing import TYPE_CHECKING

from ..proxy.balance.group import TCP, Group
from ..proxy.balance.health import SAMPLES, Health
from ..proxy.balance.member import Member, MemberBack, Side
from ..proxy.balance.policies import PROBED

if TYPE_CHECKING:
    from ..config.model import ServerConfig
    from ..net.packets import Back
    from ..proxy.seams import Dialer
    from .shared import Shared

log = logging.getLogger(__name__)


class Makes:
    """What makes the ways through one server; `ways.py`."""

    __slots__ = ("back", "close", "dialer")

    def __init__(
        self,
        dialer: Callable[[Shared, ServerConfig], Dialer],
        back: Callable[[Shared, ServerConfig], Back],
        close: Callable[[Shared, ServerConfig], None],
    ) -> None:
        self.dialer = dialer
        self.back = back
        self.close = close


class Roster:
    """The servers of one client."""

    def __init__(self, shared: Shared, makes: Makes) -> None:
        self._shared = shared
        self._makes = makes
        self._members: dict[ServerConfig, Member] = {}
        self._leaving: dict[ServerConfig, Member] = {}
        self._groups: dict[str, Group] = {}
        self.update(shared.config.servers)

    @property
    def members(self) -> dict[ServerConfig, Member]:
        """The servers that take connections, in their order."""
        return self._members

    def group(self, name: str) -> Group:
        """Return the group of that name; the empty one has every server."""
        group = self._groups.get(name)
        if group is None:
            config = self._shared.config
            group = Group(name, config.balancer_policy, config.balancer_margin / 100, randbelow, self._switched)
            self._groups[name] = group
            group.take(self._of(name))
        return group

    @property
    def groups(self) -> tuple[Group, ...]:
        """Those that listeners use."""
        return tuple(self._groups.values())

    def update(self, servers: Sequence[ServerConfig]) -> None:
        """Let these be the servers from now on."""
        before = self._members
        self._members = {server: before.get(server) or self._back_again(server) for server in servers}
        for server, member in before.items():
            if server not in self._members:
                self._leaving[server] = member
        for name, group in self._groups.items():
            group.take(self._of(name))
        self.settle()

    def settle(self) -> None:
        """Let go of servers that are gone, once nothing goes through them."""
        for server in [server for server, member in self._leaving.items() if member.is_idle]:
            del self._leaving[server]
            self._makes.close(self._shared, server)

    def close(self) -> None:
        """Let go of all of them."""
        for server in (*self._members, *self._leaving):
            self._makes.close(self._shared, server)
        self._members, self._leaving = {}, {}

    def _of(self, name: str) -> list[Member]:
        return [member for member in self._members.values() if not name or member.group == name]

    def _back_again(self, server: ServerConfig) -> Member:
        """Return the member of a server that is new, or was about to be let go."""
        member = self._leaving.pop(server, None)
        return self._make(server) if member is None else member

    def _make(self, server: ServerConfig) -> Member:
        shared = self._shared
        window = SAMPLES * shared.config.balancer_interval
        tcp = Health(window)
        # Datagrams that get lost tell nobody: where nobody probes, connections find out for both.
        udp = Health(window) if shared.config.balancer_policy in PROBED else tcp
        name = self._name_of(server)
        member = Member(
            name,
            server.group,
            Side(name, tcp, server.tcp_weight, serves=server.mode.tcp),
            Side(name, udp, server.udp_weight, serves=server.mode.udp),
        )
        member.dialer = self._makes.dialer(shared, server)
        if any(local.mode.udp for local in shared.config.locals):
            member.back = MemberBack(member, self._makes.back(shared, server))
        return member

    def _name_of(self, server: ServerConfig) -> str:
        """Return a name for people that no other server has."""
        taken = {member.name for member in (*self._members.values(), *self._leaving.values())}
        names = [server.remarks or str(server.address)]
        names += [f"{names[0]} ({server.address})", *(f"{names[0]} #{number}" for number in range(2, len(taken) + 3))]
        return next(name for name in names if name not in taken)

    def _switched(self, group: Group, transport: str, before: Member | None, after: Member, why: str) -> None:
        """Tell of another best server, and end what goes through the old one, where that is wanted."""
        what = "connections" if transport == TCP else "datagrams"
        of = f" of group {group.name}" if group.name else ""
        log.info("%s%s: %s -> %s: %s", what, of, "none" if before is None else before.name, after.name, why)
        if before is not None and self._shared.config.balancer_drops:
            self.drop(before, transport)

    def drop(self, member: Member, transport: str) -> None:
        """End the connections, or the sockets of sessions, that go through a server: what comes next goes another
        way."""
        if transport == TCP:
            for relay in list(member.relays):
                relay.close("switched")
            return
        for packets in self._shared.crowd.relays:
            for session in packets.sessions.values():
                if session.via is member.back:
                    packets.close_outlet(session)
