"""A reset stays a reset: what came before it is an exact prefix, and no truncated transfer looks complete (S10)."""

from __future__ import annotations

import hashlib
import random
import socket
import struct
from pathlib import Path
from typing import Final

import pytest

from tests.interop.streams import Target, blocks, dial, read_exactly, reset
from tests.peers import HOST, run_pair

from .crowd import back_to

COUNT, COUNT_SAMPLE = 2000, 100
SURE: Final = 16 << 10
"""Up to here a loopback connection holds everything in flight, so all of it must arrive; beyond, a reset may
overtake what the kernel had not sent yet."""
LONGEST: Final = 1 << 20


def read_to_reset(sock: socket.socket) -> bytes:
    """Read up to a reset; fails where the stream ends as if it were complete."""
    got = bytearray()
    try:
        while part := sock.recv(65536):
            got += part
    except ConnectionResetError:
        return bytes(got)
    pytest.fail(f"end of file after {len(got)} bytes where the other end was reset")


def offsets(count: int) -> list[int]:
    """Random places on all scales."""
    source = random.Random(count)  # noqa: S311 - places, not secrets
    return [0, 1, *(int(2 ** source.uniform(0, 20)) for _ in range(count))]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("method", ["aes-128-gcm", "2022-blake3-chacha20-poly1305"])
def test_target_resets(method: str, tmp_path: Path, whole: bool) -> None:
    data = next(blocks(7, LONGEST))

    def behave(sock: socket.socket) -> None:
        size = struct.unpack("!L", read_exactly(sock, 4))[0]
        sock.sendall(data[:size])
        reset(sock)

    with run_pair("ours", "ours", method, tmp_path) as pair, Target(behave) as target:
        bases = [(program, program.descriptors()) for program in (pair.server, pair.local)]
        for size in offsets(COUNT if whole else COUNT_SAMPLE):
            with dial(pair.local.address, HOST, target.port, early=struct.pack("!L", size)) as sock:
                got = read_to_reset(sock)
                assert got == data[: len(got)]
                assert len(got) <= size
                assert len(got) == size or size > SURE
            target.result()
        for program, descriptors in bases:
            back_to(program, descriptors)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("method", ["aes-128-gcm", "2022-blake3-chacha20-poly1305"])
def test_client_resets(method: str, tmp_path: Path, whole: bool) -> None:
    data = next(blocks(7, LONGEST))

    def behave(sock: socket.socket) -> tuple[int, str]:
        sock.sendall(b"!")  # so the client resets a connection that stands; before, its target need not be dialled
        got = read_to_reset(sock)
        return len(got), hashlib.sha256(got).hexdigest()

    with run_pair("ours", "ours", method, tmp_path) as pair, Target(behave) as target:
        for size in offsets((COUNT if whole else COUNT_SAMPLE) // 4):
            sock = dial(pair.local.address, HOST, target.port)
            assert read_exactly(sock, 1) == b"!"
            sock.sendall(data[:size])
            reset(sock)
            count, seen = target.result()
            assert seen == hashlib.sha256(data[:count]).hexdigest()
            assert count <= size
            assert count == size or size > SURE
