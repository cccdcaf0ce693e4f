"""Several users on one port: our server and client, and shadowsocks-rust's, in both roles, over TCP and UDP.

shadowsocks-rust reads `users` in an entry of `servers[]` only, so the server's file has that form for both.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.interop.shared import moves_all, moves_nothing
from tests.interop.test_udp import NO_EMPTY_UP, burst, crowd, full_cone, names
from tests.peers import HOST, PASSWORDS, PEERS, Pair, Program, free_port, need, run

METHODS: Final = ("2022-blake3-aes-128-gcm", "2022-blake3-aes-256-gcm")
PAIRS: Final = (("ours", "ours"), ("ours", "rust"), ("rust", "ours"), ("rust", "rust"))
"""Server, then client; the last is there to show that what is asked here can be had."""
NAMES: Final = ("anna", "ben", "cleo")
MODE: Final = {"mode": "tcp_and_udp"}


def key(method: str, letter: str) -> str:
    return base64.b64encode(letter.encode() * (16 if "128" in method else 32)).decode()


@contextlib.contextmanager
def server(name: str, method: str, folder: Path) -> Iterator[Program]:
    """A server with users, each of whose keys is made of the first letter of his name."""
    port = free_port()
    users = [{"name": name, "password": key(method, name[0])} for name in NAMES]
    entry = {"server": HOST, "server_port": port, "method": method, "password": PASSWORDS[method], "users": users}
    top = dict.fromkeys(("server", "server_port", "method", "password"))
    with run(name, "server", method, folder, port=port, settings={**top, **MODE, "servers": [entry]}) as program:
        yield program


@contextlib.contextmanager
def client(name: str, method: str, folder: Path, far: Program, *keys: str) -> Iterator[Program]:
    chain = ":".join(keys)
    settings = {**MODE, "password": chain}
    with run(name, "local", method, folder, server_port=far.port, settings=settings) as program:
        yield program


def chain_of(method: str, name: str) -> tuple[str, str]:
    return PASSWORDS[method], key(method, name[0])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("far", "near"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_every_user(far: str, near: str, method: str, tmp_path: Path, whole: bool) -> None:
    """All users at once, each through a client of his own: streams of every size, and datagrams."""
    need(far), need(near)
    with server(far, method, tmp_path) as there, contextlib.ExitStack() as stack:
        for name in NAMES:
            local = stack.enter_context(client(near, method, tmp_path, there, *chain_of(method, name)))
            pair = Pair(there, local, True, PEERS[near].pads_always)
            moves_all(pair, whole=whole, empty_up=far not in NO_EMPTY_UP)
            if whole:
                burst(pair)
                names(pair)
                full_cone(pair)
                crowd(pair)
    if far == "ours":
        lines = there.log().splitlines()
        for name in NAMES:
            assert any(f" user {name} up " in line and "stream done" in line for line in lines), name
            assert any(f" user {name} up " in line and " packets " in line for line in lines), name


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("far", "near"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_nobody_else(far: str, near: str, tmp_path: Path) -> None:
    """The server's key alone, an unknown user, the chain of another server."""
    need(far), need(near)
    method = METHODS[0]
    wrong = [(PASSWORDS[method],), (PASSWORDS[method], key(method, "x")), (key(method, "y"), key(method, "a"))]
    with server(far, method, tmp_path) as there, contextlib.ExitStack() as stack:
        for keys in wrong:
            local = stack.enter_context(client(near, method, tmp_path, there, *keys))
            moves_nothing(local)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("far", "near"), [("ours", "ours"), ("rust", "ours"), ("ours", "rust"), ("rust", "rust")])
def test_a_server_of_ours_in_front(far: str, near: str, method: str, tmp_path: Path, whole: bool) -> None:
    """Clients and servers of both, with ours between them: it opens one header, and reads nothing else."""
    need(far), need(near)
    front = key(method, "f")
    with server(far, method, tmp_path) as there:
        to = {"name": "next", "server": HOST, "server_port": there.port, "password": PASSWORDS[method]}
        settings = {**MODE, "password": front, "destinations": [to]}
        with (
            run("ours", "server", method, tmp_path, settings=settings) as between,
            client(near, method, tmp_path, between, front, *chain_of(method, "ben")) as local,
        ):
            pair = Pair(there, local, True, PEERS[near].pads_always)
            moves_all(pair, whole=whole, empty_up=far not in NO_EMPTY_UP)
            if whole:
                burst(pair)
                full_cone(pair)
                crowd(pair)
