"""Many users on one AEAD port, as whole services on loopback: found by their keys, counted, limited, changed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import replace
from typing import Final

import pytest

from shadesocks.config.model import Config, Mode, ServerConfig
from shadesocks.config.save import dump
from shadesocks.config.user import Credential, UserConfig
from shadesocks.config.users import clients_of
from shadesocks.core.limits import Limits, Quota
from shadesocks.core.secret import Secret

from .. import rig, test_service_udp
from ..rig import run, server_config, socks, until
from .test_tables import client, closed, datagrams, lines_of, service, streams

METHODS: Final = ("aes-256-gcm", "chacha20-ietf-poly1305")
FREE: Final = Limits()


def password(name: str) -> Secret:
    return Secret(f"a long password of {name}")


def shared(*names: str, method: str = METHODS[0], port: int = 0, limits: Limits = FREE) -> ServerConfig:
    """A server whose users have passwords, and which has none; the limits are the first user's."""
    users = [UserConfig(name, (Credential(password(name)),)) for name in names]
    users[0] = replace(users[0], limits=limits)
    server = server_config(method, port)
    return replace(server, mode=Mode.TCP_AND_UDP, users=tuple(users), password=Secret(""))


@pytest.mark.parametrize("method", METHODS)
def test_each_user_is_served_under_his_name(method: str, caplog: pytest.LogCaptureFixture) -> None:
    names = [f"number{number}" for number in range(60)]

    async def story() -> None:
        server = shared(*names, method=method)
        clients = clients_of(server)
        async with service(server) as far, rig.target(rig.echo) as target, test_service_udp.echo() as other:
            for each in (clients[0], clients[59], clients[30], clients[30]):
                async with client(each.password, at=far.addresses[0], method=method) as near:
                    # First what makes the key known at the address: who ends a stream at once is not searched for.
                    assert await datagrams(near, other, b"x" * 1000) == b"x" * 1000
                    assert await streams(near, target, b"x" * 1000) == b"x" * 1000
            assert far.packets.dropped == {}
            await until(lambda: not far.totals[0])

    with caplog.at_level(logging.INFO, "shadesocks"):
        run(story())
    found = [
        line.split(" user ")[1].split()[0] for line in lines_of(caplog) if "stream done" in line and " user " in line
    ]
    assert found == ["number0", "number59", "number30", "number30"]
    assert sum("packets" in line and " user number30 up 1000 down 1000 " in line for line in lines_of(caplog)) == 2


def test_nobody_else_is() -> None:
    """Silence until the deadline, over TCP, and for ever over UDP."""

    async def story() -> None:
        server = replace(shared("a", "b"), handshake_timeout=0.3)
        async with (
            service(server) as far,
            rig.target(rig.echo) as target,
            test_service_udp.echo() as other,
            client(password("c"), at=far.addresses[0], method=METHODS[0]) as near,
        ):
            assert await streams(near, target, b"hello") == b""
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await datagrams(near, other, b"hello" * 20)
            assert far.packets.dropped == {"auth": 1}
            assert far.packets.sessions == 0
            assert far.journal.reasons == {"auth": 1}

    run(story())


@pytest.mark.parametrize("limits", [Limits(enabled=False), Limits(quota=Quota(0))], ids=["disabled", "quota"])
def test_limits_are_each_ones_own(limits: Limits) -> None:
    async def story() -> None:
        server = replace(shared("a", "b", limits=limits), handshake_timeout=0.3)
        async with service(server) as far, rig.target(rig.echo) as target, test_service_udp.echo() as other:
            async with client(password("a"), at=far.addresses[0], method=METHODS[0]) as near:
                assert await streams(near, target, b"hello") == b""
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await datagrams(near, other, b"hello" * 20)
            async with client(password("b"), at=far.addresses[0], method=METHODS[0]) as near:
                assert await streams(near, target, b"hello") == b"hello"
                assert await datagrams(near, other, b"hello") == b"hello"

    run(story())


def test_users_come_and_go_while_it_runs() -> None:
    """The port stays, what lives goes on, who is gone begins no more."""

    async def story() -> None:
        async with (
            service(shared("a", "b")) as far,
            rig.target(rig.echo) as target,
            contextlib.AsyncExitStack() as stack,
        ):
            at = far.addresses[0]
            await far.reload(replace(far.config, servers=(shared("a", "b", port=at.port),)))
            near = {
                name: await stack.enter_async_context(client(password(name), at=at, method=METHODS[0]))
                for name in "abc"
            }
            reader, writer, _ = await socks(near["a"], target)
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
            assert await streams(near["c"], target, b"too early") == b""
            inode = far._house.ports.every
            await far.reload(replace(far.config, servers=(shared("b", "c", port=at.port),)))
            assert far._house.ports.every == inode, "the port is the same"
            assert await streams(near["b"], target, b"still here") == b"still here"
            assert await streams(near["c"], target, b"new") == b"new"
            assert await streams(near["a"], target, b"too late") == b""
            writer.write(b"y")
            assert await reader.readexactly(1) == b"y"
            await closed(writer)

    run(story())


def test_a_port_may_get_users_and_lose_them() -> None:
    """From one password to users with passwords, and back; each reload is a config that could be written."""

    async def story() -> None:
        one = replace(server_config(METHODS[0]), mode=Mode.TCP_AND_UDP)
        async with service(one) as far, rig.target(rig.echo) as target:
            at = far.addresses[0]
            alone, many = replace(one, address=at), shared("a", "b", port=at.port)
            for server, mine in ((many, password("b")), (alone, one.password), (many, password("a"))):
                config = replace(far.config, servers=(server,))
                assert dump(Config(servers=(server,)))
                await far.reload(config)
                async with client(mine, at=at, method=METHODS[0]) as near:
                    assert await streams(near, target, b"hello") == b"hello"

    run(story())
