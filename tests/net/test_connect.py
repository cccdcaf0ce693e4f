"""Connecting: every address of a name, within the deadline, with errors that say which kind they are."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Sequence

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import DialError
from shadesocks.net.connect import Anywhere, Connector, dial_error
from shadesocks.net.reactor import Reactor
from tests.service.rig import run

HOST = "127.0.0.1"


class Names:
    """Every name has these addresses, or there is none."""

    def __init__(self, found: Sequence[tuple[int, str]]) -> None:
        self.found = tuple(found)

    def cached(self, _host: str) -> tuple[tuple[int, str], ...] | None:
        return None

    def lookup(self, _host: str) -> asyncio.Future[tuple[tuple[int, str], ...]]:
        future = asyncio.get_running_loop().create_future()
        if self.found:
            future.set_result(self.found)
        else:
            future.set_exception(DialError("no_name"))
        return future


async def connect(found: Sequence[tuple[int, str]], port: int, first: bytes = b"", deadline: float = 5.0) -> None:
    """Connect in a story of its own, and close again."""
    reactor = Reactor()
    connector = Connector(reactor, Names(found), Anywhere(), reactor.lane(deadline))
    try:
        end = await reactor.spawn(connector.connect(Address("name.example", port), first))
        reactor.close(end.sock)
    finally:
        reactor.stop()


def test_the_second_address_serves_where_the_first_refuses() -> None:
    async def story() -> None:
        with socket.create_server((HOST, 0)) as server:
            port = server.getsockname()[1]
            both = [(socket.AF_INET, "127.0.0.2"), (socket.AF_INET, HOST)]
            for first in (b"", b"first"):
                await connect(both, port, first)

    run(story())


def test_a_name_without_addresses_fails_in_its_stage() -> None:
    async def story() -> None:
        with pytest.raises(DialError) as failed:
            await connect([], 80)
        assert (failed.value.code, failed.value.stage) == ("no_name", "resolve")

    run(story())


@pytest.mark.parametrize("first", [b"", b"first"])
def test_a_far_end_that_does_not_answer_is_given_up(first: bytes) -> None:
    """A listener whose queue is full drops what comes: the connect neither succeeds nor fails."""

    async def story() -> None:
        with socket.socket() as server:
            server.bind((HOST, 0))
            server.listen(0)
            port = server.getsockname()[1]
            waiting = [socket.socket() for _ in range(8)]
            for sock in waiting:
                sock.setblocking(False)
                sock.connect_ex((HOST, port))
            with pytest.raises(DialError) as failed:
                await connect([(socket.AF_INET, HOST)], port, first, deadline=0.05)
            assert failed.value.code == "dial_timeout"
            for sock in waiting:
                sock.close()

    run(story())


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (errno.ECONNREFUSED, "refused"),
        (errno.ENETUNREACH, "unreachable"),
        (errno.EHOSTUNREACH, "host_unreachable"),
        (errno.ETIMEDOUT, "dial_timeout"),
        (errno.EMFILE, "limit"),
        (errno.EACCES, "denied"),
        (errno.EIO, "host_unreachable"),
    ],
)
def test_each_error_has_its_word(code: int, word: str) -> None:
    assert dial_error(code).code == word
