"""Which targets users reach, with streams and datagrams, directly and through chains, and after a reload."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

import pytest

from shadesocks.config.model import Config, ProxyConfig, ServerConfig
from shadesocks.config.user import Credential, UserConfig
from shadesocks.core.address import Address
from shadesocks.core.limits import FREE, Limits
from shadesocks.core.secret import Secret
from shadesocks.service.service import Service

from .. import rig, test_service_udp
from ..rig import HOST, run, server_config, socks
from ..test_service_udp import udp_pair
from .test_tables import BOTH, METHODS, client, closed, lines_of, service, streams, text

AEAD: Final = "aes-128-gcm"


def server(method: str = METHODS[0], **users: Limits) -> ServerConfig:
    """A server with users, whose keys are made of their letters."""
    people = tuple(
        UserConfig(name, (Credential(Secret(text(name, method))),), limits) for name, limits in users.items()
    )
    return replace(server_config(method), mode=BOTH, users=people)


async def datagram(near: Service, to: Address) -> bool:
    """Say something in a new session, and return whether it comes back, from wherever."""
    writer, reply = await test_service_udp.ask(near)
    try:
        return await trip(test_service_udp.relay_of(reply), to)
    finally:
        await closed(writer)


async def trip(relay: tuple[str, int], to: Address) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind((HOST, 0))
        sock.sendto(bytes(3) + to.pack() + b"hello", relay)
        return (await asyncio.get_running_loop().sock_recv(sock, 100)).endswith(b"hello")


class Town:
    """Targets on loopback, and what is said to them."""

    def __init__(self, far: Service, stream: Address, packet: Address) -> None:
        self.far, self.stream, self.packet = far, stream, packet

    async def ask(self, near: Service, host: str = HOST) -> tuple[bool, bool]:
        """Return whether a user reaches a target, over TCP and over UDP."""
        heard = await streams(near, replace(self.stream, host=host), b"hello") == b"hello"
        try:
            async with asyncio.timeout(0.3):
                return heard, await datagram(near, replace(self.packet, host=host))
        except TimeoutError:
            return heard, False


@asynccontextmanager
async def town(config: ServerConfig, **more: Any) -> AsyncIterator[Town]:
    async with service(config, **more) as far, rig.target(rig.echo) as to, test_service_udp.echo() as other:
        yield Town(far, to, other)


def near(far: Service, user: str, method: str = METHODS[0]) -> contextlib.AbstractAsyncContextManager[Service]:
    chain = () if method == AEAD else (server_config(method).password,)
    return client(*chain, Secret(text(user, method)), at=far.addresses[0], method=method)


YES, NO = (True, True), (False, False)


@pytest.mark.parametrize("method", [*METHODS, AEAD])
def test_two_users_of_one_port(method: str) -> None:
    async def story() -> None:
        limited = server(method, a=FREE, b=Limits(targets=("localhost", "10.0.0.0/8")))
        async with town(limited) as it, near(it.far, "a", method) as anna, near(it.far, "b", method) as ben:
            for _ in range(2):
                assert await it.ask(anna) == YES
                assert await it.ask(ben) == NO
                assert await it.ask(anna, "localhost") == YES
                assert await it.ask(ben, "localhost") == YES
            assert it.far.packets.dropped == {"denied": 2}

    run(story())


def test_ports() -> None:
    async def story() -> None:
        async with town(server(a=FREE, b=FREE)) as it:
            reach = Limits(ports=((it.stream.port, it.stream.port),))
            await it.far.change(replace(server(a=reach, b=FREE), address=it.far.addresses[0]))
            async with near(it.far, "a") as anna, near(it.far, "b") as ben:
                assert await it.ask(anna) == (True, it.packet.port == it.stream.port)
                assert await it.ask(ben) == YES

    run(story())


@pytest.mark.parametrize("kind", ["socks5", "shadowsocks"])
def test_through_a_chain(kind: str) -> None:
    """With rules of the server's own before the chain, and without."""

    async def story() -> None:
        async with contextlib.AsyncExitStack() as stack:
            hop: Any
            if kind == "socks5":
                _, last = await stack.enter_async_context(udp_pair(Config(), server_config()))
                hop = ProxyConfig("socks5", last.addresses[0])
            else:
                there = replace(server_config(), mode=BOTH)
                last = await stack.enter_async_context(service(there))
                hop = replace(there, address=last.addresses[0])
            config = server(a=FREE, b=Limits(targets=("localhost",)), c=Limits(targets=("127.0.0.0/8",)))
            it = await stack.enter_async_context(town(replace(config, outbound_proxy=(hop,))))
            anna, ben, cleo = [await stack.enter_async_context(near(it.far, user)) for user in "abc"]
            assert [await it.ask(user) for user in (anna, ben, cleo)] == [YES, NO, YES]
            assert [await it.ask(user, "localhost") for user in (anna, ben, cleo)] == [YES, YES, NO]
            assert it.far.packets.dropped == {"denied": 2}

    run(story())


def test_a_user_alone_on_his_port() -> None:
    """With AEAD, and the server's own password."""

    async def story() -> None:
        alone = UserConfig("anna", (), Limits(targets=("localhost",)))
        async with (
            town(replace(server_config(AEAD), mode=BOTH, users=(alone,))) as it,
            client(server_config(AEAD).password, at=it.far.addresses[0], method=AEAD) as anna,
        ):
            assert await it.ask(anna) == NO
            assert await it.ask(anna, "localhost") == YES

    run(story())


def test_a_refusal_is_that_of_the_servers_own_rules(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        closed_to_all: Any = []
        for limits, forbidden in ((FREE, True), (Limits(targets=()), False), (Limits(ports=((1, 1),)), False)):
            ports = ((1024, 65_535),) if forbidden else ()
            async with town(server(a=limits), forbidden_port=ports) as it, near(it.far, "a") as anna:
                caplog.clear()
                assert await it.ask(anna) == NO
                words = dict(it.far.journal.reasons), dict(it.far.packets.dropped)
                lines = [line.split(" up ", 1)[1].split() for line in lines_of(caplog) if " user a " in line]
                closed_to_all.append((words, [(line[1], line[3], *line[-2:]) for line in lines]))
        assert closed_to_all[0] == closed_to_all[1] == closed_to_all[2]
        assert closed_to_all[0][0] == ({"denied": 1}, {"denied": 1})

    with caplog.at_level(logging.INFO, "shadesocks"):
        run(story())


def test_other_limits_hold_for_what_comes_next() -> None:
    """A connection and a session live on; the session's next datagram goes by the new limits."""

    async def story() -> None:
        async with town(server(a=FREE)) as it, near(it.far, "a") as anna:
            at = it.far.addresses[0]
            reader, writer, _ = await socks(anna, it.stream)
            control, reply = await test_service_udp.ask(anna)
            relay = test_service_udp.relay_of(reply)
            config = it.far.config
            for limits, reaches in ((FREE, True), (Limits(targets=("10.0.0.0/8",)), False), (FREE, True)):
                await it.far.reload(replace(config, servers=(replace(server(a=limits), address=at),)))
                writer.write(b"on")
                assert await reader.readexactly(2) == b"on"
                assert await it.ask(anna) == (YES if reaches else NO)
                dropped = it.far.packets.dropped["denied"]
                if reaches:
                    assert await trip(relay, it.packet)
                else:
                    with pytest.raises(TimeoutError):
                        async with asyncio.timeout(0.2):
                            await trip(relay, it.packet)
                    assert it.far.packets.dropped["denied"] == dropped + 1
            await closed(control)
            await closed(writer)

    run(story())
