"""Warm connections: which one a request gets, what is thrown away, and how often a server is tried."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path
from socket import SHUT_WR, socket
from typing import Any

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import DialError, LocalProtocolError, ShadesocksError
from shadesocks.net.end import End
from shadesocks.net.poller import READ
from shadesocks.net.reactor import Reactor
from shadesocks.proxy.outbound import pool as pool_file
from shadesocks.proxy.outbound.chain import Hop
from shadesocks.proxy.outbound.pool import AGE_MOST, LOOK_EVERY, PAUSES, REST_AFTER, YOUNG, WarmPool, age_most
from shadesocks.proxy.outbound.shadowsocks import ShadowsocksDialer
from shadesocks.proxy.seams import First
from tests.service.rig import run, until
from tests.wire.codecs import AEAD, AEAD2022, shadow_of
from tests.wire.hearing import ServerHearing

from . import hops
from .pools import AGE, HOST, Rig, Server, descriptors, end, hear, reset, rig, speak

TARGET = Address("target.example", 443)
USES = 2_000
PROMISED = 100_000
"""With `--whole`."""
HARMS = (end, reset, speak)
Harm = Callable[[socket], None]


# What a request gets


def test_a_request_takes_the_oldest_and_it_is_replaced_at_once() -> None:
    async def story() -> None:
        with rig(3) as it:
            it.pool.fill()
            await it.full()
            assert it.server.heard() == [b"-"] * 3, "nothing is sent before there is something to send"
            one, two = await it.take(b"one"), await it.take(b"two")
            assert len(it.pool) + it.pool.under_way == 3
            await it.full()
            assert it.server.heard() == [b"one", b"two", b"-", b"-", b"-"]
            assert (one.tail, one.held, one.sealer, one.opener) == (b"", b"", None, None)
            it.drop(one, two)
            assert it.dials == 5

    run(story())


def test_without_a_payload_nothing_is_sent_and_the_end_is_as_from_a_connect() -> None:
    async def story() -> None:
        with rig(1) as it:
            it.pool.fill()
            await it.full()
            taken = await it.take()
            await it.full()
            assert it.server.heard() == [b"-", b"-"]
            taken.sock.send(b"later")
            assert hear(it.server.accepted[0]) == b"later"
            it.drop(taken)

    run(story())


def test_what_the_socket_does_not_take_is_in_the_tail() -> None:
    async def story() -> None:
        with rig(1) as it:
            it.pool.fill()
            await it.full()
            first = bytes(range(256)) * 100_000
            taken = await it.take(first)
            assert 0 < len(taken.tail) < len(first)
            assert first.endswith(taken.tail)
            it.drop(taken)

    run(story())


def test_a_pool_that_was_never_filled_connects_and_fills() -> None:
    async def story() -> None:
        with rig(2) as it:
            taken = await it.take(b"first")
            assert it.server.heard()[0] == b"first"
            await it.full()
            it.drop(taken)

    run(story())


def test_more_requests_than_connections_are_all_served_and_refills_keep_to_their_number() -> None:
    async def story() -> None:
        most = 0

        async def slow(first: First) -> End:
            nonlocal most
            most = max(most, it.pool.under_way)
            return await it.straight(first)

        with rig(4) as it:
            it._way = slow
            it.pool.fill()
            await it.full()
            taken = await asyncio.gather(*(it.take(b"%02d" % number) for number in range(20)))
            await it.full()
            said = [word for word in it.server.heard() if word != b"-"]
            assert sorted(said) == [b"%02d" % number for number in range(20)]
            assert most <= 4
            it.drop(*taken)

    run(story())


def test_no_more_connects_are_under_way_than_are_wanted_however_many_ask() -> None:
    async def story() -> None:
        nobody = asyncio.get_running_loop().create_future()

        async def hanging(_first: First) -> End:
            from shadesocks.net.story import until as wait_for

            it.drawn += 0
            result: End = await wait_for(nobody)
            return result

        with rig(3) as it:
            taken = []
            it._way = hanging
            for _ in range(10):
                taken.append(await it.take(b"x"))
                assert it.pool.under_way <= 3
            assert it.pool.under_way == 3
            it.drop(*taken)
            it.pool.close()
            assert not it.pool.under_way

    run(story())


# What is thrown away


@pytest.mark.parametrize("harm", HARMS)
def test_one_that_ended_or_spoke_is_replaced_before_anybody_asks(harm: Harm) -> None:
    async def story() -> None:
        with rig(2) as it:
            it.pool.fill()
            await it.full()
            it.timers.advance(YOUNG)
            harm(it.server.accepted[0])
            await until(lambda: it.server.take() == 3)
            await it.full()
            taken = await it.take(b"x")
            assert hear(it.server.accepted[1]) == b"x"
            it.drop(taken)

    run(story())


@pytest.mark.parametrize("harm", HARMS)
def test_a_request_finds_out_by_itself(harm: Harm) -> None:
    """Between the death and the request the reactor had no turn."""

    async def story() -> None:
        with rig(3) as it:
            it.pool.fill()
            await it.full()
            for sock in it.server.accepted[:2]:
                harm(sock)
            taken = await at_once(it, b"x")
            assert hear(it.server.accepted[2]) == b"x"
            it.drop(taken)

    run(story())


@pytest.mark.parametrize("harm", HARMS)
def test_where_all_are_dead_a_new_one_is_made_within_the_request(harm: Harm) -> None:
    async def story() -> None:
        with rig(3) as it:
            it.pool.fill()
            await it.full()
            for sock in it.server.accepted[:3]:
                harm(sock)
            taken = await at_once(it, b"x")
            await it.full()
            assert hear(it.server.accepted[3]) == b"x"
            it.drop(taken)

    run(story())


async def at_once(it: Rig, first: bytes) -> End:
    """A request that is decided before the loop turns."""
    ends: list[Any] = []
    it.reactor.tell(it.pool.connect(first), lambda taken, error: ends.append(taken or error))
    await until(lambda: bool(ends))
    assert isinstance(ends[0], End)
    return ends[0]


def test_one_that_takes_nothing_leaves_the_payload_to_the_next() -> None:
    async def story() -> None:
        with rig(2) as it:
            it.pool.fill()
            await it.full()
            next(iter(it.pool._ready)).end.sock.shutdown(SHUT_WR)
            taken = await it.take(b"x")
            assert it.server.heard()[:2] == [b"", b"x"]
            it.drop(taken)

    run(story())


def test_none_becomes_too_old_and_they_do_not_end_together() -> None:
    async def story() -> None:
        with rig(8) as it:
            it.pool.fill()
            await it.full()
            ends: dict[int, float] = {}
            while len(ends) < 8:
                it.timers.advance(0.5)
                await it.full()
                for number, said in enumerate(it.server.heard()[:8]):
                    if said == b"":
                        ends.setdefault(number, it.timers.now - 1000.0)
            assert max(ends.values()) <= AGE
            assert min(ends.values()) >= AGE * 0.6
            assert len(set(ends.values())) == 8
            assert len(it.pool) == 8

    run(story())


def test_after_a_sleep_of_the_machine_none_is_taken() -> None:
    """Its own clock stood still meanwhile, and nobody heard the server hang up."""

    async def story() -> None:
        with rig(2) as it:
            it.pool.fill()
            await it.full()
            it.timers.wall_now += 3600
            taken = await it.take(b"x")
            assert it.server.heard()[:3] == [b"", b"", b"x"]
            it.drop(taken)

    run(story())


def test_where_the_machine_has_lost_its_address_none_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connections look healthy, and nothing would ever come of what is sent on them."""
    lost: list[str] = []

    class Bound(socket):
        def bind(self, address: Any) -> None:
            if address[0] in lost:
                raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
            super().bind(address)

    monkeypatch.setattr(pool_file, "socket", Bound)

    async def story() -> None:
        with rig(2) as it:
            it.pool.fill()
            await it.full()
            kept = await it.take(b"kept")
            await it.full()
            lost.append(HOST)
            at_once = await it.take(b"at once")
            await it.full()
            it.timers.advance(LOOK_EVERY)
            anew = await it.take(b"anew")
            assert it.server.heard()[:5] == [b"kept", b"at once", b"", b"", b"anew"]
            it.drop(kept, at_once, anew)

    run(story())


@pytest.mark.parametrize(("timeout", "age"), [(59.0, 29.5), (10.0, 5.0), (86400.0, AGE_MOST), (1.9, 0.0), (2.0, 1.0)])
def test_the_age_is_at_most_half_of_the_server_s_patience(timeout: float, age: float) -> None:
    assert age_most(timeout) == age


# When nobody asks


def test_a_pool_that_nobody_uses_comes_to_rest_and_wakes_with_the_first_request() -> None:
    async def story() -> None:
        with rig(3) as it:
            it.pool.fill()
            await it.full()
            for _ in range(int(REST_AFTER)):
                it.timers.advance(1.0)
                await it.full()
            assert it.dials > 3 * REST_AFTER / AGE
            it.timers.advance(AGE + 1)
            assert not len(it.pool)
            dials = it.dials
            it.timers.advance(3600)
            assert it.dials == dials
            taken = await it.take(b"x")
            await it.full()
            it.drop(taken)

    run(story())


# Servers that fail


def test_a_dead_server_is_tried_less_and_less_and_the_pool_comes_back_with_it() -> None:
    async def story() -> None:
        with rig(4) as it:
            it.server.refuse()
            it.pool.fill()
            await until(lambda: not it.pool.under_way)
            assert it.dials <= 4
            tries = it.dials
            for pause in PAUSES:
                it.timers.advance(pause * 1.3)
                await until(lambda: not it.pool.under_way)
                assert it.dials <= tries + 2, "one at a time"
                tries = it.dials
            it.timers.advance(100)
            await until(lambda: not it.pool.under_way)
            assert it.dials - tries <= 100 / (PAUSES[-1] * 0.75) + 1
            assert "done" not in it.results
            it.server.listen()
            while it.results[-1] != "done":
                it.timers.advance(1.0)
                await until(lambda: not it.pool.under_way)
            await it.full()

    run(story())


def test_a_server_that_hangs_up_at_once_is_left_alone_for_a_while() -> None:
    async def story() -> None:
        with rig(4) as it:
            it.pool.fill()
            await it.full()
            for sock in it.server.accepted:
                sock.close()
            await until(lambda: not len(it.pool))
            assert (it.server.take(), it.pool.under_way) == (4, 0)
            for _ in range(600):
                it.timers.advance(0.1)
                await until(lambda: not it.pool.under_way)
                for sock in it.server.accepted[: it.server.take()]:
                    sock.close()
                await until(lambda: not len(it.pool))
            assert len(PAUSES) <= it.server.take() - 4 <= 4 * len(PAUSES)

    run(story())


def test_a_request_that_gets_through_ends_the_pause() -> None:
    async def story() -> None:
        with rig(2) as it:
            it.server.refuse()
            it.pool.fill()
            await until(lambda: not it.pool.under_way)
            with pytest.raises(DialError, match="refused"):
                await it.take(b"x")
            it.server.listen()
            taken = await it.take(b"x")
            await it.full()
            it.drop(taken)

    run(story())


def test_a_request_that_fails_lets_the_pool_look_after_the_server() -> None:
    async def story() -> None:
        with rig(2) as it:
            it.server.refuse()
            with pytest.raises(DialError):
                await it.take(b"x")
            assert not it.dials
            it.server.listen()
            it.timers.advance(1.0)
            await it.full()

    run(story())


def test_the_results_of_refills_are_told() -> None:
    async def story() -> None:
        with rig(2) as it:
            it.pool.fill()
            await it.full()
            assert it.results == ["done", "done"]
            it.server.refuse()
            taken = await it.take(b"x")
            await until(lambda: it.results == ["done", "done", "refused"])
            it.drop(taken)

    run(story())


@pytest.mark.parametrize(
    ("error", "kept", "errors"),
    [
        (DialError("refused"), 1, 0),
        (DialError("limit"), 0, 0),
        (DialError("dial_timeout"), 0, 0),
        (DialError("unreachable"), 0, 0),
        (LocalProtocolError("bad_name"), 1, 0),
        (ValueError("a bug"), 1, 1),
    ],
)
def test_whatever_a_refill_raises_the_request_does_not_hear_of_it(error: Exception, kept: int, errors: int) -> None:
    """What is ready stays, unless descriptors are short or nothing gets to the server any more."""

    async def failing(_first: First) -> End:
        raise error

    async def story() -> None:
        with rig(2, errors=errors) as it:
            it.pool.fill()
            await it.full()
            it._way = failing
            taken = await it.take(b"x")
            assert len(it.pool) == kept
            assert it.results == ["done", "done", *([error.code] if isinstance(error, ShadesocksError) else ())]
            it.drop(taken)

    run(story())


def test_a_request_that_times_out_drops_what_looks_healthy() -> None:
    async def story() -> None:
        with rig(2) as it:
            it.pool.fill()
            await it.full()
            it._way = no_way
            it.pool._connect = no_way
            for warm in it.pool._ready:
                warm.stamp -= 3600
            with pytest.raises(DialError):
                await it.take(b"x")
            assert not len(it.pool)

    async def no_way(_first: First) -> End:
        raise DialError("dial_timeout")

    run(story())


def test_the_reactor_watches_no_more_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        with rig(2) as it:

            def watch(_reactor: Reactor, _fd: int, events: int, handler: Any) -> None:
                if events == READ:
                    raise OSError(28, "No space left on device")
                real(it.reactor, _fd, events, handler)

            real = Reactor.watch
            with monkeypatch.context() as patch:
                patch.setattr(Reactor, "watch", watch)
                it.pool.fill()
                await until(lambda: not it.pool.under_way)
            assert not len(it.pool)
            assert it.pool._failures == 1
            it.reactor.settle()
            assert set(it.server.heard()) == {b""}

    run(story())


def test_a_handler_that_raises_costs_that_connection_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(_pool: WarmPool, _word: str) -> None:
        raise ValueError("a bug")

    async def story() -> None:
        with rig(2, errors=1) as it:
            it.pool.fill()
            await it.full()
            with monkeypatch.context() as patch:
                patch.setattr(WarmPool, "_fail", bug)
                it.server.accepted[0].close()
                await until(lambda: it.reactor.errors == 1)
            it.reactor.settle()
            taken = await it.take(b"x")
            assert hear(it.server.accepted[1]) == b"x"
            it.drop(taken)

    run(story())


# The end


def test_a_closed_pool_keeps_nothing_and_still_connects() -> None:
    async def story() -> None:
        with rig(3) as it:
            it.pool.fill()
            await it.full()
            it.pool.close()
            it.reactor.settle()
            assert it.server.heard() == [b""] * 3
            taken = await it.take(b"x")
            it.timers.advance(AGE)
            assert it.server.heard()[3:] == [b"x"]
            assert it.dials == 3
            it.drop(taken)

    run(story())


@pytest.mark.timeout(1800)
def test_nothing_is_left_of_many_uses(request: pytest.FixtureRequest) -> None:
    uses = PROMISED if request.config.getoption("--whole") else USES

    async def story() -> None:
        asyncio.get_running_loop().set_debug(False)  # which would log every turn that takes long
        with rig(4) as it:
            it.pool.fill()
            await it.full()
            before = descriptors()
            for number in range(uses):
                await until(lambda: len(it.pool) > 0)
                taken = await it.take(b"x")
                if number % 10 == 0:
                    await it.full()
                    it.timers.advance(YOUNG)
                    HARMS[number // 10 % 3](it.server.accepted[-1])  # one that is ready
                it.drop(taken)
                it.server.take()
                for sock in it.server.accepted[:-4]:
                    sock.close()
                del it.server.accepted[:-4]
            await it.full()
            for sock in it.server.accepted[:-4]:
                sock.close()
            assert descriptors() == before
            assert it.dials >= uses

    if not Path("/proc/self/fd").exists():
        pytest.skip("this system does not show descriptors")
    if uses == USES:
        run(story())
    else:
        asyncio.run(story())


# What is sent on them


@pytest.mark.parametrize("method", [*AEAD2022, AEAD[0]])
@pytest.mark.parametrize("age", [25, 45])
def test_what_is_sent_on_an_old_connection_is_of_the_moment(method: str, age: int) -> None:
    """A time stamp of when it was made would be refused after 30 s."""

    async def story() -> None:
        with rig(1, age=60.0) as it:
            it._draw = lambda below: 0  # type: ignore[method-assign]
            it.pool._chance = it._draw
            it.pool.fill()
            await it.full()
            it.timers.advance(age)
            dialer = ShadowsocksDialer(
                it.pool.connect, shadow_of(method), it.scratch, it.timers.wall, lambda size: b"s" * size
            )
            taken: End = await it.reactor.spawn(dialer.dial(TARGET, b"first"))
            heard = it.server.heard()
            hearing = ServerHearing(shadow_of(method), it.timers.wall())
            hearing.feed(heard[0])
            assert (hearing.word, bytes(hearing.payload)) == ("", b"first")
            if method in AEAD2022 and age > 30:
                stale = ServerHearing(shadow_of(method), it.timers.wall() + age)
                stale.feed(heard[0])
                assert stale.word == "bad_timestamp"
            it.drop(taken)

    run(story())


# Through proxies

Chains = dict[str, list[str]]
CHAINS = ("shadow", "socks", "http", "shadow socks", "socks shadow", "http shadow shadow")


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("first", [b"", b"first"])
def test_through_proxies(chain: str, first: bytes) -> None:
    """The proxies have connected on before anybody asks, and what comes back is whole."""

    async def story(net: hops.Net) -> None:
        through: list[Hop] = [await getattr(net, kind)() for kind in chain.split()]
        server = await net.shadow()
        target = await net.listen(hops.echo)
        way = net.chain(*through)

        def connect(opening: First) -> Any:
            return way.dial(server.address, opening)

        pool = WarmPool(net.reactor, net.scratch, connect, connect, 2, AGE, net.means.wall, lambda below: below // 2)
        pool.fill()
        asked = 2 * len(through)
        await until(lambda: len(pool) == 2 and len(net.asked) == asked)
        assert [(host, port) for _, host, port in net.asked[-2:]] == [(server.address.host, server.address.port)] * 2
        dialer = ShadowsocksDialer(pool.connect, server.shadow, net.scratch, net.means.wall, net.means.random)
        for _ in range(4):
            program = await net.join(dialer, target, first)
            await program.say(b"and more" * 9000)
            program.end()
            size = len(first) + 72_000
            whole = b"hello " + first + b"and more" * 9000 + b" %d" % size
            assert await program.hear_all() == whole
        pool.close()
        net.reactor.settle()

    hops.run(story)


def test_a_proxy_whose_server_is_dead_is_no_warm_connection() -> None:
    async def story(net: hops.Net) -> None:
        hop = await net.shadow()
        server = Server()
        server.listen()
        way = net.chain(hop)

        def connect(opening: First) -> Any:
            return way.dial(Address(HOST, server.port), opening)

        pool = WarmPool(
            net.reactor,
            net.scratch,
            connect,
            connect,
            1,
            AGE,
            net.means.wall,
            lambda _below: 0,
        )
        pool.fill()
        await until(lambda: server.take() == 1)
        server.accepted[0].close()
        await until(lambda: pool._failures == 1 and not len(pool))
        pool.close()
        net.reactor.settle()
        server.close()

    hops.run(story)
