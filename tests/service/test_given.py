"""Sockets that were bound before: who takes which, how often, and what becomes of the rest."""

from __future__ import annotations

import logging
import os
import socket
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from socket import AF_INET, AF_INET6, SOCK_DGRAM, SOCK_STREAM, SocketType
from typing import Any

import pytest

from shadesocks.config.model import Config, Mode
from shadesocks.core.address import Address
from shadesocks.core.errors import ConfigError
from shadesocks.crypto.methods import METHODS
from shadesocks.net.datagrams import FRONT_BUFFER, DatagramOptions
from shadesocks.net.options import TcpOptions
from shadesocks.service.given import GivenSockets
from shadesocks.service.service import Service

from .rig import HOST, run, server_config


def made(family: int, kind: int, where: tuple[Any, ...]) -> SocketType:
    """A bound socket as a supervisor makes it; of IPv6, for both families."""
    sock = SocketType(family, kind)
    if family == AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind(where)
    if kind == SOCK_STREAM:
        sock.listen(5)
    return sock


def number(sock: SocketType) -> int:
    port: int = sock.getsockname()[1]
    return port


@pytest.mark.parametrize(
    ("family", "bound", "asked", "fits"),
    [
        (AF_INET, "127.0.0.1", "127.0.0.1", True),
        (AF_INET, "127.0.0.1", "127.0.0.2", False),
        (AF_INET, "127.0.0.1", "0.0.0.0", False),
        (AF_INET, "0.0.0.0", "127.0.0.1", False),
        (AF_INET, "0.0.0.0", "0.0.0.0", True),
        (AF_INET, "0.0.0.0", "::", True),
        (AF_INET6, "::", "0.0.0.0", True),
        (AF_INET6, "::", "::", True),
        (AF_INET6, "::1", "0:0::1", True),
        (AF_INET6, "::1", "::", False),
        (AF_INET6, "::ffff:127.0.0.1", "127.0.0.1", True),
    ],
)
def test_who_asks_for_an_address_gets_its_socket(family: int, bound: str, asked: str, fits: bool) -> None:
    sock = made(family, SOCK_STREAM, (bound, 0))
    port = number(sock)
    given = GivenSockets([sock])
    assert given.take((asked, port), SOCK_DGRAM) is None
    assert given.take((asked, port ^ 1), SOCK_STREAM) is None
    taken = given.take((asked, port), SOCK_STREAM)
    assert (taken is not None) == fits
    if taken is not None:
        assert number(taken) == port
        assert given.lends(taken)
        assert given.take((asked, port), SOCK_STREAM) is None, "it is lent"
        taken.close()
    given.close()
    assert sock.fileno() < 0


def test_the_address_itself_goes_before_a_wildcard_of_the_other_family() -> None:
    four = made(AF_INET, SOCK_DGRAM, ("0.0.0.0", 0))
    six = SocketType(AF_INET6, SOCK_DGRAM)
    six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    six.bind(("::", number(four)))
    given = GivenSockets([four, six])
    port = number(four)
    with ExitStack() as stack:
        stack.callback(given.close)
        taken = given.take(("::", port, 0, 0), SOCK_DGRAM)
        assert taken is not None
        stack.enter_context(closing(taken))
        assert taken.family == AF_INET6
        other = given.take(("::", port, 0, 0), SOCK_DGRAM)
        assert other is not None
        stack.enter_context(closing(other))
        assert other.family == AF_INET


def test_one_that_was_closed_is_lent_again_until_all_are_closed() -> None:
    sock = made(AF_INET, SOCK_STREAM, (HOST, 0))
    where = sock.getsockname()
    given = GivenSockets([sock])
    for _ in range(3):
        taken = given.take_streams(where, TcpOptions(no_delay=True))
        assert taken is not None
        assert taken.gettimeout() == 0.0
        assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        with socket.create_connection(where):
            pass
        taken.close()
    taken = given.take_streams(where, TcpOptions())
    assert taken is not None
    given.close()
    with socket.create_connection(where):  # whoever has it keeps it
        taken.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(where)


def test_datagrams_get_their_buffers() -> None:
    sock = made(AF_INET, SOCK_DGRAM, (HOST, 0))
    given = GivenSockets([sock])
    before = sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    taken = given.take_packets(sock.getsockname(), DatagramOptions(4096, 8192))
    assert taken is not None
    assert taken.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) < before
    small = taken.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    taken.close()
    taken = given.take_packets(sock.getsockname(), DatagramOptions())
    assert taken is not None
    assert small < taken.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) <= 2 * FRONT_BUFFER
    taken.close()
    given.close()


def test_a_path_is_an_address_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sock = SocketType(socket.AF_UNIX, SOCK_DGRAM)
    sock.bind(str(tmp_path / "manager"))
    given = GivenSockets([sock])
    assert given.take("other", SOCK_DGRAM) is None
    assert given.take((HOST, 1), SOCK_DGRAM) is None
    taken = given.take("manager", SOCK_DGRAM)
    assert taken is not None
    taken.close()
    assert given.close_unused() == [str(tmp_path / "manager")]


@pytest.mark.parametrize(
    ("bound", "kind", "asked", "is_rival"),
    [
        ("127.0.0.1", SOCK_STREAM, "0.0.0.0", True),
        ("0.0.0.0", SOCK_STREAM, "127.0.0.1", True),
        ("127.0.0.1", SOCK_STREAM, "localhost", True),
        ("127.0.0.1", SOCK_STREAM, "127.0.0.1", True),  # lent to a listener before this one
        ("127.0.0.1", SOCK_STREAM, "127.0.0.2", False),
        ("127.0.0.1", SOCK_DGRAM, "0.0.0.0", False),
    ],
)
def test_what_was_given_keeps_others_from_its_port(bound: str, kind: int, asked: str, is_rival: bool) -> None:
    sock = made(AF_INET, kind, (bound, 0))
    port = number(sock)
    given = GivenSockets([sock])
    with closing(given):
        assert given.rival(Address(asked, port), SOCK_STREAM) == (f"TCP {bound}:{port}" if is_rival else "")
        assert not given.rival(Address(asked, port + 1), SOCK_STREAM)


# -- a service ---------------------------------------------------------------------------------------


def test_a_service_listens_on_what_was_given_and_tells_of_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        streams = made(AF_INET, SOCK_STREAM, (HOST, 0))
        port = number(streams)
        packets = made(AF_INET, SOCK_DGRAM, (HOST, port))
        stranger = made(AF_INET, SOCK_STREAM, (HOST, 0))
        others = stranger.getsockname()
        server = replace(server_config(port=port), mode=Mode.TCP_AND_UDP)
        service = Service.server(Config(servers=(server,)))
        with caplog.at_level(logging.WARNING):
            await service.start(GivenSockets([stranger, packets, streams]))
        try:
            assert service.addresses == (Address(HOST, port),)
            assert f"TCP {HOST}:{others[1]} was given to this process" in caplog.text
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(others)
            # A server that is changed gives its sockets back and takes them again: nobody else could bind them.
            held = socket.fromfd(streams.fileno(), AF_INET, SOCK_STREAM)
            with held:
                await service.change(replace(server, method=METHODS["aes-128-gcm"]))
                assert [each.method.name for each in service.servers] == ["aes-128-gcm"]
                assert service.addresses == (Address(HOST, port),)
        finally:
            await service.stop()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, port))

    run(story())


def test_a_start_that_fails_leaves_nothing_open() -> None:
    async def story() -> None:
        streams = made(AF_INET, SOCK_STREAM, (HOST, 0))
        where = streams.getsockname()
        with closing(made(AF_INET, SOCK_STREAM, (HOST, 0))) as taken:
            wanted = (server_config(port=where[1]), server_config(port=number(taken)))
            with pytest.raises(ConfigError, match="cannot listen"):
                await Service.server(Config(servers=wanted)).start(GivenSockets([streams]))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(where)

    run(story())


def test_a_manager_s_socket_that_was_given_keeps_its_file(tmp_path: Path) -> None:
    path = tmp_path / "manager"

    async def story() -> None:
        sock = SocketType(socket.AF_UNIX, SOCK_DGRAM)
        sock.bind(str(path))
        service = Service.server(Config(manager_listen=str(path)))
        await service.start(GivenSockets([sock]))
        assert service.manager_address == str(path)
        await service.stop()

    run(story())
    assert path.is_socket()


@pytest.mark.parametrize("kind", [SOCK_STREAM, SOCK_DGRAM])
def test_a_port_that_this_process_was_given_for_another_address_is_no_other_programs(kind: int) -> None:
    async def story() -> None:
        sock = made(AF_INET, kind, (HOST, 0))
        wanted = replace(server_config(port=number(sock)), mode=Mode.TCP_AND_UDP)
        wanted = replace(wanted, address=Address("0.0.0.0", number(sock)))
        text = f"{'TCP' if kind == SOCK_STREAM else 'UDP'} {HOST}:{number(sock)}, which this process was given, is in"
        with pytest.raises(ConfigError, match=text):
            await Service.server(Config(servers=(wanted,))).start(GivenSockets([sock]))

    run(story())


def test_of_what_nobody_has_some_may_be_kept() -> None:
    sockets = [made(AF_INET, SOCK_STREAM, (HOST, 0)) for _ in range(3)]
    taken, kept, left = sockets
    given = GivenSockets(sockets)
    with closing(given):
        lent = given.take((HOST, number(taken)), SOCK_STREAM)
        assert lent is not None
        text = f"TCP {HOST}:{number(left)}"
        assert given.close_unused({kept}) == [text]
        assert left.fileno() < 0
        again = given.take((HOST, number(kept)), SOCK_STREAM)
        assert again is not None
        again.close()
        lent.close()


def test_those_that_are_handed_on_come_after_those_that_were_given() -> None:
    one, more = (made(AF_INET, SOCK_STREAM, (HOST, 0)) for _ in range(2))
    given = GivenSockets([one])
    both = given.beside([more])
    with closing(given), closing(more):
        for sock in (one, more):
            lent = both.take((HOST, number(sock)), SOCK_STREAM)
            assert lent is not None
            lent.close()


def test_what_is_there_for_an_address_is_known_until_it_is_taken() -> None:
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        given = GivenSockets([socket.socket(fileno=os.dup(sock.fileno()))])
        try:
            where = sock.getsockname()
            assert given.has(Address(*where))
            assert not given.has(Address(HOST, where[1] % 65535 + 1))
            taken = given.take(where, socket.SOCK_STREAM)
            assert taken is not None
            assert not given.has(Address(*where))
            taken.close()
        finally:
            given.close()
