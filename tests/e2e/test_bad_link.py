"""Through a link that loses, repeats and reorders packets: transfers are exact, and nothing is left of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.interop.streams import pack_address, read_exactly, read_to_end
from tests.link import Side, Weather, bad_link
from tests.peers import HOST, Program, free_port, need, settings_for, start
from tests.quic import Counts, quic_server, transfer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.link import Link
    from tests.peers import Role

WEATHER = Weather(drop=0.05, reorder=0.25, duplicate=0.05, delay=0.01, jitter=0.003)
SIZE = 256 * 1024
IDLE = 10
"""Seconds that a session may be idle: the least that `udp_timeout` takes."""


@contextlib.contextmanager
def in_namespace(
    side: Side, role: Role, method: str, folder: Path, server: tuple[str, int], **settings: Any
) -> Iterator[Program]:
    """Run ours in a namespace: a server on that address, or a local on loopback there."""
    ours = need("ours")
    port = server[1] if role == "server" else free_port()
    wanted = settings_for(ours, role, method, server[1], port) | {"server": server[0], "mode": "tcp_and_udp"} | settings
    config = folder / f"{role}.json"
    config.write_text(json.dumps(wanted))
    command = ours.server if role == "server" else ours.local
    with start((*side.prefix, *command, "-c", str(config)), port, folder, title=role, udp=True) as program:
        yield program
    assert "Traceback (most recent call last)" not in program.log(), program.log()[-8000:]


@contextlib.contextmanager
def pair(link: Link, method: str, folder: Path, **settings: Any) -> Iterator[tuple[Program, Program]]:
    """Our server on the right, our local on the left."""
    server = (link.right.ipv4, free_port())
    with (
        in_namespace(link.right, "server", method, folder, server, **settings) as far,
        in_namespace(link.left, "local", method, folder, server, **settings) as near,
    ):
        yield far, near


def quic_through(link: Link, near: Program, size: int, counts: Counts) -> None:
    """A transfer from the left to a QUIC server on the right, through the local."""
    with link.right.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((link.right.ipv4, 0))

        async def both() -> None:
            async with quic_server(sock) as target:
                await transfer((HOST, near.port), target, size, link.left.socket, counts)

        asyncio.run(both())


@pytest.mark.parametrize("method", ["aes-256-gcm", "2022-blake3-aes-256-gcm", "2022-blake3-chacha20-poly1305"])
def test_a_quic_transfer_is_exact(method: str, tmp_path: Path) -> None:
    counts = Counts()
    with bad_link(WEATHER) as link, pair(link, method, tmp_path) as (_, near):
        quic_through(link, near, SIZE, counts)
        assert link.tally.dropped
        assert link.tally.duplicated
    assert min(counts.sent, counts.received) > SIZE // 1500


def test_no_socket_is_left_of_a_session(tmp_path: Path) -> None:
    with bad_link(WEATHER) as link, pair(link, "aes-256-gcm", tmp_path, udp_timeout=IDLE) as (far, near):
        before = far.descriptors(), near.descriptors()
        quic_through(link, near, SIZE // 8, Counts())
        assert far.descriptors() > before[0]  # the session's socket, until it was idle for long enough
        give_up_at = time.monotonic() + 3 * IDLE
        while (far.descriptors(), near.descriptors()) != before and time.monotonic() < give_up_at:
            time.sleep(0.1)  # another process's time-out: there is no event for it
        assert (far.descriptors(), near.descriptors()) == before


def test_a_stream_is_exact(tmp_path: Path) -> None:
    sent = os.urandom(SIZE)
    method = "2022-blake3-aes-256-gcm"
    with (
        bad_link(WEATHER) as link,
        pair(link, method, tmp_path) as (_, near),
        link.right.socket(socket.AF_INET, socket.SOCK_STREAM) as listener,
        link.left.socket(socket.AF_INET, socket.SOCK_STREAM) as sock,
    ):
        listener.bind((link.right.ipv4, 0))
        listener.listen()
        echo = threading.Thread(target=echo_once, args=(listener,))
        echo.start()
        sock.settimeout(60)
        sock.connect((HOST, near.port))
        host, port = listener.getsockname()
        sock.sendall(b"\5\1\0\5\1\0" + pack_address(host, port))
        assert read_exactly(sock, 12) == b"\5\0\5\0\0\1" + bytes(6)
        sender = threading.Thread(target=send_all, args=(sock, sent))
        sender.start()
        assert read_to_end(sock) == sent
        sender.join(60)
        echo.join(60)
        assert not sender.is_alive()
        assert not echo.is_alive()


def echo_once(listener: socket.socket) -> None:
    """Send back what one connection brings."""
    sock, _ = listener.accept()
    with sock:
        while piece := sock.recv(65_536):
            sock.sendall(piece)


def send_all(sock: socket.socket, data: bytes) -> None:
    """Send everything, and say that it is all."""
    sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)
