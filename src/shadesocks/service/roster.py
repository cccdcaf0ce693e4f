"""The servers of a client: made, kept and let go, as its file and its subscriptions name them.

    Roster.update(servers) -> Member for each -> Group for each name -> Balancer, BalancerBack (`roles/client_ways.py`)

A server that stays keeps all that is known of it, and whatever goes through it, even where it has another name or
weight now. One that is gone takes nothing new; it is let go when the last connection through it has ended.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ..proxy.balance.group import TCP, UDP, Group
from ..proxy.balance.health import Health
from ..proxy.balance.member import Member, MemberBack, Side
from ..proxy.balance.policies import PROBED

if TYPE_CHECKING:
    from ..config.model import ServerConfig
    from ..net.packet_seams import Back
    from ..proxy.balance.prober import Prober
    from ..proxy.seams import Dialer
    from .shared import Shared

log = logging.getLogger(__name__)


def _nothing() -> None:
    """Close what has nothing to close."""


def _says_nothing() -> Mapping[str, Any]:
    return {}


def _nobody_listens(_told: Callable[[str, float], None]) -> None:
    """There is nothing to listen to."""


@dataclass(frozen=True, slots=True)
class Way:
    """How one server is reached, and what that keeps open."""

    dialer: Dialer
    back: Back | None
    """None: no listener takes datagrams."""
    close: Callable[[], None] = _nothing
    """Gives back what it keeps open: warm connections, a plugin."""
    about: Callable[[], Mapping[str, Any]] = _says_nothing
    """What is told of that in `Roster.table`: `pool`, `plugin`."""
    rest: Callable[[], None] = _nothing
    """Keeps nothing ready from now on: nothing new is to come."""
    fresh: Dialer | None = None
    """The dialer without what is kept ready, for probes; None: the same."""
    listen: Callable[[Callable[[str, float], None]], None] = _nobody_listens
    """Lets somebody be told of connects that no request waited for: a reason word, "done" for success, and seconds."""


MakeWay = Callable[["Shared", "ServerConfig"], Way]
"""`roles.client_ways.client_way`."""
MakeProber = Callable[["Shared", "Roster"], "Prober | None"]
"""`roles.client_ways.client_prober`."""


class Roster:
    """The servers of one client."""

    def __init__(self, shared: Shared, make: MakeWay, make_prober: MakeProber = lambda _shared, _roster: None) -> None:
        self._shared = shared
        self._make_way = make
        self._prober = make_prober(shared, self)
        """None: nobody asks how the servers are."""
        self._sources: dict[str, Sequence[ServerConfig]] = {}
        self._members: dict[ServerConfig, Member] = {}
        self._leaving: set[Member] = set()
        self._ways: dict[Member, Way] = {}
        self._groups: dict[str, Group] = {}
        self.update(shared.config.servers)

    @property
    def members(self) -> Mapping[ServerConfig, Member]:
        """The servers that take connections, in their order."""
        return self._members

    def group(self, name: str) -> Group:
        """Return the group of that name; the empty one has every server."""
        group = self._groups.get(name)
        if group is None:
            config = self._shared.config
            group = Group(name, config.balancer_policy, config.balancer_margin / 100, told=self._switched)
            self._groups[name] = group
            group.take(self._of(name))
            self._watch()
        return group

    @property
    def groups(self) -> tuple[Group, ...]:
        """Those that listeners use."""
        return tuple(self._groups.values())

    # -- servers that come and go ----------------------------------------------------------------

    def update(self, servers: Sequence[ServerConfig], source: str = "") -> None:
        """Let these be the servers of a source from now on; the empty one is the client's own configuration.

        Those of other sources, subscriptions, stay as they are, and stand behind.
        """
        self._sources[source] = servers
        before = self._members
        kept = {server: before.get(server) for each in self._sources.values() for server in each}
        others = {_core(server): member for server, member in before.items() if server not in kept}
        kept = {server: member or others.pop(_core(server), None) for server, member in kept.items()}
        gone = {*before.values()} - {*kept.values()}
        self._leaving |= gone
        for member in gone:
            self._ways[member].rest()
        self._members = {}
        for server, same in kept.items():
            member = self._members[server] = same or self._make(server)
            self._rename(member, server)
        called = {member: (server.id, server.remarks) for server, member in before.items()}
        for name, group in self._groups.items():
            pinned = group.pinned
            group.take(self._of(name))
            if pinned is not None and group.pinned is None:
                self._pin_heir(group, pinned, *called[pinned])
        self._watch()
        self.settle()

    def _pin_heir(self, group: Group, gone: Member, server_id: str, remarks: str) -> None:
        """Keep a pin on the server that has the place of one that is gone: it is called so, at another address."""
        there = [(server, member) for server, member in self._members.items() if member in group.members]
        heirs = [member for server, member in there if server_id and server.id == server_id]
        heirs = heirs or [member for server, member in there if remarks and server.remarks == remarks]
        if len(heirs) == 1:
            group.pinned = heirs[0]
            log.info("%s stays pinned: it is reached another way now", heirs[0].name)
        else:
            log.info("%s is pinned no more: it is gone", gone.name)

    def settle(self) -> None:
        """Let go of servers that are gone, once nothing goes through them."""
        for member in [member for member in self._leaving if member.is_idle]:
            self._leaving.discard(member)
            self._ways.pop(member).close()

    def rest(self) -> None:
        """Keep nothing ready, and ask nothing, from now on: no listener accepts any more."""
        if self._prober is not None:
            self._prober.close()
        for way in self._ways.values():
            way.rest()

    def close(self) -> None:
        """Let go of all of them."""
        if self._prober is not None:
            self._prober.close()
        for way in self._ways.values():
            way.close()
        self._members, self._leaving, self._ways = {}, set(), {}

    def _of(self, name: str) -> list[Member]:
        return [member for member in self._members.values() if not name or member.group == name]

    def _make(self, server: ServerConfig) -> Member:
        shared = self._shared
        interval, longest = shared.config.balancer_interval, shared.config.balancer_max_rtt
        tcp = Health(interval, longest)
        # Datagrams that get lost tell nobody: where nobody probes, connections find out for both.
        udp = Health(interval, longest) if shared.config.balancer_policy in PROBED else tcp
        member = Member("", "", Side("", tcp, 1.0), Side("", udp, 1.0), shared.reactor.loop.time)
        member.look_into = partial(self._look_into, member)
        way = self._ways[member] = self._make_way(shared, server)
        member.dialer, member.fresh = way.dialer, way.fresh or way.dialer
        way.listen(lambda word, _seconds: member.dialled(shared.reactor.loop.time(), word))
        if way.back is not None:
            member.back = MemberBack(member, way.back, shared.reactor.loop.time)
        return member

    def _rename(self, member: Member, server: ServerConfig) -> None:
        """Let a member be called, weighed and grouped as its configuration says."""
        member.group = server.group
        member.name = member.tcp.name = member.udp.name = self._name_of(member, server)
        member.tcp.weight, member.tcp.serves = server.tcp_weight, server.mode.tcp
        member.udp.weight, member.udp.serves = server.udp_weight, server.mode.udp

    def _name_of(self, member: Member, server: ServerConfig) -> str:
        """Return a name for people that no other server has."""
        taken = {other.name for other in self._ways if other is not member and other not in self._leaving}
        names = [server.remarks or str(server.address)]
        names += [f"{names[0]} ({server.address})", *(f"{names[0]} #{number}" for number in range(2, len(taken) + 3))]
        return next(name for name in names if name not in taken)

    # -- how they are ----------------------------------------------------------------------------

    def wanted(self) -> None:
        """A program asks for a server."""
        if self._prober is not None:
            self._prober.wanted()

    @property
    def probes(self) -> Mapping[str, int]:
        """What came of probes, by word: `works`, or a reason."""
        return {} if self._prober is None else self._prober.results

    def _look_into(self, member: Member) -> bool:
        """Let the prober find out at once how a server is; False where nobody probes it."""
        return self._prober is not None and self._prober.look((member, TCP))

    def _watch(self) -> None:
        """Let the prober look at all that are chosen from, where there is a choice."""
        if self._prober is None:
            return
        keys = dict[tuple[Member, str], None]()
        for group in self._groups.values():
            for transport in (TCP, UDP):
                members = group.choices(transport)
                if len(members) > 1:
                    keys.update({(member, transport): None for member in members if transport == TCP or member.back})
        self._prober.watch(keys)

    def is_best(self, member: Member, transport: str) -> bool:
        """See `prober.Owner`."""
        return any(group.best(transport) is member for group in self._groups.values())

    def learnt(self, member: Member, transport: str) -> None:
        """See `prober.Owner`. Datagrams tell nobody that they are lost: sessions leave a server that is down."""
        now = self._shared.reactor.loop.time()
        for group in self._groups.values():
            if member in group.members:
                group.look(now)
        if transport == UDP and member.udp.live and member.udp.health.is_down(now):
            others = [other for group in self._groups.values() for other in group.choices(UDP)]
            if any(other.udp.health.worked_at is not None and not other.udp.health.failures(now) for other in others):
                self.drop(member, UDP)

    # -- by hand ---------------------------------------------------------------------------------

    def table(self) -> list[dict[str, Any]]:
        """Return what is known of each server, as JSON has it: for people and programs that ask.

        `chosen`: the transports whose best server it is now, or that it is pinned for. `score` and `latency_ms` are
        None where nothing is known; a score of 10,000 is dead.
        """
        now, config = self._shared.reactor.loop.time(), self._shared.config
        rows = []
        for server, member in self._members.items():
            groups = [group for group in self._groups.values() if member in group.members]
            pinned = [group for group in groups if group.pinned is member]
            rows.append(
                {
                    "name": member.name,
                    "address": str(server.address),
                    "id": server.id,
                    "group": server.group,
                    "policy": config.balancer_policy,
                    "pinned": bool(pinned),
                    "chosen": [transport for transport in (TCP, UDP) if pinned or self.is_best(member, transport)],
                    TCP: _row(member.tcp, now),
                    UDP: _row(member.udp, now),
                    "bytes": member.heard,
                    **self._ways[member].about(),
                }
            )
        return rows

    def pin(self, name: str) -> str:
        """Let all connections go through one server, named by its name, id or address; return its name.

        Raises:
            LookupError: none, or more than one, is called so, or no listener uses it. Nothing changed.
        """
        member = self._find(name)
        groups = [group for group in self._groups.values() if member in group.members]
        if not groups:
            raise LookupError(f"no listener uses {member.name!r}: its group has none")
        for group in groups:
            group.pinned = member
        log.info("%s is pinned: all goes through it", member.name)
        if self._shared.config.balancer_drops:
            kept = {other for group in self._groups.values() if group not in groups for other in group.members}
            for other in {other for group in groups for other in group.members} - {member} - kept:
                for transport in (TCP, UDP):
                    self.drop(other, transport)
        return member.name

    def unpin(self) -> bool:
        """Choose by the policy again; False where nothing was pinned."""
        pinned = {group.pinned for group in self._groups.values() if group.pinned is not None}
        for group in self._groups.values():
            group.pinned = None
        for member in pinned:
            log.info("%s is pinned no more", member.name)
        return bool(pinned)

    def _find(self, name: str) -> Member:
        for called in (
            [member for member in self._members.values() if member.name == name],
            [member for server, member in self._members.items() if name and server.id == name],
            [member for server, member in self._members.items() if name in (str(server.address), server.address.host)],
        ):
            if len(called) == 1:
                return called[0]
            if called:
                raise LookupError(f"{len(called)} servers are called {name!r}; name one by its name")
        raise LookupError(f"no server is called {name!r}")

    # -- switches --------------------------------------------------------------------------------

    def _switched(self, group: Group, transport: str, before: Member | None, after: Member, why: str) -> None:
        """Tell of another best server, and end what goes through the old one, where that is wanted."""
        what = "connections" if transport == TCP else "datagrams"
        of = f" of group {group.name}" if group.name else ""
        log.info("%s%s: %s -> %s: %s", what, of, "none" if before is None else before.name, after.name, why)
        if before is None or not self._shared.config.balancer_drops:
            return
        if not any(other is not group and other.best(transport) is before for other in self._groups.values()):
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


def _core(server: ServerConfig) -> ServerConfig:
    """Return what makes a server the same one whatever it is called, and however much it is preferred."""
    return replace(server, remarks="", id="", group="", tcp_weight=1.0, udp_weight=1.0)


def _row(side: Side, now: float) -> dict[str, Any]:
    health = side.health
    return {
        "weight": side.weight,
        "score": health.score(1.0),
        "latency_ms": None if health.latency is None else round(health.latency * 1000, 1),
        "failures": health.failures(now),
        "error": health.last_word,
        "live": side.live,
    }
