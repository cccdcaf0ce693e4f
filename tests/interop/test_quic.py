"""QUIC through a local and a server: both ways exact, and every datagram through the proxy."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest

from tests.peers import HOST, run
from tests.quic import Counts, quic_server, transfer

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 1024 * 1024
BOTH = {"mode": "tcp_and_udp"}


@pytest.mark.parametrize(("server", "local"), [("ours", "ours"), ("ours", "rust"), ("rust", "ours")])
@pytest.mark.parametrize("method", ["aes-256-gcm", "2022-blake3-aes-256-gcm"])
def test_a_transfer_is_exact(server: str, local: str, method: str, tmp_path: Path) -> None:
    counts = Counts()
    with (
        run(server, "server", method, tmp_path, settings=BOTH) as far,
        run(local, "local", method, tmp_path, server_port=far.port, settings=BOTH) as near,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
    ):
        sock.bind((HOST, 0))

        async def both() -> None:
            async with quic_server(sock) as target:
                await transfer(near.address, target, SIZE, socket.socket, counts)

        asyncio.run(both())
    assert min(counts.sent, counts.received) > SIZE // 1500
