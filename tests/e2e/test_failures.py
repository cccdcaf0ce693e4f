"""What a client program is told when something on the way is dead, missing or forbidden."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.interop.streams import LIMIT, SocksError, Target, dial
from tests.peers import HOST, Program, StartError, free_port, run, run_pair
from tests.probes.field import Trap

from .crowd import eventually

METHOD = "2022-blake3-aes-128-gcm"


def refusal(local: Program) -> int:
    """The REP field a local answers with, whatever it was asked for."""
    with pytest.raises(SocksError) as caught:
        dial(local.address, HOST, 9).close()
    return caught.value.rep


def test_a_dead_server_is_a_refusal(tmp_path: Path) -> None:
    with run("ours", "local", METHOD, tmp_path, server_port=free_port()) as local:
        assert refusal(local) == 5


def test_a_server_without_an_address_is_unreachable(tmp_path: Path) -> None:
    """RFC 2606 keeps `.invalid` free of names."""
    settings = {"server": "nowhere.invalid", "dial_timeout": 5}
    with run("ours", "local", METHOD, tmp_path, server_port=8388, settings=settings) as local:
        assert refusal(local) == 4


def test_a_server_without_a_route_is_unreachable(tmp_path: Path) -> None:
    """Nobody connects to a multicast address: the system says at once that the network is unreachable."""
    settings = {"server": "224.0.0.1", "dial_timeout": 5}
    with run("ours", "local", METHOD, tmp_path, server_port=8388, settings=settings) as local:
        assert refusal(local) == 3


def test_a_server_that_comes_back_is_used(tmp_path: Path) -> None:
    port = free_port()
    with (
        Target(lambda sock: sock.sendall(b"here")) as target,
        run("ours", "local", METHOD, tmp_path, server_port=port) as local,
    ):
        assert refusal(local) == 5
        with (
            run("ours", "server", METHOD, tmp_path, port=port),
            dial(local.address, HOST, target.port) as sock,
        ):
            assert sock.recv(4, socket.MSG_WAITALL) == b"here"
            target.result()
        assert refusal(local) == 5


def ended(sock: socket.socket) -> bool:
    """Wait until the proxy ends a connection, whichever way; False when bytes come instead."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_refused_target_ends_the_connection(tmp_path: Path) -> None:
    """The server cannot say why: the protocol has no words for it. It ends, promptly."""
    with run_pair("ours", "ours", METHOD, tmp_path) as pair:
        for early in (b"", b"payload"):
            with dial(pair.local.address, HOST, free_port(), early=early) as sock:
                assert ended(sock)
        eventually(lambda: "refused" in pair.server.log(), "the server's log names the reason")


@pytest.mark.parametrize("host", [HOST, "localhost", "::1", "::ffff:127.0.0.1", "0.0.0.0", "127.1"])
def test_private_targets_are_refused(host: str, tmp_path: Path) -> None:
    with (
        contextlib.closing(Trap()) as trap,
        run("ours", "server", METHOD, tmp_path, settings={"allow_private": False}) as server,
        run("ours", "local", METHOD, tmp_path, server_port=server.port) as local,
    ):
        with dial(local.address, host, trap.port, early=b"payload") as sock:
            assert ended(sock)
        assert trap.count() == 0
        eventually(lambda: "denied" in server.log() or "no_name" in server.log(), "the log names the reason")


def test_own_listeners_stay_closed(tmp_path: Path) -> None:
    """Even where private targets are allowed, a server is no way into itself."""
    with run_pair("ours", "ours", METHOD, tmp_path) as pair:
        with dial(pair.local.address, HOST, pair.server.port, early=b"payload") as sock:
            assert ended(sock)
        eventually(lambda: "denied" in pair.server.log(), "the log names the reason")


def test_a_wrong_key_reaches_nobody(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"password": "MDAwMDAwMDAwMDAwMDAwMA==", "handshake_timeout": 1}
    with (
        contextlib.closing(Trap()) as trap,
        run("ours", "server", METHOD, tmp_path, settings=settings) as server,
        run("ours", "local", METHOD, tmp_path, server_port=server.port) as local,
    ):
        with dial(local.address, HOST, trap.port, early=b"payload") as sock:
            sock.settimeout(LIMIT)
            assert ended(sock)
        assert trap.count() == 0


def test_a_second_instance_fails_clearly(tmp_path: Path) -> None:
    """One port, one program: no silent sharing."""
    with run("ours", "server", METHOD, tmp_path) as first:
        folder = tmp_path / "second"
        folder.mkdir()
        with pytest.raises(StartError, match="70") as caught, run("ours", "server", METHOD, folder, port=first.port):
            pass
        assert "another" in str(caught.value)
        assert "Traceback" not in str(caught.value)
