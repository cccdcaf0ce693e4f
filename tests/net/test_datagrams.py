"""Datagrams in and out of real sockets: the same promises, one by one and in batches."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.core.address import Address, parse_address
from shadesocks.net import datagrams as module
from shadesocks.net.datagrams import (
    ARENA_FULL,
    ARENA_SIZE,
    SLOTS,
    Arena,
    DatagramOptions,
    Datagrams,
    DatagramSocket,
    PlainDatagrams,
    bind_socket,
    group_of,
    make_datagrams,
    open_socket,
)
from shadesocks.net.reactor import Reactor
from shadesocks.wire.packet import HEADROOM

V4, V6 = "127.0.0.1", "::1"
OPTIONS = DatagramOptions(receive_buffer=1 << 20)


class Turn:
    """The part of a reactor that matters here: calls for the end of the turn."""

    def __init__(self) -> None:
        self.queue: list[Callable[[], None]] = []

    def end(self) -> None:
        calls, self.queue[:] = self.queue[:], []
        for call in calls:
            call()


class Post:
    """One way to move datagrams, and the sockets of a test."""

    def __init__(self, way: str) -> None:
        self.turn = Turn()
        self.datagrams: Datagrams = make_datagrams(self.turn, way)  # type: ignore[arg-type]  # see Turn
        self._stack = ExitStack()

    def bound(self, ip: str = V4) -> tuple[DatagramSocket, Any]:
        """A socket of ours that is bound, and its address."""
        family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        sock = bind_socket((ip, 0), family, OPTIONS)
        self._stack.callback(sock.close)
        return self.datagrams.prepare(sock), sock.getsockname()

    def outlet(self) -> DatagramSocket:
        """A socket of both families."""
        sock = open_socket(OPTIONS)
        self._stack.callback(sock.close)
        return self.datagrams.prepare(sock)

    def peer(self, ip: str = V4) -> socket.socket:
        """Somebody else's socket."""
        family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        sock = self._stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.bind((ip, 0))
        sock.settimeout(5)
        return sock

    def token(self, through: DatagramSocket, sock: socket.socket) -> Any:
        """Where a peer is, for a socket of ours."""
        host, port = sock.getsockname()[:2]
        return self.datagrams.token(through.wide, host, port)

    def say(self, through: DatagramSocket, to: Any, payload: bytes, arena: Arena | None = None) -> None:
        """Put a payload as a relay does: at the arena's end."""
        arena = arena or self.datagrams.outward
        start = arena.at
        arena.view[start : start + len(payload)] = payload
        self.datagrams.put(through, to, arena, start, start + len(payload))

    def hear(self, source: DatagramSocket) -> list[tuple[Any, bytes]]:
        """Everything that one receive gives."""
        view = self.datagrams.inward.view
        return [(sender, bytes(view[start:end])) for sender, start, end in self.datagrams.receive(source)]

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(params=["plain", "auto"])
def post(request: pytest.FixtureRequest) -> Iterator[Post]:
    """Each way in turn."""
    made = Post(request.param)
    yield made
    made.close()


def test_the_way_is_the_one_asked_for(post: Post) -> None:
    if post.datagrams.name != PlainDatagrams.name:
        assert sys.platform == "linux"
        assert post.datagrams.name.startswith("recvmmsg, sendmmsg")


@pytest.mark.parametrize("ip", [V4, V6])
def test_what_comes_is_told_with_its_sender(post: Post, ip: str) -> None:
    ours, address = post.bound(ip)
    peer = post.peer(ip)
    for payload in (b"", b"x", os.urandom(1400), os.urandom(60_000)):
        peer.sendto(payload, address)
        [(sender, got)] = post.hear(ours)
        assert got == payload
        assert post.datagrams.name_of(sender) == peer.getsockname()[:2]
        assert parse_address(post.datagrams.pack(sender))[0] == Address(*peer.getsockname()[:2])


def test_a_socket_of_both_families_shows_ipv4_as_such(post: Post) -> None:
    ours = post.outlet()
    ours.sock.bind(("::", 0))
    port = ours.sock.getsockname()[1]
    for ip in (V4, V6):
        peer = post.peer(ip)
        peer.sendto(b"hello", (ip, port))
        [(sender, _)] = post.hear(ours)
        assert post.datagrams.name_of(sender) == (ip, peer.getsockname()[1])
        post.say(ours, sender, b"answer")
        post.datagrams.flush()
        assert peer.recv(100) == b"answer"


def test_senders_are_told_apart_and_known_again(post: Post) -> None:
    ours, address = post.bound()
    one, two = post.peer(), post.peer()
    for sock in (one, two, one):
        sock.sendto(b"x", address)
    first, second, third = (sender for sender, _ in [*post.hear(ours), *post.hear(ours), *post.hear(ours)])
    assert first == third != second
    assert hash(first) == hash(third)


def test_a_receive_is_bounded(post: Post) -> None:
    ours, address = post.bound()
    peer = post.peer()
    for number in range(SLOTS + 1):
        peer.sendto(bytes([number]), address)
    assert [payload[0] for _, payload in post.hear(ours)] == list(range(SLOTS))
    assert [payload[0] for _, payload in post.hear(ours)] == [SLOTS]
    assert post.hear(ours) == []


def test_there_is_room_before_each_datagram(post: Post) -> None:
    """What is sealed has its header written there: it must not touch the datagrams that are still to be read."""
    ours, address = post.bound()
    peer = post.peer()
    sent = [os.urandom(1000) for _ in range(5)]
    for payload in sent:
        peer.sendto(payload, address)
    view = post.datagrams.inward.view
    got = []
    for _, start, end in post.datagrams.receive(ours):
        got.append(bytes(view[start:end]))
        view[start - HEADROOM : start] = bytes(HEADROOM)
    assert got == sent


def test_what_was_put_is_sent_by_the_end_of_the_turn(post: Post) -> None:
    ours, peer = post.outlet(), post.peer()
    post.say(ours, post.token(ours, peer), b"one")
    post.say(ours, post.token(ours, peer), b"two")
    post.turn.end()
    assert [peer.recv(10), peer.recv(10)] == [b"one", b"two"]
    assert (post.datagrams.middle.at, post.datagrams.outward.at) == (0, 0)
    post.turn.end()
    peer.setblocking(False)
    with pytest.raises(BlockingIOError):
        peer.recv(10)


def test_sockets_take_turns(post: Post) -> None:
    outlets, peers = [post.outlet() for _ in range(3)], [post.peer() for _ in range(3)]
    for number in range(9):
        through, peer = outlets[number % 3], peers[number // 3]
        post.say(through, post.token(through, peer), bytes([number]))
    post.datagrams.flush()
    for index, peer in enumerate(peers):
        assert [peer.recv(10)[0] for _ in range(3)] == [3 * index, 3 * index + 1, 3 * index + 2]


def test_a_connected_socket_needs_no_receiver(post: Post) -> None:
    peer = post.peer()
    ours = post.outlet()
    ours.sock.connect(("::ffff:127.0.0.1", peer.getsockname()[1]))
    for payload in (b"one", b"two"):
        post.say(ours, None, payload)
    post.datagrams.flush()
    assert [peer.recv(10), peer.recv(10)] == [b"one", b"two"]


def test_a_full_arena_is_sent_at_once(post: Post) -> None:
    """One by one nothing waits; in batches the arena must keep room for one more of any size."""
    ours, peer = post.outlet(), post.peer()
    post.say(ours, post.token(ours, peer), b"first")
    post.datagrams.outward.at = ARENA_FULL - 10
    post.say(ours, post.token(ours, peer), b"the one that fills it")
    assert [peer.recv(100), peer.recv(100)] == [b"first", b"the one that fills it"]
    assert ARENA_SIZE - ARENA_FULL > 2 * HEADROOM + 65_535
    post.say(ours, post.token(ours, peer), b"next")
    post.datagrams.flush()
    assert peer.recv(100) == b"next"
    assert not post.datagrams.dropped


def test_both_arenas_leave_in_the_order_of_the_puts(post: Post) -> None:
    ours, peer = post.outlet(), post.peer()
    for number in range(6):
        arena = (post.datagrams.middle, post.datagrams.outward)[number % 2]
        post.say(ours, post.token(ours, peer), bytes([number]) * 10, arena)
    post.datagrams.flush()
    assert [peer.recv(100) for _ in range(6)] == [bytes([number]) * 10 for number in range(6)]


@pytest.mark.parametrize("way", ["plain", "auto"])
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from([0, 1, 100, 100, 100, 1200, 1200, 1472, 1473, 5000])), max_size=150
    )
)
def test_any_sequence_arrives_exactly(way: str, puts: list[tuple[int, int]]) -> None:
    """Sizes that repeat make runs, others end them; whatever it is, each receiver gets what is its, in order."""
    post = Post(way)
    try:
        ours, peers = post.outlet(), [post.peer() for _ in range(3)]
        sent: dict[int, list[bytes]] = defaultdict(list)
        for number, (receiver, size) in enumerate(puts):
            payload = number.to_bytes(2) * (size // 2) + b"x" * (size % 2)
            sent[receiver].append(payload)
            post.say(ours, post.token(ours, peers[receiver]), payload)
        post.datagrams.flush()
        for receiver, payloads in sent.items():
            assert [peers[receiver].recv(10_000) for _ in payloads] == payloads
        for peer in peers:
            peer.setblocking(False)
            with pytest.raises(BlockingIOError):
                peer.recv(10)
        assert not post.datagrams.dropped
    finally:
        post.close()


def test_what_is_too_large_is_counted_and_the_others_go(post: Post) -> None:
    ours, peer = post.outlet(), post.peer()
    for payload in (b"before", bytes(65_530), b"after"):
        post.say(ours, post.token(ours, peer), payload)
    post.datagrams.flush()
    assert [peer.recv(10), peer.recv(10)] == [b"before", b"after"]
    assert post.datagrams.dropped == {"too_large": 1}


def test_a_refusal_of_before_costs_no_datagram(post: Post) -> None:
    """Nobody listens at first: the ICMP error is told at the next send, which is made again."""
    ours = post.outlet()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind((V4, 0))
        port = free.getsockname()[1]
    ours.sock.connect(("::ffff:127.0.0.1", port))
    post.say(ours, None, b"to nobody")
    post.datagrams.flush()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as late:
        late.bind((V4, port))
        late.settimeout(5)
        post.say(ours, None, b"to somebody")
        post.datagrams.flush()
        assert late.recv(100) == b"to somebody"
    assert not post.datagrams.dropped


def test_a_refusal_is_no_end_of_receiving(post: Post) -> None:
    ours = post.outlet()
    peer = post.peer()
    ours.sock.connect(("::ffff:127.0.0.1", peer.getsockname()[1]))
    where = ours.sock.getsockname()[1]
    closed = post.peer()
    closed.close()
    peer.sendto(b"x", (V4, where))
    assert [payload for _, payload in post.hear(ours)] == [b"x"]


def test_a_target_without_a_way_is_counted(post: Post) -> None:
    ours = post.outlet()
    post.say(ours, post.datagrams.token(True, V4, 0), b"port 0 is nobody's")
    post.datagrams.flush()
    assert sum(post.datagrams.dropped.values()) == 1


def test_ipv6_cannot_be_reached_by_a_socket_of_ipv4(post: Post) -> None:
    assert post.datagrams.token(False, V6, 1) is None
    assert post.datagrams.token(False, V4, 1) is not None


def test_a_system_without_the_calls_goes_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    import shadesocks.net.mmsg as mmsg

    def without(_reactor: object) -> Any:
        raise OSError(errno.ENOSYS, "no such call")

    monkeypatch.setattr(mmsg, "BatchedDatagrams", without)
    assert isinstance(make_datagrams(SimpleNamespace(queue=[])), PlainDatagrams)  # type: ignore[arg-type]


def test_a_host_without_ipv6_has_sockets_of_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.SocketType

    def without(family: int, *rest: int) -> Any:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "no IPv6 here")
        return real(family, *rest)

    monkeypatch.setattr(module, "SocketType", without)
    sock = open_socket(DatagramOptions())
    assert sock.family == socket.AF_INET
    sock.close()


def test_buffers_are_those_asked_for() -> None:
    small, large = open_socket(DatagramOptions(receive_buffer=8192, send_buffer=8192)), open_socket(DatagramOptions())
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        assert 0 < small.getsockopt(socket.SOL_SOCKET, option) < large.getsockopt(socket.SOL_SOCKET, option)
    small.close()
    large.close()


def test_a_port_that_is_taken_leaves_no_socket() -> None:
    taken = bind_socket((V4, 0), socket.AF_INET, DatagramOptions())
    with pytest.raises(OSError, match="in use"):
        bind_socket(taken.getsockname(), socket.AF_INET, DatagramOptions())
    taken.close()


def test_one_source_is_an_address_or_a_network_of_64_bits() -> None:
    assert group_of("192.0.2.1") != group_of("192.0.2.2")
    assert group_of("2001:db8::1") == group_of("2001:db8::ffff:1:2:3")
    assert group_of("2001:db8::1") != group_of("2001:db8:0:1::1")


def test_an_arena_costs_nothing_until_it_is_used() -> None:
    arena = Arena(1 << 26)
    assert arena.view[1 << 25] == 0
    assert Counter(arena.memory[:100]) == {0: 100}


@pytest.mark.parametrize("way", ["plain", "auto"])
def test_an_address_with_a_zone_is_of_that_zone(way: str) -> None:
    async def story() -> None:
        reactor = Reactor()
        try:
            datagrams = make_datagrams(reactor, way)
            number, name = socket.if_nameindex()[0]
            token = datagrams.token(True, f"fe80::1%{name}", 53)
            assert token == datagrams.token(True, f"fe80::1%{number}", 53) != datagrams.token(True, "fe80::1", 53)
            assert datagrams.name_of(token) == ("fe80::1", 53)
            assert datagrams.token(True, "fe80::1%nowhere0", 53) is None
            assert datagrams.token(False, f"fe80::1%{name}", 53) is None
        finally:
            reactor.stop()

    asyncio.run(story())
