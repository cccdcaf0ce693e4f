"""What an attacker learns and moves with datagrams at our server: nothing. For every method that authenticates."""

from __future__ import annotations

import contextlib
import random
import struct
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.echo import HOST, HOST6, echo, hosts, sink
from tests.interop.streams import LIMIT, pack_address
from tests.peers import PASSWORDS, SECRET
from tests.socks_udp import Address, send_joined, udp_socket

from .craft import Crafter, bad_addresses, salt_size
from .craft_udp import ID_MAX, REPLY, new_session
from .prober import connect
from .udp_field import Client, Post, came, eventually, queue_of, quiet, serve

SAMPLE: Final = ("chacha20-ietf-poly1305", "2022-blake3-aes-256-gcm", "2022-blake3-chacha20-poly1305")
"""Of every construction of a datagram one method."""
SIZES: Final = 2001
"""Random datagrams have every size from 0 to 2000."""
NOISE, NOISE_WHOLE = 20_000, 1_000_000
BURST: Final = 50
"""Datagrams that are sent before it is seen that they were read: so many fit into the smallest receive buffer."""
SOURCES: Final = 8
RSS_GROWTH_MAX: Final = 1 << 20
JOINED: Final = 40


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    methods = SECRET if metafunc.config.getoption("--whole") else SAMPLE
    if "udp_post" in metafunc.fixturenames:
        metafunc.parametrize("udp_post", methods, indirect=True, scope="module")
    else:
        metafunc.parametrize("method", methods)


@pytest.mark.timeout(600)
def test_noise(method: str, tmp_path: Path, whole: bool) -> None:
    """Random datagrams, and good ones with one bit turned: all are read, and nothing is kept, said or passed on."""
    draw = random.Random(method)  # noqa: S311 - noise, no secret; the same in every run
    with serve(method, tmp_path) as post, echo() as target, Client(post) as client, contextlib.ExitStack() as stack:
        socks = [stack.enter_context(udp_socket(HOST)) for _ in range(SOURCES)]
        good = client.make(target.address, bytes(500))
        assert came(client, target) == []

        def fire(count: int) -> None:
            for number in range(count):
                noise = draw.randbytes(number % SIZES)
                if number % 4 == 3:
                    at = draw.randrange(len(good))
                    noise = good[:at] + bytes([good[at] ^ 1 << draw.randrange(8)]) + good[at + 1 :]
                socks[number % SOURCES].sendto(noise, post.program.address)
                if number % BURST == BURST - 1:
                    eventually(lambda: not queue_of(post.program)[0])

        fire(SIZES)
        descriptors, resident = post.program.descriptors(), post.program.rss()
        fire((NOISE_WHOLE if whole else NOISE) - SIZES)
        assert came(client, target) == []
        assert all(quiet(sock) for sock in socks), "noise was answered"
        assert queue_of(post.program)[1] == 0, "the kernel dropped some before the server read them"
        assert post.program.descriptors() == descriptors
        assert post.program.rss() - resident <= RSS_GROWTH_MAX


def test_a_replay_is_not_delivered(udp_post: Post) -> None:
    with echo() as target, Client(udp_post) as client:
        good = client.send(target.address, b"once")
        assert client.hear().payload == b"once"
        for _ in range(3):
            client.say(good)
        assert came(client, target) == [b"once"]


def test_a_replay_from_elsewhere_moves_nothing(udp_post: Post) -> None:
    """Neither is it delivered, nor does its sender hear what is meant for the client (S14, S15)."""
    with echo() as target, Client(udp_post) as client, Client(udp_post) as spoofer:
        good = client.send(target.address, b"once")
        assert client.hear().payload == b"once"
        _, source = target.next()
        for _ in range(3):
            spoofer.say(good)
        target.sock.sendto(b"for the client", source)
        assert client.hear().payload == b"for the client"
        assert came(client, target) == []
        assert quiet(spoofer.sock)


def test_a_reflection_is_not_delivered(udp_post: Post) -> None:
    """The server's own datagrams, sent back at it by the client's address or another."""
    with echo() as target, Client(udp_post) as client, Client(udp_post) as spoofer:
        client.send(target.address, b"once")
        reply = client.take()
        client.say(reply)
        spoofer.say(reply)
        assert came(client, target) == [b"once"]
        assert quiet(spoofer.sock)


def test_cut_at_every_length(udp_post: Post) -> None:
    with echo() as target, Client(udp_post) as client, Client(udp_post) as stranger:
        assert came(client, target) == []
        descriptors = udp_post.program.descriptors()
        good = stranger.make(target.address, b"cut")
        for size in range(len(good)):
            stranger.say(good[:size])
        stranger.say(good + b"\x00")
        assert came(client, target) == []
        assert udp_post.program.descriptors() == descriptors
        assert stranger.ask(target.address, b"cut none").payload == b"cut none"


def bodies(post: Post, target: Address) -> dict[str, bytes]:
    """What may not stand inside an authentic datagram."""
    make = post.crafter.header
    address = pack_address(*target)
    header = make()
    found = {f"cut after {size}": (header + address)[:size] for size in range(len(header + address))}
    found |= {name: header + wrong + b"x" for name, wrong in bad_addresses(target[1]).items() if "with" not in name}
    name = b"\x03\xff" + b"a" * 250 + struct.pack("!H", target[1])
    found["name that runs past the end"] = header + name
    if post.crafter.is_2022:
        found |= {f"type {kind}": make(kind=kind) + address + b"x" for kind in (1, 2, 127, 255)}
        found["a server's datagram"] = make(kind=REPLY, client_session=new_session()) + address + b"x"
        rest = address + b"x" * 20
        for over in (len(rest) - len(address) + 1, len(rest), len(rest) + 1, 900, 0xFFFF):
            found[f"padding of {over} before {len(rest)} bytes"] = make(padlen=over) + rest
        for stamp in (0, 1 << 31, (1 << 63) - 1, 1 << 63, ID_MAX):
            found[f"stamp {stamp}"] = make(stamp=stamp) + address + b"x"
        for shift in (-40, 60):  # the exact border of 30 s is a vector's matter: here two clocks run
            found[f"{shift} s off"] = make(shift=shift) + address + b"x"
    return found


def test_authentic_but_wrong(udp_post: Post) -> None:
    """As the first datagram of a session and inside one; neither delivers, costs a descriptor nor uses up an id."""
    with echo() as target, Client(udp_post) as client, Client(udp_post) as other:
        assert came(client, target) == []
        descriptors = udp_post.program.descriptors()
        for body in bodies(udp_post, target.address).values():
            for session in (new_session(), client.session):
                other.say(udp_post.crafter.seal(body, session, client.next_id))
            assert quiet(other.sock)
        assert came(client, target) == []
        assert udp_post.program.descriptors() == descriptors


def test_wrong_bodies_are_told_apart(udp_post: Post) -> None:
    """Each by itself, so that a wrong one that gets through is named; and what is odd but legal gets through."""
    with echo() as target, Client(udp_post) as client:
        for name, body in bodies(udp_post, target.address).items():
            client.say(udp_post.crafter.seal(body, client.session, client.next_id))
            marker = name.encode()
            assert client.ask(target.address, marker).payload == marker
            assert target.until(marker) == [], name
        if udp_post.crafter.is_2022:
            for padding, shift in ((b"\x00", 0), (bytes(900), 0), (bytes(5000), 0), (b"", 25), (b"", -25)):
                client.send(target.address, b"legal", shift=shift, padding=padding)
                assert client.hear().payload == b"legal"


def test_a_name_with_control_characters_is_not_looked_up(udp_post: Post) -> None:
    """Whoever knows the key may use up ids of its own; but nothing is delivered, and it costs no socket."""
    with echo() as target, Client(udp_post) as client, Client(udp_post) as other:
        assert came(client, target) == []
        descriptors = udp_post.program.descriptors()
        for name, address in bad_addresses(target.address[1]).items():
            if "with" in name:
                say_all(other, {name: address})
        assert came(client, target) == []
        assert udp_post.program.descriptors() == descriptors


@pytest.mark.skipif(sys.platform != "linux", reason="UDP_SEGMENT is of Linux")
def test_joined_datagrams_are_told_apart(udp_post: Post) -> None:
    """Where the kernel hands over many as one; bad ones among them cost only themselves."""
    with echo() as target, Client(udp_post) as client:
        words = [b"%03d" % number + bytes(700) for number in range(JOINED)] + [b"last"]
        datagrams = [client.make(target.address, word) for word in words]
        bad = {3, 4, JOINED - 1}
        for at in bad:
            datagrams[at] = datagrams[at][:-1] + bytes([datagrams[at][-1] ^ 1])
        send_joined(client.sock, datagrams, udp_post.program.address)
        good = [word for at, word in enumerate(words) if at not in bad]
        assert [client.hear().payload for _ in good] == good
        seen = [target.next() for _ in good]
        assert [data for data, _ in seen] == good
        send_joined(target.sock, words, seen[0][1])
        assert [client.hear().payload for _ in words] == words
        assert came(client, target) == []


@pytest.mark.skipif(sys.platform != "linux", reason="UDP_SEGMENT is of Linux")
def test_what_cannot_be_sent_costs_only_itself(udp_post: Post) -> None:
    """Ports and addresses that the kernel refuses, among others that it does not, all in one batch."""
    refused = [(HOST, 0), ("127.255.255.255", 9), ("255.255.255.255", 9)]
    with echo() as target, Client(udp_post) as client:
        assert came(client, target) == []
        datagrams, good = [], []
        for number in range(JOINED):
            word = b"%03d" % number
            datagrams.append(client.make(target.address, word))
            good.append(word)
            datagrams.append(client.make(refused[number % len(refused)], b"bad"))
        send_joined(client.sock, datagrams[: len(datagrams) // 2], udp_post.program.address)
        send_joined(client.sock, datagrams[len(datagrams) // 2 :], udp_post.program.address)
        assert [client.hear().payload for _ in good] == good
        for place in ((HOST6, 0), ("::ffff:127.0.0.1", 0)):
            client.send(place, b"bad")
        assert came(client, target) == good


def test_an_answer_that_cannot_be_sealed_is_lost_and_no_more(udp_post: Post) -> None:
    """The largest datagram there is has no room for what sealing adds."""
    with sink() as target, Client(udp_post) as client:
        client.send(target.address, b"query")
        _, source = target.next()
        for size in (65_507, 65_500, 65_480):
            target.sock.sendto(bytes(size), source)
            target.sock.sendto(b"marker", source)
            assert client.hear().payload == b"marker"


def test_a_changed_copy_burns_nothing(udp_post: Post) -> None:
    """Somebody on the way who sends a changed copy ahead does not lock the real datagram out."""
    with echo() as target, Client(udp_post) as client, Client(udp_post) as spoofer:
        good = client.make(target.address, b"still good")
        for at in (len(good) - 1, salt_size(udp_post.method), len(good) // 2):
            spoofer.say(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        client.say(good)
        assert client.hear().payload == b"still good"
        assert came(client, target) == [b"still good"]


def spellings(port: int) -> dict[str, bytes]:
    """Ways to write this machine's loopback, by what would listen there."""
    tail = struct.pack("!H", port)
    mapped = b"\x04" + bytes(10) + b"\xff\xff" + bytes([127, 0, 0, 1]) + tail
    texts = ("127.0.0.1", "localhost", "LOCALHOST", "::1", "::ffff:127.0.0.1", "0.0.0.0", "127.1", "0x7f000001")
    names = {f"name {text}": b"\x03" + bytes([len(text)]) + text.encode() + tail for text in texts}
    return {
        "127.0.0.1": pack_address(HOST, port),
        "127.1.2.3": pack_address("127.1.2.3", port),
        "0.0.0.0": pack_address("0.0.0.0", port),
        "::1": pack_address(HOST6, port),
        "::": pack_address("::", port),
        "::ffff:127.0.0.1": mapped,
        **names,
    }


def say_all(client: Client, addresses: dict[str, bytes]) -> None:
    for name, address in addresses.items():
        datagram = client.crafter.request(address, name.encode(), client.session, client.next_id)
        client.next_id += 1
        client.say(datagram)


def refused(post: Post, address: bytes) -> None:
    """Ask for a stream to the address, and see it closed: names that were asked for before are resolved by then."""
    with connect(post.program.address) as sock:
        sock.settimeout(LIMIT)
        sock.sendall(Crafter(post.method, PASSWORDS[post.method]).good(address, b"x"))
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(1) == b""


def test_loopback_is_denied_by_default(method: str, tmp_path: Path) -> None:
    """However it is written."""
    with serve(method, tmp_path, allow_private=False) as post, contextlib.ExitStack() as stack:
        targets = [stack.enter_context(echo(host)) for host in hosts()]
        client = stack.enter_context(Client(post))
        for _ in range(2):
            for target in targets:
                say_all(client, spellings(target.address[1]))
            eventually(lambda: not queue_of(post.program)[0])
            for name, address in spellings(targets[0].address[1]).items():
                if name.startswith("name"):
                    refused(post, address)
        assert quiet(client.sock)
        for target in targets:
            with udp_socket(target.address[0]) as sock:
                sock.sendto(b"marker", target.address)
            assert target.until(b"marker") == []


def test_the_same_spellings_reach_who_may(udp_post: Post) -> None:
    """What is denied above is a target where private ones are allowed, and answers under its own address."""
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(Client(udp_post))
        for host in hosts():
            target = stack.enter_context(echo(host))
            mine = {HOST: ("127.0.0.1", "::ffff:127.0.0.1", "name 127.0.0.1", "name localhost"), HOST6: ("::1",)}
            for name in mine[host]:
                say_all(client, {name: spellings(target.address[1])[name]})
                said = client.hear()
                assert (said.payload, said.address) == (name.encode(), target.address), name


def test_its_own_port_is_denied_to_all(udp_post: Post) -> None:
    """A datagram within a datagram: were the server's own port a target, it would take the inner one for a client's."""
    with echo() as target, Client(udp_post) as client, Client(udp_post) as inner:
        port = udp_post.program.port
        for name in ("127.0.0.1", "::ffff:127.0.0.1", "0.0.0.0", "name 127.0.0.1", "name localhost"):
            address = spellings(port)[name]
            datagram = inner.make(target.address, name.encode())
            client.say(udp_post.crafter.request(address, datagram, client.session, client.next_id))
            client.next_id += 1
        assert client.ask(("localhost", target.address[1]), b"resolved").payload == b"resolved"
        assert came(client, target) == [b"resolved"]
        assert inner.ask(target.address, b"control").payload == b"control"
