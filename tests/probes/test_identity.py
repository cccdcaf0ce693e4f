"""What a prober learns from a server with users: nothing, not even that it has some (SIP023).

The whole table of probes by somebody who seals as a user does, and those who know some of the keys: the server's, a
user's, another one's. And what one user may do to another: nothing.
"""

from __future__ import annotations

import base64
import contextlib
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.echo import HOST, echo
from tests.peers import PASSWORDS, need
from tests.socks_udp import udp_socket

from . import table
from .craft import Crafter, IdentityCrafter, salt_size
from .craft_udp import IdentityUdpCrafter, UdpCrafter, new_session
from .field import USERS, Post, Trap, check, record, settle, shared_post
from .prober import Probe
from .test_replay import to_trap
from .test_table import mixed
from .udp_field import Client, came, queue_of, quiet, serve
from .udp_field import Post as UdpPost

DEADLINE: Final = 3.0
BYTEWISE_MAX: Final = 4096
METHODS: Final = tuple(USERS)


@contextlib.contextmanager
def posts(folder: Path, ports: dict[str, int] | None = None) -> Iterator[list[Post]]:
    need("ours")
    ports = {} if ports is None else ports
    with contextlib.ExitStack() as stack:
        places = []
        for method in METHODS:
            own = folder / method
            own.mkdir(exist_ok=True)
            place = stack.enter_context(shared_post(method, own, DEADLINE, ports.get(method, 0)))
            ports[method] = place.program.port
            places.append(place)
        yield places


def fire(rows: list[list[Probe]], places: list[Post], trap: Trap, *, both_ends: bool = True) -> None:
    """Every probe in both manners, waiting and ending first."""
    found = []
    for row in rows:
        each = [way for probe in row for way in table.manners(probe) if not way.bytewise or way.size <= BYTEWISE_MAX]
        found.append([*each, *(map(table.ending, each) if both_ends else ())])
        random.Random(len(row)).shuffle(found[-1])  # noqa: S311 - an order, not a secret
    check("ours", settle(mixed(found, places), DEADLINE), DEADLINE)
    assert trap.count() == 0


def test_a_good_one_gets_through(tmp_path: Path) -> None:
    """Else the others would show nothing: both users are served."""
    with contextlib.closing(Trap()) as trap, posts(tmp_path) as places:
        for place in places:
            for user in USERS[place.method]:
                crafter = IdentityCrafter(place.method, PASSWORDS[place.method], user)
                to_trap(Post(place.method, place.program, crafter), trap)


@pytest.mark.timeout(1800)
def test_wrong_identities(tmp_path: Path) -> None:
    with contextlib.closing(Trap()) as trap, posts(tmp_path) as places:
        rows = [
            [*table.identities(place.method, PASSWORDS[place.method], USERS[place.method], trap.address)]
            for place in places
        ]
        fire(rows, places, trap)


@pytest.mark.timeout(1800)
def test_the_table(tmp_path: Path, whole: bool) -> None:
    """Random bytes, truncations, flips, malformed and stale ones, of somebody whose identity is good."""
    with contextlib.closing(Trap()) as trap, posts(tmp_path) as places:
        rows = [[*table.made(place.crafter, trap.address, trap.port, whole)] for place in places]
        fire(rows, places, trap, both_ends=whole)


@pytest.mark.timeout(600)
def test_replays_and_a_restart(tmp_path: Path) -> None:
    """The salts of all users are in one memory, which a killed server leaves to the next."""
    ports: dict[str, int] = {}
    with contextlib.closing(Trap()) as trap:
        recorded: dict[str, list[Probe]] = {}
        with posts(tmp_path, ports) as places:
            for place in places:
                sent, answer = to_trap(place, trap).sent, record(place, trap).answer
                size = salt_size(place.method)
                other = IdentityCrafter(place.method, PASSWORDS[place.method], USERS[place.method][1])
                mixed_up = sent[:size] + other.good(trap.address, os.urandom(300))[size : size + 16] + sent[size + 16 :]
                recorded[place.method] = [
                    *table.replays(sent),
                    *table.reflections(answer),
                    Probe.fixed("replayed", "under another user's identity", mixed_up),
                    Probe.fixed("replayed", "without its identity", sent[:size] + sent[size + 16 :]),
                ]
            fire([recorded[place.method] for place in places], places, trap)
            for place in places:
                place.program.signal(signal.SIGKILL)
                place.program.wait(30)
        with posts(tmp_path, ports) as places:
            fire([recorded[place.method] for place in places], places, trap)


# Datagrams


@contextlib.contextmanager
def shared(method: str, folder: Path) -> Iterator[UdpPost]:
    """Our server with two users and UDP; its crafter is the first one's."""
    users = [{"name": f"user {number}", "password": key} for number, key in enumerate(USERS[method])]
    with serve(method, folder, users=users) as post:
        yield of_user(post, 0)


def of_user(post: UdpPost, number: int) -> UdpPost:
    crafter = IdentityUdpCrafter(post.method, PASSWORDS[post.method], USERS[post.method][number])
    return UdpPost(post.method, post.program, crafter)


@pytest.mark.parametrize("method", METHODS)
def test_datagrams_of_nobody(method: str, tmp_path: Path) -> None:
    """None is answered, delivered, or costs a descriptor; good ones go on."""
    server, (anna, ben) = PASSWORDS[method], USERS[method]
    other = base64.b64encode(os.urandom(salt_size(method))).decode()
    crafters = [
        IdentityUdpCrafter(method, server, other),
        IdentityUdpCrafter(method, other, anna),
        IdentityUdpCrafter(method, server, ben, named=anna),
        IdentityUdpCrafter(method, server, other, named=anna),
        IdentityUdpCrafter(method, server, server),
        UdpCrafter(method, server),
        UdpCrafter(method, anna),
    ]
    with shared(method, tmp_path) as post, echo() as target, Client(post) as client, udp_socket(HOST) as sock:
        assert came(client, target) == []
        descriptors = post.program.descriptors()
        for crafter in crafters:
            with Client(UdpPost(method, post.program, crafter)) as stranger:
                for session in (new_session(), client.session):
                    stranger.session, stranger.next_id = session, 1000
                    stranger.send(target.address, b"from nobody")
                assert came(client, target) == []
                assert quiet(stranger.sock)
        good = client.make(target.address, b"cut" * 20)
        for size in range(len(good)):
            sock.sendto(good[:size], post.program.address)
        for at in range(len(good)):
            sock.sendto(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :], post.program.address)
            if at % 40 == 39:
                assert came(client, target) == []
        assert came(client, target) == []
        assert quiet(sock)
        assert post.program.descriptors() == descriptors
        assert queue_of(post.program)[1] == 0


@pytest.mark.parametrize("method", METHODS)
def test_users_with_one_session_id(method: str, tmp_path: Path) -> None:
    """Neither uses up the other's packet ids, moves him, or gets his answers."""
    with (
        shared(method, tmp_path) as post,
        echo() as target,
        Client(post) as anna,
        Client(of_user(post, 1), session=anna.session) as ben,
    ):
        ben.next_id = 10_000
        assert ben.ask(target.address, b"ben first").payload == b"ben first"
        assert anna.ask(target.address, b"anna").payload == b"anna"
        for data, source in (target.next(), target.next()):
            target.sock.sendto(b"late " + data, source)
        assert ben.hear().payload == b"late ben first"
        assert anna.hear().payload == b"late anna"
        assert quiet(anna.sock)
        assert quiet(ben.sock)


@pytest.mark.parametrize("method", METHODS)
def test_a_replay_under_anothers_name(method: str, tmp_path: Path) -> None:
    """A datagram again, from elsewhere, and with another user's header on it: delivered once."""
    with shared(method, tmp_path) as post, echo() as target, Client(post) as client, Client(of_user(post, 1)) as other:
        good = client.send(target.address, b"once")
        assert client.hear().payload == b"once"
        other.session, other.next_id = client.session, client.next_id - 1
        header = other.make(target.address, b"once")[16:32]
        for copy in (good, good[:16] + header + good[32:], good[:16] + good[32:]):
            client.say(copy)
            other.say(copy)
        assert came(client, target) == [b"once"]
        assert quiet(other.sock)


def test_a_crafter_is_no_crafter_of_ours() -> None:
    """What is made by hand differs from a plain client's by one block."""
    method = METHODS[0]
    plain, named = Crafter(method, USERS[method][0]), IdentityCrafter(method, PASSWORDS[method], USERS[method][0])
    assert len(named.good(b"\x01" + bytes(6), b"x")) == len(plain.good(b"\x01" + bytes(6), b"x")) + 16
