"""New connections go past the sockets of whoever gives a port up, and those that had knocked are accepted."""

from __future__ import annotations

import socket
import sys
from collections import Counter
from typing import Any

import pytest

from shadesocks.net.listen import bind
from shadesocks.net.options import TcpOptions
from shadesocks.net.steer import Steering

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


@pytest.mark.parametrize(("own", "behind"), [(1, 1), (3, 3), (1, 3), (3, 1), (2, 4)])
def test_what_is_new_goes_to_those_behind_and_to_all_of_them_afterwards(own: int, behind: int) -> None:
    listeners = group(own + behind)
    address = listeners[0].getsockname()
    ours, theirs = listeners[:own], listeners[own:]
    callers = [socket.create_connection(address) for _ in range(60)]
    assert sum(map(accepted, ours)) > 0
    for listener in listeners:
        accepted(listener)
    steering = Steering()
    assert steering.behind(ours[0], own) == behind
    assert steering.away(ours[0], own)
    callers += [socket.create_connection(address) for _ in range(60)]
    assert [accepted(listener) for listener in ours] == [0] * own
    assert all(accepted(listener) > 0 for listener in theirs), "each of them has some"
    steering.close(ours)
    callers += [socket.create_connection(address) for _ in range(80)]
    shares = [accepted(listener) for listener in theirs]
    assert sum(shares) == 80, "the group goes on without those"
    assert all(shares), "and no filter is left that names one of them"
    for sock in (*callers, *theirs):
        sock.close()


@pytest.mark.parametrize(("own", "behind"), [(2, 2), (3, 2), (4, 4)])
def test_nobody_is_caught_in_a_socket_that_is_about_to_be_closed(own: int, behind: int) -> None:
    """Between any two closes: nobody accepts from ours any more."""
    listeners = group(own + behind)
    address = listeners[0].getsockname()
    steering = Steering()
    steering.away(listeners[0], own)
    callers: list[socket.SocketType] = []

    class Closing(list[socket.SocketType]):
        """Our sockets; each time that one is asked for, somebody comes."""

        def __getitem__(self, at: Any) -> Any:
            callers.extend(socket.create_connection(address) for _ in range(10))
            return super().__getitem__(at)

    steering.close(Closing(listeners[:own]))
    for caller in callers:
        caller.setblocking(False)
        with pytest.raises(BlockingIOError):  # no reset
            caller.recv(1)
    assert sum(map(accepted, listeners[own:])) == len(callers)
    for sock in (*callers, *listeners[own:]):
        sock.close()


def test_a_single_socket_sends_all_to_the_last() -> None:
    listeners = group(3)
    address = listeners[0].getsockname()
    assert Steering().to_last(listeners[0])
    callers = [socket.create_connection(address) for _ in range(20)]
    assert list(map(accepted, listeners)) == [0, 0, 20]
    listeners[0].close()
    callers += [socket.create_connection(address) for _ in range(60)]
    assert all(map(accepted, listeners[1:]))
    for sock in (*callers, *listeners[1:]):
        sock.close()


@pytest.mark.parametrize("host", ["::1", "::ffff:127.0.0.1", "::"])
def test_groups_of_ipv6_are_counted_too(host: str) -> None:
    first = bind((host, 0), socket.AF_INET6, TcpOptions(), reuse_port=True)
    second = bind(first.getsockname()[:2], socket.AF_INET6, TcpOptions(), reuse_port=True)
    assert Steering().behind(first, 1) == 1
    first.close()
    second.close()


def test_where_the_system_does_not_tell_as_many_are_taken_to_be_behind() -> None:
    [alone] = group(1)
    assert Steering(Counter()).behind(alone, 2) == 2
    alone.close()


def test_where_nobody_is_behind_all_is_as_before() -> None:
    listeners = group(2)
    assert Steering().away(listeners[0], 2)
    callers = [socket.create_connection(listeners[0].getsockname()) for _ in range(20)]
    assert sum(map(accepted, listeners)) == 20
    for sock in (*callers, *listeners):
        sock.close()


def test_a_socket_of_no_group_is_left_alone() -> None:
    alone = bind((HOST, 0), socket.AF_INET, TcpOptions())
    Steering().away(alone, 1)
    caller = socket.create_connection(alone.getsockname())
    assert accepted(alone) == 1
    caller.close()
    alone.close()
