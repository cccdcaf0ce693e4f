"""What chance makes of a relay: thousands of schedules of its kernel's events, each known by its seed.

Programs at both ends talk, listen, end and reset when chance wants; the network carries a bit at a time, receives
are short, sends are partial, readiness comes in any order, buffers are small. However it went: each side has heard a
prefix of what the other said, all of it where nobody reset, all that had arrived where the speaker reset; the relay
ended once; and nothing is left. `SEEDS` widens the sample: SEEDS=20000 pytest tests/net/test_relay_schedules.py
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from random import Random
from typing import Final

import pytest

from shadesocks.core.address import Address
from shadesocks.crypto.methods import find_method
from shadesocks.net.end import End
from shadesocks.net.options import NOW
from shadesocks.net.pipe import READ_MIN
from shadesocks.net.poller import READ
from shadesocks.net.story import ready
from shadesocks.wire.editions import make_shadow
from shadesocks.wire.reader import Reader

from .codec import HEAD, SALT, XorOpener, XorSealer, opened, sealed
from .world import MODELS, Program, World, count_unsent

SEEDS: Final = int(os.environ.get("SEEDS", "250"))
"""Schedules of each kind; there are sixteen: pairs of ends on two back-ends, bad bytes, faults, methods."""
STEPS: Final = 60
ROOMS: Final = (1, 7, 100, 700, 5000)
ROOMY: Final = 600
ENDS: Final = [(left, right) for left in ("plain", "shadow") for right in ("plain", "shadow")]
TARGET: Final = Address("target.example", 80)


def each_seed(schedule: Callable[[int], None]) -> None:
    """Run the schedule of every seed; a failure says which one it was."""
    for seed in range(SEEDS):
        try:
            schedule(seed)
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise


class Side:
    """One end of a connection as chance plays it."""

    def __init__(self, program: Program, start: bytes | None, answer: bytes | None) -> None:
        self.program = program
        program.hears = False
        self.said = bytearray()
        self.ended = False
        self.did_reset = False
        self._start = start
        """What its shadow stream begins with; None for a plain one."""
        self._speaks_shadow = start is not None
        self._first = start
        self._answer = answer

    @property
    def silent(self) -> bool:
        return self.ended or self.did_reset

    def say(self, payload: bytes) -> None:
        self.said += payload
        if self._speaks_shadow:
            payload = sealed(payload, self._start or b"")
            self._start = b""
        self.program.say(payload)

    def end(self) -> None:
        self.ended = True
        self.program.end()

    def reset(self) -> None:
        self.did_reset = True
        self.program.reset()

    @property
    def arrived(self) -> bytes:
        """The payload of what the relay's kernel has got from here."""
        stream = bytes(self.program.relays.arrived)
        return stream if self._first is None else opened(stream, self._first)

    @property
    def heard(self) -> bytes:
        stream = bytes(self.program.got)
        return stream if self._answer is None else opened(stream, self._answer)


def act(world: World, random: Random, sides: tuple[Side, Side], resets: bool) -> None:
    """Do one thing that chance chooses."""
    side = random.choice(sides)
    what = random.randrange(100)
    if what < 18:
        if not side.silent:
            side.say(random.randbytes(random.choice((1, 10, 60, 300, 3000))))
    elif what < 36:
        side.program.hear(random.choice((1, 50, 1000)))
    elif what < 55:
        world.kernel.deliver()
    elif what < 90:
        world.turn()
    elif what < 93:
        world.advance(0.03)
    elif what < 96:
        if not side.silent:
            side.end()
    elif what == 99 and resets and not side.did_reset:
        side.reset()
    else:
        side.program.go_on()


def come_to_an_end(world: World, sides: tuple[Side, Side]) -> None:
    for sock in world.kernel.table.values():  # what is on its way a byte at a time would take its time
        sock.room, sock.arrival_room = max(sock.room, ROOMY), max(sock.arrival_room, ROOMY)
    for side in sides:
        side.program.hears = True
        if not side.silent:
            side.end()
    world.advance(10.0)


def check(left: Side, right: Side, words: list[str], up: int, down: int) -> None:
    """What must hold however it went."""
    for speaker, hearer, moved in ((left, right, up), (right, left, down)):
        assert bytes(speaker.said).startswith(speaker.arrived)
        assert speaker.arrived.startswith(hearer.heard), "bytes were displaced, doubled or made up"
        assert len(hearer.heard) <= moved <= len(speaker.arrived)
        if not hearer.did_reset:
            assert hearer.heard == speaker.arrived, "bytes that had arrived were lost"
    if not left.did_reset and not right.did_reset:
        assert (bytes(left.heard), bytes(right.heard)) == (bytes(right.said), bytes(left.said))
        assert left.program.saw_end
        assert right.program.saw_end
        assert (up, down) == (len(left.said), len(right.said))
        assert words == ["done"]
    else:
        allowed = {"done"} | {f"reset_{name}" for name, side in (("left", left), ("right", right)) if side.did_reset}
        assert len(words) == 1
        assert words[0] in allowed
        for reset, other in ((left, right), (right, left)):
            if reset.did_reset and not other.did_reset and words != ["done"]:
                assert other.program.sock.dead, "the other side was told of the reset"


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kinds", ENDS, ids="-".join)
def test_any_schedule_of_one_relay(monkeypatch: pytest.MonkeyPatch, kinds: tuple[str, str], model: str) -> None:
    count_unsent(monkeypatch)

    def schedule(seed: int) -> None:
        random = Random(f"{kinds} {model} {seed}")  # noqa: S311 - a schedule
        world = World(seed, model)
        shadow_left, shadow_right = (kind == "shadow" for kind in kinds)
        left, client = world.link(
            *((XorOpener(HEAD), XorSealer(SALT)) if shadow_left else ()),
            room=random.choice(ROOMS),
            inward=random.choice(ROOMS),
        )
        right, target = world.link(
            *((XorOpener(SALT), XorSealer(HEAD)) if shadow_right else ()),
            room=random.choice(ROOMS),
            inward=random.choice(ROOMS),
        )
        client.sock.arrival_room, target.sock.arrival_room = random.choice(ROOMS), random.choice(ROOMS)
        sides = (
            Side(client, HEAD if shadow_left else None, SALT if shadow_left else None),
            Side(target, SALT if shadow_right else None, HEAD if shadow_right else None),
        )
        for _ in range(random.randrange(5)):  # what happens before the relay begins, the end among it
            act(world, random, sides, resets=False)
        relay = world.relay(left, right)
        relay.begin(random.choice((None, world.reactor.lane(0.1))))
        resets = random.random() < 0.5
        for _ in range(random.randrange(STEPS)):
            act(world, random, sides, resets)
        come_to_an_end(world, sides)
        check(*sides, world.words, relay.up, relay.down)
        world.assert_clean()

    each_seed(schedule)


def test_any_schedule_with_bytes_that_are_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte of the initiator is flipped somewhere: what came before may be heard, nothing of what follows."""
    count_unsent(monkeypatch)

    def schedule(seed: int) -> None:
        random = Random(seed)  # noqa: S311 - a schedule
        world = World(seed)
        left, client = world.link(XorOpener(HEAD), XorSealer(SALT), inward=random.choice(ROOMS))
        right, target = world.link(room=random.choice(ROOMS))
        target.hears = False
        world.relay(left, right, keep_bad=True).begin()
        said = random.randbytes(random.choice((1, 100, 3000)))
        stream = bytearray(sealed(said, HEAD))
        stream[random.randrange(len(stream))] ^= 1 << random.randrange(8)
        client.say(bytes(stream))
        for _ in range(random.randrange(STEPS)):
            random.choice((world.turn, world.kernel.deliver, client.go_on, lambda: target.hear(50)))()
        target.hears = True
        client.end()
        world.advance(10.0)
        assert said.startswith(target.got)
        assert world.words in (["bad_chunk"], ["bad_server"], ["truncated"])
        assert target.sock.dead
        assert not client.got
        world.assert_clean()

    each_seed(schedule)


FAULTS: Final = {
    "send": (errno.EPIPE, errno.ECONNRESET, errno.ETIMEDOUT, errno.EAGAIN, errno.ENOBUFS),
    "recv": (errno.ECONNRESET, errno.ETIMEDOUT, errno.EAGAIN, errno.EHOSTUNREACH),
    "shutdown": (errno.ENOTCONN,),
    "watch": (errno.ENOSPC, errno.ENOMEM),
}


@pytest.mark.parametrize(
    "name",
    [
        "send",
        "recv",
        "shutdown",
        "watch",
    ],
)
def test_any_schedule_with_faults_of_the_system(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Now and then a call of the relay's fails: that connection may end, and still tells no lie and leaves nothing."""
    count_unsent(monkeypatch)

    def schedule(seed: int) -> None:
        random = Random(f"{name} {seed}")  # noqa: S311 - a schedule
        world = World(seed)
        left, client = world.link(room=random.choice(ROOMS), inward=random.choice(ROOMS))
        right, target = world.link(room=random.choice(ROOMS), inward=random.choice(ROOMS))
        sides = Side(client, None, None), Side(target, None, None)
        world.relay(left, right).begin()
        for _ in range(random.randrange(STEPS)):
            if random.randrange(10) == 0:
                world.kernel.faults[name] = [0] * random.randrange(3) + [random.choice(FAULTS[name])]
            act(world, random, sides, resets=False)
        world.kernel.faults.clear()
        come_to_an_end(world, sides)
        for speaker, hearer in (sides, sides[::-1]):
            assert speaker.arrived.startswith(hearer.heard)
        assert len(world.words) == 1
        assert world.words[0] in ("done", "reset_left", "reset_right", "internal")
        if world.words == ["done"]:
            assert [side.heard for side in sides] == [bytes(side.said) for side in sides[::-1]]
        world.assert_clean(errors=world.reactor.errors)
        assert world.reactor.errors == (world.words == ["internal"])

    each_seed(schedule)


@pytest.mark.parametrize("name", ["aes-128-gcm", "2022-blake3-aes-256-gcm", "none"])
def test_any_schedule_of_a_client_and_a_server(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Two relays in one reactor, the real codecs between them, the server's handshake a story."""
    count_unsent(monkeypatch)
    method = find_method(name)

    def schedule(seed: int) -> None:
        random = Random(f"{name} {seed}")  # noqa: S311 - a schedule
        shadow = make_shadow(method, [random.randbytes(method.key_size)])
        world = World(seed)
        near, app = world.link(room=random.choice(ROOMS))
        far, target = world.link(room=random.choice(ROOMS))
        sides = Side(app, None, None), Side(target, None, None)
        one, two = world.kernel.pair(random.choice(ROOMS), random.choice(ROOMS))
        two.room, two.arrival_room, two.outside = random.choice(ROOMS), random.choice(ROOMS), False
        sealer, opener = shadow.open_stream(TARGET, lambda: 0, random.randbytes)
        client = world.relay(near, End(one.sock, opener, sealer))
        servers = []

        async def serve() -> None:
            reader = Reader(shadow.read_request(lambda _salt: False, lambda: 0, random.randbytes))
            request = None
            while request is None:
                await ready(two.fd, READ)
                try:
                    size = two.sock.recv_into(world.scratch.inward, READ_MIN, NOW)
                except BlockingIOError:
                    continue
                if not size:
                    raise ConnectionResetError
                request = reader.feed(world.scratch.inward[:size])
            end = End(two.sock, request.opener, request.sealer)
            end.held = reader.rest
            end.moved = len(request.first)
            far.tail = bytes(request.first)
            servers.append(world.relay(end, far))
            servers[0].begin()

        def failed(_result: object, error: BaseException | None) -> None:
            if error is not None:
                assert isinstance(error, OSError)
                far.sock.setsockopt(1, 13, b"")
                world.reactor.close(two.sock)
                world.reactor.close(far.sock)

        world.reactor.tell(serve(), failed)
        client.begin(random.choice((None, world.reactor.lane(0.1))))
        resets = random.random() < 0.5
        for _ in range(random.randrange(STEPS * 2)):
            act(world, random, sides, resets)
        come_to_an_end(world, sides)
        left, right = sides
        if servers:
            assert bytes(left.said).startswith(right.heard)
            assert bytes(right.said).startswith(left.heard)
            assert (servers[0].up, servers[0].down) == (client.up, client.down) or left.did_reset or right.did_reset
            if not right.did_reset:
                assert right.heard == left.arrived
            if not left.did_reset and not right.did_reset:
                check(left, right, world.words[:1], client.up, client.down)
                assert world.words == ["done", "done"]
            else:
                assert len(world.words) == 2
        else:
            assert left.did_reset
        world.assert_clean()

    each_seed(schedule)
