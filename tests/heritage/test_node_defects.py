"""N1 to N5: what shadowsocks-lite and the Node.js version did wrong. Each test is named by the id in docs/heritage.md;
its first line says what happened then.
"""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shadesocks.config.model import Config
from shadesocks.core.address import Address
from shadesocks.service import service as service_file
from tests.e2e.crowd import echo as crowd_echo
from tests.interop.streams import dial, read_exactly
from tests.peers import run_pair
from tests.service.rig import HOST, echo, pair, run, server_config, socks, target, until
from tests.service.test_service_udp import ask, relay_of, udp_pair
from tests.service.test_service_udp import echo as udp_echo

from .rig import (
    AEAD,
    CONNECT,
    GREETED,
    GREETING,
    connected,
    dead_port,
    entry_for,
    left,
    local_for,
    received,
    reset,
    rest_of,
    serving,
    turns,
    udp_client,
    udp_crafter,
    wrapped,
)
from .stream_craft import stream_config


def test_n01_the_time_out_of_the_dial_ends_with_the_dial(monkeypatch: pytest.MonkeyPatch) -> None:
    """Old: the 5 s of the connect stayed on the socket, and cut every connection that rested so long."""
    monkeypatch.setattr(service_file, "SWEEP", 0.01)

    async def story() -> None:
        entry = replace(server_config(AEAD), dial_timeout=0.5, handshake_timeout=0.5)
        async with target(echo) as to, pair(Config(dial_timeout=0.5, handshake_timeout=0.5), entry) as (_, near):
            reader, writer, _ = await socks(near, to)
            for _ in range(2):
                writer.write(b"still here")
                assert await reader.readexactly(10) == b"still here"
                await asyncio.sleep(0.7)  # longer than every time-out but that of idleness
            await left(writer)

    run(story())


def test_n02_a_key_is_made_from_its_password_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Old: keys were remembered under one name and looked up under another: MD5 for each connection and datagram."""
    made: list[int] = []
    md5 = hashlib.md5

    def counting(*given: Any, **options: Any) -> Any:
        made.append(1)
        return md5(*given, **options)

    monkeypatch.setattr("shadesocks.crypto.keys.md5", counting)

    async def story() -> None:
        for entry in (server_config(AEAD), stream_config()):
            async with (
                target(echo) as to,
                udp_echo() as packets,
                udp_pair(Config(allow_legacy=True), entry) as (_, near),
            ):
                first = len(made)
                assert first
                writer, reply = await ask(near)
                with udp_client() as sock:
                    for _ in range(10):
                        reader, other, _ = await socks(near, to)
                        other.write(b"x")
                        assert await reader.readexactly(1) == b"x"
                        await left(other)
                        sock.sendto(wrapped(packets, b"x"), relay_of(reply))
                        await received(sock)
                await left(writer)
                assert len(made) == first
            made.clear()

    run(story())


@pytest.mark.parametrize("choice", ["ordered", "fastest"])
def test_n03_a_choice_of_servers_needs_no_other_program(choice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old: the choice read what `ping` printed, asked no TCP port, and did not try another server after an error."""

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("a program was started")

    async def story() -> None:
        with dead_port() as nobody:
            async with target(echo) as to, serving() as far:
                dead = replace(server_config(AEAD), address=nobody)
                async with local_for([dead, entry_for(far)], balancer_policy=choice) as near:
                    for _ in range(5):
                        reader, writer, reply = await socks(near, to)
                        assert reply == 0
                        writer.write(b"x")
                        assert await reader.readexactly(1) == b"x"
                        await left(writer)

    monkeypatch.setattr(subprocess, "Popen", never)
    run(story())


def test_n03_clients_of_datagrams_share_nothing() -> None:
    """Old: variables were shared between UDP clients, so answers went to the wrong one."""

    async def story() -> None:
        async with udp_echo() as to, udp_pair(Config(), server_config(AEAD)) as (_, near):
            writer, reply = await ask(near)

            async def talk(name: bytes) -> None:
                with udp_client() as sock:
                    for number in range(10):
                        sock.sendto(wrapped(to, name + bytes((number,))), relay_of(reply))
                        assert await received(sock) == wrapped(to, name + bytes((number,)))

            await asyncio.gather(*(talk(f"client {number}".encode()) for number in range(20)))
            await left(writer)

    run(story())


def test_n04_a_connection_takes_kilobytes(tmp_path: Path) -> None:
    """Old: 300 MB for 100 connections, and 1.3 GB after some hours."""
    count = 100
    with ExitStack() as stack:
        pair_ = stack.enter_context(run_pair("ours", "ours", AEAD, tmp_path))
        far = stack.enter_context(crowd_echo())
        for _ in range(10):
            assert read_exactly(stack.enter_context(dial(pair_.local.address, HOST, far.port, early=b"?")), 1) == b"?"
        before = [(program, program.rss()) for program in (pair_.server, pair_.local)]
        for _ in range(count):
            assert read_exactly(stack.enter_context(dial(pair_.local.address, HOST, far.port, early=b"?")), 1) == b"?"
        for program, rss in before:
            assert program.rss() - rss < count * (64 << 10)  # one in fifty of what it was
            assert program.rss() < 100 << 20


def test_n05_late_events_meet_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """Old: an event that came after the end of its connection was a method of null, and a crash."""

    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(bytes(200_000))
        reset(writer)

    async def story() -> None:
        async with target(rude) as to, pair(Config(), server_config(AEAD)) as (far, near):
            for late in range(12):
                _, writer = await connected(near)
                writer.write(GREETING + CONNECT + to.pack() + bytes(100_000))
                await turns(late)
                reset(writer)
                await turns(2)
            await turns(50)  # and what is still under way then, the stop of the services ends
            assert far.journal.reasons["internal"] == near.journal.reasons["internal"] == 0

    run(story())
    assert not [record for record in caplog.records if record.exc_info]


def test_n05_datagrams_are_served_on_both_families() -> None:
    """Old: UDP listened on one family only, and its answers always bore an IPv4 address."""

    async def story() -> None:
        entry = replace(server_config(AEAD), address=Address("::", 0))
        async with udp_echo() as to, serving(entry) as far:
            for host in (HOST, "::1"):
                with udp_client(host) as sock, udp_client("::1") as six:
                    made = udp_crafter()
                    sock.sendto(made.request(to.pack(), b"x", bytes(8), 1), (host, far.addresses[0].port))
                    answer = made.open(await received(sock), 1)
                    assert (answer.address, answer.payload) == ((to.host, to.port), b"x")
                    there = Address(*six.getsockname()[:2])
                    sock.sendto(made.request(there.pack(), b"x", bytes(8), 2), (host, far.addresses[0].port))
                    _, outlet = await asyncio.get_running_loop().sock_recvfrom(six, 100)
                    six.sendto(b"y", outlet)
                    assert made.open(await received(sock), 1).address == (there.host, there.port)

    run(story())


def test_n05_greetings_and_fragments_are_looked_at() -> None:
    """Old: a greeting was answered unread, fragments went on as if they were whole."""

    async def story() -> None:
        async with udp_echo() as to, udp_pair(Config(), server_config(AEAD)) as (_, near):
            reader, writer = await connected(near)
            writer.write(b"\4\1\0\x50" + bytes(5))
            assert await rest_of(reader) == b""
            await left(writer)
            reader, writer = await connected(near)
            writer.write(b"\5\1\2")  # no method that we have
            assert await rest_of(reader) == b"\5\xff"
            await left(writer)
            writer, reply = await ask(near)
            with udp_client() as sock:
                sock.sendto(wrapped(to, b"a piece", 1), relay_of(reply))
                await until(lambda: near.packets.dropped == {"fragment": 1})
                sock.sendto(wrapped(to, b"whole"), relay_of(reply))
                assert await received(sock) == wrapped(to, b"whole")
            await left(writer)

    run(story())


def test_n05_an_error_reply_is_a_whole_reply() -> None:
    """Old: replies of errors had four bytes, and clients waited for the other six."""

    async def story() -> None:
        async with local_for([server_config(AEAD, 9)]) as near:
            for said in (bytes((5, 2, 0)) + Address(HOST, 9).pack(), b"\5\1\0\5" + bytes(6), b"\5\1\0\3\1x\0\x50"):
                reader, writer = await connected(near)
                writer.write(GREETING + said)
                answer = await rest_of(reader)
                assert answer.startswith(GREETED + b"\5")
                assert len(answer) == len(GREETED) + 10
                assert answer[3] != 0
                await left(writer)

    run(story())
