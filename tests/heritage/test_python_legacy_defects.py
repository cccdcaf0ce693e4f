"""P3 to P5, P28: what the Python version did wrong with one-time auth, and what stream ciphers cannot do right. Each
test is named by the id in docs/heritage.md; its first line says what happened then.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from shadesocks.core.address import Address
from shadesocks.core.errors import ConfigError
from shadesocks.service.service import Service
from tests.service.rig import echo, run, server_config, socks, target, until

from .rig import AEAD, config_of, connected, crafter, left, local_for, rest_of, send_pieces, serving
from .stream_craft import HASH_SIZE, IV_SIZE, KEY, METHOD, PASSWORD, StreamClient, hashed, opened, stream_config

PIECES = [b"first", b"", b"the second chunk is longer", bytes(range(256)), b"last"]
WHOLE = b"".join(PIECES)


@asynccontextmanager
async def listening(**changes: object) -> AsyncIterator[tuple[Service, Address, list[bytes]]]:
    """A server of stream ciphers, a target, and what each of the target's connections got."""
    got: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = b""
        try:
            while part := await reader.read(65536):
                data += part
                writer.write(part)
        except ConnectionError:
            data += b" and then a reset"
        got.append(data)

    async with target(note) as to, serving(stream_config(**changes), allow_legacy=True) as far:
        yield far, to, got


def test_p03_a_read_that_ends_inside_a_chunk_header_loses_nothing() -> None:
    """Old: chunks that were verified in the same read were lost, and uploads stalled or were corrupt."""

    async def story() -> None:
        async with listening() as (far, to, got):

            def said() -> bytes:
                client = StreamClient()
                return client.flagged(to) + b"".join(map(client.chunk, PIECES))

            size = len(said())
            for cut in [*([at] for at in range(IV_SIZE, size)), range(1, size)]:
                reader, writer = await connected(far)
                await send_pieces(writer, said(), cut)
                writer.write_eof()
                assert opened(await reader.read(-1)) == WHOLE, cut
                await left(writer)
            await until(lambda: len(got) == size - IV_SIZE + 1)
            assert set(got) == {WHOLE}

    run(story())


def test_p04_without_the_one_time_auth_that_is_required_nothing_is_dialled_and_nothing_held() -> None:
    """Old: such a connection was neither served nor closed, but held to the idle time-out."""

    async def story() -> None:
        async with listening(one_time_auth=True, handshake_timeout=0.2) as (far, to, got):
            reader, writer = await connected(far)
            writer.write(StreamClient().plain(to, b"payload"))
            assert await rest_of(reader) == b""
            await left(writer)
            assert (sum(far.journal.reasons.values()), got) == (1, [])
            reader, writer = await connected(far)
            client = StreamClient()
            writer.write(client.flagged(to) + client.chunk(b"payload"))
            writer.write_eof()
            assert opened(await reader.read(-1)) == b"payload"
            await left(writer)

    run(story())


@pytest.mark.parametrize("required", [False, True])
def test_p04_a_bad_hash_of_the_header_dials_nothing(required: bool) -> None:
    """Old: a header that was too short was left to the time-out."""

    async def story() -> None:
        async with listening(one_time_auth=required, handshake_timeout=0.2) as (far, to, got):
            client = StreamClient()
            bad = client.flagged(to, spoil=True) + client.chunk(b"payload")
            for said in (bad, StreamClient().flagged(to)[:-3]):
                reader, writer = await connected(far)
                writer.write(said)
                assert await rest_of(reader) == b""
                await left(writer)
            assert got == []

    run(story())


def test_p04_the_hash_of_our_client_covers_the_header_and_nothing_behind() -> None:
    """Old: the client's hash also covered payload that came along, which servers did not expect."""
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(-1))

    async def story() -> None:
        async with target(listen) as server:
            entry = stream_config(address=server, one_time_auth=True)
            async with local_for([entry], allow_legacy=True) as near:
                _, writer, _ = await socks(near, Address("192.0.2.1", 80))
                writer.write(b"payload")
                writer.write_eof()
                await until(lambda: bool(heard))
                await left(writer)

    run(story())
    (said,) = heard
    plain = opened(said)
    header, mac, rest = plain[:7], plain[7 : 7 + HASH_SIZE], plain[7 + HASH_SIZE :]
    assert header == b"\x11" + Address("192.0.2.1", 80).pack()[1:]
    assert mac == hashed(said[:IV_SIZE] + KEY, header)
    assert rest == struct.pack("!H", 7) + hashed(said[:IV_SIZE] + bytes(4), b"payload") + b"payload"


def test_p04_a_bad_chunk_ends_the_stream_and_is_not_skipped() -> None:
    """Old: the chunk was dropped and the stream went on, with a hole."""

    async def story() -> None:
        async with listening(handshake_timeout=0.2) as (far, to, got):
            client = StreamClient()
            reader, writer = await connected(far)
            writer.write(client.flagged(to) + client.chunk(b"good"))
            assert opened(await reader.readexactly(IV_SIZE + 4)) == b"good"
            writer.write(client.chunk(b"bad", spoil=True) + client.chunk(b"good again"))
            await rest_of(reader)
            await until(lambda: bool(got))
            assert got[0].startswith(b"good")
            assert b"again" not in got[0]
            assert far.journal.reasons["bad_chunk"] == 1
            await left(writer)

    run(story())


def test_p04_one_client_with_one_time_auth_does_not_change_the_next() -> None:
    """Old: once a client had used it, a server asked it of all."""

    async def story() -> None:
        async with listening() as (far, to, got):
            for _ in range(2):
                client = StreamClient()
                for said in (client.flagged(to) + client.chunk(b"hello"), StreamClient().plain(to, b"hello")):
                    reader, writer = await connected(far)
                    writer.write(said)
                    writer.write_eof()
                    assert opened(await reader.read(-1)) == b"hello"
                    await left(writer)
            await until(lambda: got == [b"hello"] * 4)

    run(story())


def test_p05_a_changed_length_meets_silence() -> None:
    """Old: the length of a chunk is covered by nothing, so a recorded one with another length made a server show
    itself, by closing at once. We cannot mend that protocol, but the close says nothing: it comes at the deadline."""

    async def story() -> None:
        deadline = 0.3
        async with listening(handshake_timeout=deadline) as (far, to, got):
            loop = asyncio.get_running_loop()
            client = StreamClient()
            reader, writer = await connected(far)
            writer.write(client.flagged(to) + client.chunk(bytes(40), size=20))
            began = loop.time()
            assert await rest_of(reader) == b""
            assert loop.time() - began >= deadline - 0.05
            await until(lambda: got in ([b""], [b" and then a reset"]))
            await left(writer)

    run(story())


@pytest.mark.parametrize("extra", [{}, {"one_time_auth": True}])
def test_p05_p28_old_ciphers_are_refused_until_they_are_allowed(extra: dict[str, object]) -> None:
    """Old: stream ciphers, whose recorded traffic can be decrypted by whoever can redirect it, were the default."""
    entry = {"server": "192.0.2.1", "server_port": 1, "method": METHOD, "password": PASSWORD, **extra}
    for role in ("server", "local"):
        with pytest.raises(ConfigError) as refused:
            config_of(json.dumps(entry), role, dialect="rust")
        assert "allow_legacy" in str(refused.value)
        allowed = config_of(json.dumps({**entry, "allow_legacy": True}), role, dialect="rust")
        assert allowed.servers[0].method.name == METHOD
        assert allowed.warnings, "and it is told why not to"


def test_p28_nothing_old_is_ever_chosen_for_anybody() -> None:
    """Old: aes-256-cfb was the method of whoever named none."""
    with pytest.raises(ConfigError, match="method"):
        config_of(json.dumps({"server": "192.0.2.1", "server_port": 1, "password": PASSWORD}), "server", dialect="rust")


def test_p28_a_redirected_answer_is_worth_nothing_with_the_methods_of_today() -> None:
    """Old: who guesses the first bytes of a recorded answer turns it into a request of his own (CVE-2019-5152).

    With a method that authenticates, the server's answer sent back to it is no request."""
    came: list[int] = []

    async def story() -> None:
        entry = replace(server_config(AEAD), handshake_timeout=0.2)

        async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            came.append(1)
            await echo(reader, writer)

        async with target(count) as to, serving(entry) as far:
            reader, writer = await connected(far)
            writer.write(crafter().good(to.pack(), b"HTTP/1."))
            recorded = await reader.read(4096)
            await left(writer)
            for changed in (recorded, bytes((recorded[0] ^ 1,)) + recorded[1:], recorded[:-20] + bytes(20)):
                reader, writer = await connected(far)
                writer.write(changed)
                assert await rest_of(reader) == b""
                await left(writer)
            assert came == [1]

    run(story())
