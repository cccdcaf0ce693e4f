"""The target process, spoken to without a proxy between."""

from __future__ import annotations

import hashlib
import struct
import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks.load import open_connection
from benchmarks.process import TargetProcess, cpu_clock
from benchmarks.target import ANSWER, ECHO, HASH, SHORT, SHORT_END, SINK, SOURCE, order

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the bench runs on Linux")


@pytest.fixture(scope="module")
def target() -> Iterator[TargetProcess]:
    with TargetProcess(2) as process:
        yield process


def ask(target: TargetProcess, first: bytes, wanted: int) -> bytes:
    got = b""
    with open_connection(target.address()) as sock:
        sock.sendall(first)
        while len(got) < wanted and (data := sock.recv(65536)):
            got += data
    return got


def test_the_sink_says_when_it_has_everything(target: TargetProcess) -> None:
    assert ask(target, order(SINK, 300_000) + bytes(300_000), 8) == struct.pack(">Q", 300_000)


def test_the_hasher_hashes(target: TargetProcess) -> None:
    body = bytes(range(256)) * 1000
    assert ask(target, order(HASH, len(body)) + body, 32) == hashlib.sha256(body).digest()


def test_the_source_sends_that_much_and_ends(target: TargetProcess) -> None:
    assert ask(target, order(SOURCE, 3_000_001), 1 << 30) == bytes(3_000_001)


def test_a_short_request_is_answered_and_the_one_who_shall_end_does(target: TargetProcess) -> None:
    assert ask(target, order(SHORT, 0, 100), len(ANSWER)) == ANSWER
    assert ask(target, order(SHORT_END, 0, 100), 1 << 30) == ANSWER


def test_the_echo_goes_on(target: TargetProcess) -> None:
    with open_connection(target.address()) as sock:
        for word in (order(ECHO), b"once more", b"and again"):
            sock.sendall(word)
            assert sock.recv(100) == word


def test_an_unknown_order_ends_that_connection_only(target: TargetProcess) -> None:
    assert ask(target, order(b"?"), 1) == b""
    assert ask(target, order(SHORT), len(ANSWER)) == ANSWER


def test_its_ports_take_turns(target: TargetProcess) -> None:
    first, second, third = (target.address() for _ in range(3))
    assert first != second
    assert first == third


def test_its_cpu_clock_only_goes_up(target: TargetProcess) -> None:
    before = target.cpu()
    ask(target, order(SOURCE, 1_000_000), 1 << 30)
    assert target.cpu() >= before > 0


def test_a_clock_of_nobody_is_an_error() -> None:
    with pytest.raises(OSError, match="Errno"):
        cpu_clock(2**22 + 1)  # beyond the greatest process number of Linux
