"""P1 to P9, P30: what the Python version did wrong with streams and SOCKS. Each test is named by the id in
docs/heritage.md; its first line says what happened then.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from typing import Final

import pytest

from shadesocks.config.model import Config
from shadesocks.core.address import Address
from shadesocks.service import service as service_file
from shadesocks.service.service import Service
from tests.dns_server import Name, dns_server
from tests.service.rig import HOST, echo, pair, run, server_config, socks, started, target, until

from .rig import (
    AEAD,
    BOTH,
    CONNECT,
    GREETED,
    GREETING,
    black_hole,
    connected,
    crafter,
    dead_port,
    dns_of,
    entry_for,
    left,
    local_for,
    received,
    reset,
    rest_of,
    send_pieces,
    serving,
    udp_client,
    udp_crafter,
    where,
)

METHODS: Final = ("aes-256-gcm", "chacha20-ietf-poly1305", "2022-blake3-aes-128-gcm")
REPLY_SIZE: Final = 10


def test_p01_a_socks_dialogue_in_any_pieces_is_one_dialogue() -> None:
    """Old: a greeting or request that came in two segments, or together, ended the connection."""

    async def story() -> None:
        async with target(echo) as to, pair(Config(), server_config(AEAD)) as (_, near):
            said = GREETING + CONNECT + to.pack() + b"payload"
            cuts = [[], *([at] for at in range(1, len(said))), range(1, len(said))]
            for cut in cuts:
                reader, writer = await connected(near)
                await send_pieces(writer, said, cut)
                assert (await reader.readexactly(2 + REPLY_SIZE))[:4] == GREETED + b"\5\0", cut
                assert await reader.readexactly(7) == b"payload"
                await left(writer)

    run(story())


@pytest.mark.parametrize("method", METHODS)
def test_p02_a_handshake_in_any_pieces_is_one_handshake(method: str) -> None:
    """Old: the server wanted the whole header in its first read; a salt in two segments broke decryption."""

    async def story() -> None:
        async with target(echo) as to, serving(server_config(method)) as far:
            made = crafter(method)
            size = len(made.good(to.pack(), b"payload"))
            for cut in [*([at] for at in range(1, size)), range(1, size)]:
                reader, writer = await connected(far)
                await send_pieces(writer, made.good(to.pack(), b"payload"), cut)
                assert await reader.read(1), f"no answer to a handshake cut at {cut}"
                await left(writer)
            await until(lambda: not far.totals[0])
            assert far.totals[1] == size * len(b"payload")

    run(story())


def test_p06_success_is_told_when_there_is_a_connection() -> None:
    """Old: the SOCKS answer was always success, before anybody was dialled."""

    async def story() -> None:
        with dead_port() as nobody:
            async with local_for([replace(server_config(AEAD), address=nobody)]) as near:
                _, writer, reply = await socks(near, Address(HOST, 9))
                assert reply == 5  # connection refused
                await left(writer)
        with black_hole() as silence:
            entry = replace(server_config(AEAD), address=silence, dial_timeout=0.1)
            async with local_for([entry]) as near:
                _, writer, reply = await socks(near, Address(HOST, 9))
                assert reply == 4  # host unreachable: RFC 1928 has no word for time-outs
                await left(writer)

    run(story())


def test_p06_a_bad_command_gets_its_reply() -> None:
    """Old: BIND, and what nobody knows, was closed without a word."""

    async def story() -> None:
        async with local_for([server_config(AEAD, 9)]) as near:
            for command in (2, 9):
                reader, writer = await connected(near)
                writer.write(GREETING + bytes((5, command, 0)) + Address(HOST, 9).pack())
                assert await rest_of(reader) == GREETED + b"\5\7\0\1" + bytes(6)
                await left(writer)

    run(story())


def test_p06_a_reset_of_the_target_stays_a_reset() -> None:
    """Old: a target's RST came to the client as an ordinary end of file."""

    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        reset(writer)

    async def story() -> None:
        async with target(rude) as to, pair(Config(), server_config(AEAD)) as (_, near):
            reader, writer, reply = await socks(near, to)
            assert reply == 0
            writer.write(b"x")
            with pytest.raises(ConnectionResetError):
                await reader.read(1)
            writer.close()

    run(story())


def test_p07_one_side_may_end_and_the_other_go_on() -> None:
    """Old: a FIN on one side destroyed both."""

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak only once the client has ended."""
        asked = await reader.read(-1)
        writer.write(asked[::-1])
        await writer.drain()

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """End first, then hear the client out."""
        writer.write_eof()
        heard.append(await reader.read(-1))

    heard: list[bytes] = []

    async def story() -> None:
        async with target(late) as to, pair(Config(), server_config(AEAD)) as (_, near):
            reader, writer, _ = await socks(near, to)
            writer.write(b"question")
            writer.write_eof()
            assert await reader.read(-1) == b"noitseuq"
            await left(writer)
        async with target(early) as to, pair(Config(), server_config(AEAD)) as (_, near):
            reader, writer, _ = await socks(near, to)
            writer.write(b"first ")
            assert await reader.read(-1) == b""
            writer.write(b"second")
            writer.write_eof()
            await until(lambda: bool(heard))
            assert heard == [b"first second"]
            await left(writer)

    run(story())


def test_p08_every_address_of_a_name_is_tried() -> None:
    """Old: only the first resolved address was tried."""

    async def story() -> None:
        async with dns_server() as names, target(echo) as to:
            names.zone["some.test"] = Name(["127.0.0.3", HOST])  # nobody listens there
            async with pair(Config(dns=dns_of(names)), server_config(AEAD)) as (_, near):
                reader, writer, _ = await socks(near, replace(to, host="some.test"))
                writer.write(b"hello")
                assert await reader.readexactly(5) == b"hello"
                await left(writer)

    run(story())


def test_p08_a_silent_client_and_a_silent_target_have_time_outs_of_their_own() -> None:
    """Old: one time-out of 300 s for every stage, so silent connections were held."""

    async def story() -> None:
        entry = replace(server_config(AEAD), handshake_timeout=0.3, dial_timeout=0.05)
        with black_hole() as silence:
            async with serving(entry, idle_timeout=86400.0) as far:
                reader, writer = await connected(far)
                assert await rest_of(reader) == b""  # it never said a word
                await left(writer)
                reader, writer = await connected(far)
                writer.write(crafter().good(silence.pack(), b"x"))
                assert await rest_of(reader) == b""
                await left(writer)
                assert far.journal.reasons == {"short": 1, "dial_timeout": 1}
            async with local_for([entry], handshake_timeout=0.05) as near:
                reader, writer = await connected(near)
                assert await rest_of(reader) == b""
                await left(writer)

    run(story())


def test_p09_a_target_that_speaks_first_is_heard_with_fast_open() -> None:
    """Old: a client with fast_open sent nothing until the application did, so mail and SSH hung."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        assert await reader.read(-1) == b""

    async def story() -> None:
        async with target(greet) as to, serving() as far, local_for([entry_for(far)], fast_open=True) as near:
            reader, writer, _ = await socks(near, to)
            assert await reader.readexactly(11) == b"220 ready\r\n"
            await left(writer)

    run(story())


def test_p30_what_comes_during_the_dial_stops_at_a_bound() -> None:
    """Old: data that came while the target was being dialled was buffered without limit."""

    async def story() -> None:
        entry = replace(server_config("none"), dial_timeout=60)
        with black_hole() as silence, socket.socket() as client:
            async with serving(entry, allow_none=True, inbound_receive_buffer=65536) as far:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
                client.connect(where(far))
                client.setblocking(False)
                client.send(silence.pack())
                sent, still = 0, 0
                while still < 50:  # turns of the loop in which nobody took anything
                    try:
                        sent += client.send(bytes(65536))
                        still = 0
                    except BlockingIOError:
                        still += 1
                    await asyncio.sleep(0)
                assert 0 < sent < 2 << 20

    run(story())


def test_p32_streams_and_datagrams_have_time_outs_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Old: one `timeout` for connections, datagrams, handshakes and dials."""
    monkeypatch.setattr(service_file, "SWEEP", 0.01)

    async def story() -> None:
        entry = replace(server_config(AEAD), mode=BOTH, handshake_timeout=7, dial_timeout=8)
        config = Config(servers=(entry,), allow_private=True, idle_timeout=0.1, half_closed_timeout=9, udp_timeout=300)
        async with target(echo) as to, started(Service.server(config)) as far:
            reader, writer = await connected(far)
            with udp_client() as sock, udp_client() as nobody:
                sock.sendto(udp_crafter().request(Address(*nobody.getsockname()).pack(), b"x", bytes(8), 1), where(far))
                assert await received(nobody) == b"x"
                writer.write(crafter().good(to.pack(), b"x"))
                await rest_of(reader)
                assert far.journal.reasons == {"idle": 1}
                assert far.packets.sessions == 1
            await left(writer)

    run(story())
