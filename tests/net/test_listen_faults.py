"""Listeners on the simulated kernel: rule 11 (unregistered while paused), and each fault that accept may answer with.

`test_listen.py` listens with the system's own sockets.
"""

from __future__ import annotations

import errno
from typing import Any, Final

import pytest

from shadesocks.net import listen as listen_file
from shadesocks.net.listen import COMPLAINT_INTERVAL, PAUSE, RESERVE_MOST, Listener

from .kernel import FIRST_FD, FakeSocket
from .world import MODELS, World

PLENTY: Final = 1 << 20
EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Numbers:
    """What the listener asks of `os`: a number that is free, as the simulated kernel gives it."""

    name = "posix"

    def __init__(self, world: World) -> None:
        self._kernel = world.kernel

    def dup(self, _fd: int) -> int:
        self._kernel.fail_if_told("dup")
        return FakeSocket(self._kernel).fd

    def close(self, fd: int) -> None:
        self._kernel.table[fd].close()


class Port:
    """A listener, who comes to it, and whom it took."""

    def __init__(self, world: World, descriptors: int = PLENTY) -> None:
        self.world = world
        self.sock = FakeSocket(world.kernel)
        self.sock.state = "listening"
        self.taken: list[FakeSocket] = []
        self.raises = False
        self.listener = Listener(world.reactor, self.sock.sock, self._take, descriptors)
        del world.kernel.calls[:]

    def _take(self, sock: Any, _client: Any) -> None:
        if self.raises:
            raise RuntimeError("a bug")
        self.taken.append(sock)

    def callers(self, count: int) -> None:
        """Let so many connect."""
        for _ in range(count):
            accepted, far = self.world.kernel.pair()
            self.sock.waiting.append(accepted)
            far.outside = True

    @property
    def accepts(self) -> int:
        """Calls of accept so far."""
        return sum(name == "accept" for name, _ in self.world.kernel.calls)

    @property
    def watched(self) -> bool:
        return self.sock.fd in self.world.kernel.interest or self.sock.fd in self.world.clock.readers

    def close(self, errors: int = 0) -> None:
        self.listener.close()
        self.world.reactor.settle()
        for sock in list(self.world.kernel.table.values()):
            sock.close()
        self.world.advance(PAUSE * 3)
        assert self.world.clock.timers == []
        self.world.assert_clean(errors)


@pytest.fixture(params=MODELS)
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(model=request.param)
    monkeypatch.setattr(listen_file, "SocketType", world.kernel.socket)
    monkeypatch.setattr(listen_file, "os", Numbers(world))
    return world


def test_one_connection_is_accepted_for_each_event(world: World) -> None:
    port = Port(world)
    port.callers(5)
    for count in range(1, 6):
        world.turn()
        assert len(port.taken) == count
    assert not world.turn()
    assert port.accepts == 5
    port.close()


@pytest.mark.parametrize("code", EXHAUSTED)
def test_at_the_limit_it_is_unregistered_and_comes_back_by_a_timer(world: World, code: int) -> None:
    port = Port(world)
    world.kernel.faults["accept"] = [code]
    port.callers(3)
    world.run()
    assert port.accepts == 1
    assert not port.watched, "level-triggered readiness would spin"
    world.advance(PAUSE * 0.9)
    assert port.accepts == 1
    world.advance(PAUSE * 0.2)
    assert len(port.taken) == 3
    assert PAUSE < 1, "it recovers within a second"
    port.close()


def test_a_pause_costs_a_few_calls_a_second_and_one_complaint_in_ten(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    port = Port(world)
    world.kernel.faults["accept"] = [errno.EMFILE] * 10_000
    port.callers(1)
    world.advance(COMPLAINT_INTERVAL * 3 - PAUSE)
    assert port.accepts <= COMPLAINT_INTERVAL * 3 / PAUSE
    assert caplog.text.count("cannot accept") == 3
    assert "nofile" in caplog.text, "it says what to do"
    world.kernel.faults["accept"].clear()
    world.advance(1.0)
    assert len(port.taken) == 1
    port.close()


def test_near_the_limit_it_stops_while_descriptors_are_left_for_the_far_ends(world: World) -> None:
    descriptors = FIRST_FD + 20 + RESERVE_MOST
    port = Port(world, descriptors)
    port.callers(40)  # their numbers reach the ceiling, which is so far below the limit
    world.run()
    assert 0 < len(port.taken) < 40
    assert max(sock.fd for sock in port.taken) >= FIRST_FD + 20
    taken = len(port.taken)
    world.advance(5.0)
    assert len(port.taken) == taken, "nothing was given back"
    assert not port.watched
    for sock in list(world.kernel.table.values()):
        if sock.outside or sock in port.taken:
            sock.close()
    world.advance(1.0)
    assert len(port.taken) > taken
    port.close()


def test_no_number_to_be_had_is_full(world: World) -> None:
    port = Port(world)
    world.kernel.faults["accept"] = [errno.EMFILE]
    world.kernel.faults["dup"] = [errno.EMFILE] * 3
    port.callers(1)
    world.advance(PAUSE * 3.5)
    assert port.taken == []
    world.advance(PAUSE)
    assert len(port.taken) == 1
    port.close()


@pytest.mark.parametrize("code", [errno.ECONNABORTED, errno.EINTR, errno.EAGAIN])
def test_a_connection_that_is_gone_again_is_nothing(world: World, code: int) -> None:
    port = Port(world)
    world.kernel.faults["accept"] = [code]
    port.callers(2)
    world.run()
    assert len(port.taken) == 2
    port.close()


@pytest.mark.parametrize("code", [errno.EPERM, errno.EPROTO, errno.EIO])
def test_an_error_that_nobody_expected_is_counted_and_survived(world: World, code: int) -> None:
    port = Port(world)
    world.kernel.faults["accept"] = [code]
    port.callers(2)
    world.run()
    assert port.taken == []
    world.advance(PAUSE * 1.5)
    assert len(port.taken) == 2
    port.close(errors=1)


def test_a_taker_that_raises_costs_its_connection_and_not_the_listener(world: World) -> None:
    port = Port(world)
    port.raises = True
    port.callers(1)
    (accepted,) = port.sock.waiting
    world.run()
    assert accepted.fd < 0, "nobody else would close it"
    port.raises = False
    port.callers(2)
    world.advance(PAUSE * 1.5)
    assert len(port.taken) == 2
    port.close(errors=1)


def test_a_listener_that_is_closed_in_its_pause_stays_closed(world: World) -> None:
    port = Port(world)
    world.kernel.faults["accept"] = [errno.EMFILE]
    port.callers(1)
    world.run()
    port.listener.close()
    world.advance(PAUSE * 3)
    assert port.taken == []
    port.close()


def test_a_number_that_was_a_paused_listener_s_is_not_watched_for_it(world: World) -> None:
    port = Port(world)
    world.kernel.faults["accept"] = [errno.EMFILE]
    port.callers(1)
    world.run()
    number = port.sock.fd
    port.listener.close()
    world.reactor.settle()
    one, far = world.kernel.pair()
    assert number in (one.fd, far.fd)
    far.send(b"!")
    world.advance(PAUSE * 3)
    assert not world.kernel.interest
    assert not world.clock.readers
    port.close()


def test_a_listener_tells_where_it_listens(world: World) -> None:
    port = Port(world)
    assert (port.listener.address.host, port.listener.address.port) == ("127.0.0.1", port.sock.fd)
    port.close()
