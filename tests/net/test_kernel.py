"""The simulated kernel tells the truth: the same dialogues on it and on real sockets of the system, over loopback.

What the relay's rules rest on (a reset keeps what had arrived, an error is told once, a shutdown after a reset fails)
is asked of both, so that no rule holds on the model only.
"""

from __future__ import annotations

import errno
import select
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from .kernel import LINGER_RESET, Kernel

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the model is of Linux")

WAIT: Final = 30.0

Pair = tuple[Any, Any]


def real() -> Iterator[Pair]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname(), WAIT)
        theirs, _ = listener.accept()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        yield ours, theirs


def simulated() -> Iterator[Pair]:
    yield Kernel().pair()


@pytest.fixture(params=[real, simulated], ids=["real", "simulated"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Our socket, and the one at the other end."""
    yield from request.param()


def bits(sock: Any, wanted: int = 0) -> int:
    """What epoll tells of a socket; of a real one once the network has brought the wanted bits."""
    if not isinstance(sock, socket.socket):
        return int(sock.readiness())
    with select.epoll() as poll:
        poll.register(sock, select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP)
        for _ in range(1000):
            found = dict(poll.poll(WAIT))[sock.fileno()]
            if found & wanted == wanted:
                break
    return found


def outcome(call: Callable[[], object]) -> object:
    """What a call returns, or the code it fails with."""
    try:
        return call()
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def receive(sock: Any, most: int = 100) -> object:
    buffer = memoryview(bytearray(most))
    return outcome(lambda: bytes(buffer[: sock.recv_into(buffer, most)]))


def send(sock: Any, data: bytes) -> object:
    return outcome(lambda: sock.send(data))


def reset(sock: Any) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
    sock.close()


def test_nothing_to_read_and_room_to_write(pair: Pair) -> None:
    ours, _ = pair
    assert bits(ours) == select.EPOLLOUT
    assert receive(ours) == "EAGAIN"


def test_an_end_of_file_is_told_again_and_again(pair: Pair) -> None:
    ours, theirs = pair
    theirs.send(b"bye")
    theirs.shutdown(socket.SHUT_WR)
    assert bits(ours, select.EPOLLRDHUP) == select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP
    assert [receive(ours) for _ in range(3)] == [b"bye", b"", b""]
    assert bits(ours) == select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP
    assert send(ours, b"answer") == 6


def test_both_directions_ended_is_a_hang_up(pair: Pair) -> None:
    ours, theirs = pair
    theirs.shutdown(socket.SHUT_WR)
    ours.shutdown(socket.SHUT_WR)
    wanted = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLHUP
    assert bits(ours, wanted) & wanted == wanted
    assert send(ours, b"!") == "EPIPE"


def test_a_reset_keeps_what_had_arrived_and_is_told_once(pair: Pair) -> None:
    ours, theirs = pair
    theirs.send(b"last words")
    bits(ours, select.EPOLLIN)
    reset(theirs)
    wanted = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
    assert bits(ours, select.EPOLLERR) == wanted
    assert [receive(ours) for _ in range(3)] == [b"last words", "ECONNRESET", b""]
    assert send(ours, b"!") == "EPIPE"
    assert bits(ours) == wanted & ~select.EPOLLERR


def test_a_send_may_be_who_is_told_of_the_reset(pair: Pair) -> None:
    ours, theirs = pair
    theirs.send(b"last words")
    bits(ours, select.EPOLLIN)
    reset(theirs)
    bits(ours, select.EPOLLERR)
    assert [send(ours, b"!"), send(ours, b"!")] == ["ECONNRESET", "EPIPE"]
    assert [receive(ours) for _ in range(2)] == [b"last words", b""], "and then receives end without an error"


def test_a_direction_of_a_connection_that_was_reset_cannot_be_ended(pair: Pair) -> None:
    ours, theirs = pair
    theirs.send(b"last words")
    bits(ours, select.EPOLLIN)
    reset(theirs)
    bits(ours, select.EPOLLERR)
    assert outcome(lambda: ours.shutdown(socket.SHUT_WR)) == "ENOTCONN"
    assert receive(ours) == b"last words"


def test_a_close_with_unread_bytes_is_a_reset(pair: Pair) -> None:
    ours, theirs = pair
    ours.send(b"unread")
    bits(theirs, select.EPOLLIN)
    theirs.close()
    assert bits(ours, select.EPOLLERR) & select.EPOLLERR
    assert receive(ours) == "ECONNRESET"


def test_a_close_is_an_end_of_file_and_what_is_sent_to_it_is_answered_with_a_reset(pair: Pair) -> None:
    ours, theirs = pair
    theirs.close()
    assert not bits(ours, select.EPOLLRDHUP) & (select.EPOLLERR | select.EPOLLHUP)
    assert receive(ours) == b""
    assert send(ours, b"anybody there?") == 14
    assert bits(ours, select.EPOLLHUP) & select.EPOLLHUP
    assert send(ours, b"!") in ("EPIPE", "ECONNRESET")


def test_a_full_socket_takes_a_part_and_then_nothing_until_the_other_end_reads(pair: Pair) -> None:
    ours, theirs = pair
    if not isinstance(ours, socket.socket):
        ours.room = theirs.arrival_room = 100_000
    data, sent = bytes(1 << 20), 0
    while isinstance(size := send(ours, data), int):
        sent += size
    assert size == "EAGAIN"
    assert not bits(ours) & select.EPOLLOUT if not isinstance(ours, socket.socket) else sent
    got = 0
    while got < sent:
        bits(theirs, select.EPOLLIN)
        part = receive(theirs, 1 << 20)
        assert isinstance(part, bytes)
        got += len(part)
        if not isinstance(ours, socket.socket):
            ours.kernel.deliver()
    assert bits(ours, select.EPOLLOUT) & select.EPOLLOUT


def test_a_socket_that_was_never_connected_is_writable_and_hung_up() -> None:
    """Why a connecting socket is watched after `connect_ex` only (rule 6)."""
    with socket.socket() as sock:
        sock.setblocking(False)
        assert bits(sock) == bits(Kernel().socket()) == select.EPOLLOUT | select.EPOLLHUP
