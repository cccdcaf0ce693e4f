"""Many datagrams for one call: what goes in comes out, in order, from the address that was asked for."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

if not sys.platform.startswith("linux"):
    pytest.skip("the bench runs on Linux", allow_module_level=True)

from benchmarks.datagrams import AT_ONCE, Inbox, Outbox, dropped, open_socket
from benchmarks.process import udp_queue


@pytest.fixture
def here() -> Iterator[socket.socket]:
    with open_socket("127.0.0.1", 0.05) as sock:
        yield sock


@pytest.fixture
def there() -> Iterator[socket.socket]:
    with open_socket("0.0.0.0", 0.05) as sock:
        yield sock


def received(inbox: Inbox, sock: socket.socket) -> list[bytes]:
    got: list[bytes] = []
    while count := inbox.receive(sock.fileno()):
        got += [inbox.datagram(number) for number in range(count)]
    return got


def test_all_arrive_in_order_and_whole(here: socket.socket, there: socket.socket) -> None:
    sent = [bytes([number % 251]) * (number % 1500) for number in range(1100)]  # more than one call takes
    outbox = Outbox(sent)
    outbox.address(here.getsockname())
    outbox.send(there.fileno(), 0, len(sent))
    assert received(Inbox(), here) == sent


def test_each_leaves_from_its_source(here: socket.socket, there: socket.socket) -> None:
    outbox = Outbox([b"a", b"b", b"c"], ["127.1.0.1", "127.2.3.4"])
    outbox.address(here.getsockname())
    outbox.send(there.fileno(), 0, 3)
    senders = [here.recvfrom(10) for _ in range(3)]
    port = there.getsockname()[1]
    assert senders == [(b"a", ("127.1.0.1", port)), (b"b", ("127.2.3.4", port)), (b"c", ("127.1.0.1", port))]


def test_a_part_is_sent_and_no_more_than_there_is(here: socket.socket, there: socket.socket) -> None:
    outbox = Outbox([b"0", b"1", b"2", b"3"])
    outbox.address(here.getsockname())
    outbox.send(there.fileno(), 1, 2)
    outbox.send(there.fileno(), 3, 100)
    assert received(Inbox(), here) == [b"1", b"2", b"3"]


def test_an_answer_goes_back_with_its_own_size(here: socket.socket, there: socket.socket) -> None:
    inbox = Inbox()
    outbox = Outbox([b"short", b"a little longer", b""], ["127.1.0.1"])
    outbox.address(here.getsockname())
    for _ in range(2):  # the second time the sizes are known already
        outbox.send(there.fileno(), 0, 3)
        count = inbox.receive(here.fileno())
        assert [inbox.sender(number)[0] for number in range(count)] == ["127.1.0.1"] * 3
        inbox.reply(here.fileno(), count)
        assert [there.recv(100) for _ in range(3)] == [b"short", b"a little longer", b""]


def test_no_more_than_there_is_room_for_comes_at_once(here: socket.socket, there: socket.socket) -> None:
    outbox = Outbox([b"x"] * (AT_ONCE + 1))
    outbox.address(here.getsockname())
    outbox.send(there.fileno(), 0, AT_ONCE + 1)
    inbox = Inbox()
    assert [inbox.receive(here.fileno()) for _ in range(3)] == [AT_ONCE, 1, 0]
    assert inbox.latest(1) == b"x"


def test_refilled_datagrams_keep_their_sizes(here: socket.socket, there: socket.socket) -> None:
    outbox = Outbox([bytes(40), bytes(90)])
    outbox.address(here.getsockname())
    outbox.refill()
    outbox.send(there.fileno(), 0, 2)
    first, second = received(Inbox(), here)
    assert (len(first), len(second)) == (40, 90)
    assert any(first)
    assert any(second)


def test_what_finds_no_room_is_counted() -> None:
    with open_socket("127.0.0.1", 0.05) as sender, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as small:
        small.bind(("127.0.0.1", 0))
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        port = small.getsockname()[1]
        outbox = Outbox([bytes(1000)] * 50)
        outbox.address(small.getsockname())
        outbox.send(sender.fileno(), 0, 50)
        waiting, drops = udp_queue(port)
        assert waiting > 0
        assert dropped(small) == drops
        inbox, came = Inbox(), 0
        while count := inbox.receive(small.fileno(), socket.MSG_DONTWAIT):
            came += count
        assert came + drops == 50
        assert udp_queue(port)[0] == 0
