"""Where bytes meet the account: relays on the simulated kernel with a virtual clock, sessions on real sockets."""

from __future__ import annotations

import asyncio
import os
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.core.errors import LimitError
from shadesocks.core.limits import FREE, Limits, Quota
from shadesocks.net.end import End
from shadesocks.net.pipe import READ_MAX, READ_MIN
from shadesocks.net.relay import Relay
from shadesocks.proxy.users.account import Account
from shadesocks.proxy.users.bucket import SIZE_MIN
from shadesocks.proxy.users.counts import NOTHING, Counts
from shadesocks.proxy.users.meter import TURNS_MOST, Meter
from tests.net.codec import HEAD, SALT, XorOpener, XorSealer, opened, sealed
from tests.net.packet_rig import METHODS, Rig, heard, nothing, run
from tests.net.world import MODELS, Program, Tale, World

CLIENT: Final = ("192.0.2.7", 5000)
DATA: Final = bytes(range(256)) * 4096
"""A MiB."""
RATE: Final = 100_000


class User:
    """A user with limits, in a world."""

    def __init__(self, world: World, limits: Limits = FREE) -> None:
        self.world = world
        self.account = Account("ann", limits)
        self.meter = Meter(world.reactor, self.account, lambda: int(world.clock.now))

    def connect(self, left: End | None = None) -> tuple[Relay, Program, Program]:
        """A relay that has begun, between two programs."""
        world = self.world
        client = None
        if left is None:
            left, client = world.link()
        right, target = world.link()
        assert self.meter.admit(CLIENT) is None

        def ended(relay: Relay, word: str) -> None:
            self.meter.ended(relay, word)
            world.note(relay, word)

        relay = Relay(world.reactor, world.scratch, left, right, ended, label=(CLIENT, None))
        left.via = self.meter
        self.meter.began(relay)
        relay.begin()
        world.run()
        return relay, client or target, target

    def sweep(self) -> Counts:
        return self.account.sweep(self.world.clock.now, int(self.world.clock.now))


@pytest.fixture(params=MODELS)
def world(request: pytest.FixtureRequest) -> World:
    return World(model=request.param)


# -- counting --------------------------------------------------------------------------------------


def test_without_limits_the_pipes_are_everybodys(world: World) -> None:
    user = User(world, Limits(connections=5, sources=2, sessions=1, expires=10**10))
    relay, client, target = user.connect()
    assert relay.meter is None
    client.say(DATA)
    target.say(b"answer")
    world.run()
    size = len(DATA)
    assert user.sweep() == Counts(size, 6, size, 6)
    assert user.account.connections == 1
    world.finish(client, target)
    assert user.account.connections == user.account.live == 0
    assert user.sweep() == NOTHING


@pytest.mark.parametrize("limits", [FREE, Limits(quota=Quota(10**9), up_speed=10**9, down_speed=10**9)])
def test_wire_bytes_are_those_of_the_users_socket(world: World, limits: Limits) -> None:
    user = User(world, limits)
    left, client = world.link(XorOpener(HEAD), XorSealer(SALT))
    _, _, target = user.connect(left)
    stream = sealed(DATA[:5000], HEAD)
    for at in range(0, len(stream), 777):
        client.say(stream[at : at + 777])
        world.run()
    client.stuff(1000)
    target.say(DATA[:3000])
    world.run()
    client.hears = True
    world.run()
    assert bytes(target.got) == opened(stream, HEAD) == DATA[:5000]
    assert user.sweep() == Counts(5000, 3000, len(stream), len(client.got))
    assert len(client.got) == len(sealed(DATA[:3000], SALT))
    world.finish(client, target)


# -- speed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_up", [True, False])
def test_streams_are_paced_by_not_reading(world: World, is_up: bool) -> None:
    user = User(world, Limits(up_speed=RATE) if is_up else Limits(down_speed=RATE))
    _, client, target = user.connect()
    says, hears = (client, target) if is_up else (target, client)
    says.say(DATA)
    begun = world.clock.now
    for _ in range(8):
        world.advance(1.0)
        seconds = world.clock.now - begun
        ahead = len(hears.got) - seconds * RATE
        assert -2 * READ_MIN < ahead <= SIZE_MIN + READ_MIN
    hears_back, says_back = (client, target) if is_up else (target, client)
    says_back.say(b"the other way is free")
    world.run()
    assert hears_back.got == b"the other way is free"
    world.advance(10.0)
    assert hears.got == DATA
    world.finish(client, target)


def test_a_speed_that_becomes_another_one_is_felt_within_a_second(world: World) -> None:
    """As a share of it does, where several processes have one user."""
    user = User(world, Limits(up_speed=RATE))
    _, client, target = user.connect()
    bucket = user.account.up_bucket
    assert bucket is not None
    bucket.change(RATE // 100, world.clock.now)
    client.say(DATA)
    world.advance(0.5)
    bucket.change(100 * RATE, world.clock.now)
    world.advance(1.5)
    assert target.got == DATA
    world.finish(client, target)


def test_connections_of_one_user_share_the_speed(world: World) -> None:
    user = User(world, Limits(up_speed=RATE))
    pairs = [user.connect()[1:] for _ in range(4)]
    for client, _ in pairs:
        client.say(DATA)
    world.advance(20.0)
    got = [len(target.got) for _, target in pairs]
    assert abs(sum(got) - 20 * RATE - SIZE_MIN) <= 5 * READ_MIN
    assert min(got) > max(got) / 2, "they take turns"
    for program in [program for pair in pairs for program in pair]:
        program.reset()
    world.run()
    assert user.account.live == 0
    world.advance(60.0)
    world.assert_clean()


def test_a_paced_end_that_is_slow_on_the_other_side_loses_nothing(world: World) -> None:
    """Both brakes at once: the sink is full, and the source has no speed left."""
    user = User(world, Limits(up_speed=RATE))
    _, client, target = user.connect()
    target.stuff(3000)
    client.say(DATA[:300_000])
    world.advance(3.0)
    for _ in range(100):
        target.hear(7000)
        world.advance(0.05)
    target.hears = True
    world.advance(5.0)
    assert target.got == DATA[:300_000]
    world.finish(client, target)


def test_what_comes_with_the_handshake_is_paced_too(world: World) -> None:
    user = User(world, Limits(up_speed=RATE))
    left, client = world.link(XorOpener(HEAD), XorSealer(SALT))
    stream = sealed(DATA[:100_000], HEAD)
    left.held = stream[:90_000]
    _, _, target = user.connect(left)
    client.say(stream[90_000:])
    world.run()
    assert len(target.got) < 100_000
    world.advance(2.0)
    assert target.got == DATA[:100_000]
    world.finish(client, target)


@pytest.mark.parametrize("ends", ["end", "reset", "close"])
def test_a_paced_relay_may_end(world: World, ends: str) -> None:
    user = User(world, Limits(up_speed=1024))
    relay, client, target = user.connect()
    client.say(DATA[:200_000])
    world.advance(0.1)
    assert relay.left.paced
    if ends == "end":
        target.end()
        client.end()
    elif ends == "reset":
        target.reset()
    else:
        relay.close("stopped")
    world.advance(300.0)
    assert user.account.live == user.account.connections == 0
    assert world.words == [{"end": "done", "reset": "reset_right", "close": "stopped"}[ends]]
    world.assert_clean()


def test_a_speed_holds_at_once_for_what_is_live_and_so_does_its_end(world: World) -> None:
    user = User(world)
    relay, client, target = user.connect()
    client.say(DATA)
    world.run()
    assert len(target.got) == len(DATA)
    user.meter.change(Limits(up_speed=1024))
    client.say(DATA)
    world.advance(10.0)
    assert relay.left.paced
    assert len(target.got) < len(DATA) + 300_000
    user.meter.change(Limits(quota=Quota(10**9)))
    world.run()
    assert len(target.got) == 2 * len(DATA)
    user.meter.change(FREE)
    assert relay.meter is None
    assert relay.left.most == READ_MAX
    world.finish(client, target)


@given(
    st.integers(1024, 10**7),
    st.lists(st.tuples(st.integers(1, 200_000), st.floats(0, 3)), min_size=1, max_size=8),
)
def test_whatever_the_speed_all_of_it_arrives(rate: int, says: list[tuple[int, float]]) -> None:
    world = World()
    user = User(world, Limits(up_speed=rate, down_speed=rate))
    _, client, target = user.connect()
    total = 0
    for size, pause in says:
        client.say(DATA[:size])
        target.say(DATA[:size])
        world.advance(pause)
        total += size
    world.advance(total / rate + 2 * READ_MIN / rate + 5)
    assert len(target.got) == len(client.got) == total
    assert user.sweep() == Counts(total, total, total, total)
    world.finish(client, target)


def test_new_connections_are_no_way_around_a_speed_down(world: World) -> None:
    user = User(world, Limits(down_speed=RATE))
    programs = []
    for _ in range(60):
        _, client, target = user.connect()
        target.say(DATA[:15_000])
        target.end()
        programs += [client, target]
        world.run()
    got = programs[::2]
    assert sum(len(client.got) for client in got) <= SIZE_MIN + READ_MIN
    world.advance(5.0)
    assert abs(sum(len(client.got) for client in got) - 5 * RATE) <= SIZE_MIN + READ_MIN
    world.advance(5.0)
    assert all(len(client.got) == 15_000 for client in got)
    for client in got:
        client.end()
    world.run()
    assert world.words == ["done"] * 60


def test_requests_are_no_way_around_a_speed(world: World) -> None:
    """What comes with a request waits for its turn before anybody dials."""
    user = User(world, Limits(up_speed=RATE))
    tales = [Tale() for _ in range(20)]
    for tale in tales:
        world.reactor.tell(user.meter.turn(50_000), tale.done)
    begun = world.clock.now
    for _ in range(12):
        world.run()
        passed = 50_000 * sum(len(tale.ends) for tale in tales)
        assert abs(passed - (world.clock.now - begun) * RATE) <= SIZE_MIN + 2 * 50_000 or passed == 10**6
        world.advance(1.0)
    assert [tale.ends for tale in tales] == [[(None, None)]] * 20
    world.assert_clean()


def test_many_connections_are_no_way_around_a_speed(world: World) -> None:
    """Each brings something with its request, and says more as soon as it can; all targets are reached together."""
    user = User(world, Limits(up_speed=RATE))
    brings, says, count = 12_000, 30_000, 50
    stories = [Tale() for _ in range(count)]
    for tale in stories:
        assert user.meter.admit(CLIENT, brings) is None
        world.reactor.tell(user.meter.turn(brings), tale.done)
    begun, passed, live, last = world.clock.now, 0, 0, -1
    relays: list[Relay] = []
    programs: list[Program] = []
    while passed != last or passed < count * (brings + says):
        last = passed
        world.advance(0.5)
        while live < sum(len(tale.ends) for tale in stories):
            left, client = world.link()
            left.moved = brings
            client.say(DATA[:says])
            right, target = world.link()
            relay = Relay(world.reactor, world.scratch, left, right, world.note, label=(CLIENT, None))
            user.meter.began(relay)
            relay.begin()
            relays.append(relay)
            programs += [client, target]
            live += 1
        world.run()
        passed = sum(relay.up for relay in relays)
        most = SIZE_MIN + brings + READ_MIN + (world.clock.now - begun) * RATE
        assert passed <= most, "what is allowed, one request and one read"
        assert passed == count * (brings + says) or passed >= most - SIZE_MIN - RATE - 2 * READ_MIN
    assert user.account.owed == 0
    assert user.sweep() == Counts(passed, 0, count * says, 0)
    for program in programs:
        program.end()
    world.run()
    world.advance(10.0)
    assert world.words == ["done"] * count
    world.assert_clean()


def test_who_waits_for_a_turn_may_be_refused_then_or_go(world: World) -> None:
    user = User(world, Limits(up_speed=1024))
    tales = [Tale() for _ in range(TURNS_MOST + 2)]
    stories = [world.reactor.tell(user.meter.turn(70_000), tale.done) for tale in tales]
    world.run()
    assert str(tales[-1].ends[0][1]) == "too many wait for the user's speed"
    assert tales[0].ends == [(None, None)]
    stories[1].abort()
    user.meter.change(Limits(enabled=False))
    world.run()
    world.advance(1.0)
    assert {str(tale.ends[0][1]) for tale in tales[2:-1]} == {"disabled"}
    assert user.account.refusals == {"disabled": TURNS_MOST - 1}
    world.assert_clean()


# -- quota -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3])
def test_a_quota_ends_everything_within_one_read(world: World, count: int) -> None:
    """Without a sweep. All connections of the user together have no more than one read too much."""
    quota = 3 * len(DATA) // 2
    user = User(world, Limits(quota=Quota(quota)))
    pairs = [user.connect()[1:] for _ in range(count)]
    for _ in range(3):
        for client, target in pairs:
            client.say(DATA)
            target.say(b"x" * 1000)
        world.run()
    assert world.words == ["quota"] * count
    assert user.meter.admit(CLIENT) == "quota", "no sweep is needed for that"
    passed = user.sweep().payload
    assert quota <= passed <= quota + READ_MAX
    assert sum(len(client.got) + len(target.got) for client, target in pairs) <= passed
    assert user.meter.admit(CLIENT) == "quota"
    assert user.account.connections == 0
    world.assert_clean()


def test_what_many_requests_bring_at_once_is_no_way_around_a_quota(world: World) -> None:
    user = User(world, Limits(quota=Quota(100_000)))
    sizes = [60_000] * 5
    assert [user.meter.admit(CLIENT, size) for size in sizes] == [None, None, "quota", "quota", "quota"]
    assert user.account.refusals == {"quota": 3}
    user.meter.leave(60_000)
    assert user.account.connections == 1
    assert user.meter.admit(CLIENT, 60_000) is None, "its place is free again: nothing of it passed"
    for _ in range(2):
        left, right = world.link()[0], world.link()[0]
        left.moved = 60_000
        relay = Relay(world.reactor, world.scratch, left, right, world.note, label=(CLIENT, None))
        user.meter.began(relay)
        relay.begin()
    assert user.account.live == 2
    world.reactor.settle()
    assert user.account.left == -20_000
    assert user.account.owed == 0
    assert world.words == ["quota"] * 2
    assert user.sweep().payload == 120_000


def test_a_quota_that_was_lowered_ends_what_is_live(world: World) -> None:
    user = User(world, Limits(quota=Quota(10**9)))
    _, client, _ = user.connect()
    client.say(DATA)
    world.run()
    user.sweep()
    user.meter.change(Limits(quota=Quota(10)))
    user.sweep()
    assert world.words == ["quota"]
    world.run()
    world.assert_clean()


def test_a_connection_that_came_to_no_relay_is_counted_out(world: World) -> None:
    user = User(world, Limits(connections=1))
    assert user.meter.admit(CLIENT) is None
    assert user.meter.admit(CLIENT) == "connections"
    assert user.meter.account.refusals == {"connections": 1}
    user.meter.leave()
    assert user.meter.admit("a Unix socket") is None


STEPS: Final = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.sampled_from(["up", "down", "up", "down", "end up", "end down", "reset up", "reset down", "sweep", "wait"]),
        st.integers(1, 50_000),
    ),
    max_size=40,
)


@given(STEPS, st.booleans())
def test_all_that_targets_and_clients_got_is_in_the_accounts(steps: list[tuple[int, str, int]], limited: bool) -> None:
    """Three users with two connections each, half-closes and resets: none too few, and none too many but for resets."""
    world = World()
    limits = Limits(quota=Quota(10**12), up_speed=10**6, down_speed=10**6) if limited else FREE
    users = [User(world, limits) for _ in range(3)]
    pairs = [user.connect()[1:] for user in users for _ in range(2)]
    swept = [NOTHING] * 3
    lost = [False] * 6
    for number, what, size in steps:
        verb, _, way = what.rpartition(" ")
        program = pairs[number][way == "down"]
        if what == "sweep":
            swept = [before.plus(user.sweep()) for before, user in zip(swept, users, strict=True)]
        elif what == "wait":
            world.advance(size / 50_000)
        elif program.sock.fd >= 0 and not program.sock.shut:
            if verb == "reset":
                lost[number] = True
                program.reset()
            elif verb == "end":
                program.end()
            else:
                program.say(DATA[:size])
            world.run()
    world.advance(10.0)
    for number, user in enumerate(users):
        swept[number] = swept[number].plus(user.sweep())
        own = pairs[2 * number : 2 * number + 2]
        got_up, got_down = sum(len(target.got) for _, target in own), sum(len(client.got) for client, _ in own)
        counts = user.account.counts
        assert swept[number] == counts
        assert counts.up >= got_up
        assert counts.down >= got_down
        if not any(lost[2 * number : 2 * number + 2]):
            assert (counts.up, counts.down) == (got_up, got_down)
    for client, target in pairs:
        client.reset()
        target.reset()
    world.advance(10.0)
    assert sum(user.account.live + user.account.connections for user in users) == 0
    world.assert_clean()


# -- datagrams -------------------------------------------------------------------------------------


def metered(rig: Rig, limits: Limits = FREE) -> Meter:
    return Meter(rig.reactor, Account("ann", limits), lambda: rig.unix)


@pytest.mark.parametrize("limits", [FREE, Limits(quota=Quota(10**9), up_speed=10**9, down_speed=10**9)])
@pytest.mark.parametrize("method", METHODS)
def test_sessions_are_counted(method: str, limits: Limits) -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(method)
        relay, meter = rig.relay(packets), metered(rig, limits)
        relay.meter_of = lambda _talk: meter
        client, target = rig.client(relay, packets), rig.socket()
        wire_up = wire_down = 0
        for payload in (b"one", b"", os.urandom(1400)):
            wire_up += len(await client.say(target, payload))
            got, outlet = await heard(target)
            assert got == payload
            target.sendto(payload, outlet)
            await rig.settle()
            packet = client.sock.recv(70_000)
            wire_down += len(packet)
        account = meter.account
        assert account.sweep(0, 0) == Counts(1403, 1403, wire_up, wire_down)
        assert account.live == 1
        await client.send(os.urandom(100))
        assert account.sweep(0, 0) == NOTHING, "noise is nobody's"
        relay.end(next(iter(relay.sessions.values())), "idle")
        assert account.live == 0

    run(story)


def test_datagrams_that_are_too_fast_are_dropped() -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(METHODS[0])
        relay, meter = rig.relay(packets), metered(rig)
        relay.meter_of = lambda _talk: meter
        client, target = rig.client(relay, packets), rig.socket()
        await client.say(target, b"first")
        _, outlet = await heard(target)
        meter.change(Limits(up_speed=1024, down_speed=1024))
        for _ in range(100):
            await client.say(target, bytes(1000))
            target.sendto(bytes(1000), outlet)
            await rig.settle()
        assert relay.dropped["limit"] >= 60
        up, down, *_ = meter.account.sweep(0, 0)
        assert 60_000 <= up <= SIZE_MIN + 5_000
        assert 60_000 <= down <= SIZE_MIN + 5_000
        meter.change(FREE)
        await client.say(target, b"last")
        while (await heard(target))[0] != b"last":
            pass

    run(story)


def test_a_new_session_is_no_way_around_a_speed() -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(METHODS[0])
        relay, meter = rig.relay(packets), metered(rig, Limits(up_speed=1024))
        relay.meter_of = lambda _talk: meter
        target = rig.socket()
        for _ in range(80):
            await rig.client(relay, packets).say(target, bytes(1000))
        assert 60_000 <= meter.account.sweep(0, 0).up <= SIZE_MIN + 5_000
        assert relay.dropped["limit"] >= 10

    run(story)


def test_a_quota_ends_sessions_and_lets_none_begin() -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(METHODS[1])
        relay, meter = rig.relay(packets), metered(rig, Limits(quota=Quota(1000)))
        relay.meter_of = lambda _talk: meter
        client, target = rig.client(relay, packets), rig.socket()
        for _ in range(3):
            await client.say(target, bytes(400))
        assert [end[0] for end in rig.ended] == ["quota"]
        for _ in range(3):
            await heard(target)
        await client.say(target, bytes(400))
        assert nothing(target)
        assert relay.dropped == {"quota": 1}
        assert meter.account.sweep(0, 0).up <= 1400

    run(story)


def test_as_many_sessions_as_allowed() -> None:
    async def story(rig: Rig) -> None:
        packets = rig.packets(METHODS[0])
        relay, meter = rig.relay(packets), metered(rig, Limits(sessions=2))
        relay.meter_of = lambda _talk: meter
        target = rig.socket()
        clients = [rig.client(relay, packets) for _ in range(3)]
        for client in clients:
            rig.now += 1
            await client.say(target, b"x")
            rig.now += 1
            await clients[0].say(target, b"x")
        assert [end[0] for end in rig.ended] == ["crowded"]
        assert set(relay.sessions) == {session.source for session in relay.sessions.values()}
        assert len(relay.sessions) == meter.account.live == 2
        sources = {relay.datagrams.name_of(session.source) for session in relay.sessions.values()}
        assert clients[0].sock.getsockname() in sources, "it was used"
        meter.change(Limits(enabled=False))
        assert meter.account.sweep(0, 0).up == 6
        assert not relay.sessions
        with pytest.raises(LimitError):
            meter.welcome(b"")

    run(story)


def test_the_timer_of_a_pace_leaves_nothing_behind() -> None:
    async def story() -> None:
        world = World()
        user = User(world, Limits(up_speed=1024))
        _, client, target = user.connect()
        client.say(DATA)
        world.run()
        client.reset()
        target.reset()
        world.advance(3600.0)
        world.assert_clean()

    asyncio.run(story())
