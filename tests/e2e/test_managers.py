"""Several processes that tell a manager of others what passed through all of them."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers import HOST

from .crowd import Echo, echo, eventually
from .herd import Stream, kill, lasting_port, serve, serving, workers_of

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="asks /proc which processes there are")


@pytest.fixture
def target() -> Iterator[Echo]:
    with echo() as echoing:
        yield echoing


class Heard:
    """What a manager was told last, by port; it never falls."""

    def __init__(self) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind((HOST, 0))
        self._sock.settimeout(30)
        self.where = f"{HOST}:{self._sock.getsockname()[1]}"
        self.sizes: dict[str, int] = {}

    def hear(self) -> dict[str, int]:
        data = self._sock.recv(1000)
        assert data.startswith(b"stat: {")
        assert data.endswith(b"}\0")
        for port, size in json.loads(data[6:-1]).items():
            assert size >= self.sizes.get(port, 0)
            self.sizes[port] = size
        return self.sizes

    def close(self) -> None:
        self._sock.close()


def test_what_passed_through_all_workers_is_one_sum_that_outlives_each_of_them(tmp_path: Path, target: Echo) -> None:
    heard = Heard()
    settings = {"manager_address": heard.where, "manager_dialect": "libev"}
    with serve(tmp_path, lasting_port(), workers=3, **settings) as program:
        eventually(lambda: serving(program) >= 3, "all workers serve")
        port = str(program.port)
        assert heard.hear() == {port: 0}
        for _ in range(30):
            with Stream(program.port, target.port) as stream:
                assert stream.answered()
        while heard.hear()[port] < 300:  # "hello", up and down
            pass
        victim = workers_of(program)[0]
        kill(victim)
        eventually(lambda: serving(program) >= 4, "another one takes its place")
        for _ in range(20):
            with Stream(program.port, target.port) as stream:
                assert stream.answered()
        program.signal(signal.SIGTERM)
        program.wait()
        while heard.sizes[port] < 500:
            heard.hear()
        assert heard.sizes == {port: 500}
    heard.close()
