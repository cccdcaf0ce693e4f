"""Stories: coroutines that a reactor drives, what they wait for, and whose waker resumes them.

On the simulated kernel. `test_story_ends.py` has their ends, and how tasks and stories meet.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterator
from typing import Any

import pytest

from shadesocks.net.poller import READ, WRITE
from shadesocks.net.story import ready, until

from .world import MODELS, Tale, World


@pytest.fixture(params=MODELS)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    world = World(model=request.param)
    yield world
    world.reactor.stories.clear()  # a test that failed leaves its story to nobody else


def test_a_story_runs_at_once_to_its_first_wait(world: World) -> None:
    sock, far = world.kernel.pair()
    tale = Tale()

    async def tell() -> str:
        tale.said.append("begun")
        await ready(sock.fd, READ)
        tale.said.append("resumed")
        return "result"

    story = world.reactor.tell(tell(), tale.done)
    assert tale.said == ["begun"]
    assert world.reactor.stories == {story}
    world.run()
    assert tale.said == ["begun"], "nothing has come"
    far.send(b"!")
    world.run()
    assert tale.said == ["begun", "resumed"]
    assert tale.ends == [("result", None)]
    assert not world.reactor.stories
    world.discard(sock)


def test_a_story_waits_for_what_it_says_and_for_nothing_else(world: World) -> None:
    sock, far = world.kernel.pair(room=10)
    far.arrival_room = 0
    sock.send(bytes(10))
    tale = Tale()

    async def tell() -> None:
        await ready(sock.fd, WRITE)
        tale.said.append("writable")
        await ready(sock.fd, READ)
        tale.said.append("readable")

    world.reactor.tell(tell(), tale.done)
    world.run()
    assert tale.said == []
    far.arrival_room = 10
    world.kernel.drain()
    world.run()
    assert tale.said == ["writable"]
    far.send(b"!")
    world.run()
    assert tale.said == ["writable", "readable"]
    world.discard(sock)


def test_an_event_that_no_story_waits_for_any_more_is_dropped_and_does_not_spin(world: World) -> None:
    """A relay that dials leaves its initiator unwatched, whatever that one sends meanwhile."""
    sock, far = world.kernel.pair()
    dialled = world.clock.create_future()
    tale = Tale()

    async def tell() -> None:
        await ready(sock.fd, READ)
        sock.recv_into(memoryview(bytearray(10)), 10)
        await until(dialled)
        tale.said.append("dialled")
        await ready(sock.fd, READ)
        tale.said.append("what came meanwhile")

    world.reactor.tell(tell(), tale.done)
    far.send(b"1")
    world.run()
    far.send(b"2")
    world.run()  # `World.run` fails if the loop spins
    far.close()
    world.run()
    assert tale.said == []
    dialled.set_result(None)
    world.run()
    assert tale.said == ["dialled", "what came meanwhile"]
    world.discard(sock)


# -- the bridge ------------------------------------------------------------------------------------


def test_a_story_may_wait_for_a_plain_future(world: World) -> None:
    tale = Tale()
    future = world.clock.create_future()

    async def tell() -> Any:
        return await until(future)

    world.reactor.tell(tell(), tale.done)
    world.run()
    assert tale.ends == []
    future.set_result(7)
    world.run()
    assert tale.ends == [(7, None)]
    world.assert_clean()


def test_a_future_that_is_done_already_costs_no_wait(world: World) -> None:
    tale = Tale()
    future = world.clock.create_future()
    future.set_result(7)

    async def tell() -> Any:
        return await until(future)

    world.reactor.tell(tell(), tale.done)
    assert tale.ends == [(7, None)]


def test_a_future_that_fails_raises_in_the_story(world: World) -> None:
    tale = Tale()
    future = world.clock.create_future()

    async def tell() -> str:
        try:
            await until(future)
        except OSError as error:
            return f"caught {error.errno}"
        return "nothing"

    world.reactor.tell(tell(), tale.done)
    future.set_exception(OSError(errno.ENOENT, "gone"))
    world.run()
    assert tale.ends == [(f"caught {errno.ENOENT}", None)]


def test_a_future_that_somebody_else_cancels_cancels_the_story(world: World) -> None:
    tale = Tale()
    future = world.clock.create_future()

    async def tell() -> None:
        await until(future)

    world.reactor.tell(tell(), tale.done)
    future.cancel()
    world.run()
    assert len(tale.ends) == 1
    assert isinstance(tale.ends[0][1], asyncio.CancelledError)
    world.assert_clean()


def test_what_a_resumed_story_closed_is_closed_when_its_step_is_over(world: World) -> None:
    """A future resumes a story outside of any turn: there is nobody else to end one."""
    sock, far = world.kernel.pair()
    future = world.clock.create_future()

    async def tell() -> None:
        await until(future)
        world.reactor.close(sock.sock)

    world.reactor.tell(tell())
    future.set_result(None)
    world.clock.run_ready()
    assert sock.fd < 0
    far.close()
    world.assert_clean()


# -- deadlines, and each wait's own waker ----------------------------------------------------------


def test_a_deadline_raises_in_the_wait(world: World) -> None:
    sock, far = world.kernel.pair()
    tale = Tale()

    async def tell() -> str:
        try:
            await ready(sock.fd, READ)
        except TimeoutError:
            return "too late"
        return "in time"

    world.reactor.lane(10.0).start(world.reactor.tell(tell(), tale.done))
    world.advance(9)
    assert tale.ends == []
    world.advance(2)
    assert tale.ends == [("too late", None)]
    far.send(b"!")
    world.run()
    world.discard(sock)


def test_a_deadline_that_raises_cancels_the_future_waited_for(world: World) -> None:
    tale = Tale()
    future = world.clock.create_future()

    async def tell() -> None:
        await until(future)

    world.reactor.lane(10.0).start(world.reactor.tell(tell(), tale.done))
    world.advance(11)
    assert future.cancelled()
    assert len(tale.ends) == 1
    assert isinstance(tale.ends[0][1], TimeoutError)
    world.assert_clean()


def test_a_stale_future_does_not_resume_the_wait_that_came_after_it(world: World) -> None:
    """The future is done, its call is on its way, and then the deadline comes first."""
    tale = Tale()
    first, second = world.clock.create_future(), world.clock.create_future()

    async def tell() -> None:
        try:
            await until(first)
        except TimeoutError:
            tale.said.append("too late")
        tale.said.append(await until(second))

    story = world.reactor.tell(tell(), tale.done)
    first.set_result("first")
    story.expire()
    world.run()
    assert tale.said == ["too late"]
    second.set_result("second")
    world.run()
    assert tale.said == ["too late", "second"]
    assert tale.ends == [(None, None)]


def test_a_stale_event_does_not_resume_the_wait_that_came_after_it(world: World) -> None:
    one, far_one = world.kernel.pair()
    two, far_two = world.kernel.pair()
    tale = Tale()

    async def tell() -> None:
        try:
            await ready(one.fd, READ)
        except TimeoutError:
            tale.said.append("too late")
        await ready(two.fd, READ)
        tale.said.append("two")

    story = world.reactor.tell(tell(), tale.done)
    story.expire()
    far_one.send(b"!")
    world.run()
    assert tale.said == ["too late"]
    far_two.send(b"!")
    world.run()
    assert tale.said == ["too late", "two"]
    world.discard(one, two)


def test_a_deadline_of_a_story_that_is_over_is_nobodys(world: World) -> None:
    tale = Tale()

    async def tell() -> str:
        return "done"

    story = world.reactor.tell(tell(), tale.done)
    world.reactor.lane(1.0).start(story)
    world.advance(2)
    story.abort()
    assert tale.ends == [("done", None)], "it ended once"
    world.assert_clean()
