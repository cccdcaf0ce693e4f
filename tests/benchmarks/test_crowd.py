"""How many connections a crowd has, and where they come from."""

from __future__ import annotations

import socket
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmarks.crowd import SOURCE_COUNT, most, open_crowd, source
from benchmarks.load import REQUEST_SIZE
from benchmarks.process import BenchError
from benchmarks.wire import METHODS, answer_size, make_account

ACCOUNT = make_account(METHODS["aes-256-gcm"])


def test_a_crowd_leaves_a_process_descriptors_to_live_on() -> None:
    assert most(20_000) == 9750
    assert 2 * most(4096) < 4096


def test_no_address_has_more_connections_than_ports() -> None:
    assert [source(number) for number in (0, SOURCE_COUNT - 1, SOURCE_COUNT, 9499)] == [
        *("127.0.0.1",) * 2,
        "127.0.0.2",
        "127.0.0.3",
    ]


def serve(listener: socket.socket, answered: int) -> None:
    """Answer so many connections as an echo would by size, and end the next."""
    held = []
    for _ in range(answered):
        sock, _ = listener.accept()
        sock.recv(4096)
        sock.sendall(bytes(answer_size(ACCOUNT.method, REQUEST_SIZE)))
        held.append(sock)
    sock, _ = listener.accept()
    sock.close()
    for sock in held:
        sock.close()


def test_what_a_server_refuses_ends_the_crowd_with_those_it_took() -> None:
    target = SimpleNamespace(address=lambda host: (host, 9))
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = SimpleNamespace(account=ACCOUNT, address=listener.getsockname(), target_host="127.0.0.1")
        thread = threading.Thread(target=serve, args=(listener, 3))
        thread.start()
        with pytest.raises(BenchError, match="connection 4"):
            for _ in open_crowd(cast("Any", server), cast("Any", target), 10, held):
                pass
        thread.join(10)
    assert len(held) == 3
    for sock in held:
        sock.close()
