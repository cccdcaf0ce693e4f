"""New connections go past the sockets of whoever gives a port up, and those that had knocked are accepted."""

from __future__ import annotations

import socket
import sys

import pytest

from shadesocks.net.listen import bind
from shadesocks.net.options import TcpOptions
from shadesocks.net.steer import steer_away

HOST = "127.0.0.1"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="filters of SO_REUSEPORT groups are Linux's")


def group(count: int) -> list[socket.SocketType]:
    """Listeners of one port."""
    first = bind((HOST, 0), socket.AF_INET, TcpOptions(), reuse_port=True)
    address = first.getsockname()
    return [first, *(bind(address, socket.AF_INET, TcpOptions(), reuse_port=True) for _ in range(count - 1))]


def accepted(listener: socket.SocketType) -> int:
    """Accept whoever waits; return how many."""
    listener.setblocking(False)
    count = 0
    while True:
        try:
            fd, _ = listener._accept()  # type: ignore[attr-defined]
        except BlockingIOError:
            return count
        socket.close(fd)
        count += 1


@pytest.mark.parametrize("count", [1, 3])
def test_what_is_new_goes_to_those_behind(count: int) -> None:
    listeners = group(2 * count)
    address = listeners[0].getsockname()
    callers = [socket.create_connection(address) for _ in range(40)]
    assert sum(map(accepted, listeners[:count])) > 0
    for listener in listeners:
        accepted(listener)
    assert steer_away(listeners[0], count)
    callers += [socket.create_connection(address) for _ in range(60)]
    assert [accepted(listener) for listener in listeners[:count]] == [0] * count
    assert all(accepted(listener) > 0 for listener in listeners[count:]), "each of them has some"
    for listener in listeners[:count]:
        listener.close()
    callers += [socket.create_connection(address) for _ in range(40)]
    assert sum(map(accepted, listeners[count:])) == 40, "the group goes on without those"
    for sock in (*callers, *listeners[count:]):
        sock.close()


def test_where_nobody_is_behind_all_is_as_before() -> None:
    listeners = group(2)
    assert steer_away(listeners[0], 2)
    callers = [socket.create_connection(listeners[0].getsockname()) for _ in range(20)]
    assert sum(map(accepted, listeners)) == 20
    for sock in (*callers, *listeners):
        sock.close()


def test_a_socket_of_no_group_is_left_alone() -> None:
    alone = bind((HOST, 0), socket.AF_INET, TcpOptions())
    steer_away(alone, 1)
    caller = socket.create_connection(alone.getsockname())
    assert accepted(alone) == 1
    caller.close()
    alone.close()
