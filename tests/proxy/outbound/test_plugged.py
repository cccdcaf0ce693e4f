"""Through a plugin: who dials waits while it starts, is refused while it is down, and finds it where it is now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from shadesocks.config.model import Config
from shadesocks.core.address import Address
from shadesocks.core.errors import DialError
from shadesocks.net.connect import Anywhere, Connector
from shadesocks.net.end import End
from shadesocks.net.loop import run
from shadesocks.net.reactor import Reactor
from shadesocks.proxy.outbound.plugged import PluggedBack, PluggedConnect
from shadesocks.service.names import make_resolver

HOST = "127.0.0.1"


class Carrying:
    """A plugin without a program."""

    def __init__(self) -> None:
        self.address: Address | None = None
        self.is_down = False
        self.futures: list[asyncio.Future[Address]] = []

    def waiting(self) -> asyncio.Future[Address]:
        if self.is_down:
            raise DialError("plugin_down")
        future: asyncio.Future[Address] = asyncio.get_running_loop().create_future()
        self.futures.append(future)
        return future


Story = Callable[[Carrying, Callable[[], asyncio.Future[End]], Address], Coroutine[Any, Any, None]]


def dialling(story: Story, limit: float = 20.0) -> None:
    """Run a test with a listener, and with what dials through a plugin within the limit."""

    async def told() -> None:
        accepted: list[asyncio.StreamWriter] = []
        server = await asyncio.start_server(lambda _reader, writer: accepted.append(writer), HOST, 0)
        place = Address(HOST, server.sockets[0].getsockname()[1])
        reactor, names, carrying = Reactor(), make_resolver(Config()), Carrying()
        lane = reactor.lane(limit)
        connect = PluggedConnect(reactor, carrying, Connector(reactor, names, Anywhere(), lane), lane)
        ends: list[End] = []

        async def dial() -> End:
            end = await connect(b"first")
            ends.append(end)
            return end

        try:
            async with asyncio.timeout(20):
                await story(carrying, lambda: reactor.spawn(dial()), place)
                assert not len(lane)
        finally:
            for end in ends:
                reactor.close(end.sock)
            reactor.stop()
            await names.close()
            server.close()
            for writer in accepted:
                writer.close()
            await server.wait_closed()

    run(told())


def test_it_is_reached_where_it_is_now() -> None:
    async def story(carrying: Carrying, dial: Callable[[], asyncio.Future[End]], place: Address) -> None:
        carrying.address = place
        end = await dial()
        assert end.sock.getpeername() == (HOST, place.port)
        assert not end.tail
        carrying.address = Address(HOST, 1)
        with pytest.raises(DialError) as caught:
            await dial()
        assert caught.value.code == "refused"

    dialling(story)


def test_who_dials_while_it_starts_waits() -> None:
    async def story(carrying: Carrying, dial: Callable[[], asyncio.Future[End]], place: Address) -> None:
        dials = [dial(), dial()]
        for future in carrying.futures:
            future.set_result(place)
        for done in dials:
            assert (await done).sock.getpeername() == (HOST, place.port)

    dialling(story)


def test_who_dials_while_it_is_down_is_refused_at_once() -> None:
    async def story(carrying: Carrying, dial: Callable[[], asyncio.Future[End]], _place: Address) -> None:
        waiting = dial()
        carrying.futures[0].set_exception(DialError("plugin_down"))
        carrying.is_down = True
        for done in (waiting, dial()):
            with pytest.raises(DialError) as caught:
                await done
            assert caught.value.code == "plugin_down"

    dialling(story)


def test_nobody_waits_longer_than_a_dial_may_take() -> None:
    async def story(carrying: Carrying, dial: Callable[[], asyncio.Future[End]], _place: Address) -> None:
        with pytest.raises(DialError) as caught:
            await dial()
        assert caught.value.code == "plugin_down"
        assert carrying.futures[0].cancelled()

    dialling(story, limit=0.05)


def test_datagrams_go_where_it_is_now() -> None:
    carrying = Carrying()
    made: list[Address] = []
    seen: list[tuple[Address, str]] = []

    def make(address: Address) -> Any:
        made.append(address)
        return SimpleNamespace(
            forward=lambda *_: seen.append((address, "forward")),
            read=lambda *_: seen.append((address, "read")),
            tick=lambda: seen.append((address, "tick")),
        )

    back = PluggedBack(carrying, make)
    nothing: Any = None
    back.tick()
    with pytest.raises(DialError) as caught:
        back.forward(nothing, nothing, (0, 0, 0), 0)
    assert caught.value.code == "plugin_down"
    first, second = Address(HOST, 1), Address(HOST, 2)
    for carrying.address in (first, first, second):
        back.forward(nothing, nothing, (0, 0, 0), 0)
    back.read(nothing, nothing, 0, 0, 0)
    back.tick()
    assert made == [first, second]
    assert seen == [(first, "forward")] * 2 + [(second, "forward"), (second, "read"), (second, "tick")]
