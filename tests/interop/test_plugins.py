"""Plugins that others wrote: simple-obfs (Debian), between our ends and those of shadowsocks-libev.

Both of its disguises, http and tls; each end starts its own half, as its own program does.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.interop import streams
from tests.interop.streams import Target, dial, digest, hash_bytes, send_blocks
from tests.peers import HOST, Program, need_tool, run

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
