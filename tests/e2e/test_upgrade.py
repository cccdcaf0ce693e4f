"""A new process takes over from an old one: no connect is refused and no connection lost while it does.

Two ways: both listen at once (`reuse_port`), then SIGQUIT to the old one, which loses nobody; or SIGQUIT and then the
new one, where nobody listens for as long as it takes to start.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.peers import Program, free_port

from .crowd import Echo, echo, eventually
from .herd import PacketEcho, Packets, Stream, serve, serving, trip

UPGRADES: Final = 5
"""In every run; `--whole` does as many as the promise says."""
PROMISED: Final = 50


@pytest.fixture
def target() -> Iterator[Echo]:
    with echo() as echoing:
        yield echoing


class Visitors:
    """Short connections, one after the other from each of a few threads, and what became of them."""

    def __init__(self, port: int, target: int, threads: int = 3) -> None:
        self.served = 0
        self.lost: list[str] = []
        self._port, self._target = port, target
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._visit) for _ in range(threads)]

    def _visit(self) -> None:
        while not self._over.is_set():
            try:
                if trip(self._port, self._target):
                    self.served += 1
                else:
                    self.lost.append("ended without an answer")
            except OSError as error:
                self.lost.append(repr(error))
            self._over.wait(0.005)

    def __enter__(self) -> Visitors:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


@contextlib.contextmanager
def version(folder: Path, number: int, port: int, workers: int) -> Iterator[Program]:
    """Run a server as its next version would be run."""
    home = folder / str(number)
    home.mkdir()
    with serve(home, port, reuse_port=True, workers=workers, state_dir=str(folder / "state")) as program:
        if workers > 1:
            eventually(lambda: serving(program) >= workers, "all workers serve")
        yield program


@pytest.mark.parametrize("workers", [1, 2])
def test_no_connect_is_refused_and_none_is_lost_while_versions_follow_one_another(
    workers: int, tmp_path: Path, target: Echo, whole: bool
) -> None:
    port = free_port()
    upgrades = PROMISED if whole else UPGRADES
    with contextlib.ExitStack() as versions:
        old = versions.enter_context(version(tmp_path, 0, port, workers))
        with Visitors(port, target.port) as visitors:
            for number in range(1, upgrades + 1):
                new = versions.enter_context(version(tmp_path, number, port, workers))
                served = visitors.served
                old.signal(signal.SIGQUIT)
                assert old.wait() == 0
                old = new
                eventually(lambda before=served: visitors.served > before, "the new one serves")  # type: ignore[misc]
        assert not visitors.lost, f"{len(visitors.lost)} of {visitors.served}"
        assert visitors.served > upgrades


def test_a_connection_outlives_the_listener_it_came_by(tmp_path: Path, target: Echo) -> None:
    port = free_port()
    with (
        version(tmp_path, 0, port, 1) as old,
        Stream(port, target.port) as stream,
        PacketEcho() as packets,
        Packets(port, packets.port) as client,
    ):
        assert stream.answered()
        assert client.trip(b"by the old one")
        with version(tmp_path, 1, port, 1) as new:
            old.signal(signal.SIGQUIT)
            eventually(lambda: "no longer listening" in old.log(), "the old one quits")
            assert stream.lives()
            assert client.trip(b"by the new one"), "a client's datagrams go to whoever has the port"
            assert old.alive
            stream.close()
            assert old.wait() == 0
            assert trip(port, target.port)
            assert new.alive


def test_one_that_quits_alone_refuses_once_it_gave_the_port_up(tmp_path: Path, target: Echo) -> None:
    port = free_port()
    with version(tmp_path, 0, port, 1) as old, Stream(port, target.port) as stream:
        assert stream.answered()
        old.signal(signal.SIGQUIT)
        began = time.monotonic()

        def refuses() -> bool:
            try:
                return not trip(port, target.port)
            except OSError:
                return True

        eventually(refuses, "nobody listens")
        assert time.monotonic() - began < 20
        assert stream.lives()
