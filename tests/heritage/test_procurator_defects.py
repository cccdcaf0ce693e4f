"""C1 to C5: what procurator did wrong. Each test is named by the id in docs/heritage.md; its first line says what
happened then.
"""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import replace

import pytest

from shadesocks.config.model import Config
from shadesocks.core.address import Address
from shadesocks.core.secret import Secret
from shadesocks.service import service as service_file
from shadesocks.service.service import Service
from tests.dns_server import How, Name, dns_server
from tests.peers import free_port
from tests.probes.craft import Crafter
from tests.service.rig import echo, pair, run, server_config, socks, target, until
from tests.service.test_service_udp import ask, relay_of, udp_pair
from tests.service.test_service_udp import echo as udp_echo

from .rig import (
    AEAD,
    CONNECT,
    GREETED,
    GREETING,
    connected,
    crafter,
    dead_port,
    dns_of,
    left,
    local_for,
    received,
    rest_of,
    serving,
    turns,
    udp_client,
    where,
    wrapped,
)
from .stream_craft import IV_SIZE, StreamClient, opened, stream_config


def test_c01_every_connection_and_datagram_has_an_iv_of_its_own() -> None:
    """Old: the IV was made from the password, so it was the same for ever."""

    async def story() -> None:
        firsts: list[bytes] = []

        async def note(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            firsts.append(await reader.readexactly(IV_SIZE))
            came.set()

        came = asyncio.Event()
        with udp_client() as packets:
            async with target(note) as server:
                entry = stream_config(address=server)
                async with local_for([entry], allow_legacy=True) as near:
                    for _ in range(5):
                        _, writer, _ = await socks(near, Address("192.0.2.1", 80))
                        writer.write(b"the same")
                        await came.wait()
                        came.clear()
                        await left(writer)
            entry = stream_config(address=Address(*packets.getsockname()))
            async with local_for([entry], allow_legacy=True) as near:
                writer, reply = await ask(near)
                with udp_client() as sock:
                    for _ in range(5):
                        sock.sendto(wrapped(Address("192.0.2.1", 80), b"the same"), relay_of(reply))
                        firsts.append((await received(packets))[:IV_SIZE])
                await left(writer)
        assert len(set(firsts)) == 10

    run(story())


def test_c02_a_target_that_does_not_read_stops_its_client() -> None:
    """Old: buffers grew to sixteen times the need, and nobody was ever told to wait."""

    async def hole(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock: socket.socket = writer.get_extra_info("socket")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        assert sock.fileno() >= 0
        await ended.wait()

    async def story() -> None:
        small = 65536
        config = Config(inbound_receive_buffer=small, outbound_send_buffer=small, outbound_receive_buffer=small)
        async with target(hole) as to, pair(config, server_config(AEAD)) as (_, near):
            with socket.socket() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
                client.connect(where(near))
                client.setblocking(False)
                client.send(GREETING + CONNECT + to.pack())
                sent = still = 0
                while still < 200:  # turns of the loop in which nobody took anything
                    try:
                        sent += client.send(bytes(65536))
                        still = 0
                    except BlockingIOError:
                        still += 1
                    await asyncio.sleep(0)
                assert 0 < sent < 16 << 20  # what the target's own kernel takes is most of it
            ended.set()

    ended = asyncio.Event()
    run(story())


def test_c02_a_name_that_takes_its_time_holds_up_nobody() -> None:
    """Old: names were looked up in the loop, and everybody waited."""

    async def story() -> None:
        async with dns_server() as names, target(echo) as to, serving(dns=dns_of(names)) as far:
            names.otherwise = lambda _: Name(how=How.DROP)
            _, waiting = await connected(far)
            waiting.write(crafter().good(Address("lost.test", 80).pack(), b"x"))
            await names.until(1)
            reader, writer = await connected(far)
            writer.write(crafter().good(to.pack(), b"x"))
            assert await reader.read(1)
            await left(writer)
            await left(waiting)

    run(story())


def test_c03_a_busy_connection_keeps_no_idle_one_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Old: the sweep only ran when nothing happened for 30 s, and its clock stood still."""
    monkeypatch.setattr(service_file, "SWEEP", 0.02)

    async def story() -> None:
        async with target(echo) as to, pair(Config(idle_timeout=1.0), server_config(AEAD)) as (far, near):
            idle_reader, idle_writer, _ = await socks(near, to)
            idle_writer.write(b"x")
            assert await idle_reader.readexactly(1) == b"x"
            reader, writer, _ = await socks(near, to)
            ended = asyncio.get_running_loop().create_task(idle_reader.read(1))
            while not ended.done():
                writer.write(b"busy")
                assert await reader.readexactly(4) == b"busy"
                await asyncio.sleep(0.005)
            assert await ended == b""
            await left(idle_writer)
            await until(lambda: (far.totals[0], near.totals[0]) == (1, 1))
            await left(writer)

    run(story())


def test_c03_payload_behind_an_ipv4_address_is_whole() -> None:
    """Old: the server took eight bytes for an IPv4 address of seven, so the first byte of payload was lost."""

    async def story() -> None:
        async with target(echo) as to, serving(stream_config(), allow_legacy=True) as far:
            reader, writer = await connected(far)
            writer.write(StreamClient().plain(to, b"payload"))
            writer.write_eof()
            assert opened(await reader.read(-1)) == b"payload"
            await left(writer)

    run(story())


def test_c04_targets_may_have_ipv6_addresses() -> None:
    """Old: there was no IPv6."""

    async def story() -> None:
        async def close_after(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await echo(reader, writer)
            await left(writer)

        server = await asyncio.start_server(close_after, "::1", 0)
        port = server.sockets[0].getsockname()[1]
        async with pair(Config(), server_config(AEAD)) as (_, near):
            reader, writer = await connected(near)
            writer.write(GREETING + CONNECT + Address("::1", port).pack() + b"hello")
            assert (await reader.readexactly(12))[:4] == GREETED + b"\5\0"
            assert await reader.readexactly(5) == b"hello"
            writer.write_eof()
            assert await reader.read(-1) == b""
            await left(writer)
        server.close()

    run(story())


def test_c04_two_clients_of_one_target_are_two() -> None:
    """Old: datagrams of two clients to one target collided, and one got the other's answers."""

    async def story() -> None:
        async with udp_echo() as to, udp_pair(Config(), server_config(AEAD)) as (_, near):
            writer, reply = await ask(near)
            with udp_client() as first, udp_client() as second:
                for number in range(10):
                    for name, sock in ((b"first", first), (b"second", second)):
                        sock.sendto(wrapped(to, name + bytes((number,))), relay_of(reply))
                for number in range(10):
                    assert await received(first) == wrapped(to, b"first" + bytes((number,)))
                    assert await received(second) == wrapped(to, b"second" + bytes((number,)))
            await left(writer)

    run(story())


def test_c04_the_port_of_an_association_is_a_number_in_two_bytes() -> None:
    """Old: the port of the answer was written as text, and one of five digits was cut."""

    async def story() -> None:
        async with udp_echo() as to, udp_pair(Config(), server_config(AEAD)) as (_, near):
            writer, reply = await ask(near)
            assert reply[:4] == b"\5\0\0\1"
            assert relay_of(reply) == where(near)
            assert to.port > 9999
            with udp_client() as sock:
                sock.sendto(wrapped(to, b"x"), relay_of(reply))
                assert await received(sock) == wrapped(to, b"x")
            await left(writer)

    run(story())


@pytest.mark.parametrize("size", [111, 112, 113, 1000])
def test_c04_a_password_may_be_long(size: int) -> None:
    """Old: a password of more than 112 bytes overflowed a buffer on the stack."""

    async def story() -> None:
        password = "aB3-" * (size // 4) + "x" * (size % 4)
        entry = replace(server_config(AEAD), password=Secret(password))
        async with target(echo) as to, serving(entry) as far:
            reader, writer = await connected(far)
            writer.write(Crafter(AEAD, password).good(to.pack(), b"x"))
            assert await reader.read(1)
            await left(writer)

    run(story())


def test_c04_errors_of_others_end_nothing() -> None:
    """Old: ordinary errors of sockets called exit()."""

    async def story() -> None:
        async with dns_server() as names, target(echo) as to:
            config = Config(dns=dns_of(names))
            with dead_port() as nobody:
                async with pair(config, server_config(AEAD)) as (far, near):
                    for address in (nobody, Address("nowhere.test", 80), Address("224.0.0.1", 80)):
                        reader, writer = await connected(near)
                        writer.write(GREETING + CONNECT + address.pack() + b"x")
                        await rest_of(reader)
                        await left(writer)
                    reader, writer, _ = await socks(near, to)
                    writer.write(b"x")
                    assert await reader.readexactly(1) == b"x"
                    await left(writer)
                    assert far.journal.reasons["internal"] == near.journal.reasons["internal"] == 0

    run(story())


def test_c05_descriptors_come_back_whatever_happened() -> None:
    """Old: leak after leak was mended, and its pool of connections was taken out again."""

    async def story() -> None:
        entry = replace(server_config(AEAD), handshake_timeout=0.1)
        with dead_port() as nobody:
            async with target(echo) as to, udp_pair(Config(), entry) as (far, near):

                async def visit(said: bytes, whom: Service) -> None:
                    reader, writer = await connected(whom)
                    writer.write(said)
                    writer.write_eof()
                    await rest_of(reader)
                    await left(writer)

                ask_for = GREETING + CONNECT
                stories: list[tuple[bytes, Service]] = [
                    (ask_for + to.pack() + b"x", near),
                    (ask_for + nobody.pack() + b"x", near),
                    (b"\4 is not five", near),
                    (crafter().good(to.pack(), b"x"), far),
                    (bytes(100), far),
                    (b"", far),
                ]
                for said, whom in stories:
                    await visit(said, whom)
                await until(lambda: not far.totals[0] and not near.totals[0])
                before = len(os.listdir("/proc/self/fd"))
                for _ in range(10):
                    await asyncio.gather(*(visit(said, whom) for said, whom in stories))
                await until(lambda: not far.totals[0] and not near.totals[0])
                await turns()
                assert len(os.listdir("/proc/self/fd")) <= before

    run(story())


@pytest.mark.parametrize("pool", [0, 8])
def test_c05_a_server_that_began_again_costs_no_request(pool: int) -> None:
    """Old: its pool handed out connections that were dead."""

    async def story() -> None:
        port = free_port()
        entry = replace(server_config(AEAD, port), pool=pool)
        async with target(echo) as to, serving(entry) as far, local_for([entry]) as near:
            for _ in range(3):
                reader, writer, reply = await socks(near, to)
                assert reply == 0
                writer.write(b"x")
                assert await reader.readexactly(1) == b"x"
                await left(writer)
                await far.stop()
                _, writer, reply = await socks(near, to)
                assert reply == 5
                await left(writer)
                await far.start()

    run(story())
