"""A world of servers on a clock of its own: what they are like at which time, programs that ask, and what they met.

The group, the policy, the balancer and the prober are the real ones; servers, time and chance are made up. Hours pass
in a second, and each run of a seed is the same.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from itertools import count
from random import Random
from types import SimpleNamespace
from typing import Any, cast

from shadesocks.core.address import Address
from shadesocks.core.errors import DialError
from shadesocks.proxy.balance.balancer import Balancer
from shadesocks.proxy.balance.group import TCP, Group
from shadesocks.proxy.balance.member import Member
from shadesocks.proxy.balance.policies import PROBED
from shadesocks.proxy.balance.prober import Prober, Rules
from tests.proxy.balance.rig import INTERVAL, LONGEST, make_member

DIAL_TIMEOUT = 10.0
RATE = 1000
"""Bytes a second that come through each connection."""

Curve = Callable[[float], float]
"""Seconds that a round trip takes at a time."""


@dataclass
class Host:
    """What a server is like."""

    name: str
    rtt: Curve | float = 0.05
    weight: float = 1.0
    outages: Sequence[tuple[float, float]] = ()
    """From when until when it is down, in order."""
    silent: bool = True
    """While it is down nothing comes back, and dials time out; otherwise they are refused."""
    takes_all: bool = False
    """Connections are made even then, and nothing comes through them: there is a plugin before it."""
    loss: float = 0.0
    """Of dials that are refused at any time."""
    dead: float = 0.0
    """Of targets that are not there: the server takes the connection, and ends it without a word."""

    def is_up(self, now: float) -> bool:
        return not any(start <= now < end for start, end in self.outages)

    def round_trip(self, now: float) -> float:
        return self.rtt(now) if callable(self.rtt) else self.rtt


@dataclass(frozen=True)
class Request:
    """What became of a connection that a program asked for."""

    began_at: float
    took: float
    server: str
    """Empty: no server could be dialled."""


@dataclass(frozen=True)
class Switch:
    """Another server leads."""

    at: float
    old: str
    new: str
    why: str


class Sleep:
    """Is awaited by stories of this world."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __await__(self) -> Generator[Any, None, None]:
        yield self.seconds


class Relay:
    """A connection that brings bytes as long as its server is up; its program ends it, or gives up."""

    up = 100

    def __init__(self, world: World, host: Host, target: str) -> None:
        self._world, self._host, self._began_at = world, host, world.now
        self.started_at = world.now
        self.label = ("a program", Address(target, 443))
        self.is_dead = host.dead > 0 and world.chance.random() < host.dead
        self.right = SimpleNamespace(shut=not self.is_dead)

    @property
    def down(self) -> int:
        if self.is_dead or not self._host.is_up(self._began_at):
            return 0
        until = min([start for start, _ in self._host.outages if start > self._began_at] + [self._world.now])
        return int(RATE * (until - self._began_at))


class End:
    """What a dial came to."""

    via: Member | None = None


class Way:
    """The way through a server, as the balancer has it."""

    def __init__(self, world: World, host: Host) -> None:
        self._world, self._host = world, host

    async def dial(self, _target: Address, _first: bytes, round_trips: int = 1, longest: float = DIAL_TIMEOUT) -> End:
        world, host = self._world, self._host
        if host.takes_all and round_trips == 1:
            return End()
        takes = host.round_trip(world.now) * round_trips
        if not host.is_up(world.now) or world.chance.random() < host.loss:
            await Sleep(longest if host.silent else min(takes, longest))
            raise DialError("dial_timeout" if host.silent else "refused")
        await Sleep(min(takes, longest))
        if takes > longest or not host.is_up(world.now):
            raise DialError("dial_timeout")
        return End()


class Timer:
    """A call that is to come."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class World:
    """Servers, a client that uses them by a policy, and programs. It is what the prober sees of a loop, and of all."""

    def __init__(self, policy: str, *hosts: Host, seed: int = 1, margin: float = 0.2) -> None:
        self.now = 0.0
        self.chance = Random(seed)  # noqa: S311 - the same in each run
        self.requests: list[Request] = []
        self.switches: list[Switch] = []
        self._calls: list[tuple[float, int, Timer]] = []
        self._numbers = count()
        self.hosts = {host.name: host for host in hosts}
        self.group = Group("", policy, margin, Random(seed + 1), self._told)  # noqa: S311 - as above
        self.group.take([self._join(host) for host in hosts])
        self.prober: Prober | None = None
        if policy in PROBED:
            rules, probes = Rules(INTERVAL, INTERVAL, 8), {TCP: self._probe}
            self.prober = Prober(cast("Any", self), self, rules, probes, self, Random(seed + 2))  # noqa: S311 - as above
            self.prober.watch([(member, TCP) for member in self.group.members])
        self._balancer = Balancer(self.group, self.time, self.prober.wanted if self.prober else lambda: None)

    def _join(self, host: Host) -> Member:
        member = make_member(host.name, host.weight, host.weight, time=self.time)
        member.dialer = cast("Any", Way(self, host))
        member.look_into = lambda: self.prober is not None and self.prober.look((member, TCP))
        return member

    def _told(self, _group: Group, transport: str, before: Member | None, after: Member, why: str) -> None:
        if transport == TCP:
            self.switches.append(Switch(self.now, "" if before is None else before.name, after.name, why))

    # -- a loop, a reactor and an owner, as a prober sees them -----------------------------------

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(callback)
        heappush(self._calls, (max(when, self.now), next(self._numbers), timer))
        return timer

    def tell(self, story: Coroutine[Any, None, Any], done: Callable[[Any, BaseException | None], None]) -> None:
        """Begin a story."""
        try:
            seconds = story.send(None)
        except StopIteration as result:
            done(result.value, None)
        except DialError as error:
            done(None, error)
        else:
            self.call_at(self.now + seconds, partial(self.tell, story, done))

    def settle(self) -> None:
        """Everything happens at once here."""

    def failed(self, error: BaseException) -> None:
        raise error

    def is_best(self, member: Member, transport: str) -> bool:
        return self.group.best(transport) is member

    def learnt(self, _member: Member, _transport: str) -> None:
        self.group.look(self.now)

    async def _probe(self, member: Member) -> None:
        await Way(self, self.hosts[member.name]).dial(Address("probe.test", 80), b"", 3, LONGEST)

    # -- programs --------------------------------------------------------------------------------

    def run(self, until: float) -> None:
        """Let time pass."""
        while self._calls and self._calls[0][0] <= until:
            self.now, _, timer = heappop(self._calls)
            if timer.call is not None:
                timer.call()
        self.now = until

    def traffic(self, rate: float, until: float, lasts: float = 5.0, hosts: int = 1000) -> None:
        """Let programs ask so many times a second, at random, for targets of so many hosts."""

        def ask() -> None:
            if self.now < until:
                self.ask(f"host-{self.chance.randrange(hosts)}.test", lasts)
                self.call_at(self.now + self.chance.expovariate(rate), ask)

        self.call_at(self.now + self.chance.expovariate(rate), ask)

    def ask(self, host: str, lasts: float) -> None:
        """Let a program ask for a connection, which lasts for a while."""
        began_at, lasts = self.now, self.chance.expovariate(1 / lasts)

        async def story() -> Member | None:
            try:
                return cast("Member", (await self._balancer.dial(Address(host, 443), b"")).via)
            except DialError:
                return None

        def done(member: Member | None, error: BaseException | None) -> None:
            if error is not None:
                raise error
            name = "" if member is None else member.name
            self.requests.append(Request(began_at, self.now - began_at, name))
            if member is not None:
                relay = cast("Any", Relay(self, self.hosts[name], host))
                member.began(relay)
                self.call_at(self.now + lasts, partial(member.ended, relay, "done"))

        self.tell(story(), done)

    # -- what came of it -------------------------------------------------------------------------

    def between(self, start: float, end: float = math.inf) -> list[Request]:
        """Those that began from then to then, in their order."""
        every = sorted(self.requests, key=lambda request: request.began_at)
        times = [request.began_at for request in every]
        return every[bisect_left(times, start) : bisect_left(times, end)]

    def served(self, start: float, end: float = math.inf) -> Counter[str]:
        """How many of them each server took."""
        return Counter(request.server for request in self.between(start, end))

    @property
    def lost(self) -> list[Request]:
        """Those that no server took."""
        return [request for request in self.requests if not request.server]
