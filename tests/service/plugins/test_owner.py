"""Whose a port is: that of a process or of what it started, another's, nobody's."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shadesocks.service.plugins import owner as module
from shadesocks.service.plugins.owner import Owner, owner_of
from tests.peers import free_port

HOST = "127.0.0.1"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")


@pytest.fixture(params=["tcp", "udp"])
def sock(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """A socket of this process."""
    kind = socket.SOCK_STREAM if request.param == "tcp" else socket.SOCK_DGRAM
    with socket.socket(type=kind) as sock:
        sock.bind((HOST, 0))
        if request.param == "tcp":
            sock.listen()
        yield request.param, sock.getsockname()[1]


def test_ours_and_anothers(sock: tuple[str, int]) -> None:
    kind, port = sock
    assert owner_of(HOST, port, kind, os.getpid()) is Owner.OURS
    assert owner_of(HOST, port, kind, os.getppid()) is Owner.OURS
    assert owner_of("0.0.0.0", port, kind, os.getpid()) is Owner.OURS
    assert owner_of("a.name.example", port, kind, os.getpid()) is Owner.OURS
    child = subprocess.Popen(["/bin/sleep", "1000"], start_new_session=True)
    try:
        assert owner_of(HOST, port, kind, child.pid) is Owner.OTHER
    finally:
        child.kill()
        child.wait()


def test_another_address_is_another_place(sock: tuple[str, int]) -> None:
    kind, port = sock
    assert owner_of("127.0.0.2", port, kind, os.getpid()) is Owner.NOBODY
    assert owner_of("::1", port, kind, os.getpid()) is Owner.NOBODY


def test_a_wildcard_is_everywhere() -> None:
    with socket.socket(socket.AF_INET6) as sock:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(("::", 0))
        sock.listen()
        port = sock.getsockname()[1]
        for host in (HOST, "::1", "::"):
            assert owner_of(host, port, "tcp", os.getpid()) is Owner.OURS


def test_nobodys() -> None:
    assert owner_of(HOST, free_port(), "tcp", os.getpid()) is Owner.NOBODY


def test_a_connection_is_no_listener() -> None:
    with socket.create_server((HOST, 0)) as server, socket.create_connection(server.getsockname()) as near:
        assert owner_of(HOST, near.getsockname()[1], "tcp", os.getpid()) is Owner.NOBODY


def test_without_proc_nobody_knows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "PROC", str(tmp_path))
    assert owner_of(HOST, 1, "tcp", os.getpid()) is Owner.UNKNOWN


def test_who_may_not_look_does_not_know(sock: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_pid: int) -> set[str]:
        raise PermissionError

    monkeypatch.setattr(module, "_held", refuse)
    assert owner_of(HOST, sock[1], sock[0], os.getpid()) is Owner.UNKNOWN
