"""A recording is worth nothing: replayed at once, changed, after a restart, or turned back on the server."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.interop.streams import pack_address, read_exactly
from tests.peers import HOST, SECRET, need

from . import table
from .craft import salt_size
from .field import Post, Recording, Trap, check, post, record, settle
from .prober import Probe, connect

DEADLINE: Final = 2.0
LIMIT: Final = 30.0
SAMPLE: Final = ("aes-128-gcm", "xchacha20-ietf-poly1305", "2022-blake3-aes-256-gcm")


def chosen(whole: bool) -> tuple[str, ...]:
    return SECRET if whole else SAMPLE


@contextlib.contextmanager
def posts(folder: Path, ports: dict[str, int], whole: bool) -> Iterator[list[Post]]:
    """Servers of the chosen methods, each with a folder that outlives it; a second call binds the same ports."""
    need("ours")
    with contextlib.ExitStack() as stack:
        places = []
        for method in chosen(whole):
            own = folder / method
            own.mkdir(exist_ok=True)
            place = stack.enter_context(post("ours", method, own, DEADLINE, ports.get(method, 0)))
            ports[method] = place.program.port
            places.append(place)
        yield places


def fire(places: list[Post], rows: list[list[Probe]], trap: Trap) -> None:
    """Both manners, waiting and ending first: nothing is learnt and the target not reached."""
    probes = []
    for place, row in zip(places, rows, strict=True):
        for probe in row:
            for each in table.manners(probe):
                probes += [(each, place.program.address), (table.ending(each), place.program.address)]
    check("ours", settle(probes, DEADLINE), DEADLINE)
    assert trap.count() == 0


def to_trap(place: Post, trap: Trap) -> Recording:
    """A good connection whose target was the trap itself: its replay would be counted."""
    sent = place.crafter.good(trap.address, os.urandom(300))
    with connect(place.program.address) as sock:
        sock.settimeout(LIMIT)
        sock.sendall(sent)
        assert trap.pop(LIMIT), "the target of a good handshake was not contacted"
    return Recording(sent, b"")


@pytest.mark.timeout(300)
def test_replays_and_reflections(tmp_path: Path, whole: bool) -> None:
    with contextlib.closing(Trap()) as trap, posts(tmp_path, {}, whole) as places:
        rows = []
        for place in places:
            reflected = record(place, trap)
            rows.append([*table.replays(to_trap(place, trap).sent), *table.reflections(reflected.answer)])
        fire(places, rows, trap)


@pytest.mark.timeout(300)
def test_a_restart_forgets_nothing(tmp_path: Path, whole: bool) -> None:
    """Whether the server was asked to stop, or killed."""
    ports: dict[str, int] = {}
    recordings: dict[str, list[Probe]] = {method: [] for method in chosen(whole)}
    with contextlib.closing(Trap()) as trap:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with posts(tmp_path, ports, whole) as places:
                for place in places:
                    reflected = record(place, trap).answer
                    sent = to_trap(place, trap).sent
                    word = f"before {number.name}"
                    recordings[place.method] += [
                        Probe.fixed("replayed", word, sent),
                        Probe.fixed("reflected", word, reflected),
                    ]
                for place in places:
                    place.program.signal(number)
                for place in places:
                    place.program.wait(LIMIT)
        with posts(tmp_path, ports, whole) as places:
            fire(places, [recordings[place.method] for place in places], trap)


@pytest.mark.timeout(300)
def test_a_salt_is_not_burnt_by_who_cannot_finish(tmp_path: Path, whole: bool) -> None:
    """Somebody on the way who forwards a cut or changed copy first does not lock the real client out (S4)."""
    with posts(tmp_path, {}, whole) as places, socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind((HOST, 0))
        listener.listen()
        listener.settimeout(LIMIT)
        address = pack_address(HOST, listener.getsockname()[1])
        for place in places:
            good = place.crafter.good(address, b"hello" + os.urandom(300))
            for copy in (good[:-1], table.flip(good, [len(good) - 1]), good[: salt_size(place.method) + 40]):
                sock = stack.enter_context(connect(place.program.address))
                sock.sendall(copy)
            with connect(place.program.address) as sock:
                sock.settimeout(LIMIT)
                for at in range(len(good)):  # byte by byte: a split handshake is as good as a whole one
                    sock.sendall(good[at : at + 1])
                far, _ = listener.accept()
                with far:
                    far.settimeout(LIMIT)
                    assert read_exactly(far, 5) == b"hello"


def until_reset(sock: socket.socket) -> bytes:
    """Read up to a reset; fails when an end of file comes instead."""
    got = b""
    try:
        while part := sock.recv(65536):
            got += part
    except ConnectionResetError:
        return got
    pytest.fail(f"end of file instead of a reset, after {len(got)} bytes")


@pytest.mark.timeout(300)
def test_a_bad_chunk_after_a_good_handshake(tmp_path: Path, whole: bool) -> None:
    """The target is reset, and got only what authenticated; the client is told nothing until a deadline."""
    with posts(tmp_path, {}, whole) as places, socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen()
        listener.settimeout(LIMIT)
        address = pack_address(HOST, listener.getsockname()[1])
        probes = []
        for place in places:
            good = place.crafter.good(address, b"hello")
            probes.append((Probe.fixed("bad chunk", place.method, good + os.urandom(100)), place.program.address))
        shots = settle(probes, DEADLINE)
        check("ours", shots, DEADLINE)
        for _ in places:
            far, _ = listener.accept()
            with far:
                far.settimeout(LIMIT)
                assert until_reset(far) in (b"", b"hello")  # a reset may overtake what came before it
