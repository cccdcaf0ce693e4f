"""Listeners: accepting, and the pause when descriptors run out."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import pytest

from shadesocks.net import listen
from shadesocks.net.listen import Listener, bind
from shadesocks.net.options import TcpOptions
from shadesocks.net.reactor import Reactor
from tests.service.rig import run, until

HOST = "127.0.0.1"


def make(taken: list[socket.SocketType], descriptors: int = 1 << 20) -> tuple[Reactor, Listener]:
    reactor = Reactor()

    def take(sock: socket.SocketType, _client: Any) -> None:
        taken.append(sock)

    return reactor, Listener(reactor, bind((HOST, 0), socket.AF_INET, TcpOptions()), take, descriptors)


def close(reactor: Reactor, listener: Listener, taken: list[socket.SocketType]) -> None:
    listener.close()
    for sock in taken:
        sock.close()
    reactor.stop()


def test_everybody_who_comes_is_taken() -> None:
    async def story() -> None:
        taken: list[socket.SocketType] = []
        reactor, listener = make(taken)
        callers = [socket.create_connection((HOST, listener.address.port)) for _ in range(50)]
        await until(lambda: len(taken) == 50)
        for caller in callers:
            caller.close()
        close(reactor, listener, taken)

    run(story())


def test_near_the_limit_it_pauses_says_so_once_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listen, "PAUSE", 0.01)

    async def story() -> None:
        taken: list[socket.SocketType] = []
        with socket.socket() as lowest:
            reactor, listener = make(taken, descriptors=lowest.fileno() + 12)
        callers = [socket.create_connection((HOST, listener.address.port)) for _ in range(20)]
        for _ in range(5):
            await asyncio.sleep(0.02)  # several pauses: each ends, finds the descriptors still in use, and begins again
        assert len(taken) < 20
        while len(taken) < 20:
            for sock in taken:
                sock.close()
            if callers:
                callers.pop(0).close()
            await asyncio.sleep(0)
        for caller in callers:
            caller.close()
        close(reactor, listener, taken)

    run(story())
    assert caplog.text.count("cannot accept") == 1


def test_of_many_descriptors_few_are_kept_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "RESERVE", 2)
    monkeypatch.setattr(listen, "RESERVE_MOST", 5)

    async def story() -> None:
        taken: list[socket.SocketType] = []
        with socket.socket() as lowest:
            reactor, listener = make(taken, descriptors=lowest.fileno() + 60)  # of which half would be kept
        callers = [socket.create_connection((HOST, listener.address.port)) for _ in range(20)]
        await until(lambda: len(taken) == 20)
        for caller in callers:
            caller.close()
        close(reactor, listener, taken)

    run(story())


def test_an_accept_that_fails_for_want_of_descriptors_is_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen, "PAUSE", 0.01)

    class Poor:
        """A listening socket whose accept fails a few times."""

        family = socket.AF_INET

        def __init__(self, sock: socket.SocketType) -> None:
            self._sock = sock
            self.fileno = sock.fileno
            self.getsockname = sock.getsockname
            self.close = sock.close
            self.failures = [errno.EMFILE, errno.ENFILE, errno.ENOBUFS]

        def _accept(self) -> tuple[int, Any]:
            if self.failures:
                raise OSError(self.failures.pop(), "none left")
            return self._sock._accept()  # type: ignore[attr-defined,no-any-return]  # as the listener itself does

    async def story() -> None:
        taken: list[socket.SocketType] = []
        reactor = Reactor()
        poor = Poor(bind((HOST, 0), socket.AF_INET, TcpOptions()))
        listener = Listener(reactor, poor, lambda sock, _client: taken.append(sock), 1 << 20)  # type: ignore[arg-type]
        with socket.create_connection((HOST, listener.address.port)):
            await until(lambda: bool(taken))
        assert not poor.failures
        assert reactor.errors == 0
        close(reactor, listener, taken)

    run(story())


def test_a_port_of_another_cannot_be_bound() -> None:
    with bind_closed() as taken, pytest.raises(OSError, match="in use"):
        bind((HOST, taken.getsockname()[1]), socket.AF_INET, TcpOptions())


def bind_closed() -> socket.socket:
    sock = socket.socket()
    sock.bind((HOST, 0))
    sock.listen()
    return sock


def test_who_waits_when_it_closes_is_taken_and_not_reset() -> None:
    async def story() -> None:
        taken: list[socket.SocketType] = []
        reactor, listener = make(taken)
        callers = [socket.create_connection((HOST, listener.address.port)) for _ in range(5)]
        assert not taken, "no turn of the loop has come"
        close_to = listener.address.port
        listener.close()
        reactor.settle()
        assert len(taken) == 5
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, close_to))
        for sock in (*callers, *taken):
            sock.close()
        reactor.stop()

    run(story())


def test_two_may_have_one_port_if_both_say_so() -> None:
    one = bind((HOST, 0), socket.AF_INET, TcpOptions(), reuse_port=True)
    bind(one.getsockname(), socket.AF_INET, TcpOptions(), reuse_port=True).close()
    with pytest.raises(OSError, match="in use"):
        bind(one.getsockname(), socket.AF_INET, TcpOptions())
    one.close()


def test_a_socket_that_others_accept_from_wakes_and_is_taken_from() -> None:
    async def story() -> None:
        taken: list[socket.SocketType] = []
        reactor = Reactor()
        listener = Listener(
            reactor,
            bind((HOST, 0), socket.AF_INET, TcpOptions()),
            lambda sock, _client: taken.append(sock),
            1 << 20,
            shared=True,
        )
        with socket.create_connection((HOST, listener.address.port)):
            await until(lambda: len(taken) == 1)
        close(reactor, listener, taken)

    run(story())
