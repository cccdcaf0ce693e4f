"""Several users on one port, and a server in front of others, as whole services on loopback."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import pytest

from shadesocks.config.model import Config, DestinationConfig, LocalConfig, Mode, ServerConfig
from shadesocks.config.user import Credential, UserConfig
from shadesocks.config.users import clients_of
from shadesocks.core.address import Address
from shadesocks.core.secret import Secret
from shadesocks.crypto.subkeys_2022 import key_hash
from shadesocks.proxy.users.user import User
from shadesocks.service.service import Service
from shadesocks.service.users.tables import destinations_of, table_of, users_of

from .. import rig, test_service_udp
from ..rig import HOST, run, server_config, socks, started, until

METHODS: Final = ("2022-blake3-aes-128-gcm", "2022-blake3-aes-256-gcm")
BOTH: Final = Mode.TCP_AND_UDP


def text(letter: str, method: str = METHODS[0]) -> str:
    return base64.b64encode(letter.encode() * server_config(method).method.key_size).decode()


def shared(method: str = METHODS[0], names: str = "ab", port: int = 0) -> ServerConfig:
    """A server with a user for each letter, whose key is made of it."""
    users = tuple(UserConfig(name, (Credential(Secret(text(name, method))),)) for name in names)
    return replace(server_config(method, port), mode=BOTH, users=users)


@asynccontextmanager
async def service(*servers: ServerConfig, **more: object) -> AsyncIterator[Service]:
    config = Config(servers=servers, allow_private=True, log_targets=False)
    async with started(Service.server(replace(config, **more))) as far:  # type: ignore[arg-type]  # a test's own
        yield far


@asynccontextmanager
async def client(*keys: Secret, at: Address, method: str = METHODS[0]) -> AsyncIterator[Service]:
    """A client with a chain of keys."""
    chain = Secret(":".join(key.reveal() for key in keys))
    there = replace(server_config(method), address=at, password=chain, mode=BOTH)
    listener = LocalConfig(Address(HOST, 0), mode=BOTH)
    async with started(Service.local(Config(servers=(there,), locals=(listener,)))) as near:
        yield near


async def streams(near: Service, target: Address, said: bytes) -> bytes:
    """Say something over TCP, and return what comes back until the end; empty where nothing does."""
    reader, writer, reply = await socks(near, target)
    try:
        assert reply == 0
        writer.write(said)
        writer.write_eof()
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        await closed(writer)


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def datagrams(near: Service, target: Address, said: bytes) -> bytes:
    writer, reply = await test_service_udp.ask(near)
    try:
        return await test_service_udp.trip(test_service_udp.relay_of(reply), target, said)
    finally:
        await closed(writer)


def lines_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        line for record in caplog.records if record.name == "shadesocks.access" for line in record.message.splitlines()
    ]


def test_the_tables() -> None:
    users = table_of(shared())
    assert users is not None
    assert [(user.name, user.keys) for user in users] == [("a", (b"a" * 16,)), ("b", (b"b" * 16,))]
    assert users.by_identity(key_hash(b"b" * 16)) is list(users)[1]
    assert table_of(server_config()) is None
    assert destinations_of(server_config()) is None
    empty = table_of(shared(names=""))
    assert empty is not None
    assert len(empty) == 0
    to = DestinationConfig("east", Secret(text("e")), Address(HOST, 1))
    destinations = destinations_of(replace(server_config(METHODS[0]), destinations=(to,)))
    assert destinations is not None
    (destination,) = destinations
    assert (destination.name, destination.key, destination.address) == ("east", b"e" * 16, Address(HOST, 1))


@pytest.mark.parametrize("method", METHODS)
def test_each_user_is_served_under_his_name(method: str, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        server = shared(method)
        async with service(server) as far, rig.target(rig.echo) as target, test_service_udp.echo() as other:
            at = far.addresses[0]
            for each in clients_of(server):
                async with client(each.password, at=at, method=method) as near:
                    said = each.remarks.encode() * 1000
                    assert await streams(near, target, said) == said
                    assert await datagrams(near, other, said) == said
            assert far.packets.sessions == 2
            sessions = [session for relay in far._shared.crowd.relays for session in relay.sessions.values()]
            assert sorted(session.user.name for session in sessions) == ["a", "b"]
            await until(lambda: not far.totals[0])

    with caplog.at_level(logging.INFO, "shadesocks"):
        run(story())
    lines = lines_of(caplog)
    for name in "ab":
        assert (
            len([line for line in lines if f" user {name} up 1000 down 1000 " in line and "stream done" in line]) == 1
        )
        own = [line.split(maxsplit=11)[11] for line in lines if f" user {name} up 1000 down 1000 " in line]
        assert sorted(own) == ["packets stopped", "stream done"]


def test_a_live_connection_knows_its_user() -> None:
    async def story() -> None:
        async with (
            service(shared()) as far,
            rig.target(rig.echo) as target,
            client(Secret(text("k")), Secret(text("b")), at=far.addresses[0]) as near,
        ):
            reader, writer, _ = await socks(near, target)
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
            (relay,) = far.journal.relays
            assert isinstance(relay.user, User)
            assert relay.user.name == "b"
            await closed(writer)

    run(story())


@pytest.mark.parametrize(
    "letters", ["k", "b", "kx", "xb", "bk"], ids=["server's key", "user's key", "unknown", "other server", "reversed"]
)
def test_nobody_else_is(letters: str) -> None:
    """Silence until the deadline, over TCP, and for ever over UDP."""

    async def story() -> None:
        async with (
            service(replace(shared(), handshake_timeout=0.3)) as far,
            rig.target(rig.echo) as target,
            test_service_udp.echo() as other,
            client(*(Secret(text(letter)) for letter in letters), at=far.addresses[0]) as near,
        ):
            assert await streams(near, target, b"hello") == b""
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await datagrams(near, other, b"hello" * 20)
            assert far.packets.dropped == {"auth": 1}
            assert far.packets.sessions == 0
            assert far.journal.reasons == {"auth": 1}

    run(story())


def test_who_fails_to_dial_is_named(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        with socket.socket() as nobody:
            nobody.bind((HOST, 0))
            refusing = Address(*nobody.getsockname())
            async with (
                service(shared()) as far,
                client(Secret(text("k")), Secret(text("a")), at=far.addresses[0]) as near,
            ):
                assert await streams(near, refusing, b"hello") == b""

    with caplog.at_level(logging.INFO, "shadesocks"):
        run(story())
    assert [line for line in lines_of(caplog) if " user a up 0 down 0 " in line and line.endswith("dial refused")]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("hops", [1, 2])
def test_a_server_in_front_of_others(method: str, hops: int, caplog: pytest.LogCaptureFixture) -> None:
    """The last server has users; each before it knows the next one's key alone."""

    async def story() -> None:
        last = shared(method)
        async with service(last) as far, rig.target(rig.echo) as target, test_service_udp.echo() as other:
            chain, at = [last.password], far.addresses[0]
            fronts: list[Service] = []
            try:
                for number in range(hops):
                    own = Secret(text(str(number), method))
                    to = DestinationConfig("next", chain[0], at)
                    front = replace(server_config(method), password=own, mode=BOTH, destinations=(to,))
                    fronts.append(Service.server(Config(servers=(front,))))
                    await fronts[-1].start()
                    chain, at = [own, *chain], fronts[-1].addresses[0]
                async with client(*chain, Secret(text("b", method)), at=at, method=method) as near:
                    said = b"through all of them" * 5000
                    assert await streams(near, target, said) == said
                    assert await datagrams(near, other, said[:1200]) == said[:1200]
                    for each in fronts:
                        assert not each.packets.dropped
                        assert each.packets.sessions > 0
                async with client(*chain[:-1], Secret(text("x", method)), at=at, method=method) as near:
                    assert await streams(near, target, b"hello") == b""
                    with pytest.raises(TimeoutError):
                        async with asyncio.timeout(0.2):
                            await datagrams(near, other, b"hello" * 20)
                assert fronts[0].packets.dropped == {"auth": 1}
            finally:
                for each in reversed(fronts):
                    await each.stop()

    with caplog.at_level(logging.INFO, "shadesocks"):
        run(story())
    assert any(" user b up 95000 down 95000 " in line for line in lines_of(caplog))


def test_what_the_server_behind_sends_alone_comes_back() -> None:
    """Nobody else's datagram reaches a client through the socket of its session."""

    async def story() -> None:
        last = shared()
        async with service(last) as far, test_service_udp.echo() as other:
            to = DestinationConfig("next", last.password, far.addresses[0])
            front = replace(server_config(METHODS[0]), password=Secret(text("f")), mode=BOTH, destinations=(to,))
            async with service(front) as before:
                chain = (Secret(text("f")), last.password, Secret(text("a")))
                async with client(*chain, at=before.addresses[0]) as near:
                    writer, reply = await test_service_udp.ask(near)
                    relay = test_service_udp.relay_of(reply)
                    assert await test_service_udp.trip(relay, other, b"there") == b"there"
                    (packets,) = before._shared.crowd.relays
                    (session,) = packets.sessions.values()
                    assert session.outlet is not None
                    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                        stranger.sendto(b"x" * 100, (HOST, session.outlet.sock.getsockname()[1]))
                    assert await test_service_udp.trip(relay, other, b"again") == b"again"
                    assert before.packets.down_packets == 2, "and not the stranger's"
                    await closed(writer)

    run(story())


def test_users_come_and_go_while_it_runs() -> None:
    """Who is taken out of the list is let in no more, who is new is; a connection that lives goes on."""

    async def story() -> None:
        before, after = shared(names="ab"), shared(names="bc")
        async with service(before) as far, rig.target(rig.echo) as target, contextlib.AsyncExitStack() as stack:
            at = far.addresses[0]
            near = {
                name: await stack.enter_async_context(client(Secret(text("k")), Secret(text(name)), at=at))
                for name in "abc"
            }
            reader, writer, _ = await socks(near["a"], target)
            writer.write(b"x")
            assert await reader.readexactly(1) == b"x"
            assert await streams(near["c"], target, b"too early") == b""
            await far.change(replace(after, address=at))
            assert await streams(near["b"], target, b"still here") == b"still here"
            assert await streams(near["c"], target, b"new") == b"new"
            assert await streams(near["a"], target, b"too late") == b""
            writer.write(b"y")
            assert await reader.readexactly(1) == b"y"
            await closed(writer)

    run(story())


def test_a_hop_may_be_a_server_with_users() -> None:
    """A client's proxy on the way is one, and so is its server: each has a chain of its own."""

    async def story() -> None:
        async with (
            service(shared(METHODS[0])) as first,
            service(shared(METHODS[1])) as second,
            rig.target(rig.echo) as target,
            test_service_udp.echo() as other,
        ):
            hop, last = (
                replace(clients_of(shared(method))[1], address=far.addresses[0])
                for method, far in ((METHODS[0], first), (METHODS[1], second))
            )
            config = Config(
                servers=(replace(last, outbound_proxy=(hop,)),), locals=(LocalConfig(Address(HOST, 0), mode=BOTH),)
            )
            async with started(Service.local(config)) as near:
                said = b"through both" * 3000
                assert await streams(near, target, said) == said
                assert await datagrams(near, other, said[:1000]) == said[:1000]
            assert first.packets.sessions == second.packets.sessions == 1

    run(story())


def test_who_has_the_same_keys_as_before_is_the_same() -> None:
    before = [*users_of(shared(names="abc"))]
    a, b, c = before
    server = shared(names="cab")
    third = replace(server.users[2], credentials=server.users[0].credentials) if server.users else None
    assert third is not None
    after = [*users_of(replace(server, users=(*(server.users or ())[:2], third)), None, before)]
    assert after[:2] == [c, a]
    assert (after[2].name, after[2].keys) == ("b", c.keys)
    assert after[2] is not b
