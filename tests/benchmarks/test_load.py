"""Connections that begin by the clock, to the target without a proxy between."""

from __future__ import annotations

import socket
import sys
import threading
import time

import pytest

from benchmarks.load import paced_connections
from benchmarks.process import BenchError, TargetProcess
from benchmarks.target import ANSWER, SHORT, SHORT_END, order

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the bench runs on Linux")


def test_each_connection_is_timed_and_they_take_their_time() -> None:
    began = time.monotonic()
    with TargetProcess(1) as target:
        latencies = paced_connections(target.address(), [order(SHORT, 0, 100)] * 20, len(ANSWER), 100)
    assert len(latencies) == 20
    assert all(latency > 0 for latency in latencies)
    assert time.monotonic() - began >= 19 / 100


def test_a_pause_is_seen_by_all_that_begin_meanwhile() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        address = nobody.getsockname()

        def answer() -> None:
            for _ in range(10):
                sock, _ = nobody.accept()
                with sock:
                    sock.recv(100)
                    sock.send(ANSWER)

        late = threading.Timer(0.2, answer)
        late.start()
        latencies = paced_connections(address, [b"?"] * 10, len(ANSWER), 100)
        late.join()
    assert min(latencies) >= 0.08
    assert max(latencies) >= 0.18


def test_an_answer_that_breaks_off_is_an_error() -> None:
    with TargetProcess(1) as target, pytest.raises(BenchError, match="ended after 80 of 81 bytes"):
        paced_connections(target.address(), [order(SHORT_END)], len(ANSWER) + 1, 100)
