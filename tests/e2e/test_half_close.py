"""One way ends, the other goes on: four orders, byte for byte, and the ends of connections that carried nothing."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.interop.streams import LIMIT, Target, blocks, dial, digest, hash_bytes, pack_address, send_blocks
from tests.peers import EVERY, HOST, Pair, run_pair

SAMPLE: Final = ("aes-256-gcm", "2022-blake3-aes-128-gcm", "none")
SIZE: Final = 3_000_001
Seen = tuple[int, str]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    whole = metafunc.config.getoption("--whole", default=False)
    metafunc.parametrize("method", EVERY if whole else SAMPLE)


@pytest.fixture
def pair(method: str, tmp_path: Path) -> Iterator[Pair]:
    with run_pair("ours", "ours", method, tmp_path) as running:
        yield running


def end(sock: socket.socket) -> None:
    sock.shutdown(socket.SHUT_WR)


def test_client_ends_first(pair: Pair) -> None:
    def behave(sock: socket.socket) -> Seen:
        seen = hash_bytes(sock)
        send_blocks(sock, 2, SIZE)
        return seen

    with Target(behave) as target, dial(pair.local.address, HOST, target.port) as sock:
        send_blocks(sock, 1, SIZE)
        end(sock)
        assert hash_bytes(sock) == (SIZE, digest(2, SIZE))
        assert target.result() == (SIZE, digest(1, SIZE))


def test_target_ends_first(pair: Pair) -> None:
    def behave(sock: socket.socket) -> Seen:
        send_blocks(sock, 2, SIZE)
        end(sock)
        return hash_bytes(sock)

    with Target(behave) as target, dial(pair.local.address, HOST, target.port) as sock:
        assert hash_bytes(sock) == (SIZE, digest(2, SIZE))
        send_blocks(sock, 1, SIZE)
        end(sock)
        assert target.result() == (SIZE, digest(1, SIZE))


def test_client_ends_during_the_dial(pair: Pair) -> None:
    """Greeting, request, payload and end of file are there before the first answer is."""

    def behave(sock: socket.socket) -> Seen:
        seen = hash_bytes(sock)
        send_blocks(sock, 2, SIZE)
        return seen

    early = b"".join(bytes(block) for block in blocks(1, 1000))
    with Target(behave) as target, socket.create_connection(pair.local.address, LIMIT) as sock:
        sock.sendall(b"\x05\x01\x00\x05\x01\x00" + pack_address(HOST, target.port) + early)
        end(sock)
        assert sock.recv(2, socket.MSG_WAITALL) == b"\x05\x00"
        assert sock.recv(10, socket.MSG_WAITALL)[:2] == b"\x05\x00"
        assert hash_bytes(sock) == (SIZE, digest(2, SIZE))
        assert target.result() == (1000, digest(1, 1000))


def test_both_end_at_once(pair: Pair) -> None:
    meet = threading.Barrier(2)

    def behave(sock: socket.socket, seed: int = 2) -> Seen:
        meet.wait(LIMIT)

        def say() -> None:
            send_blocks(sock, seed, SIZE)
            end(sock)

        sender = threading.Thread(target=say)
        sender.start()
        seen = hash_bytes(sock)
        sender.join(LIMIT)
        return seen

    with Target(behave) as target, dial(pair.local.address, HOST, target.port) as sock:
        assert behave(sock, 1) == (SIZE, digest(2, SIZE))
        assert target.result() == (SIZE, digest(1, SIZE))


def test_nothing_but_ends(pair: Pair) -> None:
    """A client that ends without a word still reaches its target, and hears its farewell."""

    def behave(sock: socket.socket) -> Seen:
        seen = hash_bytes(sock)
        sock.sendall(b"bye")
        return seen

    with Target(behave) as target, dial(pair.local.address, HOST, target.port) as sock:
        end(sock)
        assert target.result()[0] == 0
        assert sock.recv(3, socket.MSG_WAITALL) == b"bye"
        assert sock.recv(1) == b""


def test_target_speaks_first_and_leaves(pair: Pair) -> None:
    """A server-speaks-first protocol: the client has said nothing when the greeting comes."""
    with Target(lambda sock: sock.sendall(b"220 ready")) as target:
        for _ in range(3):
            with contextlib.closing(dial(pair.local.address, HOST, target.port)) as sock:
                assert sock.recv(9, socket.MSG_WAITALL) == b"220 ready"
                assert sock.recv(1) == b""
                target.result()
