"""The face of a tunnel: a request without a word."""

from __future__ import annotations

import asyncio

from shadesocks.core.address import Address
from shadesocks.core.errors import DialError
from shadesocks.proxy.inbound.tunnel import TunnelInbound
from tests.proxy.rig import Stage, receive, stage
from tests.service.rig import run, until

TARGET = Address("target.example", 443)


def inbound_of(made: Stage) -> TunnelInbound:
    return TunnelInbound(made.reactor, TARGET, made.reactor.lane(0.01))


def test_a_target_that_speaks_first_is_heard_by_a_client_that_says_nothing() -> None:
    async def story() -> None:
        with stage() as made:
            sock = made.enter(inbound_of(made))
            assert made.target.dialled == [(TARGET, b"")]
            made.target.far.sendall(b"220 welcome")
            assert await receive(sock) == b"220 welcome"

    run(story())


def test_what_the_client_sent_at_once_reaches_the_target() -> None:
    async def story() -> None:
        with stage() as made:
            sock = made.enter(inbound_of(made))
            sock.sendall(b"early")
            sock.shutdown(1)
            loop = asyncio.get_running_loop()
            assert await loop.sock_recv(made.target.far, 100) == b"early"
            made.target.far.sendall(b"late")
            made.target.far.shutdown(1)
            assert await receive(sock) == b"late"
            await until(lambda: made.ledger.words == {"done": 1})

    run(story())


def test_a_target_that_is_not_there_is_an_end_of_file() -> None:
    async def story() -> None:
        with stage() as made:
            made.target.error = DialError("refused")
            sock = made.enter(inbound_of(made))
            assert await receive(sock) == b""
            assert made.ledger.stages == [("dial", "refused")]

    run(story())
