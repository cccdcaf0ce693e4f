"""What is noted on its way in, and that nothing stands in the way where nobody wants it."""

from __future__ import annotations

import asyncio
import re
import socket
from dataclasses import replace
from socket import SocketType

import pytest

from shadesocks.config.model import Config, LocalConfig, Mode
from shadesocks.core.address import Address
from shadesocks.net.lane import Lane
from shadesocks.proxy.seams import Request
from shadesocks.service.heard import HeardInbound, heard, heard_back
from shadesocks.service.journal import Journal
from shadesocks.service.service import Service
from shadesocks.service.speaker import Speaker
from shadesocks.service.voices import voice_of

from .rig import HOST, run, server_config, started, until
from .written import Write
from .written import written as written


def test_for_our_own_voice_nothing_is_put_before_anything() -> None:
    journal = Journal(show_targets=False)
    inbound, back = object(), object()
    assert heard(inbound, journal) is inbound  # type: ignore[arg-type]
    assert heard_back(back, None, journal) is back  # type: ignore[arg-type]
    assert journal.suspect is None


@pytest.mark.parametrize("method", ["aes-256-gcm", "2022-blake3-aes-128-gcm", "aes-128-cfb"])
def test_datagrams_are_told_once_a_second_for_each_target(method: str, written: Write) -> None:
    log = written("python")

    async def story() -> None:
        loop = asyncio.get_running_loop()
        server = replace(server_config(method), mode=Mode.TCP_AND_UDP)
        far_config = Config(log_style="python", servers=(server,), allow_private=True)
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here,
        ):
            for sock in (there, here):
                sock.bind((HOST, 0))
                sock.setblocking(False)
            to = Address(*there.getsockname())
            async with started(Service.server(far_config)) as far:
                near_config = Config(
                    servers=(replace(server, address=far.addresses[0]),),
                    locals=(LocalConfig(Address(HOST, 0), mode=Mode.TCP_AND_UDP, udp_require_association=False),),
                )
                async with started(Service.local(near_config)) as near:
                    relay = near.addresses[0]
                    for payload in (b"one", b"two", b"three"):
                        await loop.sock_sendto(here, bytes(3) + to.pack() + payload, (relay.host, relay.port))
                        assert await loop.sock_recv(there, 100) == payload
                    await until(lambda: "udp data" in log.text)
        told = [line for line in log.lines if "udp data" in line]
        assert 1 <= len(told) <= 3
        assert re.search(rf" INFO     udp data to {re.escape(str(to))} from 127\.0\.0\.1:\d+$", told[0])

    run(story())


def test_one_line_a_second_for_each_pair() -> None:
    journal = Journal(show_targets=False)
    assert journal.is_new("client", b"target") is journal.is_new("client", b"other")
    assert not journal.is_new("client", b"target")


def test_all_else_is_the_inbounds_own() -> None:
    class Inbound:
        header_lane: Lane | None = None

        def __init__(self) -> None:
            self.released: list[SocketType] = []

        async def handshake(self, sock: SocketType, client: object) -> Request | None:
            assert (sock, client) == (given, "client")
            return None

        def release(self, sock: SocketType) -> None:
            self.released.append(sock)

    inbound = Inbound()
    journal = Journal(show_targets=False, speaker=Speaker(voice_of("python", "server")))
    front = heard(inbound, journal)
    assert isinstance(front, HeardInbound)
    assert front.header_lane is inbound.header_lane
    with socket.socket() as given:
        front.release(given)
        assert inbound.released == [given]

        async def story() -> None:
            assert await front.handshake(given, "client") is None

        run(story())
