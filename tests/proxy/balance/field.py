"""A client with one server, in this process, that is probed when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

from shadesocks.config.model import Config, LocalConfig, Mode, ServerConfig
from shadesocks.core.address import Address
from shadesocks.core.errors import DialError
from shadesocks.proxy.balance.member import Member
from shadesocks.service.service import Service
from tests.service.rig import HOST, Handler, server_config, started

BOTH = Mode.TCP_AND_UDP
METHODS = ("aes-128-gcm", "2022-blake3-aes-128-gcm")


@asynccontextmanager
async def serving(method: str = METHODS[0], **options: Any) -> AsyncIterator[ServerConfig]:
    """A server, as its clients name it."""
    entry = replace(server_config(method), mode=BOTH, **options)
    async with started(Service.server(Config(servers=(entry,), allow_private=True))) as far:
        yield replace(entry, address=far.addresses[0], outbound_proxy=())


@asynccontextmanager
async def client_of(server: ServerConfig, **options: Any) -> AsyncIterator[tuple[Service, Member]]:
    """A client, and the server as it knows it. Unless the test says so, nobody is there whom a probe could ask."""
    options = {"balancer_probe_url": f"http://{HOST}:9/", "balancer_probe_dns": Address(HOST, 9), **options}
    config = Config(servers=(server,), locals=(LocalConfig(Address(HOST, 0), mode=BOTH),), **options)
    async with started(Service.local(config)) as near:
        [roster] = near._shared.rosters
        [member] = roster.members.values()
        yield near, member


async def probe(near: Service, member: Member, transport: str) -> str:
    """Probe it; return the word of the failure, or nothing."""
    [roster] = near._shared.rosters
    assert roster._prober is not None
    try:
        await near.spawn(roster._prober._probes[transport](member))
    except DialError as failed:
        return failed.code
    finally:
        near._shared.reactor.settle()
    return ""


def saying(answer: bytes, heard: list[bytes] | None = None) -> Handler:
    """A page that answers this, whatever it is asked."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            request = await reader.readuntil(b"\r\n\r\n")
            if heard is not None:
                heard.append(request)
            writer.write(answer)

    return handle


class NameServer(asyncio.DatagramProtocol):
    """Answers as `answer` says, a function of the question; None: nothing."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[bytes] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, place: Any) -> None:
        self.asked.append(data)
        for packet in self.answer(data):
            self.transport.sendto(packet, place)


@asynccontextmanager
async def name_server(answer: Any) -> AsyncIterator[tuple[Address, NameServer]]:
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: NameServer(answer), local_addr=(HOST, 0)
    )
    try:
        yield Address(*transport.get_extra_info("sockname")[:2]), server
    finally:
        transport.close()
