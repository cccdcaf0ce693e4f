"""G1 to G11: what shadowsocks-go did wrong. Each test is named by the id in docs/heritage.md; its first line says what
happened then.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shadesocks.config.model import Config
from shadesocks.core.address import Address
from shadesocks.core.errors import ConfigError
from shadesocks.core.nameserver import NameServer, Transport
from shadesocks.core.secret import Secret
from shadesocks.service.service import Service
from shadesocks.wire.uri import UriError, parse_link
from tests.cli.family.conftest import Start
from tests.e2e.crowd import echo as crowd_echo
from tests.e2e.crowd import eventually
from tests.interop.streams import dial, read_exactly
from tests.peers import run_pair
from tests.probes.craft_udp import UdpCrafter
from tests.service.rig import HOST, echo, run, server_config, socks, started, target, until
from tests.service.test_service_udp import echo as udp_echo

from .rig import (
    AEAD,
    BOTH,
    black_hole,
    connected,
    crafter,
    dead_port,
    entry_for,
    left,
    local_for,
    received,
    rest_of,
    serving,
    udp_client,
    udp_crafter,
    where,
)
from .stream_craft import IV_SIZE, StreamClient, datagram, opened, stream_config


def test_g01_a_server_never_uses_the_iv_of_its_client() -> None:
    """Old: the server's direction had the client's IV, so one keystream covered both."""

    async def story() -> None:
        iv = os.urandom(IV_SIZE)
        async with target(echo) as to, udp_echo() as packets, serving(stream_config(), allow_legacy=True) as far:
            answers = []
            for _ in range(3):  # one IV for ever, as some old clients have
                reader, writer = await connected(far)
                writer.write(StreamClient(iv).plain(to, b"hello"))
                answers.append(await reader.readexactly(IV_SIZE + 5))
                await left(writer)
            with udp_client() as sock:
                for _ in range(3):
                    sock.sendto(datagram(packets, b"hello", iv), where(far))
                    answers.append(await received(sock))
            assert all(opened(answer).endswith(b"hello") for answer in answers)
            assert len({iv, *(answer[:IV_SIZE] for answer in answers)}) == 1 + len(answers)

    run(story())


@pytest.mark.parametrize("size", [250, 251, 252, 253, 254, 255])
def test_g02_the_longest_name_is_a_name(size: int) -> None:
    """Old: a name of more than 251 bytes overflowed a byte, and the whole process ended."""
    name = (("a" * 49 + ".") * 6)[: size - 1] + "b"
    address = b"\3" + bytes((size,)) + name.encode() + b"\0\x50"

    async def story() -> None:
        async with target(echo) as to, serving(handshake_timeout=0.3, bad_handshake="fin") as far:
            reader, writer = await connected(far)
            writer.write(crafter().good(address, b"x"))
            assert await rest_of(reader) == b""
            await left(writer)
            with udp_client() as sock:
                sock.sendto(udp_crafter().request(address, b"x", bytes(8), 1), where(far))
                await until(lambda: bool(far.packets.dropped))
            reader, writer = await connected(far)
            writer.write(crafter().good(to.pack(), b"x"))
            assert await reader.read(1)
            await left(writer)

    run(story())


def test_g02_no_bytes_of_a_stranger_end_the_process() -> None:
    """Old: any client with a wrong password could hit upon such a name; short datagrams were out of range."""

    async def story() -> None:
        entry = stream_config(handshake_timeout=5)
        nobody: dict[str, Any] = {
            "private": False,
            "forbidden_ip": ("0.0.0.0/0", "::/0"),
            "dns": (NameServer(Transport.UDP, HOST, 9),),
        }
        async with udp_echo() as packets, serving(entry, allow_legacy=True, **nobody) as far:
            with udp_client() as sock:
                for size in [*range(64), 300, 1400]:
                    sock.sendto(os.urandom(size), where(far))
            for _ in range(100):  # with a stream cipher, whatever comes is an address of some kind
                _, writer = await connected(far)
                writer.write(os.urandom(300))
                await left(writer)
            with udp_client() as sock:
                sock.sendto(datagram(packets, b"alive"), where(far))
                await until(lambda: far.packets.dropped["denied"] >= 1)
            assert far.journal.reasons["internal"] == 0

    run(story())


def test_g03_too_many_open_files_is_a_pause(tmp_path: Path) -> None:
    """Old: "too many open files" ended or blocked the program: accept was called again without a pause."""
    with ExitStack() as stack:
        far = stack.enter_context(crowd_echo())
        pair = stack.enter_context(run_pair("ours", "ours", AEAD, tmp_path, settings={"nofile": 64}))
        with ExitStack() as crowd:
            for _ in range(80):
                sock = crowd.enter_context(socket.create_connection(pair.local.address))
                sock.sendall(b"\5\1\0")
            eventually(lambda: "cannot accept" in pair.local.log(), "the client says that it cannot accept")
            assert pair.local.log().count("cannot accept") < 5

        def serves() -> bool:
            try:
                with dial(pair.local.address, HOST, far.port, early=b"x") as sock:
                    return read_exactly(sock, 1) == b"x"
            except (OSError, EOFError):
                return False

        eventually(serves, "the client serves again")
        assert pair.local.alive
        assert pair.server.alive


FILE = {"server": "192.0.2.1", "server_port": 8388, "local_port": 1080, "password": "Xei9-ohM7*quah4Aiqu"}


@pytest.mark.parametrize(
    ("words", "path", "value"),
    [
        ("-c FILE", "idle_timeout", 77.0),
        ("-c FILE -t 88", "idle_timeout", 88.0),
        ("-c FILE", "servers.0.one_time_auth", False),
        ("-c FILE -A", "servers.0.one_time_auth", True),
        ("-c FILE -m aes-128-cfb-auth", "servers.0.method.name", "aes-128-cfb"),
        ("-c FILE -m aes-128-cfb-auth", "servers.0.one_time_auth", True),
    ],
)
def test_g04_flags_go_before_the_file_and_defaults_do_not(
    words: str, path: str, value: object, start: Start, tmp_path: Path
) -> None:
    """Old: the default of -t hid the file's time-out, -A did nothing beside a file, -m x-auth lost a letter."""
    (tmp_path / "go.json").write_text(json.dumps({**FILE, "timeout": 77}))
    started = start("shadowsocks-local", words.replace("FILE", str(tmp_path / "go.json")))
    assert started.value(path) == value


def test_g05_two_ports_of_one_client_are_two() -> None:
    """Old: one table of UDP clients for all ports, so the second port of a client had the key of the first."""

    async def story() -> None:
        passwords = ("correct horse battery", "staple correct horse")
        entries = tuple(replace(server_config(AEAD), mode=BOTH, password=Secret(password)) for password in passwords)
        config = Config(servers=entries, allow_private=True)
        async with udp_echo() as to, started(Service.server(config)) as far:
            with udp_client() as sock:  # one address and port for both
                for _ in range(3):
                    for address, password in zip(far.addresses, passwords, strict=True):
                        made = UdpCrafter(AEAD, password)
                        sock.sendto(made.request(to.pack(), password.encode(), bytes(8), 1), tuple_of(address))
                        assert made.open(await received(sock), 1).payload == password.encode()
            assert far.packets.sessions == 2

    run(story())


def tuple_of(address: Address) -> tuple[str, int]:
    return address.host, address.port


def test_g06_a_bad_handshake_is_closed_at_its_deadline() -> None:
    """Old: the socket was marked as closed, and stayed open until the garbage collector came."""

    async def story() -> None:
        entry = replace(server_config(AEAD), handshake_timeout=0.1)
        async with serving(entry) as far:
            before = len(os.listdir("/proc/self/fd"))
            clients = [await connected(far) for _ in range(20)]
            for _, writer in clients:
                writer.write(bytes(100))
            for reader, _ in clients:
                assert await rest_of(reader) == b""
            assert len(os.listdir("/proc/self/fd")) == before + len(clients)  # the clients' own
            assert sum(far.journal.reasons.values()) == len(clients)
            for _, writer in clients:
                await left(writer)

    run(story())


def test_g07_every_port_that_cannot_be_had_is_named_and_none_is_half_open() -> None:
    """Old: a port that could not listen ended the process, and nobody was told of the others."""

    async def story() -> None:
        async with serving() as first, serving() as second:
            taken = [service.addresses[0] for service in (first, second)]
            entries = (server_config(AEAD), *(replace(server_config(AEAD), address=address) for address in taken))
            service = Service.server(Config(servers=entries))
            with pytest.raises(ConfigError) as failed:
                await service.start()
            for address in taken:
                assert f"cannot listen on {address}" in str(failed.value)
            assert service.addresses == ()

    run(story())


LINKS = [
    ("ss://YWVzLTEyOC1nY206cGFzc3dvcmQ@192.0.2.1:8388", "password"),  # base64 without padding
    ("ss://YWVzLTEyOC1nY206cGFzc3dvcmQ=@192.0.2.1:8388", "password"),
    ("ss://YWVzLTEyOC1nY206cEBzczovL3NzQHM@192.0.2.1:8388", "p@ss://ss@s"),  # @ and the prefix itself in it
    ("ss://YWVzLTEyOC1nY206cEBzc3dzQDE5Mi4wLjIuMTo4Mzg4", "p@ssws"),  # the form of QR codes
    ("ss://aes-128-gcm:sss%40%2F%3A@192.0.2.1:8388", "sss@/:"),
]


@pytest.mark.parametrize(("text", "password"), LINKS)
def test_g09_links_are_read_by_their_parts(text: str, password: str) -> None:
    """Old: characters of the prefix were stripped from both ends; @ in a password and missing padding were errors."""
    link = parse_link(text)
    assert (link.method, link.password, link.host, link.port) == ("aes-128-gcm", password, "192.0.2.1", 8388)


def test_g09_what_is_no_link_is_told_without_its_secret() -> None:
    """Old: it was an index out of range."""
    for text in ("ss://", "ss://%%%@x:1", "ss://YWVzLTEyOC1nY206cGFzc3dvcmQ@192.0.2.1", "s://x"):
        with pytest.raises(UriError) as refused:
            parse_link(text)
        assert "YWVz" not in str(refused.value)


@pytest.mark.parametrize("choice", ["random", "ordered", "fastest"])
def test_g10_dead_servers_cost_a_time_out_of_ours_at_most(choice: str) -> None:
    """Old: each dead server cost the time-out of the system, which is minutes."""

    async def story() -> None:
        with black_hole() as silence, dead_port() as nobody:
            async with target(echo) as to, serving() as far:
                dead = [
                    replace(server_config(AEAD), address=address, dial_timeout=0.2) for address in (silence, nobody)
                ]
                async with local_for([*dead, entry_for(far)], balancer_policy=choice) as near:
                    loop = asyncio.get_running_loop()
                    for _ in range(3):
                        began = loop.time()
                        reader, writer, reply = await socks(near, to)
                        assert reply == 0
                        assert loop.time() - began < 10  # the system's would be minutes
                        writer.write(b"x")
                        assert await reader.readexactly(1) == b"x"
                        await left(writer)

    run(story())


def test_g11_targets_and_strangers_have_limits() -> None:
    """Old: no forbidden targets, and no limit of anything."""

    async def story() -> None:
        entry = replace(server_config(AEAD), handshake_timeout=30)
        async with (
            udp_echo() as to,
            serving(
                entry, forbidden_port=((25, 25),), silent_limit=4, udp_max_associations=3, udp_max_per_source=2
            ) as far,
        ):
            reader, writer = await connected(far)
            writer.write(crafter().good(Address(HOST, 25).pack(), b"x"))
            assert await rest_of(reader) == b""
            await left(writer)
            assert far.journal.reasons["denied"] == 1
            strangers = [await connected(far) for _ in range(10)]
            await until(lambda: far.journal.reasons["evicted"] >= 6)
            for _, other in strangers:
                await left(other)
            for _ in range(5):
                with udp_client() as sock:
                    sock.sendto(udp_crafter().request(to.pack(), b"x", os.urandom(8), 1), where(far))
                    await received(sock)
            assert far.packets.sessions == 2

    run(story())
