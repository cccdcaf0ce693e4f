"""Our server and client against the other programs, every method both sides have, byte for byte by hash.

One test for each cell of server x client x method: a pair of processes is started once and all exchanges go
through it. `make test` runs the sizes at which chunking changes; `--whole` adds the long streams.
"""

from __future__ import annotations

import hashlib
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.interop import streams
from tests.interop.streams import Target, blocks, dial, digest, hash_bytes, send_blocks, send_single_bytes
from tests.peers import HOST, PEERS, Pair, need_curl, run_pair

PAIRS: Final = (("ours", "ours"), ("ours", "libev"), ("libev", "ours"), ("ours", "rust"), ("rust", "ours"))
"""Server, then client."""
CELLS: Final = tuple(
    (server, local, method)
    for server, local in PAIRS
    for method in PEERS[server].methods
    if method in PEERS[local].methods
)

EDGES: Final = (1, 16382, 16383, 16384, 65534, 65535, 65536)
"""Around the largest chunk of AEAD (0x3FFF) and of AEAD-2022 (0xFFFF). Nothing at all is `silent_client`, and the
download of 0 bytes."""
SINGLES, SINGLES_SAMPLE = 10_000, 300
BULK, BULK_SAMPLE = 64 << 20, 2 << 20
LONG: Final = 1 << 30
BULK_METHOD: Final = {"libev": "chacha20-ietf-poly1305"}
"""The method of the 1 GiB stream: libev's AES needs six seconds of processor for each GiB."""


Send = Callable[[socket.socket, int, int], str]


def upload(pair: Pair, size: int, send: Send = send_blocks) -> None:
    """Client to target; the target answers with what it counted and hashed."""

    def behave(sock: socket.socket) -> tuple[int, str]:
        seen = hash_bytes(sock, None if pair.half_close else size)
        sock.sendall(b"%d %s" % (seen[0], seen[1].encode()))
        return seen

    with Target(behave) as target, dial(pair.local.address, HOST, target.port) as sock:
        sent = send(sock, size, size)
        if pair.half_close:
            sock.shutdown(socket.SHUT_WR)
        assert target.result() == (size, sent)
        assert streams.read_to_end(sock) == b"%d %s" % (size, sent.encode())


def download(pair: Pair, size: int, send: Send = send_blocks) -> None:
    """Target to client, ended by the target; the client asks with one byte."""

    def behave(sock: socket.socket) -> str:
        assert streams.read_exactly(sock, 1) == b"?"
        return send(sock, size, size)

    with Target(behave) as target, dial(pair.local.address, HOST, target.port) as sock:
        sock.sendall(b"?")
        got = hash_bytes(sock)
        assert got == (size, target.result())


def silent_client(pair: Pair) -> None:
    """The target speaks first and the client never sends a byte; its end of file reaches the target."""

    def behave(sock: socket.socket) -> bytes:
        sock.sendall(b"220 ready")
        return streams.read_to_end(sock)

    def once() -> bytes:
        with Target(behave) as target, dial(pair.local.address, HOST, target.port) as sock:
            greeting = streams.read_exactly(sock, 9)
            sock.shutdown(socket.SHUT_WR)
            assert target.result() == b""
            assert streams.read_to_end(sock) == b""
            return greeting

    try:
        assert once() == b"220 ready"
    except (EOFError, ConnectionResetError):
        if pair.pads_always:
            raise
        assert once() == b"220 ready"


def duplex(pair: Pair, size: int) -> None:
    """Both ways at once, neither waiting for the other."""

    def both(sock: socket.socket, seed: int) -> tuple[int, str]:
        sender = threading.Thread(target=send_blocks, args=(sock, seed, size))
        sender.start()
        seen = hash_bytes(sock, size)
        sender.join(streams.LIMIT)
        sock.sendall(b"!")  # the last byte keeps either end open until both have all
        assert streams.read_exactly(sock, 1) == b"!"
        return seen

    with (
        Target(lambda sock: both(sock, 1)) as target,
        dial(pair.local.address, HOST, target.port) as sock,
    ):
        assert both(sock, 2) == (size, digest(1, size))
        assert target.result() == (size, digest(2, size))


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("server", "local", "method"), CELLS, ids=["-".join(cell) for cell in CELLS])
def test_cell(server: str, local: str, method: str, tmp_path: Path, whole: bool) -> None:
    with run_pair(server, local, method, tmp_path) as pair:
        silent_client(pair)
        for size in EDGES:
            upload(pair, size)
            download(pair, size)
        download(pair, 0)
        singles = SINGLES if whole else SINGLES_SAMPLE
        upload(pair, singles, send_single_bytes)
        download(pair, singles, send_single_bytes)
        duplex(pair, BULK if whole else BULK_SAMPLE)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("server", "local"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_long_stream(server: str, local: str, tmp_path: Path, whole: bool) -> None:
    """1 GiB each way in one stream; for AEAD that is more than 65,536 chunks, so the nonce's third byte is used."""
    size = LONG if whole else 16 << 20
    method = BULK_METHOD.get(server) or BULK_METHOD.get(local) or "aes-256-gcm"
    with run_pair(server, local, method, tmp_path) as pair:
        upload(pair, size)
        download(pair, size)


@pytest.mark.parametrize(("server", "local"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_address_types(server: str, local: str, tmp_path: Path) -> None:
    """A name, an IPv4 and an IPv6 literal reach their target."""
    with run_pair(server, local, "aes-128-gcm", tmp_path) as pair:
        for asked, bound in (("localhost", HOST), (HOST, HOST), ("::1", "::1")):
            if bound == "::1" and not _has_ipv6():
                continue
            with (
                Target(lambda sock: sock.sendall(b"here"), bound) as target,
                dial(pair.local.address, asked, target.port) as sock,
            ):
                assert streams.read_exactly(sock, 4) == b"here", asked
                target.result()


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize(("server", "local"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_curl(server: str, local: str, tmp_path: Path) -> None:
    """What a user types: curl fetches and posts a file through the client."""
    curl = need_curl()
    size = 3_000_000
    body = b"".join(bytes(block) for block in blocks(3, size))
    posted = tmp_path / "posted"
    posted.write_bytes(body)

    def behave(sock: socket.socket) -> str:
        head = bytearray()
        while b"\r\n\r\n" not in head:
            head += streams.read_exactly(sock, 1)
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0
        )
        seen = hash_bytes(sock, length)[1]
        sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size + body)
        return seen

    with run_pair(server, local, "chacha20-ietf-poly1305", tmp_path) as pair, Target(behave) as target:
        for options, sent in ((), b""), (("--data-binary", f"@{posted}", "-H", "Expect:"), body):
            command = (
                *(curl, "--silent", "--show-error", "--fail", "--max-time", "60", "--noproxy", ""),
                *("--socks5-hostname", f"{HOST}:{pair.local.port}", *options, f"http://{HOST}:{target.port}/"),
            )
            got = subprocess.run(command, capture_output=True, check=False, timeout=90)
            assert got.returncode == 0, got.stderr.decode()
            assert hashlib.sha256(got.stdout).digest() == hashlib.sha256(body).digest()
            assert target.result() == hashlib.sha256(sent).hexdigest()
