"""The bad link does what its weather says, no more and no less."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from tests.link import Weather, bad_link, has_ipv6

if TYPE_CHECKING:
    from tests.link import Link

SHARES = Weather(drop=0.05, duplicate=0.05, reorder=0.25, delay=0.01, jitter=0.002, seed=7)


def test_the_same_seed_has_the_same_weather() -> None:
    first, second = (list(islice(SHARES.fates(), 1000)) for _ in range(2))
    assert first == second
    assert first != list(islice(Weather(drop=0.05, duplicate=0.05, reorder=0.25, seed=8).fates(), 1000))


def test_shares_are_those_asked_for() -> None:
    fates = list(islice(SHARES.fates(), 20_000))
    assert 0.04 < sum(not times for times in fates) / 20_000 < 0.06
    assert 0.04 < sum(len(times) > 1 for times in fates) / 20_000 < 0.06
    assert 0.2 < sum(bool(times) and times[0] > 0.0135 for times in fates) / 20_000 < 0.3


@pytest.mark.parametrize("version", [4, 6])
def test_datagrams_pass_in_good_weather(version: int) -> None:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    with bad_link(Weather()) as link:
        if version == 6 and not has_ipv6(link):
            pytest.skip("no IPv6 in a new namespace")
        with link.left.socket(family, socket.SOCK_DGRAM) as left, link.right.socket(family, socket.SOCK_DGRAM) as right:
            right.bind((link.right.ipv4 if version == 4 else link.right.ipv6, 0))
            right.settimeout(10)
            left.settimeout(10)
            for size in (0, 1, 1400, 20_000):  # the last in fragments
                payload = os.urandom(size)
                left.sendto(payload, right.getsockname())
                got, sender = right.recvfrom(65_535)
                assert got == payload
                right.sendto(got, sender)
                assert left.recv(65_535) == payload
        assert (link.tally.dropped, link.tally.duplicated) == (0, 0)


def test_a_stream_is_exact_in_bad_weather() -> None:
    sent = os.urandom(512 * 1024)
    with bad_link(SHARES) as link:
        assert hashlib.sha256(through(link, sent)).digest() == hashlib.sha256(sent).digest()
        assert link.tally.dropped
        assert link.tally.duplicated


def test_a_delay_is_kept() -> None:
    with bad_link(Weather(delay=0.03)) as link:
        before = time.monotonic()
        through(link, b"x")
        assert time.monotonic() - before >= 0.09  # there and back, and there with the byte


def test_nothing_reaches_the_link_from_outside() -> None:
    with (
        bad_link(Weather()) as link,
        link.right.socket(socket.AF_INET, socket.SOCK_STREAM) as listener,
        socket.socket() as outside,
    ):
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert outside.connect_ex(listener.getsockname()) != 0


def through(link: Link, sent: bytes) -> bytes:
    """Send bytes from left to right over TCP, and return what came."""
    came = bytearray()
    with link.right.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((link.right.ipv4, 0))
        listener.listen()

        def receive() -> None:
            sock, _ = listener.accept()
            with sock:
                while piece := sock.recv(65_536):
                    came.extend(piece)

        receiver = threading.Thread(target=receive)
        receiver.start()
        with link.left.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.settimeout(60)
            sock.connect(listener.getsockname())
            sock.sendall(sent)
        receiver.join(60)
        assert not receiver.is_alive()
    return bytes(came)
