"""Stories: coroutines that a reactor drives, what they may wait for, and how they end; on the simulated kernel."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import errno
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

import pytest

from shadesocks.net.poller import READ, WRITE
from shadesocks.net.reactor import Reactor
from shadesocks.net.story import Story, ready, until

from .kernel import FakeSocket
from .world import MODELS, World


@pytest.fixture(params=MODELS)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    world = World(model=request.param)
    yield world
    world.reactor.stories.clear()  # a test that failed leaves its story to nobody else


@pytest.fixture
def strict_world() -> Iterator[World]:
    """One whose `watch` may be told to fail."""
    world = World()
    yield world
    world.reactor.stories.clear()


class Tale:
    """Notes what a story said, and how it ended."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.ends: list[tuple[Any, BaseException | None]] = []

    def done(self, result: Any, error: BaseException | None) -> None:
        self.ends.append((result, error))


def close(world: World, *socks: FakeSocket) -> None:
    for sock in socks:
        world.reactor.close(sock.sock)
        assert sock.other is not None
        sock.other.close()
    world.reactor.settle()
    world.assert_clean()


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
    close(world, sock)


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
    close(world, sock)


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
    close(world, sock)


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
    close(world, sock)


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
    close(world, one, two)


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


# -- how stories end -------------------------------------------------------------------------------


def test_a_story_that_is_aborted_runs_its_finally_blocks(world: World) -> None:
    sock, far = world.kernel.pair()
    tale = Tale()

    async def tell() -> None:
        try:
            await ready(sock.fd, READ)
        finally:
            tale.said.append("cleaned up")

    story = world.reactor.tell(tell(), tale.done)
    story.abort()
    assert tale.said == ["cleaned up"]
    assert isinstance(tale.ends[0][1], asyncio.CancelledError)
    far.send(b"!")
    world.run()
    close(world, sock)


def test_an_abort_that_nobody_hears_of_is_no_error(world: World) -> None:
    async def tell() -> None:
        await until(world.clock.create_future())

    world.reactor.tell(tell()).abort()
    assert world.reactor.errors == 0
    world.assert_clean()


def test_an_error_that_nobody_hears_of_is_counted_and_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    async def tell() -> None:
        raise RuntimeError("a bug")

    world.reactor.tell(tell())
    assert world.reactor.errors == 1
    assert "a bug" in caplog.text
    world.assert_clean(errors=1)


def test_a_wait_that_cannot_be_arranged_raises_in_the_story(strict_world: World) -> None:
    """The kernel refuses to watch more (`max_user_watches`): that connection ends, and its story with it."""
    world = strict_world
    sock, far = world.kernel.pair()
    world.kernel.faults["watch"] = [errno.ENOSPC]
    tale = Tale()

    async def tell() -> None:
        try:
            await ready(sock.fd, READ)
        finally:
            world.reactor.close(sock.sock)

    world.reactor.tell(tell(), tale.done)
    world.run()
    assert [type(error) for _, error in tale.ends] == [OSError]
    far.close()
    world.assert_clean()


def test_a_wait_that_was_refused_once_may_be_tried_again(strict_world: World) -> None:
    world = strict_world
    sock, far = world.kernel.pair()
    world.kernel.faults["watch"] = [errno.ENOSPC]
    tale = Tale()

    async def tell() -> None:
        with contextlib.suppress(OSError):
            await ready(sock.fd, READ)
        await ready(sock.fd, READ)
        tale.said.append("readable")

    world.reactor.tell(tell(), tale.done)
    far.send(b"!")
    world.run()
    assert tale.said == ["readable"]
    close(world, sock)


@pytest.mark.parametrize("what", ["sleep", "timeout"])
def test_a_story_that_waits_for_what_only_a_task_may_ends_with_an_error(world: World, what: str) -> None:
    tale = Tale()

    async def tell() -> None:
        if what == "sleep":
            await asyncio.sleep(0)
        async with asyncio.timeout(1):
            await asyncio.sleep(0)

    world.reactor.tell(tell(), tale.done)
    world.run()
    assert len(tale.ends) == 1
    assert isinstance(tale.ends[0][1], RuntimeError)
    world.assert_clean()


def test_stories_within_stories_know_which_one_runs(world: World) -> None:
    tale = Tale()
    reactor = world.reactor
    future = world.clock.create_future()

    async def inner() -> None:
        tale.said.append(reactor.current)
        await until(future)
        tale.said.append(reactor.current)

    async def outer() -> None:
        mine = reactor.current
        other = reactor.tell(inner())
        assert reactor.current is mine
        tale.said.append(other)

    reactor.tell(outer())
    assert tale.said[0] is tale.said[1]
    assert reactor.current is None
    future.set_result(None)
    world.run()
    assert tale.said[2] is tale.said[0]
    world.assert_clean()


def test_context_variables_do_not_follow_a_story() -> None:
    """Stories must not use them: a step runs in whoever's context wakes it."""
    world = World()
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    sock, far = world.kernel.pair()
    tale = Tale()

    async def tell() -> None:
        tale.said.append(variable.get())
        await ready(sock.fd, READ)
        tale.said.append(variable.get())

    contextvars.copy_context().run(lambda: (variable.set("set"), world.reactor.tell(tell())))
    far.send(b"!")
    world.run()
    assert tale.said == ["set", "unset"]
    close(world, sock)


# -- tasks and stories -----------------------------------------------------------------------------


def in_asyncio(main: Callable[[Reactor], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        reactor = Reactor("portable")
        try:
            async with asyncio.timeout(30):
                await main(reactor)
        finally:
            reactor.stop()

    with asyncio.Runner() as runner:
        runner.run(run())


def test_the_sentinel_awaited_from_a_task_raises_instead_of_spinning() -> None:
    async def tell(wait: Awaitable[object]) -> None:
        await wait

    async def main(_reactor: Reactor) -> None:
        with pytest.raises(RuntimeError, match="bad yield"):
            await asyncio.create_task(tell(ready(0, READ)))
        with pytest.raises(RuntimeError, match="yield was used instead of yield from"):
            await asyncio.create_task(tell(until(asyncio.get_running_loop().create_future())))

    in_asyncio(main)


def test_spawn_runs_a_story_for_code_that_lives_in_a_task() -> None:
    async def main(reactor: Reactor) -> None:
        future = asyncio.get_running_loop().create_future()

        async def tell() -> str:
            return f"heard {await until(future)}"

        async def fail() -> None:
            raise OSError(errno.ECONNREFUSED, "refused")

        spawned = reactor.spawn(tell())
        assert not spawned.done()
        future.set_result("it")
        assert await spawned == "heard it"
        with pytest.raises(ConnectionRefusedError):
            await reactor.spawn(fail())
        assert not reactor.stories

    in_asyncio(main)


def test_cancelling_what_spawn_returned_aborts_the_story() -> None:
    async def main(reactor: Reactor) -> None:
        loop = asyncio.get_running_loop()
        waited, cleaned = loop.create_future(), loop.create_future()

        async def tell() -> None:
            try:
                await until(waited)
            finally:
                cleaned.set_result(True)

        task = asyncio.create_task(asyncio.wait_for(reactor.spawn(tell()), 30))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await cleaned
        assert waited.cancelled()
        assert not reactor.stories

    in_asyncio(main)


def test_a_story_may_run_what_needs_a_task_in_one() -> None:
    async def main(reactor: Reactor) -> None:
        async def needs_a_task() -> str:
            async with asyncio.timeout(10), asyncio.TaskGroup() as group:
                one = group.create_task(asyncio.sleep(0, "one"))
            return one.result()

        async def tell() -> Any:
            return await until(asyncio.get_running_loop().create_task(needs_a_task()))

        assert await reactor.spawn(tell()) == "one"

    in_asyncio(main)


def test_the_reactor_keeps_every_live_story_alive(world: World) -> None:
    future = world.clock.create_future()
    tale = Tale()

    def begin() -> None:
        async def tell() -> Any:
            return await until(future)

        world.reactor.tell(tell(), tale.done)

    begin()
    (story,) = world.reactor.stories
    assert isinstance(story, Story)
    del story
    future.set_result("still there")
    world.run()
    assert tale.ends == [("still there", None)]
