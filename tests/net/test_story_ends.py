"""How stories end, and how tasks and stories meet."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import errno
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

import pytest

from shadesocks.net.poller import READ
from shadesocks.net.reactor import Reactor
from shadesocks.net.story import Story, ready, until

from .world import MODELS, Tale, World


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
    world.discard(sock)


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
    world.discard(sock)


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
    world.discard(sock)


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
