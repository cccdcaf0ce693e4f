"""Sockets from systemd: what is taken, what is told and closed; then whole programs that are started with some."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from shadesocks.process.activation import COUNT_MAX, FIRST, given_sockets
from tests.peers import free_port

from ..cli.programs import Program, environment, running, socks_connect

HOST = "127.0.0.1"


@contextmanager
def descriptors(*files: socket.socket | int) -> Iterator[int]:
    """Put duplicates of these at numbers in a row, where nothing was, and close those that are left after."""
    first = 300
    for number, file in enumerate(files):
        os.dup2(file if isinstance(file, int) else file.fileno(), first + number)
    try:
        yield first
    finally:
        for number in range(first, first + len(files)):
            with ExitStack() as stack:
                stack.callback(os.close, number)
                try:
                    os.fstat(number)
                except OSError:
                    stack.pop_all()


def environ_of(count: object, names: str = "", pid: object = None) -> dict[str, str]:
    return {"LISTEN_FDS": str(count), "LISTEN_PID": str(os.getpid() if pid is None else pid), "LISTEN_FDNAMES": names}


def test_the_sockets_are_taken_once_and_the_variables_with_them() -> None:
    with (
        socket.create_server((HOST, 0)) as streams,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as packets,
    ):
        packets.bind((HOST, 0))
        environ = {**environ_of(2, "tcp:udp"), "HOME": "/h"}
        with descriptors(streams, packets) as first:
            given = given_sockets(environ, first)
            assert environ == {"HOME": "/h"}
            assert len(given) == 2
            assert not os.get_inheritable(first)
            assert not os.get_inheritable(first + 1)
            for sock in (streams, packets):
                taken = given.take(sock.getsockname(), sock.type)
                assert taken is not None
                taken.close()
            assert len(given_sockets(environ, first)) == 0
            given.close()


@pytest.mark.parametrize("pid", ["", "1", "x", f"{os.getpid()}0"])
def test_those_of_another_process_are_left_alone(pid: str) -> None:
    environ = environ_of(1, pid=pid)
    with socket.create_server((HOST, 0)) as streams, descriptors(streams) as first:
        assert len(given_sockets(environ, first)) == 0
        os.fstat(first)
    assert environ == {}


@pytest.mark.parametrize("count", ["x", "-1", "0", COUNT_MAX + 1, "²"])
def test_a_number_that_is_none_is_told(count: object, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert len(given_sockets(environ_of(count))) == 0
    assert "LISTEN_FDS" in caplog.text


def test_what_no_service_can_use_is_told_and_closed(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((HOST, 0)))
        stack.enter_context(socket.create_connection(listener.getsockname()))
        accepted = stack.enter_context(listener.accept()[0])
        path = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        path.bind(str(tmp_path / "s"))
        file = os.open(tmp_path, os.O_RDONLY)
        stack.callback(os.close, file)
        unbound = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        first = stack.enter_context(descriptors(accepted, path, file, unbound, listener))
        with caplog.at_level(logging.WARNING):
            given = given_sockets(environ_of(6, "one:two"), first)
        assert len(given) == 1
        given.close()
        for number in range(first, first + 6):
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(number)
    said = caplog.messages
    assert said[0] == (
        f"descriptor {first} (one) was given to this process, and closed: it is one connection; "
        "write Accept=no in the .socket unit"
    )
    assert "(two)" in said[1]
    assert "neither TCP, nor UDP" in said[1]
    assert "it is no socket" in said[2]
    assert "not bound to a port" in said[3]
    assert f"descriptor {first + 5} (no name)" in said[4]


# -- whole programs ----------------------------------------------------------------------------------

LAUNCH = """
import os, sys
numbers, words = [int(word) for word in sys.argv[1].split(",")], sys.argv[2:]
high = [os.dup2(number, 200 + at) for at, number in enumerate(numbers)]
for at, number in enumerate(high):
    os.dup2(number, 3 + at)
    os.close(number)
os.environ.update(LISTEN_FDS=str(len(numbers)), LISTEN_PID=str(os.getpid()))
os.execv(sys.executable, [sys.executable, "-m", "shadesocks", *words])
"""
"""What systemd does between fork and exec: the sockets from number 3 on, and the variables."""


@contextmanager
def activated(home: Path, sockets: list[socket.socket], *words: str) -> Iterator[Program]:
    """Run `shadesocks WORDS` with sockets, which stay open here too, as in systemd."""
    numbers = [sock.fileno() for sock in sockets]
    pipe = subprocess.PIPE
    launch = [sys.executable, "-c", LAUNCH, ",".join(map(str, numbers)), *words]
    with subprocess.Popen(
        launch, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment(home), pass_fds=numbers
    ) as process:
        try:
            yield Program(process)
        finally:
            if process.poll() is None:
                process.kill()


def config(port: int, password: str = "pass-pass-pass-1") -> str:
    return (
        f'{{"server": "{HOST}", "server_port": {port}, "method": "aes-256-gcm", "password": "{password}",'
        ' "mode": "tcp_and_udp", "allow_private": true}'
    )


def test_a_server_serves_on_what_it_was_started_with(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    with ExitStack() as stack:
        streams = stack.enter_context(socket.create_server((HOST, 0)))
        port = streams.getsockname()[1]
        packets = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        packets.bind((HOST, port))
        stranger = stack.enter_context(socket.create_server((HOST, 0)))
        target = stack.enter_context(socket.create_server((HOST, 0)))
        file.write_text(config(port))
        early = stack.enter_context(socket.create_connection((HOST, port)))  # before anybody runs
        server = stack.enter_context(activated(tmp_path, [stranger, packets, streams], "server", "-c", str(file)))
        server.until_err(f"TCP {HOST}:{stranger.getsockname()[1]} was given to this process")
        assert sum(f"{HOST}:{port}" in line for line in server.err) == 2, server.err
        early.close()

        def through(password: str) -> None:
            own = tmp_path / "local.json"
            own.write_text(config(port, password)[:-1] + f', "local_address": "{HOST}", "local_port": {free_port()}}}')
            with running(tmp_path, "local", "-c", str(own)) as local:
                with socks_connect(local.port(), target.getsockname()[1]) as near:
                    far, _ = target.accept()
                    with far:
                        near.sendall(b"there")
                        assert far.recv(5, socket.MSG_WAITALL) == b"there"
                        far.sendall(b"back")
                        assert near.recv(4, socket.MSG_WAITALL) == b"back"
                assert local.end(signal.SIGTERM) == 0

        through("pass-pass-pass-1")
        # A reload that changes the server gives the sockets back and takes them again.
        file.write_text(config(port, "pass-pass-pass-2"))
        server.process.send_signal(signal.SIGHUP)
        server.until_err("the config was read again")
        through("pass-pass-pass-2")
        assert server.end(signal.SIGTERM) == 0
        assert not [line for line in server.err if "error" in line.lower()]
        # Who comes now waits in the socket that the supervisor kept.
        with socket.create_connection((HOST, port)):
            pass


def test_the_first_number_is_the_one_that_systemd_begins_with() -> None:
    assert FIRST == 3
