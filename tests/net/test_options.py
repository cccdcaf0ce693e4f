"""Options of sockets: set where they change something, inherited by what a listener accepts."""

from __future__ import annotations

import socket
from socket import IPPROTO_TCP, SOL_SOCKET

import pytest

from shadesocks.net.options import (
    TcpOptions,
    apply_early,
    apply_late,
    apply_listening,
    socket_address,
    split_zone,
    unsent,
)


def test_each_option_is_set() -> None:
    with socket.socket() as sock:
        apply_early(sock, TcpOptions(keep_alive=20, user_timeout=90, no_delay=True))
        apply_late(sock, TcpOptions(keep_alive=20, user_timeout=90, no_delay=True))
        assert sock.getsockopt(SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(IPPROTO_TCP, socket.TCP_KEEPIDLE) == 20
        assert sock.getsockopt(IPPROTO_TCP, socket.TCP_KEEPINTVL) == 20
        assert sock.getsockopt(IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 90_000


def test_what_is_off_is_left_alone() -> None:
    with socket.socket() as sock:
        for apply in (apply_early, apply_late, apply_listening):
            apply(sock, TcpOptions(keep_alive=0, user_timeout=0, no_delay=False))
        assert not sock.getsockopt(SOL_SOCKET, socket.SO_KEEPALIVE)
        assert not sock.getsockopt(IPPROTO_TCP, socket.TCP_NODELAY)
        assert not sock.getsockopt(IPPROTO_TCP, socket.TCP_USER_TIMEOUT)


def test_accepted_sockets_inherit_them() -> None:
    """So they cost an accepted connection no call."""
    with socket.socket() as listener:
        apply_listening(listener, TcpOptions(keep_alive=20, user_timeout=90, no_delay=True))
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            assert accepted.getsockopt(SOL_SOCKET, socket.SO_KEEPALIVE)
            assert accepted.getsockopt(IPPROTO_TCP, socket.TCP_NODELAY)
            assert accepted.getsockopt(IPPROTO_TCP, socket.TCP_KEEPIDLE) == 20
            assert accepted.getsockopt(IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 90_000


def test_unsent_counts_what_the_peer_has_not_taken() -> None:
    left, right = socket.socketpair()
    with left, right:
        assert unsent(left) == 0
        left.send(b"x" * 1000)
        assert unsent(left) > 0
        while unsent(left):
            right.recv(65536)


def test_a_zone_is_a_name_or_a_number_of_an_interface() -> None:
    number, name = socket.if_nameindex()[0]
    for zone in (name, str(number)):
        assert split_zone(f"fe80::1%{zone}") == ("fe80::1", number)
        assert socket_address(f"fe80::1%{zone}", 80) == ("fe80::1", 80, 0, number)
    assert split_zone("2001:db8::1") == ("2001:db8::1", 0)
    assert socket_address("192.0.2.1", 80) == ("192.0.2.1", 80)
    with pytest.raises(OSError, match="interface"):
        split_zone("fe80::1%nowhere0")
