"""The old ciphers from end to end: streams and datagrams, one-time auth on either side, chains, IVs that come twice."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from shadesocks.config.model import TUNNEL, Config, LocalConfig, Mode, ServerConfig
from shadesocks.core.address import Address
from shadesocks.core.secret import Secret
from shadesocks.crypto import keys
from shadesocks.crypto.available import missing
from shadesocks.crypto.methods import METHODS, find_method
from shadesocks.service.service import Service
from shadesocks.wire.editions import make_shadow
from shadesocks.wire.shadow import Quirks
from tests.service.rig import HOST, echo, run, server_config, started, target, until
from tests.service.test_service_udp import echo as udp_echo
from tests.wire.codecs import STREAM

from .test_tunnels import ask, client, trip

BOTH = Mode.TCP_AND_UDP
METHOD_SAMPLE = ("aes-256-cfb", "aes-128-cfb8", "camellia-192-ctr", "rc4-md5", "chacha20", "salsa20", "table")
"""One of each way that a cipher is made."""
OLD_AEAD = tuple(name for name, method in METHODS.items() if method.legacy and name not in STREAM)
PASSWORD = Secret("a password that is long enough")


def named(method: str, **options: Any) -> ServerConfig:
    return replace(server_config("aes-256-gcm"), method=find_method(method), password=PASSWORD, mode=BOTH, **options)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "method" in metafunc.fixturenames:
        whole = metafunc.config.getoption("--whole", default=False)
        names = [*(STREAM if whole else METHOD_SAMPLE), *(OLD_AEAD if whole else OLD_AEAD[:1])]
        metafunc.parametrize("method", [name for name in names if not missing(METHODS[name])])


@asynccontextmanager
async def serving(server: ServerConfig, **options: Any) -> AsyncIterator[Service]:
    config = Config(servers=(server,), allow_private=True, allow_legacy=True, bad_handshake="fin", **options)
    async with started(Service.server(config)) as service:
        yield service


@asynccontextmanager
async def reaching(to: Address, server: ServerConfig, **options: Any) -> AsyncIterator[Service]:
    """A tunnel to a target through a server."""
    listener = LocalConfig(Address(HOST, 0), TUNNEL, BOTH, forward=to)
    config = Config(servers=(server,), locals=(listener,), first_payload_timeout=0.05, **options)
    async with started(Service.local(config)) as service:
        yield service


async def both_ways(server: ServerConfig, client_options: dict[str, Any] | None = None, **options: Any) -> None:
    """See that streams and datagrams come through a server of these options."""
    async with serving(server, **options) as far:
        there = replace(server, address=far.addresses[0], outbound_proxy=(), **(client_options or {}))
        payload = os.urandom(20_000)
        async with target(echo) as to, reaching(to, there, **options) as near:
            for _ in range(2):
                assert await trip(near, payload) == payload
        async with udp_echo() as to, reaching(to, there, **options) as near:
            with client() as sock:
                for size in (1, 1400, 9000):
                    assert await ask(sock, near, payload[:size]) == payload[:size]
        assert far.packets.up_packets == 3
        assert not far.packets.dropped


@pytest.mark.parametrize("stream_replay", ["allow", "refuse"])
def test_streams_and_datagrams_come_through(method: str, stream_replay: str) -> None:
    run(both_ways(named(method), stream_replay=stream_replay))


@pytest.mark.parametrize("required", [False, True])
def test_with_one_time_auth_too(method: str, required: bool) -> None:
    """Old servers took it from who sent it; with `one_time_auth` they took nothing else."""
    run(both_ways(named(method, one_time_auth=required), {"one_time_auth": True}))


def test_a_server_that_wants_one_time_auth_is_silent_to_who_has_none() -> None:
    async def story() -> None:
        async with serving(named("aes-256-cfb", one_time_auth=True)) as far:
            there = named("aes-256-cfb", address=far.addresses[0])
            async with target(echo) as to, reaching(to, there) as near:
                assert await trip(near, b"x") == b""
                await until(lambda: far.journal.reasons == {"auth": 1})
            async with udp_echo() as to, reaching(to, there) as near:
                with client() as sock:
                    sock.sendto(b"x", (HOST, near.addresses[0].port))
                    await until(lambda: far.packets.dropped == {"auth": 1})

    run(story())


def test_a_target_that_speaks_first_is_heard(method: str) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 welcome\r\n")
        await reader.read(-1)

    async def story() -> None:
        async with target(greet) as to, serving(named(method)) as far:
            there = named(method, address=far.addresses[0])
            async with reaching(to, there) as near:
                reader, writer = await asyncio.open_connection(HOST, near.addresses[0].port)
                assert await reader.readline() == b"220 welcome\r\n"
                writer.close()

    run(story())


def test_a_procurator_server_gets_names(method: str) -> None:
    """They mean the same to ours."""
    run(both_ways(named(method), {"compat": "procurator"}))


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("aes-256-cfb", "aes-256-gcm"),
        ("chacha20-ietf", "2022-blake3-aes-128-gcm"),
        ("2022-blake3-aes-256-gcm", "rc4-md5"),
        ("table", "aes-128-ctr"),
    ],
)
@pytest.mark.parametrize("one_time_auth", [False, True])
def test_a_chain_may_begin_or_end_with_an_old_one(first: str, last: str, one_time_auth: bool) -> None:
    def server_of(method: str) -> ServerConfig:
        old = find_method(method).legacy
        return named(method, one_time_auth=one_time_auth) if old else replace(server_config(method), mode=BOTH)

    async def story() -> None:
        async with serving(server_of(last)) as end:
            onward = replace(server_of(last), address=end.addresses[0])
            await both_ways(replace(server_of(first), outbound_proxy=(onward,)))
            assert end.packets.up_packets == 3
            async with serving(server_of(first)) as hop, target(echo) as to:  # and by the client's own choice
                way = replace(server_of(first), address=hop.addresses[0])
                async with reaching(to, replace(onward, outbound_proxy=(way,))) as near:
                    assert await trip(near, b"through both") == b"through both"

    run(story())


@pytest.mark.parametrize(("stream_replay", "served"), [("allow", 3), ("refuse", 1)])
def test_an_iv_may_come_again_unless_it_is_refused(stream_replay: str, served: int) -> None:
    """C1: procurator's clients have one IV for ever."""

    async def story() -> None:
        server = named("aes-256-cfb")
        shadow = make_shadow(server.method, keys.parse_keys(server.method, PASSWORD.reveal()), Quirks())
        async with target(echo) as to, serving(server, stream_replay=stream_replay) as far:
            sealer, _ = shadow.open_stream(to, lambda: 0, lambda size: b"i" * size)
            out = memoryview(bytearray(100))
            stream = bytes(out[: sealer.seal(memoryview(b"hello"), 5, out)])
            answers = []
            for _ in range(3):
                reader, writer = await asyncio.open_connection(HOST, far.addresses[0].port)
                writer.write(stream)
                writer.write_eof()
                answers.append(await reader.read(-1))
                writer.close()
            assert [len(answer) for answer in answers] == [16 + 5] * served + [0] * (3 - served)
            ivs = {answer[:16] for answer in answers if answer}
            assert len(ivs) == served, "G1: ours is never the client's, and never the same"
            assert b"i" * 16 not in ivs
            await until(lambda: far.journal.reasons.total() == 3)
            assert far.journal.reasons["replay"] == 3 - served

    run(story())


def test_n02_a_key_is_derived_when_a_service_starts_and_never_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Old: lite and Node ran MD5 for every connection and every datagram."""
    derived = 0
    derive = keys.evp_bytes_to_key

    def count(password: bytes, size: int) -> bytes:
        nonlocal derived
        derived += 1
        return derive(password, size)

    monkeypatch.setattr(keys, "evp_bytes_to_key", count)

    async def story() -> None:
        for method in ("aes-256-cfb", "aes-256-gcm"):
            async with serving(named(method)) as far:
                assert derived == 2, "of its streams, and of its datagrams"
                there = named(method, address=far.addresses[0])
                async with target(echo) as to, reaching(to, there) as near:
                    assert derived == 4
                    for _ in range(5):
                        assert await trip(near, b"x") == b"x"
                    assert derived == 4
                async with udp_echo() as to, reaching(to, there) as near:
                    assert derived == 6
                    for _ in range(5):
                        with client() as sock:
                            assert await ask(sock, near, b"x") == b"x"
                    assert derived == 6
            reset()

    def reset() -> None:
        nonlocal derived
        derived = 0

    run(story())
