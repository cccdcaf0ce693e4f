"""The client's face: SOCKS5 over any split, and answers that say what happened."""

from __future__ import annotations

import asyncio

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import DialError
from shadesocks.proxy.inbound.socks5 import Socks5Inbound
from tests.proxy.rig import Stage, receive, stage
from tests.service.rig import run, until
from tests.wire.splits import random_splits

TARGET = Address("target.example", 443)
DIALOGUE = b"\x05\x01\x00\x05\x01\x00" + TARGET.pack()
SUCCESS = b"\x05\x00\x05\x00\x00\x01" + bytes(6)


def inbound_of(made: Stage, deadline: float = 1000.0) -> Socks5Inbound:
    return Socks5Inbound(made.reactor, made.scratch, made.reactor.lane(deadline), made.reactor.lane(0.01))


@pytest.mark.parametrize("seed", range(10))
def test_any_split_and_early_payload(seed: int) -> None:
    async def story() -> None:
        with stage() as made:
            sock = made.enter(inbound_of(made))
            loop = asyncio.get_running_loop()
            pieces = list(random_splits(DIALOGUE + b"early", 10))[seed]
            for piece in pieces:
                await loop.sock_sendall(sock, piece)
            got = b""
            while len(got) < len(SUCCESS):
                got += await receive(sock)
            assert got == SUCCESS
            assert await loop.sock_recv(made.target.far, 100) == b"early"
            assert made.target.dialled == [(TARGET, b"")]

    run(story())


@pytest.mark.parametrize(
    ("code", "reply"),
    [("refused", 5), ("unreachable", 3), ("host_unreachable", 4), ("dial_timeout", 4), ("no_name", 4), ("denied", 2)],
)
def test_the_answer_says_why_the_dial_failed(code: str, reply: int) -> None:
    async def story() -> None:
        with stage() as made:
            made.target.error = DialError(code)
            sock = made.enter(inbound_of(made))
            sock.sendall(DIALOGUE)
            got = b""
            while piece := await receive(sock):
                got += piece
            assert got == b"\x05\x00\x05" + bytes([reply]) + b"\x00\x01" + bytes(6)

    run(story())


@pytest.mark.parametrize("port", [1, 2115, 2222, 4112])
def test_a_success_names_the_port_of_the_old_programs_and_a_failure_none(port: int) -> None:
    """Seeds §6: Python 4112, go 2115, node 2222, lite and procurator 1."""

    async def story() -> None:
        with stage() as made:
            lanes = made.reactor.lane(1000.0), made.reactor.lane(0.01)
            inbound = Socks5Inbound(made.reactor, made.scratch, *lanes, reply_port=port)
            sock = made.enter(inbound)
            sock.sendall(DIALOGUE)
            wanted = SUCCESS[:-2] + port.to_bytes(2)
            got = b""
            while len(got) < len(wanted):
                got += await receive(sock)
            assert got == wanted
            made.target.error = DialError("refused")
            sock = made.enter(inbound)
            sock.sendall(DIALOGUE)
            got = b""
            while piece := await receive(sock):
                got += piece
            assert got == b"\x05\x00\x05\x05\x00\x01" + bytes(6)

    run(story())


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b""),
        (b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", b""),
        (b"\x05\x00", b"\x05\xff"),
        (b"\x05\x01\x02", b"\x05\xff"),
        (b"\x05\x01\x00\x05\x02\x00" + TARGET.pack(), b"\x05\x00\x05\x07\x00\x01" + bytes(6)),
        (b"\x05\x01\x00\x05\x01\x00\x02\x00", b"\x05\x00\x05\x08\x00\x01" + bytes(6)),
    ],
)
def test_nonsense_gets_the_right_answer_and_a_close(said: bytes, heard: bytes) -> None:
    async def story() -> None:
        with stage() as made:
            sock = made.enter(inbound_of(made))
            sock.sendall(said)
            got = b""
            try:
                while piece := await receive(sock):
                    got += piece
            except ConnectionResetError:
                pass  # a close with unread bytes: the answer came before it
            assert got == heard
            assert not made.target.dialled

    run(story())


def test_a_client_that_says_nothing_is_let_go_at_the_deadline() -> None:
    async def story() -> None:
        with stage() as made:
            sock = made.enter(inbound_of(made, deadline=0.05))
            assert await receive(sock) == b""
            await until(lambda: not made.reactor.stories)

    run(story())
