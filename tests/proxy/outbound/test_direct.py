"""Straight to the target, over real sockets."""

from __future__ import annotations

import asyncio
import socket

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import DialError
from shadesocks.net.connect import Anywhere, Connector, Judge
from shadesocks.net.origin import OriginPolicy
from shadesocks.net.reactor import Reactor
from shadesocks.proxy.outbound.direct import DirectDialer
from tests.net.lookups import resolver_of
from tests.service.rig import HOST, run, target


async def dial(to: Address, first: bytes, judge: Judge) -> None:
    """Dial in a story, and close what came of it."""
    reactor = Reactor()
    names = resolver_of(HOST)
    dialer = DirectDialer(Connector(reactor, names, judge, reactor.lane(5.0)))
    try:
        end = await reactor.spawn(dialer.dial(to, first))
        reactor.close(end.sock)
        reactor.settle()
    finally:
        await names.close()
        reactor.stop()


@pytest.mark.parametrize("host", [HOST, "name.example"])
def test_the_first_payload_goes_with_the_connect(host: str) -> None:
    async def story() -> None:
        heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def listen(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            heard.set_result(await reader.read(-1))

        async with target(listen) as to:
            await dial(Address(host, to.port), b"first", Anywhere())
            assert await heard == b"first"

    run(story())


@pytest.mark.parametrize("first", [b"", b"first"])
def test_a_refusal_says_so(first: bytes) -> None:
    async def story() -> None:
        with socket.socket() as nobody:
            nobody.bind((HOST, 0))
            with pytest.raises(DialError) as failed:
                await dial(Address(HOST, nobody.getsockname()[1]), first, Anywhere())
            assert failed.value.code == "refused"

    run(story())


@pytest.mark.parametrize("host", [HOST, "::1", "::ffff:127.0.0.1", "169.254.169.254", "rebinding.example"])
def test_special_addresses_are_denied_whatever_the_spelling(host: str) -> None:
    async def story() -> None:
        with pytest.raises(DialError) as failed:
            await dial(Address(host, 80), b"", OriginPolicy())
        assert failed.value.code == "denied"

    run(story())
