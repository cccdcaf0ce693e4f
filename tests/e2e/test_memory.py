"""What connections cost that do nothing, and what peers cost that never read.

The figures are logged: `pytest tests/e2e/test_memory.py --log-cli-level=INFO` shows them.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from pathlib import Path

import pytest

from tests.interop.streams import Target, dial, read_exactly
from tests.peers import HOST, Pair, Program, run_pair
from tests.probes.prober import raise_limit

from .crowd import back_to, echo, eventually, visit

log = logging.getLogger(__name__)

IDLE, IDLE_SAMPLE = 5000, 500
IDLE_BYTES_MAX = 32 << 10
"""Resident bytes for each idle connection at which something is clearly kept that should not be. The goal is 7,500,
and the benchmark's to hold; a small crowd shares its pages badly."""
STALLED, STALLED_SAMPLE = 500, 100
BUDGET = 64 << 20
"""What all unsent tails of a reactor may hold together (design §4)."""
EACH = 80 << 10
"""And what each may hold beyond that: one read of 64 KiB and what sealing it adds."""
SPARE = 24 << 20
"""Room for what every process gains when it first works hard: both scratch buffers, arenas, the stalled sockets."""
GROWTH_MAX = 12 << 20
"""What 100,000 short connections may add: 60 s of salts of a 2022 method (some 100 bytes each) and arenas in use."""
STILL = 1.0
"""Seconds without a byte moved after which everybody is taken to be stalled."""


def programs(pair: Pair) -> tuple[Program, Program]:
    return pair.server, pair.local


@pytest.mark.timeout(600)
def test_idle_connections(tmp_path: Path, whole: bool) -> None:
    count = IDLE if whole else IDLE_SAMPLE
    if raise_limit() < 2 * count + 200:
        pytest.skip(f"{count} idle connections need {2 * count + 200} descriptors in one process (ulimit -n)")
    with contextlib.ExitStack() as stack:
        pair = stack.enter_context(run_pair("ours", "ours", "aes-256-gcm", tmp_path))
        target = stack.enter_context(echo())
        for _ in range(20):
            _ping(stack.enter_context(dial(pair.local.address, HOST, target.port)))
        base = [(program, program.rss()) for program in programs(pair)]
        crowd = [stack.enter_context(dial(pair.local.address, HOST, target.port, early=b"?")) for _ in range(count)]
        for sock in crowd:
            assert read_exactly(sock, 1) == b"?"
        for program, rss in base:
            each = (program.rss() - rss) / count
            log.info("%d idle connections: %d bytes each, process %s", count, each, program.name)
            assert each < IDLE_BYTES_MAX
        for sock in crowd[:: count // 50]:
            _ping(sock)
        assert target.held() == count + 20


def _ping(sock: socket.socket) -> None:
    sock.sendall(b"ping")
    assert read_exactly(sock, 4) == b"ping"


def _fill(sock: socket.socket) -> int:
    """Send until nobody takes anything for a while; returns how much went."""
    sock.settimeout(STILL)
    sent, block = 0, bytes(65536)
    with contextlib.suppress(TimeoutError, OSError):
        while True:
            sent += sock.send(block)
    return sent


def _held(pair: Pair, base: list[int], count: int) -> None:
    for program, rss in zip(programs(pair), base, strict=True):
        grown = program.rss() - rss
        assert grown < BUDGET + SPARE + count * EACH, f"{grown >> 20} MiB more than before"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("method", ["aes-256-gcm", "2022-blake3-aes-256-gcm"])
def test_clients_that_never_read(method: str, tmp_path: Path, whole: bool) -> None:
    """Targets that have no end for clients that never read: memory is bounded, and others are served."""
    count = STALLED if whole else STALLED_SAMPLE
    with contextlib.ExitStack() as stack:
        pair = stack.enter_context(run_pair("ours", "ours", method, tmp_path))
        small = stack.enter_context(echo())
        with dial(pair.local.address, HOST, small.port) as warm:
            _ping(warm)
        base = [program.rss() for program in programs(pair)]
        descriptors = [program.descriptors() for program in programs(pair)]
        with contextlib.ExitStack() as crowd:
            target = crowd.enter_context(Target(_fill))
            for _ in range(count):
                crowd.enter_context(dial(pair.local.address, HOST, target.port))
            for _ in range(count):
                assert target.result() > 0
            _held(pair, base, count)
            with dial(pair.local.address, HOST, small.port) as other:
                _ping(other)
        for program, number in zip(programs(pair), descriptors, strict=True):
            back_to(program, number)


@pytest.mark.timeout(600)
def test_targets_that_never_read(tmp_path: Path, whole: bool) -> None:
    """The same the other way: uploads into a hole."""
    count = (STALLED if whole else STALLED_SAMPLE) // 4
    with contextlib.ExitStack() as stack:
        pair = stack.enter_context(run_pair("ours", "ours", "aes-256-gcm", tmp_path))
        small = stack.enter_context(echo())
        hole = stack.enter_context(socket.create_server((HOST, 0), backlog=1024))
        with dial(pair.local.address, HOST, small.port) as warm:
            _ping(warm)
        base = [program.rss() for program in programs(pair)]
        crowd = [stack.enter_context(dial(pair.local.address, HOST, hole.getsockname()[1])) for _ in range(count)]
        moved_at = time.monotonic()
        for sock in crowd:
            sock.setblocking(False)
        block = bytes(65536)
        while time.monotonic() - moved_at < STILL:
            for sock in crowd:
                with contextlib.suppress(BlockingIOError):
                    sock.send(block)
                    moved_at = time.monotonic()
        _held(pair, base, count)
        with dial(pair.local.address, HOST, small.port) as other:
            _ping(other)


@pytest.mark.timeout(600)
def test_short_connections_leave_nothing(tmp_path: Path, whole: bool) -> None:
    """A long run of short connections, and back to base: descriptors exactly, memory nearly."""
    total = 100_000 if whole else 2000
    with run_pair("ours", "ours", "2022-blake3-aes-256-gcm", tmp_path) as pair, echo() as target:
        visit(pair.local.address, target.port, 2000 if whole else 500)
        eventually(lambda: target.held() == 0, "every target connection ended")
        before = [(program, program.descriptors(), program.rss()) for program in programs(pair)]
        visit(pair.local.address, target.port, total)
        for program, descriptors, rss in before:
            back_to(program, descriptors)
            grown = program.rss() - rss
            log.info("%d connections: %d bytes more than before, process %s", total, grown, program.name)
            assert grown < GROWTH_MAX
        assert target.accepted >= total
