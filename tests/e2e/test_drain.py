"""The end of a service: SIGTERM lets open connections finish, for a while; a second one does not."""

from __future__ import annotations

import contextlib
import signal
import socket
from pathlib import Path
from typing import Literal

import pytest

from tests.interop.streams import BLOCK, Target, dial, digest, hash_bytes, read_exactly, send_blocks
from tests.peers import HOST, Program, run

from .crowd import eventually

METHOD = "chacha20-ietf-poly1305"
SIZE = 5 * BLOCK
Roles = Literal["server", "local"]


def refuses(program: Program) -> bool:
    """True once nobody listens any more."""
    try:
        socket.create_connection(program.address, 5).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("role", ["server", "local"])
def test_open_connections_finish(role: Roles, tmp_path: Path) -> None:
    """The listener closes at once, the transfer goes on to its last byte, then the process ends well."""

    def behave(sock: socket.socket) -> None:
        assert read_exactly(sock, 1) == b"?"
        sock.sendall(b"!")
        assert read_exactly(sock, 1) == b"?"
        send_blocks(sock, 1, SIZE)

    settings = {"drain_timeout": 60}
    with (
        run("ours", "server", METHOD, tmp_path, settings=settings) as server,
        run("ours", "local", METHOD, tmp_path, server_port=server.port, settings=settings) as local,
        Target(behave) as target,
        dial(local.address, HOST, target.port) as sock,
    ):
        sock.sendall(b"?")
        assert read_exactly(sock, 1) == b"!"
        leaving = server if role == "server" else local
        leaving.signal(signal.SIGTERM)
        eventually(lambda: refuses(leaving), "the listener is closed")
        assert leaving.alive
        sock.sendall(b"?")
        assert hash_bytes(sock) == (SIZE, digest(1, SIZE))
        sock.close()
        target.result()
        assert leaving.wait() == 0


@pytest.mark.parametrize("role", ["server", "local"])
def test_the_drain_has_a_limit(role: Roles, tmp_path: Path) -> None:
    settings = {"drain_timeout": 0.5}
    with (
        run("ours", "server", METHOD, tmp_path, settings=settings) as server,
        run("ours", "local", METHOD, tmp_path, server_port=server.port, settings=settings) as local,
        Target(_hold) as target,
        dial(local.address, HOST, target.port, early=b"?") as sock,
    ):
        assert read_exactly(sock, 1) == b"!"
        leaving = server if role == "server" else local
        leaving.signal(signal.SIGTERM)
        assert leaving.wait() == 0
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(1) == b""
        target.result()


def _hold(sock: socket.socket) -> None:
    """Answer once, then keep the connection until the other end leaves it."""
    assert read_exactly(sock, 1) == b"?"
    sock.sendall(b"!")
    with contextlib.suppress(ConnectionResetError):
        sock.recv(1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_quits_now(number: signal.Signals, tmp_path: Path) -> None:
    settings = {"drain_timeout": 600}
    with (
        run("ours", "server", METHOD, tmp_path, settings=settings) as server,
        run("ours", "local", METHOD, tmp_path, server_port=server.port) as local,
        Target(_hold) as target,
        dial(local.address, HOST, target.port, early=b"?") as sock,
    ):
        assert read_exactly(sock, 1) == b"!"
        server.signal(number)
        eventually(lambda: refuses(server), "the listener is closed")
        server.signal(number)
        assert server.wait() == 128 + number
        target.result()


def test_an_idle_service_ends_at_once(tmp_path: Path) -> None:
    """Strangers in their silence hold nothing up."""
    with (
        run("ours", "server", METHOD, tmp_path, settings={"drain_timeout": 600}) as server,
        socket.create_connection(server.address) as sock,
    ):
        sock.sendall(b"not a handshake, or not yet")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
