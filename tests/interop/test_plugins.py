"""Plugins between our ends and those of others, each end with its own half, started by its own program.

simple-obfs (Debian) with shadowsocks-libev: both of its disguises, http and tls.
A plain tunnel of ours with shadowsocks-rust, which alone has SIP003u: what goes through it, and what goes past it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.echo import echo
from tests.interop import streams
from tests.interop.streams import Target, dial, digest, hash_bytes, send_blocks
from tests.peers import HOST, Program, need_tool, run
from tests.service.stubs import stub
from tests.socks_udp import Address, Association, associate

ENDS: Final = (("ours", "ours"), ("ours", "libev"), ("libev", "ours"))
"""Server, then client."""
SIZES: Final = (1, 1000, 16384, 300_000)
TOGETHER: Final = 8
METHOD: Final = "chacha20-ietf-poly1305"


@contextmanager
def plugged(server: str, local: str, disguise: str, folder: Path) -> Iterator[Program]:
    """Run both ends with the plugin between them, and return the client."""
    far = {"plugin": need_tool("obfs-server"), "plugin_opts": f"obfs={disguise}"}
    near = {"plugin": need_tool("obfs-local"), "plugin_opts": f"obfs={disguise};obfs-host=www.example.com"}
    with (
        run(server, "server", METHOD, folder, settings=far) as one,
        run(local, "local", METHOD, folder, server_port=one.port, settings=near) as other,
    ):
        yield other


def exchange(local: Program, size: int) -> None:
    """Send a block there, and one back; simple-obfs knows no half-closed connections, so both are counted."""

    def behave(sock: socket.socket) -> tuple[int, str]:
        seen = hash_bytes(sock, size)
        send_blocks(sock, size + 1, size)
        return seen

    with Target(behave) as target, dial(local.address, HOST, target.port) as sock:
        sent = send_blocks(sock, size, size)
        assert hash_bytes(sock, size) == (size, digest(size + 1, size))
        assert target.result() == (size, sent)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("disguise", ["http", "tls"])
@pytest.mark.parametrize(("server", "local"), ENDS, ids=["-".join(ends) for ends in ENDS])
def test_simple_obfs(server: str, local: str, disguise: str, tmp_path: Path) -> None:
    with plugged(server, local, disguise, tmp_path) as client:
        for size in SIZES:
            exchange(client, size)
        threads = [threading.Thread(target=exchange, args=(client, SIZES[-1])) for _ in range(TOGETHER)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(streams.LIMIT)
            assert not thread.is_alive()
        if local == "ours":
            assert "plugin obfs-local of" in client.log()
            assert "is up" in client.log()
            assert "obfs-host" not in client.log()


TRIES: Final = 20
MODES: Final = ("tcp_only", "tcp_and_udp", "udp_only")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("server", "local"), [("ours", "rust"), ("rust", "ours")], ids=["ours-rust", "rust-ours"])
def test_datagrams_and_connections_meet(server: str, local: str, mode: str, tmp_path: Path) -> None:
    words = {"tcp_only": "", "tcp_and_udp": ";udp", "udp_only": ";udp;tcp=no"}[mode]
    common = {"mode": "tcp_and_udp", "plugin": stub(tmp_path).name, "plugin_mode": mode}
    with (
        run(server, "server", METHOD, tmp_path, settings=common | {"plugin_opts": f"server{words}"}) as far,
        run(
            local, "local", METHOD, tmp_path, server_port=far.port, settings=common | {"plugin_opts": f"x{words}"}
        ) as near,
    ):
        exchange(near, 1000)
        with echo() as target, associate(near.address) as client:
            for size in (1, 1200):
                ask(client, os.urandom(size), target.address)


def ask(client: Association, payload: bytes, target: Address) -> None:
    """Send until the echo comes: nobody knows when a plugin without TCP is ready, and what comes before it is lost."""
    for _ in range(TRIES):
        client.send(payload, target)
        with contextlib.suppress(TimeoutError):
            if client.receive(1) == (payload, target):  # and no late echo of what was sent before
                return
    raise AssertionError("no answer came")
