"""Warm connections between real programs: a server may be restarted, killed or replaced, and no request fails of it."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.interop.streams import HOST, LIMIT, pack_address, read_exactly
from tests.peers import Program, free_port, need_tool, run

from .crowd import GREETED, Echo, back_to, echo, eventually
from .herd import METHOD, Visitors, kill, serve, workers_of

POOL: Final = 4
UPGRADES: Final = 2
"""In every run; `--whole` does more of everything."""
PROMISED: Final = 20
USES: Final = 300
PROMISED_USES: Final = 10_000
STILL: Final = 25
"""Equal counts in a row, half a second."""


@pytest.fixture
def target() -> Iterator[Echo]:
    with echo() as echoing:
        yield echoing


@contextlib.contextmanager
def near(folder: Path, server: int, method: str = METHOD, pool: int = POOL) -> Iterator[Program]:
    """Our client, with a pool."""
    with run("ours", "local", method, folder, server_port=server, settings={"pool": pool}) as program:
        yield program


def ask(port: int, target: int, said: bytes = b"said") -> bytes:
    """Ask a target something through a client, and return what came back."""
    with socket.create_connection((HOST, port), LIMIT) as sock:
        sock.sendall(b"\5\1\0\5\1\0" + pack_address(HOST, target) + said)
        greeted = read_exactly(sock, GREETED)
        assert greeted[:4] == b"\5\0\5\0", greeted
        return read_exactly(sock, len(said))


@contextlib.contextmanager
def version(folder: Path, number: int, port: int) -> Iterator[Program]:
    """Run a server as its next version would be run."""
    home = folder / str(number)
    home.mkdir()
    with serve(home, port, reuse_port=True, state_dir=str(folder / "state")) as program:
        yield program


@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGTERM])
def test_servers_follow_one_another_and_no_request_fails(
    how: signal.Signals, tmp_path: Path, target: Echo, whole: bool
) -> None:
    port = free_port()
    upgrades = PROMISED if whole else UPGRADES
    with contextlib.ExitStack() as versions:
        old = versions.enter_context(version(tmp_path, 0, port))
        client = versions.enter_context(near(tmp_path, port))
        with Visitors(client.port, target.port, visit=ask, pause=0.02) as visitors:
            for number in range(1, upgrades + 1):
                eventually(lambda before=visitors.served: visitors.served > before + 20, "requests")  # type: ignore[misc]
                new = versions.enter_context(version(tmp_path, number, port))
                old.signal(how)
                assert old.wait(LIMIT) == 0
                old = new
        assert not visitors.lost, f"{len(visitors.lost)} of {visitors.served}"
        assert visitors.served > 20 * upgrades


@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_after_a_restart_the_first_request_is_served(
    how: signal.Signals, tmp_path: Path, target: Echo, whole: bool
) -> None:
    port = free_port()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serve(tmp_path, port))
        client = stack.enter_context(near(tmp_path, port))
        before = settled(client)
        for _ in range(PROMISED if whole else UPGRADES):
            eventually(lambda: client.descriptors() >= before, "the pool is full")
            server.signal(how)
            server.wait()
            server = stack.enter_context(serve(tmp_path, port))
            for number in range(2 * POOL):
                assert ask(client.port, target.port, b"%d" % number) == b"%d" % number


@pytest.mark.timeout(900)
@pytest.mark.parametrize("method", [METHOD, "2022-blake3-aes-256-gcm"])
def test_many_requests_leave_nothing_behind(method: str, tmp_path: Path, target: Echo, whole: bool) -> None:
    with (
        run("ours", "server", method, tmp_path, settings={"allow_private": True}) as server,
        near(tmp_path, server.port, method) as client,
    ):
        assert ask(client.port, target.port) == b"said"
        base = settled(client) + POOL, settled(server) + POOL
        for number in range(PROMISED_USES if whole else USES):
            assert ask(client.port, target.port, b"%d" % number) == b"%d" % number
        back_to(client, base[0])
        back_to(server, base[1])


def test_a_client_that_ends_takes_its_connections_with_it(tmp_path: Path, target: Echo) -> None:
    with serve(tmp_path, free_port()) as server:
        alone = settled(server)
        with near(tmp_path, server.port) as client:
            eventually(lambda: server.descriptors() >= alone + POOL, "the pool is full")
            assert ask(client.port, target.port) == b"said"
            assert client.stop() == 0
        back_to(server, alone)


def settled(program: Program) -> int:
    """Return how many descriptors a program has, once that stands still: it has just been started."""
    seen: list[int] = []

    def stands_still() -> bool:
        seen.append(program.descriptors())
        return len(seen) >= STILL and len(set(seen[-STILL:])) == 1

    eventually(stands_still, "its descriptors stand still")
    return seen[-1]


@pytest.mark.parametrize("disguise", ["http", "tls"])
def test_through_a_plugin_and_through_its_restart(disguise: str, tmp_path: Path, target: Echo) -> None:
    method = "2022-blake3-aes-256-gcm"
    far = {"plugin": need_tool("obfs-server"), "plugin_opts": f"obfs={disguise}", "allow_private": True}
    near = {
        "plugin": need_tool("obfs-local"),
        "plugin_opts": f"obfs={disguise};obfs-host=www.example.com",
        "pool": POOL,
    }
    with (
        run("ours", "server", method, tmp_path, settings=far) as server,
        run("ours", "local", method, tmp_path, server_port=server.port, settings=near) as client,
    ):
        for number in range(3 * POOL):
            assert ask(client.port, target.port, b"%d" % number) == b"%d" % number
        (plugin,) = workers_of(client)
        kill(plugin)
        eventually(lambda: workers_of(client) not in ([], [plugin]), "it is started again")
        eventually(lambda: answers(client.port, target.port), "and leads to the server")
        for number in range(3 * POOL):
            assert ask(client.port, target.port, b"%d" % number) == b"%d" % number


def answers(port: int, target: int) -> bool:
    """True where a request is answered."""
    try:
        return ask(port, target) == b"said"
    except (OSError, EOFError, AssertionError):
        return False
