"""The relay over the system's own sockets, on each back-end that there is.

What the simulated kernel cannot tell: that epoll, asyncio's selector and TCP agree with it, and what a chunk costs.
"""

from __future__ import annotations

import asyncio
import gc
import random
import select
import socket
import sys
import tracemalloc
from typing import Final

import pytest

from shadesocks.core.address import Address
from shadesocks.crypto.methods import find_method
from shadesocks.net.end import End
from shadesocks.net.options import NOW
from shadesocks.net.pipe import READ_MAX, READ_MIN
from shadesocks.net.poller import READ
from shadesocks.net.story import ready
from shadesocks.wire.editions import make_shadow
from shadesocks.wire.reader import Reader

from .codec import HEAD, SALT, XorOpener, XorSealer, sealed
from .planes import LIMIT, PLANES, Plane, fails_with_reset, hear, on, reset, say, together

SIZE: Final = 3_000_001
METHODS: Final = ("aes-128-gcm", "chacha20-ietf-poly1305", "2022-blake3-aes-256-gcm", "none")

every_plane = pytest.mark.parametrize("plane_name", PLANES)


def blob(seed: int, size: int = SIZE) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311 - data


@every_plane
def test_both_directions_carry_everything_at_once(plane_name: str) -> None:
    async def story(plane: Plane) -> None:
        relay, client, target = await plane.plain()
        up, down = blob(1), blob(2)
        async with together(say(client, up, ends=True), say(target, down, ends=True)):
            got_up, got_down = await asyncio.gather(hear(target), hear(client))
        assert (got_up, got_down) == (up, down)
        assert await plane.ends.get() == "done"
        assert (relay.up, relay.down) == (SIZE, SIZE)

    on(plane_name, story)


@every_plane
@pytest.mark.parametrize("first", ["client", "target"])
def test_half_close(plane_name: str, first: str) -> None:
    async def story(plane: Plane) -> None:
        _, client, target = await plane.plain()
        one, two = (client, target) if first == "client" else (target, client)
        await say(one, b"question", ends=True)
        assert await hear(two) == b"question"
        async with together(say(two, blob(3), ends=True)):
            assert await hear(one) == blob(3)
        assert await plane.ends.get() == "done"

    on(plane_name, story)


@every_plane
def test_an_end_of_file_that_came_before_the_relay(plane_name: str) -> None:
    async def story(plane: Plane) -> None:
        left, client = await plane.link()
        right, target = await plane.link()
        await say(client, b"early", ends=True)
        plane.relay(End(left), End(right))
        assert await hear(target) == b"early"
        await say(target, b"answer", ends=True)
        assert await hear(client) == b"answer"
        assert await plane.ends.get() == "done"

    on(plane_name, story)


@every_plane
def test_back_pressure_reaches_the_source(plane_name: str) -> None:
    """A target that does not read: what is taken from the client is bounded, and arrives once it does read."""

    async def story(plane: Plane) -> None:
        relay, client, target = await plane.plain()
        data = blob(4, 16 << 20)
        sender = asyncio.create_task(say(client, data, ends=True))
        while not relay.right.tail:  # noqa: ASYNC110 - the relay tells nobody
            await asyncio.sleep(0)
        assert not sender.done()
        assert len(relay.right.tail) <= READ_MAX
        taken = relay.up
        for _ in range(100):
            await asyncio.sleep(0)
        assert relay.up == taken, "the source is not read"
        assert plane.scratch.tails == len(relay.right.tail)
        assert await hear(target) == data
        await sender
        target.close()
        assert await plane.ends.get() == "done"

    on(plane_name, story)


@every_plane
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_reset_arrives_as_a_reset_after_what_came_before(plane_name: str, side: str) -> None:
    async def story(plane: Plane) -> None:
        _, client, target = await plane.plain()
        goes, stays = (client, target) if side == "left" else (target, client)
        data = blob(5, 300_000)
        await say(goes, data[:-10])
        got = await hear(stays, len(data) - 10)  # a reset throws away what the sender's kernel still has
        await say(goes, data[-10:])
        got += await hear(stays, 10)
        reset(goes)
        assert await fails_with_reset(stays) == b""
        assert got == data
        assert await plane.ends.get() == f"reset_{side}"

    on(plane_name, story)


@every_plane
def test_a_target_that_answers_and_resets_is_heard(plane_name: str) -> None:
    """It closes with unread bytes, so its end is a reset; and the client has ended its own direction by then."""

    async def story(plane: Plane) -> None:
        left, client = await plane.link()
        right, target = await plane.link()
        await say(right, b"a request that nobody reads")
        select.select([target], [], [], LIMIT)
        await say(target, b"413 too large")
        target.close()
        await say(client, b"more of it", ends=True)
        plane.relay(End(left), End(right))
        assert await fails_with_reset(client) == b"413 too large"
        assert await plane.ends.get() == "reset_right"

    on(plane_name, story)


@every_plane
def test_a_bad_chunk_resets_the_target_and_gives_the_client_away(plane_name: str) -> None:
    async def story(plane: Plane) -> None:
        left, client = await plane.link()
        right, target = await plane.link()
        kept: list[object] = []
        plane.relay(End(left, XorOpener(HEAD), XorSealer(SALT)), End(right), on_bad=kept.append)
        await say(client, sealed(b"good", HEAD))
        assert await hear(target, 4) == b"good"
        await say(client, b"\x05bad!!??")
        assert await fails_with_reset(target) == b""
        assert kept == [left]
        assert left.fileno() >= 0
        assert await plane.ends.get() == "bad_chunk"
        plane.reactor.close(left)
        plane.reactor.settle()

    on(plane_name, story)


@every_plane
@pytest.mark.parametrize("name", METHODS)
def test_a_client_and_a_server_with_the_real_codecs(plane_name: str, name: str) -> None:
    """Two relays in one reactor; the header goes with the first payload, or alone for who speaks second."""

    async def story(plane: Plane) -> None:
        method = find_method(name)
        source = random.Random(6)  # noqa: S311 - a test's salts
        shadow = make_shadow(method, [source.randbytes(method.key_size)])
        near, app = await plane.link()
        far, target = await plane.link()
        one, two = await plane.link()
        sealer, opener = shadow.open_stream(Address("target.example", 80), lambda: 0, source.randbytes)

        async def serve() -> None:
            reader = Reader(shadow.read_request(lambda _salt: False, lambda: 0, source.randbytes))
            request = None
            while request is None:
                await ready(two.fileno(), READ)
                size = two.recv_into(plane.scratch.inward, READ_MIN, NOW)
                request = reader.feed(plane.scratch.inward[:size])
            end = End(two, request.opener, request.sealer)
            end.held, end.moved = reader.rest, len(request.first)
            onward = End(far)
            onward.tail = bytes(request.first)
            plane.relay(end, onward)

        served = plane.reactor.spawn(serve())
        plane.relay(End(near), End(one, opener, sealer))
        await say(target, b"220 ready")
        assert await hear(app, 9) == b"220 ready"
        await served
        up, down = blob(7), blob(8)
        async with together(say(app, up, ends=True), say(target, down, ends=True)):
            got_up, got_down = await asyncio.gather(hear(target), hear(app))
        assert (got_up, got_down) == (up, down)
        assert [await plane.ends.get() for _ in range(2)] == ["done", "done"]
        assert {relay.up for relay in plane.relays} == {SIZE}
        assert {relay.down for relay in plane.relays} == {SIZE + 9}

    on(plane_name, story)


@every_plane
def test_many_connections_come_and_go_and_leave_nothing(plane_name: str) -> None:
    """Numbers come back at once; each connection's bytes stay its own."""

    async def story(plane: Plane) -> None:
        handlers = len(plane.reactor.handlers)

        async def visit(number: int) -> None:
            _, client, target = await plane.plain()
            data = blob(number, 1000)
            await say(client, data)
            assert await hear(target, 1000) == data
            if number % 3 == 0:
                reset(client)
                await fails_with_reset(target)
            else:
                await say(target, data[::-1], ends=True)
                assert await hear(client) == data[::-1]
                client.close()
                assert await hear(target) == b""
            target.close()

        for start in range(0, 120, 30):
            async with together(*(visit(start + number) for number in range(30))):
                pass
        words = [await plane.ends.get() for _ in range(120)]
        assert sorted(set(words)) == ["done", "reset_left"]
        assert len(plane.reactor.handlers) == handlers
        assert not plane.reactor.stories

    on(plane_name, story)


@every_plane
@pytest.mark.parametrize("name", METHODS)
def test_allocations_do_not_grow_with_the_chunks(plane_name: str, name: str) -> None:
    """A connection that has carried ten times as much holds as much as before, and no chunk leaves anything behind."""

    async def story(plane: Plane) -> None:
        method = find_method(name)
        shadow = make_shadow(method, [bytes(method.key_size)])
        sealer, _ = shadow.open_stream(Address("target.example", 80), lambda: 0, bytes)
        left, client = await plane.link()
        right, target = await plane.link()
        relay = plane.relay(End(left), End(right, None, sealer))
        loop = asyncio.get_running_loop()
        block, buffer = bytes(1 << 18), bytearray(1 << 18)

        async def carry(total: int) -> None:
            async def swallow() -> None:
                while relay.up < goal or relay.right.tail or not drained():
                    await loop.sock_recv_into(target, buffer)

            def drained() -> bool:
                try:
                    return not target.recv(1, socket.MSG_PEEK)
                except BlockingIOError:
                    return relay.up >= goal

            goal = relay.up + total
            swallower = asyncio.create_task(swallow())
            for _ in range(total // len(block)):
                await loop.sock_sendall(client, block)
            await swallower

        await carry(4 << 20)
        tracemalloc.start()
        try:
            await carry(2 << 20)
            gc.collect()
            before, blocks = tracemalloc.get_traced_memory()[0], sys.getallocatedblocks()
            await carry(20 << 20)
            gc.collect()
            after, blocks_after = tracemalloc.get_traced_memory()[0], sys.getallocatedblocks()
        finally:
            tracemalloc.stop()
        chunks = (20 << 20) // (method.max_payload or READ_MIN)
        assert after - before < 32 * chunks, f"{after - before} bytes for {chunks} chunks"
        assert blocks_after - blocks < chunks, f"{blocks_after - blocks} objects for {chunks} chunks"

    on(plane_name, story)
