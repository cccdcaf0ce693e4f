"""What batches add: runs that the kernel cuts and joins, and what is done where it refuses one."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from shadesocks.net.datagrams import DatagramOptions, bind_socket, open_socket
from tests.link import Weather, bad_link, has_ipv6
from tests.net.test_datagrams import V4, Post

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="recvmmsg and sendmmsg are Linux's")

if sys.platform == "linux":
    from shadesocks.net.mmsg import RUN_MAX, SEGMENT_MAX, BatchedDatagrams


@pytest.fixture
def post() -> Iterator[Post]:
    made = Post("auto")
    assert isinstance(made.datagrams, BatchedDatagrams)
    yield made
    made.close()


class Kernel:
    """Stands before sendmmsg: notes the messages of each call, and refuses when it is told to."""

    def __init__(self, datagrams: Any, *codes: int) -> None:
        self.calls: list[int] = []
        self._real = datagrams._send
        self._codes = list(codes)
        datagrams._send = self

    def __call__(self, fd: int, messages: Any, count: int, flags: int) -> int:
        self.calls.append(count)
        if self._codes and (code := self._codes.pop(0)):
            ctypes.set_errno(code)
            return -1
        sent: int = self._real(fd, messages, count, flags)
        return sent


def says(post: Post, sizes: list[int], through: Any, peer: socket.socket) -> list[bytes]:
    payloads = [bytes([number % 256]) * size for number, size in enumerate(sizes)]
    for payload in payloads:
        post.say(through, post.token(through, peer), payload)
    return payloads


@pytest.mark.parametrize(
    ("sizes", "runs"),
    [
        ([100] * 5, 1),
        ([100] * 4 + [50], 1),
        ([100, 50, 50], 2),
        ([50, 100], 2),
        ([100, 0, 100], 3),
        ([0, 0], 2),
        ([SEGMENT_MAX] * 3, 1),
        ([SEGMENT_MAX + 1] * 3, 3),
        ([10] * (RUN_MAX + 1), 2),
        ([1400] * 50, 2),  # 64,000 bytes hold 45
    ],
)
def test_what_is_a_run(post: Post, sizes: list[int], runs: int) -> None:
    through, peer = post.outlet(), post.peer()
    kernel = Kernel(post.datagrams)
    payloads = says(post, sizes, through, peer)
    post.datagrams.flush()
    assert kernel.calls == [runs]
    assert [peer.recv(10_000) for _ in payloads] == payloads


def test_receivers_have_runs_of_their_own(post: Post) -> None:
    through, one, two = post.outlet(), post.peer(), post.peer()
    kernel = Kernel(post.datagrams)
    for peer in (one, one, two, two, one):
        post.say(through, post.token(through, peer), b"x" * 10)
    post.datagrams.flush()
    assert kernel.calls == [3]
    assert [one.recv(100) for _ in range(3)] + [two.recv(100) for _ in range(2)] == [b"x" * 10] * 5


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EMSGSIZE, errno.EIO])
def test_a_run_that_is_refused_goes_piece_by_piece(post: Post, code: int) -> None:
    through, peer = post.outlet(), post.peer()
    kernel = Kernel(post.datagrams, code, code)
    payloads = says(post, [1200, 1200, 700], through, peer)
    post.say(through, post.token(through, peer), b"a message after it")
    post.datagrams.flush()
    assert [peer.recv(10_000) for _ in range(4)] == [*payloads, b"a message after it"]
    assert not post.datagrams.dropped
    kernel.calls.clear()
    says(post, [1200, 1200], through, peer)  # of that size no run is made again
    post.datagrams.flush()
    assert kernel.calls == [2]
    says(post, [1199, 1199], through, peer)
    post.datagrams.flush()
    assert kernel.calls == [2, 1]


@pytest.mark.parametrize("size", [1400, 1460, 1472])
def test_a_run_too_large_for_its_way_arrives_all_the_same(post: Post, size: int) -> None:
    """A way of 1,500 bytes takes 1,452 of payload over IPv6: larger pieces are sent alone, and the kernel cuts them."""
    with bad_link(Weather()) as link:
        if not has_ipv6(link):
            pytest.skip("no IPv6 in a new namespace")
        with (
            link.left.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock,
            link.right.socket(socket.AF_INET6, socket.SOCK_DGRAM) as peer,
        ):
            peer.bind((link.right.ipv6, 0))
            peer.settimeout(5)
            through = post.datagrams.prepare(sock)
            payloads = says(post, [size] * 5 + [7], through, peer)
            post.datagrams.flush()
            assert sorted(peer.recv(10_000) for _ in payloads) == sorted(payloads)
    assert not post.datagrams.dropped


def test_a_run_refused_for_another_reason_is_counted_whole(post: Post) -> None:
    through, peer = post.outlet(), post.peer()
    Kernel(post.datagrams, errno.EPERM, errno.EPERM)
    says(post, [100, 100, 100], through, peer)
    post.say(through, post.token(through, peer), bytes(101))
    post.datagrams.flush()
    assert post.datagrams.dropped == {"denied": 3}
    assert peer.recv(1000) == bytes(101)


def test_a_full_socket_loses_what_it_cannot_take(post: Post) -> None:
    through, peer = post.outlet(), post.peer()
    Kernel(post.datagrams, errno.EAGAIN, errno.EAGAIN)
    says(post, [1, 2], through, peer)
    post.datagrams.flush()
    assert post.datagrams.dropped == {"congested": 1}
    assert peer.recv(100) == b"\1\1"


def test_what_was_sent_of_a_flush_is_not_sent_again(post: Post) -> None:
    """The kernel stops at a message it refuses, and tells how many went: the rest follows, each once."""
    through, peer = post.outlet(), post.peer()
    payloads = says(post, [1, 2, 3], through, peer)
    post.say(through, post.token(through, peer), bytes(65_530))
    payloads += says(post, [4, 5], through, peer)
    post.datagrams.flush()
    assert [peer.recv(100) for _ in payloads] == payloads
    peer.setblocking(False)
    with pytest.raises(BlockingIOError):
        peer.recv(10)
    assert post.datagrams.dropped == {"too_large": 1}


@pytest.mark.parametrize("sizes", [[100] * 7, [1200] * 5 + [3], [1472] * 40])
def test_what_the_kernel_joined_is_taken_apart(post: Post, sizes: list[int]) -> None:
    """A run to a socket of ours arrives as one: loopback never cuts it."""
    if not (post.datagrams.segments and post.datagrams.coalesces):  # type: ignore[attr-defined]
        pytest.skip("a kernel without UDP_SEGMENT or UDP_GRO")
    ours, address = post.bound()
    sender = post.outlet()
    payloads = [os.urandom(size) for size in sizes]
    for payload in payloads:
        post.say(sender, post.datagrams.token(sender.wide, *address), payload)
    post.datagrams.flush()
    heard = post.hear(ours)
    assert [payload for _, payload in heard] == payloads
    assert len({who for who, _ in heard}) == 1


def test_a_plain_datagram_after_a_joined_one_is_whole(post: Post) -> None:
    """The kernel writes the size of what it used into the header: it must be set back for the next."""
    ours, address = post.bound()
    sender, peer = post.outlet(), post.peer()
    to = post.datagrams.token(sender.wide, *address)
    for _ in range(3):
        for payload in (b"a" * 100, b"b" * 100):
            post.say(sender, to, payload)
        post.datagrams.flush()
        peer.sendto(b"c" * 777, address)
        assert [payload for _, payload in post.hear(ours)] == [b"a" * 100, b"b" * 100, b"c" * 777]


def test_both_widths_of_sockets_take_turns(post: Post) -> None:
    """Sockets of IPv4 and of both families have headers of their own: a name must not be cut by the other's size."""
    narrow, address = post.bound()
    wide = post.outlet()
    wide.sock.bind(("::", 0))
    peer, peer6 = post.peer(), post.peer("::1")
    for _ in range(3):
        peer.sendto(b"4", address)
        peer6.sendto(b"6", ("::1", wide.sock.getsockname()[1]))
        assert post.datagrams.name_of(post.hear(narrow)[0][0]) == peer.getsockname()
        assert post.datagrams.name_of(post.hear(wide)[0][0]) == peer6.getsockname()[:2]


def test_a_kernel_without_the_calls_is_noticed(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    class Library:
        def __init__(self, *_: Any, **__: Any) -> None: ...

        def recvmmsg(self, *_: Any) -> int:
            ctypes.set_errno(errno.ENOSYS)
            return -1

        sendmmsg = recvmmsg

    monkeypatch.setattr(ctypes, "CDLL", Library)
    with pytest.raises(OSError, match="recvmmsg does not work here"):
        BatchedDatagrams(post.turn)  # type: ignore[arg-type]  # see Turn


def test_a_kernel_without_segments_sends_one_by_one(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    import shadesocks.net.mmsg as mmsg

    monkeypatch.setattr(mmsg, "UDP_SEGMENT", 9999)
    monkeypatch.setattr(mmsg, "UDP_GRO", 9998)
    without = BatchedDatagrams(post.turn)  # type: ignore[arg-type]  # see Turn
    assert without.name == "recvmmsg, sendmmsg"
    kernel = Kernel(without)
    peer = post.peer()
    with closing(open_socket(DatagramOptions())) as sock, closing(bind_socket((V4, 0), 2, DatagramOptions())) as front:
        through = without.prepare(sock)
        without.prepare(front)
        for start in (0, 100, 200):
            without.put(through, without.token(True, *peer.getsockname()), without.outward, start, start + 100)
        without.flush()
    assert kernel.calls == [3]
    assert [len(peer.recv(1000)) for _ in range(3)] == [100] * 3
