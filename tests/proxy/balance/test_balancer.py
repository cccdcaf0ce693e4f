"""Connections through one of several servers: who is tried, until when, and what is remembered of it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from random import Random
from weakref import ref

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import DialError
from shadesocks.net.end import End
from shadesocks.proxy.balance.balancer import PATIENCE, Balancer
from shadesocks.proxy.balance.group import Group
from shadesocks.proxy.balance.member import NOT_THE_SERVERS
from shadesocks.proxy.seams import First
from tests.proxy.balance.rig import make_member
from tests.proxy.rig import Target
from tests.service.rig import run

TARGET = Address("target.example", 443)


class Server(Target):
    """A way through a server, which takes a while on the clock of the test."""

    def __init__(self, fan: Fan, error: str, takes: float) -> None:
        super().__init__(DialError(error) if error else None)
        self._fan, self._takes = fan, takes
        self.meanwhile: Callable[[], None] = lambda: None
        """Is called while it is dialled."""

    async def dial(self, target: Address, first: First) -> End:
        self._fan.now += self._takes
        self.meanwhile()
        if self.error is not None:
            self.error = DialError(self.error.code)
        return await super().dial(target, first)


class Fan:
    """A balancer, its servers, its clock."""

    def __init__(self, policy: str = "ordered") -> None:
        self.now = 100.0
        self.group = Group("", policy, 0.2, Random(1))  # noqa: S311 - the same draws each time
        self.servers: list[Server] = []
        self.wanted = 0
        self.balancer = Balancer(self.group, lambda: self.now, self._want)

    def _want(self) -> None:
        self.wanted += 1

    def add(self, *errors: str, takes: float = 1.0) -> None:
        """Add servers: a reason word for one that fails, nothing for one that works."""
        members = list(self.group.members)
        for error in errors:
            server = Server(self, error, takes)
            self.servers.append(server)
            member = make_member(chr(ord("a") + len(members)))
            member.dialer = server
            members.append(member)
        self.group.take(members)

    @property
    def dialled(self) -> list[int]:
        """How often each was."""
        return [len(server.dialled) for server in self.servers]

    @property
    def failures(self) -> list[int]:
        return [member.tcp.health.failures(self.now) for member in self.group.members]

    async def dial(self, first: bytes = b"") -> End:
        return await self.balancer.dial(TARGET, first)

    async def fails(self) -> str:
        with pytest.raises(DialError) as failed:
            await self.dial()
        return failed.value.code


@contextmanager
def fan(*errors: str, takes: float = 1.0, policy: str = "ordered") -> Iterator[Fan]:
    made = Fan(policy)
    made.add(*errors, takes=takes)
    try:
        yield made
        assert all(member.tcp.live == 0 for member in made.group.members), "no dial is under way"
    finally:
        for server in made.servers:
            server.close()


def test_servers_are_tried_in_their_order_within_one_request() -> None:
    async def story() -> None:
        with fan("refused", "dial_timeout", "", "") as made:
            end = await made.dial(b"first")
            assert end.sock is made.servers[2].near
            assert end.via is made.group.members[2]
            assert (made.dialled, made.failures) == ([1, 1, 1, 0], [1, 1, 0, 0])
            assert made.servers[2].dialled == [(TARGET, b"first")]
            assert [member.tcp.health.last_word for member in made.group.members] == ["refused", "dial_timeout", "", ""]
            assert made.group.members[2].tcp.health.worked_at == made.now
            assert made.wanted == 1

    run(story())


def test_the_error_is_the_last_one_s_where_all_fail() -> None:
    async def story() -> None:
        with fan("refused", "dial_timeout", "no_name") as made:
            assert await made.fails() == "no_name"
            assert (made.dialled, made.failures) == ([1, 1, 1], [1, 1, 1])

    run(story())


def test_without_a_server_there_is_a_word_for_it() -> None:
    async def story() -> None:
        with fan() as made:
            assert await made.fails() == "no_server"

    run(story())


@pytest.mark.parametrize("word", sorted(NOT_THE_SERVERS))
def test_a_failure_of_our_own_says_nothing_of_a_server(word: str) -> None:
    async def story() -> None:
        with fan(word, "") as made:
            if word == "limit":
                assert await made.fails() == "limit"
                assert made.dialled == [1, 0], "there are no descriptors for another, either"
            else:
                await made.dial()
                assert made.dialled == [1, 1]
            assert made.failures == [0, 0]

    run(story())


def test_a_dead_server_costs_one_attempt_and_one_that_works_again_serves_again() -> None:
    async def story() -> None:
        with fan("dial_timeout", "") as made:
            for _ in range(5):
                await made.dial()
            assert made.dialled == [1, 5]
            made.servers[0].error = None
            for _ in range(200):
                await made.dial()
            assert made.failures == [0, 0]
            assert made.dialled[0] > 100

    run(story())


def test_a_connection_that_is_being_made_is_a_load_already() -> None:
    async def story() -> None:
        with fan("", policy="least-connections") as made:
            [member] = made.group.members
            seen: list[tuple[int, bool]] = []
            made.servers[0].meanwhile = lambda: seen.append((member.tcp.live, member.is_idle))
            end = await made.dial()
            assert seen == [(1, False)]
            assert member.tcp.live == 0, "until its relay begins"
            assert end.via is member

    run(story())


def test_what_others_found_out_meanwhile_counts() -> None:
    """A dial to a dead server takes ten seconds: other connections learn in that time who else is dead."""

    async def story() -> None:
        with fan("dial_timeout", "dial_timeout", "dial_timeout", "") as made:
            second = made.group.members[1].tcp.health
            made.servers[0].meanwhile = lambda: second.failed(made.now, "dial_timeout")
            await made.dial()
            assert made.dialled == [1, 0, 1, 1], "it was left for the end"

    run(story())


def test_nobody_waits_for_all_of_a_hundred_dead_servers() -> None:
    async def story() -> None:
        with fan(*["dial_timeout"] * 30, takes=10.0) as made:
            assert await made.fails() == "dial_timeout"
            assert sum(made.dialled) == PATIENCE / 10

    run(story())


def test_a_server_that_is_taken_away_meanwhile_does_no_harm() -> None:
    async def story() -> None:
        with fan("refused", "", "") as made:
            members = made.group.members
            made.servers[0].meanwhile = lambda: made.group.take(members[2:])
            end = await made.dial()
            assert end.sock is made.servers[1].near

    run(story())


def test_an_error_leaves_no_cycle_behind() -> None:
    """A client whose servers are all down fails hundreds of times a second."""

    async def story() -> None:
        with fan("refused", "refused") as made:
            errors: list[ref[DialError]] = []
            for server in made.servers:
                server.meanwhile = partial(note, server, errors)
            gc.collect()
            gc.disable()
            try:
                for _ in range(3):
                    with suppress(DialError):
                        await made.dial()
                assert len(errors) >= 2
                assert [error() for error in errors] == [None] * len(errors)
            finally:
                gc.enable()

    def note(server: Server, errors: list[ref[DialError]]) -> None:
        if server.error is not None and server.dialled:
            errors.append(ref(server.error))  # of the dial before, which nobody else holds after this one

    run(story())
