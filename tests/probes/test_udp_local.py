"""What reaches our client that should not: through its SOCKS port, and through the sockets it has towards its server.

Its server is one by hand, so what the client lets through is seen as it leaves.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.echo import HOST, echo
from tests.interop.streams import LIMIT, SocksError, pack_address
from tests.peers import run
from tests.socks_udp import Address, Association, associate, request, send_joined, udp_socket, wrap

from .craft_udp import REPLY, REQUEST, Opened, new_session
from .test_udp import BURST, JOINED, NOISE, NOISE_WHOLE, RSS_GROWTH_MAX, SIZES
from .udp_field import FakeServer, eventually, queue_of, quiet, serve

METHOD: Final = "2022-blake3-aes-128-gcm"
"""Where the method does not matter, one that tells most."""
TARGET: Final = ("192.0.2.1", 53)
"""Never sent to: the server by hand only reads it."""
ELSEWHERE: Final = "127.0.0.2"
"""Another host, as far as a proxy on loopback can tell."""


@contextlib.contextmanager
def local(folder: Path, method: str = METHOD, **settings: object) -> Iterator[tuple[FakeServer, Address]]:
    """Our client and its server; yields where the client listens."""
    with FakeServer(method) as server, server.local(folder, **settings) as program:
        yield server, program.address


def passed(server: FakeServer, client: Association) -> list[bytes]:
    """What the client sent to its server before now, besides what is asked here."""
    found = []
    for _ in range(2):
        marker = b"marker " + os.urandom(8)
        client.send(marker, TARGET)
        while (said := server.hear()[0]).payload != marker:
            found.append(said.payload)
    return found


def answers(server: FakeServer, client: Association, heard: tuple[Opened, Address]) -> list[bytes]:
    """What the application got before now, besides what is sent here, by a server that goes on as it should."""
    found = []
    for _ in range(2):
        marker = b"marker " + os.urandom(8)
        server.sock.sendto(server.make(TARGET, marker, heard[0].session), heard[1])
        while (got := client.receive())[0] != marker:
            found.append(got[0])
    return found


def test_what_is_no_socks_datagram_is_dropped(tmp_path: Path) -> None:
    """Fragments, every cut header, unknown address types, names that are none, and more than can be sealed."""
    good = wrap(b"x", TARGET)
    name = b"\x00\x00\x00\x03"
    tail = struct.pack("!H", 53)
    bad = {
        **{f"fragment {frag}": wrap(b"x", TARGET, frag=frag) for frag in (1, 2, 0x7F, 0x80, 0x81, 0xFF)},
        **{f"cut after {size}": good[:size] for size in range(len(good) - 1)},
        **{f"type {kind}": b"\x00\x00\x00" + bytes([kind]) + good[4:] for kind in (0, 2, 5, 0x11, 0xFF)},
        "empty name": name + b"\x00" + tail + b"x",
        "cut name": name + b"\xff" + b"a" * 100,
        "cut address of IPv6": b"\x00\x00\x00\x04" + bytes(17),
        "more than fits": wrap(bytes(65_507 - 10), TARGET),
    }
    with local(tmp_path) as (server, proxy), associate(proxy) as client:
        for kind, datagram in bad.items():
            client.raw(datagram)
            assert passed(server, client) == [], kind
        client.raw(b"\xff\xff" + wrap(b"reserved bytes are not looked at", TARGET)[2:])
        assert len(passed(server, client)) == 1


def test_a_name_with_control_characters_is_dropped(tmp_path: Path) -> None:
    with local(tmp_path) as (server, proxy), associate(proxy) as client:
        for name in (b"127.0.0.\x001", b"localhost\n"):
            client.raw(b"\x00\x00\x00\x03" + bytes([len(name)]) + name + struct.pack("!H", 53) + b"x")
        assert passed(server, client) == []


@pytest.mark.skipif(sys.platform != "linux", reason="UDP_SEGMENT is of Linux")
def test_joined_datagrams_are_told_apart(tmp_path: Path) -> None:
    """Where the kernel hands over many as one, from the application and from the server."""
    words = [b"%03d" % number + bytes(700) for number in range(JOINED)] + [b"last"]
    with local(tmp_path) as (server, proxy), associate(proxy) as client:
        send_joined(client.sock, [wrap(word, TARGET) for word in words], client.relay)
        heard = [server.hear() for _ in words]
        assert [said.payload for said, _ in heard] == words
        said, place = heard[0]
        send_joined(server.sock, [server.make(TARGET, word, said.session) for word in words], place)
        assert [client.receive() for _ in words] == [(word, TARGET) for word in words]


@pytest.mark.parametrize("own", [False, True])
def test_only_who_has_an_association_is_heard(own: bool, tmp_path: Path) -> None:
    """Nobody before there is one; then not another host. Whether associations share a socket or each has its own."""
    with local(tmp_path, udp_socket_per_association=own) as (server, proxy), contextlib.ExitStack() as stack:
        early, other = (stack.enter_context(udp_socket(host)) for host in (HOST, ELSEWHERE))
        _, relay = probe = request(proxy)  # where the relay is; closed again, so this is no association any more
        probe[0].close()
        early.sendto(wrap(b"without", TARGET), relay)
        with associate(proxy, source=ELSEWHERE) as client:
            early.sendto(wrap(b"from another host", TARGET), client.relay)
            assert passed(server, client) == []
        with associate(proxy) as client:
            assert (client.relay == relay) is not own
            other.sendto(wrap(b"from another host", TARGET), client.relay)
            assert passed(server, client) == []


def test_an_association_is_not_needed_where_that_is_said(tmp_path: Path) -> None:
    with local(tmp_path, udp_require_association=False) as (server, proxy), udp_socket(HOST) as sock:
        sock.settimeout(LIMIT)
        sock.sendto(wrap(b"without", TARGET), proxy)
        said, sender = server.hear()
        assert (said.payload, said.address) == (b"without", TARGET)
        server.sock.sendto(server.make(TARGET, b"answer", said.session), sender)
        assert sock.recv(1 << 16) == wrap(b"answer", TARGET)


@pytest.mark.parametrize("own", [False, True])
def test_an_association_ends_with_its_connection(own: bool, tmp_path: Path) -> None:
    """Nothing of it goes up or down any more, and its descriptors are given back."""
    with (
        FakeServer(METHOD) as server,
        server.local(tmp_path, udp_socket_per_association=own) as program,
        associate(program.address, source=ELSEWHERE) as other,
    ):
        assert passed(server, other) == []
        before = program.descriptors()
        with associate(program.address) as client:
            client.send(b"during", TARGET)
            said, sender = server.hear()
            client.hang_up()
            eventually(lambda: program.descriptors() == before)
            client.send(b"after", TARGET)
            server.sock.sendto(server.make(TARGET, b"late", said.session), sender)
            assert passed(server, other) == []
            assert quiet(client.sock)


def test_the_relay_is_where_the_configuration_says(tmp_path: Path) -> None:
    """For a proxy behind a translation of addresses: the answer names another place than the socket's."""
    with FakeServer(METHOD) as server, server.local(tmp_path, udp_associate_addr="198.51.100.7") as program:
        control, relay = request(program.address)
        control.close()
        assert relay[0] == "198.51.100.7"


@pytest.mark.parametrize("announce", [False, True])
def test_a_client_may_say_where_it_sends_from(announce: bool, tmp_path: Path) -> None:
    with local(tmp_path) as (server, proxy), associate(proxy, announce=announce) as client:
        assert passed(server, client) == []


def test_no_association_where_udp_is_off(tmp_path: Path) -> None:
    with FakeServer(METHOD) as server, server.local(tmp_path, mode="tcp_only") as program:
        with pytest.raises(SocksError) as refusal:
            request(program.address)
        assert refusal.value.rep == 7


@pytest.mark.timeout(600)
def test_noise(tmp_path: Path, whole: bool) -> None:
    """Random datagrams from within an association and without one, and at the socket towards the server."""
    draw = random.Random(1928)  # noqa: S311 - noise, no secret; the same in every run
    with FakeServer(METHOD) as server, server.local(tmp_path) as program, contextlib.ExitStack() as stack:
        client = stack.enter_context(associate(program.address))
        stranger = stack.enter_context(udp_socket(ELSEWHERE))
        client.send(b"hello", TARGET)
        heard = server.hear()
        ways = ((client.sock, client.relay), (stranger, client.relay), (server.sock, heard[1]), (stranger, heard[1]))

        def fire(count: int) -> None:
            for number in range(count):
                sock, place = ways[number % len(ways)]
                noise = draw.randbytes(number % SIZES)
                if noise[2:3] == b"\x00":
                    noise = (
                        noise[:2] + b"\x01" + noise[3:]
                    )  # a fragment: with 0, some would be datagrams as they should be
                sock.sendto(noise, place)
                if number % BURST == BURST - 1:
                    eventually(lambda: not any(queue_of(program, port)[0] for port in (client.relay[1], heard[1][1])))

        fire(SIZES)
        descriptors, resident = program.descriptors(), program.rss()
        fire((NOISE_WHOLE if whole else NOISE) - SIZES)
        assert passed(server, client) == []
        assert answers(server, client, heard) == []
        assert quiet(stranger)
        assert program.descriptors() == descriptors
        assert program.rss() - resident <= RSS_GROWTH_MAX


@pytest.mark.parametrize("method", ["aes-128-gcm", METHOD, "2022-blake3-chacha20-poly1305"])
def test_only_its_server_is_heard(method: str, tmp_path: Path) -> None:
    """Good answers from another address, its own datagrams sent back, answers for others, old, doubled or cut ones."""
    with local(tmp_path, method) as (server, proxy), associate(proxy) as client, udp_socket(ELSEWHERE) as stranger:
        client.send(b"hello", TARGET)
        own = server.sock.recvfrom(1 << 16)[0]
        said = server.crafter.open(own, REQUEST)
        client.send(b"again", TARGET)
        heard = server.hear()
        place = heard[1]

        stranger.sendto(server.make(TARGET, b"from a stranger", said.session), place)
        assert answers(server, client, heard) == []
        good = server.make(TARGET, b"good", said.session)
        for size in range(len(good)):
            server.sock.sendto(good[:size], place)
        assert answers(server, client, heard) == []
        if server.crafter.is_2022:
            address = pack_address(*TARGET)
            make, seal = server.crafter.header, server.crafter.seal
            for kind in (REQUEST, 2, 255):
                body = make(kind=kind, client_session=said.session) + address + b"x"
                server.sock.sendto(seal(body, server.session, server.next_id), place)
            for shift in (-40, 60):  # the exact border of 30 s is a vector's matter: here two clocks run
                body = make(kind=REPLY, client_session=said.session, shift=shift) + address + b"x"
                server.sock.sendto(seal(body, server.session, server.next_id), place)
            for padlen in (len(address) + 2, 900, 0xFFFF):
                body = make(kind=REPLY, client_session=said.session, padlen=padlen) + address + b"x"
                server.sock.sendto(seal(body, server.session, server.next_id), place)
            for session in (new_session(), server.session, bytes(8)):
                server.sock.sendto(server.make(TARGET, b"for another", session), place)
            server.sock.sendto(own, place)
            assert answers(server, client, heard) == []
            for _ in range(3):
                server.sock.sendto(good, place)
            assert answers(server, client, heard) == [b"good"]


def test_two_sessions_of_the_server_at_once(tmp_path: Path) -> None:
    """A server that was restarted answers under a new session, while answers of the old one are still on their way."""
    with local(tmp_path) as (server, proxy), associate(proxy) as client:
        client.send(b"hello", TARGET)
        said, place = heard = server.hear()
        old, new = server.session, new_session()
        for session, packet_id in ((old, 0), (new, 0), (old, 1), (new, 1), (old, 1), (new, 0), (new, 7), (old, 2)):
            word = b"%d %d" % (session == new, packet_id)
            address = pack_address(*TARGET)
            server.sock.sendto(server.crafter.reply(address, word, session, packet_id, said.session), place)
        server.next_id = 3
        expected = [b"0 0", b"1 0", b"0 1", b"1 1", b"1 7", b"0 2"]
        assert answers(server, client, heard) == expected


def test_each_association_is_a_session_of_its_own(tmp_path: Path) -> None:
    """And counts its own datagrams (protocol §7.7)."""
    with local(tmp_path) as (server, proxy), contextlib.ExitStack() as stack:
        heard: dict[bytes, list[int]] = {}
        for client in [stack.enter_context(associate(proxy)) for _ in range(5)]:
            for _ in range(5):
                client.send(b"count", TARGET)
                said, _ = server.hear()
                heard.setdefault(said.session, []).append(said.packet_id)
        assert len(heard) == 5
        assert all(ids == list(range(ids[0], ids[0] + 5)) for ids in heard.values())


@pytest.mark.parametrize("method", ["aes-256-gcm", METHOD, "2022-blake3-chacha20-poly1305"])
def test_an_association_outlives_its_server(method: str, tmp_path: Path) -> None:
    """The server is killed and started again; the application notices nothing."""
    with echo() as target, contextlib.ExitStack() as stack:
        with serve(method, tmp_path) as post:
            port = post.program.port
            near = stack.enter_context(
                run("ours", "local", method, tmp_path, server_port=port, settings={"mode": "tcp_and_udp"})
            )
            client = stack.enter_context(associate(near.address))
            client.send(b"before", target.address)
            assert client.receive() == (b"before", target.address)
            post.program.process.kill()
            post.program.wait(LIMIT)
        with serve(method, tmp_path, port=port):
            client.send(b"after", target.address)
            assert client.receive() == (b"after", target.address)


def test_what_cannot_be_sent_is_lost_and_no_more(tmp_path: Path) -> None:
    """While the server is away its port answers by ICMP; the association lives on."""
    with FakeServer(METHOD) as server, server.local(tmp_path) as program, associate(program.address) as client:
        port = server.address[1]
        client.send(b"heard", TARGET)
        assert server.hear()[0].payload == b"heard"
        server.sock.close()
        for _ in range(10):
            client.send(b"lost", TARGET)
        eventually(lambda: not queue_of(program, client.relay[1])[0])
        server.sock = udp_socket(HOST, port)
        server.sock.settimeout(LIMIT)
        client.send(b"heard again", TARGET)
        while server.hear()[0].payload != b"heard again":
            pass
        with socket.create_connection(program.address, LIMIT):
            assert program.alive
