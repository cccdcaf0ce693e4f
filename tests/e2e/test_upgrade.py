"""A new process takes over from an old one: no connect is refused and no connection lost while it does.

Three ways: both listen at once (`reuse_port`), then SIGQUIT to the old one; or the sockets are systemd's, and stay; or
SIGQUIT and then the new one, where nobody listens for as long as it takes to start.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.peers import HOST, PASSWORDS, PEERS, START_LIMIT, Program, start

from .crowd import Echo, echo, eventually
from .herd import METHOD, PacketEcho, Packets, Stream, Visitors, lasting_port, serve, serve_on, serving, trip

UPGRADES: Final = 5
"""In every run; `--whole` does as many as the promise says."""
PROMISED: Final = 50
WHOLE_LIMIT: Final = 900
"""Seconds: with `reuse_port` an upgrade takes one that is waited for, and a start."""


@pytest.fixture
def target() -> Iterator[Echo]:
    with echo() as echoing:
        yield echoing


@contextlib.contextmanager
def version(folder: Path, number: int, port: int, workers: int) -> Iterator[Program]:
    """Run a server as its next version would be run."""
    home = folder / str(number)
    home.mkdir()
    with serve(home, port, reuse_port=True, workers=workers, state_dir=str(folder / "state")) as program:
        if workers > 1:
            eventually(lambda: serving(program) >= workers, "all workers serve")
        yield program


@pytest.mark.timeout(WHOLE_LIMIT)
@pytest.mark.parametrize("workers", [1, 2])
def test_no_connect_is_refused_and_none_is_lost_while_versions_follow_one_another(
    workers: int, tmp_path: Path, target: Echo, whole: bool
) -> None:
    port = lasting_port()
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
    port = lasting_port()
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


@pytest.mark.timeout(WHOLE_LIMIT)
@pytest.mark.parametrize("workers", [1, 2])
def test_no_connect_is_refused_while_versions_follow_one_another_on_the_sockets_of_systemd(
    workers: int, tmp_path: Path, target: Echo, whole: bool
) -> None:
    """As `systemctl restart` does it: the old one drains and ends, whoever comes waits, the new one has the sockets."""
    upgrades = PROMISED if whole else UPGRADES
    with (
        socket.create_server((HOST, 0), backlog=1024) as streams,
        socket.socket(type=socket.SOCK_DGRAM) as packets,
        PacketEcho() as came,
        contextlib.ExitStack() as held,
    ):
        port = streams.getsockname()[1]
        packets.bind((HOST, port))
        client = held.enter_context(Packets(port, came.port))
        visitors = held.enter_context(Visitors(port, target.port))
        for number in range(upgrades + 1):
            with serve_on(tmp_path, (streams, packets), workers=workers) as version:
                served = visitors.served
                eventually(lambda before=served: visitors.served > before + 3, "it serves")  # type: ignore[misc]
                assert client.trip(b"datagram for version %d" % number)
                version.signal(signal.SIGTERM)
                assert version.wait() == 0
            assert "Traceback" not in version.log()
        with serve_on(tmp_path, (streams, packets), workers=workers):
            held.close()  # whoever waits is served
        assert not visitors.lost, f"{len(visitors.lost)} of {visitors.served}"
        assert visitors.served > upgrades


class Knocker:
    """Connects to a port again and again, and keeps when it was refused."""

    def __init__(self, port: int) -> None:
        self.refused_at: list[float] = []
        self._port = port
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._knock)

    @property
    def gap(self) -> float:
        """Seconds from the first refusal to the last."""
        return self.refused_at[-1] - self.refused_at[0] if self.refused_at else 0.0

    def _knock(self) -> None:
        while not self._over.wait(0.002):
            try:
                socket.create_connection((HOST, self._port), 20).close()
            except ConnectionError:
                self.refused_at.append(time.monotonic())

    def __enter__(self) -> Knocker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


@pytest.mark.parametrize("workers", [1, 2])
def test_one_that_quits_alone_leaves_its_ports_to_the_next_and_its_connections_to_nobody(
    workers: int, tmp_path: Path, target: Echo, whole: bool
) -> None:
    """As the Python original: connects are refused from the SIGQUIT until the next one listens, and for no longer."""
    ports = [lasting_port() for _ in range(3)]
    server = {"server": HOST, "method": METHOD, "password": PASSWORDS[METHOD], "mode": "tcp_and_udp"}
    config = tmp_path / "c.json"
    servers = [{**server, "server_port": port} for port in ports]
    config.write_text(json.dumps({"servers": servers, "allow_private": True, "workers": workers}))
    words = (*PEERS["ours"].server, "-c", str(config))
    gaps = []
    with contextlib.ExitStack() as versions, PacketEcho() as packets:
        old = versions.enter_context(start(words, ports[-1], tmp_path, title="0", udp=True))
        for number in range(1, 1 + (10 if whole else 1)):
            with contextlib.ExitStack() as held:
                streams = [held.enter_context(Stream(port, target.port)) for port in ports]
                assert all(stream.answered() for stream in streams)
                clients = [held.enter_context(Packets(port, packets.port)) for port in ports]
                assert all(client.trip(b"by the old one") for client in clients)
                with Knocker(ports[0]) as knocker:
                    old.signal(signal.SIGQUIT)
                    eventually(lambda: len(knocker.refused_at) > 0, "nobody listens")
                    new = versions.enter_context(start(words, ports[-1], tmp_path, title=str(number), udp=True))
                    eventually(lambda: trip(ports[0], target.port), "the new one serves")
                gaps.append(knocker.gap)
                assert all(trip(port, target.port) for port in ports)
                assert all(client.trip(b"by the new one") for client in clients)
                assert all(stream.lives() for stream in streams), "at the old one"
                assert old.alive
            assert old.wait() == 0, "with its last connection"
            old = new
    assert max(gaps) < START_LIMIT, [round(gap, 3) for gap in gaps]
