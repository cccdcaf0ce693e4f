"""Many users on one AEAD port: our server finds whose key a client of another program has."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.interop.shared import moves_all, moves_nothing
from tests.peers import AEAD, PEERS, Pair, Program, need, run

SAMPLE: Final = ("aes-256-gcm", "chacha20-ietf-poly1305")
CLIENTS: Final = ("ours", "libev", "rust")
COUNT: Final = 100
MODE: Final = {"mode": "tcp_and_udp"}


def password(number: int) -> str:
    return f"the long password of user {number}"


@contextlib.contextmanager
def server(method: str, folder: Path) -> Iterator[Program]:
    """Our server with a hundred users."""
    users = [{"name": f"user {number}", "password": password(number)} for number in range(COUNT)]
    settings = {**MODE, "password": None, "users": users}
    with run("ours", "server", method, folder, settings=settings) as program:
        yield program


@contextlib.contextmanager
def client(name: str, method: str, folder: Path, far: Program, number: int) -> Iterator[Program]:
    settings = {**MODE, "password": password(number)}
    with run(name, "local", method, folder, server_port=far.port, settings=settings) as program:
        yield program


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "method" in metafunc.fixturenames:
        methods = AEAD if metafunc.config.getoption("--whole") else SAMPLE
        pairs = [(name, method) for name in CLIENTS for method in methods if method in PEERS[name].methods]
        metafunc.parametrize(("name", "method"), pairs)


@pytest.mark.timeout(600)
def test_every_user(name: str, method: str, tmp_path: Path, whole: bool) -> None:
    """Three at once, each through a client of his own: streams and datagrams."""
    peer = need(name)
    numbers = (0, 57, COUNT - 1)
    with server(method, tmp_path) as there, contextlib.ExitStack() as stack:
        for number in numbers:
            local = stack.enter_context(client(name, method, tmp_path, there, number))
            pair = Pair(there, local, peer.half_close, PEERS[name].pads_always)
            moves_all(pair, whole=whole)
    lines = there.log().splitlines()
    for number in numbers:
        assert any(f" user user {number} up " in line and "stream done" in line for line in lines), number
        assert any(f" user user {number} up " in line and " packets " in line for line in lines), number


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", CLIENTS)
def test_nobody_else(name: str, tmp_path: Path) -> None:
    need(name)
    method = SAMPLE[0]
    with server(method, tmp_path) as there, client(name, method, tmp_path, there, COUNT) as local:
        moves_nothing(local)
