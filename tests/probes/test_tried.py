"""What a prober learns from an AEAD port of many users, whose keys the server has to try: nothing, nor that it does.

The same table, manners and deadline as with one key (`test_table.py`), with so many users that a search takes many
turns of the loop; recordings of them; and datagrams of nobody.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.echo import HOST, echo
from tests.peers import AEAD, need, run
from tests.socks_udp import udp_socket

from . import table
from .craft import Crafter, salt_size
from .craft_udp import UdpCrafter
from .field import Post, Trap, check, record, settle
from .prober import Probe
from .test_replay import to_trap
from .test_table import mixed
from .udp_field import Client, came, queue_of, quiet
from .udp_field import Post as UdpPost

DEADLINE: Final = 3.0
BYTEWISE_MAX: Final = 400
SAMPLE: Final = ("aes-256-gcm", "xchacha20-ietf-poly1305")
COUNT: Final = 300
"""Users: a search takes many turns of the loop."""
MIDDLE: Final = COUNT // 2
END_MOST: Final = 0.001
"""Seconds by which an end may come later than with one key: what is tried at once takes 0.13 ms of them."""


def password(number: int) -> str:
    return f"the long password of user {number}"


def settings(**others: object) -> dict[str, object]:
    users = [{"name": f"user {number}", "password": password(number)} for number in range(COUNT)]
    return {"password": None, "users": users, **others}


def chosen(whole: bool) -> tuple[str, ...]:
    return AEAD if whole else SAMPLE


@contextlib.contextmanager
def posts(folder: Path, methods: tuple[str, ...] = SAMPLE, ports: dict[str, int] | None = None) -> Iterator[list[Post]]:
    """Servers of many users each; who probes has the key of one in the middle."""
    need("ours")
    ports = {} if ports is None else ports
    with contextlib.ExitStack() as stack:
        places = []
        for method in methods:
            own = folder / method
            own.mkdir(exist_ok=True)
            wants = settings(handshake_timeout=DEADLINE)
            program = stack.enter_context(run("ours", "server", method, own, port=ports.get(method, 0), settings=wants))
            ports[method] = program.port
            places.append(Post(method, program, Crafter(method, password(MIDDLE))))
        yield places


def fire(rows: list[list[Probe]], places: list[Post], trap: Trap) -> None:
    """Every probe in both manners, waiting, then ending first."""
    for ends in (False, True):
        found = []
        for row in rows:
            ways = [
                way for probe in row for way in table.manners(probe) if not way.bytewise or way.size <= BYTEWISE_MAX
            ]
            found.append([table.ending(way) for way in ways] if ends else ways)
            random.Random(len(row)).shuffle(found[-1])  # noqa: S311 - an order, not a secret
        check("ours", settle(mixed(found, places), DEADLINE), DEADLINE)
    assert trap.count() == 0


def test_good_ones_get_through(tmp_path: Path) -> None:
    """Else the others would show nothing."""
    with contextlib.closing(Trap()) as trap, posts(tmp_path) as places:
        for place in places:
            for number in (0, MIDDLE, COUNT - 1):
                to_trap(Post(place.method, place.program, Crafter(place.method, password(number))), trap)


@pytest.mark.timeout(1800)
def test_the_table(tmp_path: Path, whole: bool) -> None:
    """Random bytes, truncations, flips, malformed ones; of somebody whose key is one of the many, and of nobody."""
    with contextlib.closing(Trap()) as trap, posts(tmp_path, chosen(whole)) as places:
        rows = []
        for place in places:
            nobody = Crafter(place.method, "of nobody")
            wrong = Probe.fixed("wrong", "another key", nobody.good(trap.address, os.urandom(300)))
            rows.append([wrong, *table.made(place.crafter, trap.address, trap.port, whole)])
        fire(rows, places, trap)


@pytest.mark.timeout(600)
def test_replays_and_a_restart(tmp_path: Path) -> None:
    """The salts of all users are in one memory, which a killed server leaves to the next."""
    ports: dict[str, int] = {}
    with contextlib.closing(Trap()) as trap:
        recorded = []
        with posts(tmp_path, ports=ports) as places:
            for place in places:
                sent, answer = to_trap(place, trap).sent, record(place, trap).answer
                recorded.append([*table.replays(sent), *table.reflections(answer)])
            fire(recorded, places, trap)
            for place in places:
                place.program.signal(signal.SIGKILL)
                place.program.wait(30)
        with posts(tmp_path, ports=ports) as places:
            fire(recorded, places, trap)


def test_the_end_comes_as_soon_as_with_one_key(tmp_path: Path) -> None:
    """A prober's bytes, then his end: the time until ours says nothing of how many keys were to be tried.

    Medians, since the machine has other work; ten thousand keys take 80 ms.
    """
    need("ours")
    ports = {}
    with contextlib.ExitStack() as stack:
        for count in (0, 10_000):
            users = [{"name": f"user {number}", "password": password(number)} for number in range(count)]
            wants: dict[str, object] = {"password": None, "users": users} if count else {}
            own = tmp_path / str(count)
            own.mkdir()
            program = stack.enter_context(run("ours", "server", SAMPLE[0], own, settings=wants))
            ports[count] = program.address
        for _ in range(5):
            taken: dict[int, list[float]] = {count: [] for count in ports}
            for _ in range(30):
                for count, address in ports.items():
                    taken[count].append(end_of(address))
            medians = {count: sorted(each)[len(each) // 2] for count, each in taken.items()}
            if medians[10_000] < medians[0] + END_MOST:
                return
    raise AssertionError(medians)


def end_of(address: tuple[str, int]) -> float:
    """The seconds from our end to theirs."""
    with socket.create_connection(address, 10) as sock:
        sock.sendall(os.urandom(60))
        began = time.perf_counter()
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""
        return time.perf_counter() - began


# Datagrams


@contextlib.contextmanager
def shared(method: str, folder: Path) -> Iterator[UdpPost]:
    with run("ours", "server", method, folder, settings=settings(mode="tcp_and_udp")) as program:
        yield of_user(UdpPost(method, program, UdpCrafter(method, "")), MIDDLE)


def of_user(post: UdpPost, number: int) -> UdpPost:
    return UdpPost(post.method, post.program, UdpCrafter(post.method, password(number)))


@pytest.mark.parametrize("method", SAMPLE)
def test_datagrams_of_nobody(method: str, tmp_path: Path) -> None:
    """None is answered, delivered, or costs a descriptor; good ones go on while they are looked for."""
    with shared(method, tmp_path) as post, echo() as target, Client(post) as client, udp_socket(HOST) as sock:
        assert came(client, target) == []
        descriptors = post.program.descriptors()
        good = client.make(target.address, b"cut" * 20)
        bad = [good[:size] for size in range(len(good))]
        bad += [good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :] for at in range(len(good))]
        bad += [os.urandom(size) for size in (salt_size(method) + 17, 1400, 9000)]
        for number, data in enumerate(bad):
            sock.sendto(data, post.program.address)
            if number % 20 == 19:
                assert came(client, target) == []
        assert came(client, target) == []
        assert quiet(sock)
        assert post.program.descriptors() == descriptors
        assert queue_of(post.program)[1] == 0


@pytest.mark.parametrize("method", SAMPLE)
def test_users_behind_one_address(method: str, tmp_path: Path) -> None:
    """Each has a session and answers of his own; a replay from elsewhere is not delivered, and diverts nothing."""
    with (
        shared(method, tmp_path) as post,
        echo() as target,
        Client(post) as anna,
        Client(of_user(post, 7)) as ben,
        udp_socket(HOST) as alone,
    ):
        ben.close()
        ben.sock = anna.sock
        for _ in range(3):
            for client in (anna, ben):
                assert client.ask(target.address, b"mine").payload == b"mine"
        good = anna.send(target.address, b"once")
        assert anna.hear().payload == b"once"
        alone.sendto(good, post.program.address)
        anna.say(good)
        assert came(ben, target).count(b"once") == 1
        assert quiet(alone)
