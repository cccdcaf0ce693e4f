"""Connecting on the simulated kernel: what is watched when, what decides, and each fault that a system may answer with.

`test_connect.py` connects over the system's own sockets.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import weakref
from socket import IPPROTO_TCP, TCP_NODELAY

import pytest

from shadesocks.core.errors import DialError
from shadesocks.net import options as options_file
from shadesocks.net.options import TcpOptions

from .dials import DELAY, FAR, FIRST, LOCAL, OTHER, PORT, Dial, Names, Only, at_once, dialling_world, host, later
from .kernel import FakeSocket
from .world import World

__all__ = ["dialling_world"]

# -- rule 6: what is watched, and what decides -----------------------------------------------------


def test_a_socket_is_watched_after_its_connect_began_and_not_before(world: World) -> None:
    """Before, it reports that it is writable and hung up."""
    watched_then: list[bool] = []

    def act(sock: FakeSocket) -> int:
        watched_then.append(sock.fd in world.kernel.interest or sock.fd in world.clock.writers)
        return errno.EINPROGRESS

    came = host(world, FAR, act)
    dial = Dial(world, Names(world, FAR))
    assert watched_then == [False]
    world.run()
    assert dial.goes_on
    came[0].decide()
    world.run()
    assert dial.end is not None
    dial.close()


def test_a_connect_has_succeeded_when_so_error_says_so(world: World) -> None:
    came = host(world, FAR, later)
    dial = Dial(world, Names(world, FAR))
    world.run()
    came[0].decide(errno.ECONNREFUSED)  # readable, writable, hung up, all at once
    world.run()
    assert dial.code == "refused"
    assert came[0].fd < 0
    dial.close()


def test_a_connect_that_stands_at_once_waits_for_nothing(world: World) -> None:
    host(world, FAR, at_once)
    dial = Dial(world, Names(world, FAR))
    assert dial.end is not None
    assert ("watch", dial.end.fd) not in world.kernel.calls
    dial.close()


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (errno.ECONNREFUSED, "refused"),
        (errno.ENETUNREACH, "unreachable"),
        (errno.EADDRNOTAVAIL, "unreachable"),
        (errno.EHOSTUNREACH, "host_unreachable"),
        (errno.ECONNRESET, "host_unreachable"),
        (errno.ETIMEDOUT, "dial_timeout"),
        (errno.EACCES, "denied"),
        (errno.EPERM, "denied"),
    ],
)
@pytest.mark.parametrize("first", [b"", FIRST])
@pytest.mark.parametrize("when", ["at once", "later"])
def test_whatever_a_connect_fails_with_has_a_word_and_leaves_nothing(
    world: World, code: int, word: str, first: bytes, when: str
) -> None:
    came = host(world, FAR, later if when == "later" else lambda _sock: code)
    dial = Dial(world, Names(world, FAR), first)
    if when == "later":
        world.run()
        came[0].decide(code)
    world.run()
    assert dial.code == word
    dial.close()


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_no_socket_to_be_had_is_an_error_of_the_dial(world: World, code: int) -> None:
    world.kernel.faults["socket"] = [code]
    dial = Dial(world, Names(world, FAR))
    assert isinstance(dial.error, DialError)
    dial.close()


# -- several addresses -----------------------------------------------------------------------------


def test_addresses_are_tried_in_turn(world: World) -> None:
    tried = host(world, FAR, later), host(world, OTHER, later)
    dial = Dial(world, Names(world, FAR, OTHER), FIRST)
    world.run()
    assert [len(came) for came in tried] == [1, 0]
    tried[0][0].decide(errno.ECONNREFUSED)
    world.run()
    assert [len(came) for came in tried] == [1, 1]
    far = tried[1][0].decide()
    assert far is not None
    world.run()
    assert dial.end is not None
    assert dial.end.fd == tried[1][0].fd
    assert far.arrived == FIRST
    dial.close()


def test_the_error_is_the_last_address_s(world: World) -> None:
    host(world, FAR, lambda _sock: errno.ECONNREFUSED)
    host(world, OTHER, lambda _sock: errno.ENETUNREACH)
    dial = Dial(world, Names(world, FAR, OTHER))
    assert dial.code == "unreachable"
    dial.close()


def test_no_address_is_denied(world: World) -> None:
    dial = Dial(world, Names(world))
    assert dial.code == "denied"
    dial.close()


# -- who may be dialled ----------------------------------------------------------------------------


def test_the_address_that_is_judged_is_the_one_that_is_connected_to(world: World) -> None:
    came = host(world, FAR, at_once), host(world, OTHER, at_once)
    judge = Only(OTHER)
    dial = Dial(world, Names(world, FAR, OTHER), judge=judge)
    assert judge.asked == [(FAR, PORT), (OTHER, PORT)]
    assert [len(sockets) for sockets in came] == [0, 1]
    dial.close()


def test_where_every_address_is_refused_nothing_is_dialled(world: World) -> None:
    dial = Dial(world, Names(world, FAR, OTHER), judge=Only())
    assert dial.code == "denied"
    assert "reserved" in str(dial.error)
    assert world.kernel.calls == []
    dial.close()


# -- names -----------------------------------------------------------------------------------------


def test_a_name_that_is_looked_up_is_waited_for(world: World) -> None:
    host(world, FAR, at_once)
    names = Names(world, FAR)
    names.known = False
    dial = Dial(world, names)
    world.run()
    assert dial.goes_on
    names.future.set_result(names.found)
    world.run()
    assert dial.end is not None
    dial.close()


def test_a_name_that_is_not_found_failed_to_resolve_and_not_to_dial(world: World) -> None:
    names = Names(world)
    names.known = False
    dial = Dial(world, names)
    names.future.set_exception(DialError("no_name"))
    world.run()
    assert dial.code == "no_name"
    assert isinstance(dial.error, DialError)
    assert dial.error.stage == "resolve"
    dial.close()


# -- the first payload -----------------------------------------------------------------------------


def test_the_first_payload_leaves_with_the_connect(world: World) -> None:
    came = host(world, FAR, later)
    dial = Dial(world, Names(world, FAR), FIRST)
    world.run()
    far = came[0].decide()
    world.run()
    assert far is not None
    assert far.arrived == FIRST
    assert dial.end is not None
    assert dial.end.tail == b""
    calls = [name for name, fd in world.kernel.calls if fd == dial.end.fd and name != "watch"]
    assert calls == ["connect", "send"], "the send says that the connect succeeded: nothing else is asked"
    dial.close()


def test_what_the_socket_does_not_take_of_it_is_the_end_s_tail(world: World) -> None:
    def act(sock: FakeSocket) -> int:
        sock.room = 5
        far = sock.decide()
        assert far is not None
        far.arrival_room = 0
        return 0

    host(world, FAR, act)
    dial = Dial(world, Names(world, FAR), FIRST)
    assert dial.end is not None
    assert dial.end.tail == FIRST[5:]
    dial.close()


def test_on_loopback_it_is_sent_without_waiting(world: World) -> None:
    def act(sock: FakeSocket) -> int:
        sock.decide()
        return errno.EINPROGRESS  # what Linux says, though the handshake is over

    came = host(world, LOCAL, act)
    dial = Dial(world, Names(world, LOCAL), FIRST)
    assert dial.end is not None
    assert came[0].other is not None
    assert came[0].other.arrived == FIRST
    dial.close()


@pytest.mark.parametrize(
    "says",
    [
        pytest.param(errno.EAGAIN, id="Linux"),
        pytest.param(errno.ENOTCONN, id="BSD"),
    ],
)
def test_on_loopback_it_waits_where_the_handshake_is_not_over(world: World, says: int) -> None:
    """A full queue of the listener, say. What `send` answers while a socket connects is the system's to choose."""

    def act(sock: FakeSocket) -> int:
        sock.refuses_when_connecting = says
        return errno.EINPROGRESS

    came = host(world, LOCAL, act)
    dial = Dial(world, Names(world, LOCAL), FIRST)
    world.run()
    assert dial.goes_on
    came[0].decide()
    world.run()
    assert dial.end is not None
    assert dial.end.tail == FIRST
    dial.close()


@pytest.mark.parametrize("code", [errno.ECONNRESET, errno.EPIPE, errno.ECONNREFUSED])
def test_a_first_payload_that_cannot_be_sent_goes_to_the_next_address(world: World, code: int) -> None:
    came = host(world, FAR, at_once), host(world, OTHER, at_once)
    world.kernel.faults["send"] = [code]
    dial = Dial(world, Names(world, FAR, OTHER), FIRST)
    assert dial.end is not None
    assert dial.end.fd == came[1][0].fd
    assert came[1][0].other is not None
    assert came[1][0].other.arrived == FIRST
    world.reactor.settle()
    assert came[0][0].fd < 0
    dial.close()


# -- deadlines and ends ----------------------------------------------------------------------------


def test_a_connect_that_comes_in_time_leaves_no_deadline(world: World) -> None:
    came = host(world, FAR, later)
    dial = Dial(world, Names(world, FAR))
    world.advance(DELAY * 0.9)
    came[0].decide()
    world.advance(DELAY)
    assert dial.end is not None
    assert len(world.reactor.lane(DELAY)) == 0
    dial.close()


def test_a_dial_that_is_aborted_closes_its_socket(world: World) -> None:
    came = host(world, FAR, later)
    dial = Dial(world, Names(world, FAR))
    world.run()
    dial.story.abort()
    world.reactor.settle()
    assert came[0].fd < 0
    assert isinstance(dial.error, asyncio.CancelledError)
    assert len(world.reactor.lane(DELAY)) == 0
    dial.close()


def test_a_socket_that_cannot_be_watched_is_closed() -> None:
    world = World()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(options_file, "SocketType", world.kernel.socket)
        came = host(world, FAR, later)
        world.kernel.faults["watch"] = [errno.ENOSPC]
        dial = Dial(world, Names(world, FAR))
        world.run()
        assert isinstance(dial.error, OSError)
        world.reactor.settle()
        assert came[0].fd < 0
        dial.close()


def test_no_delay_is_set_where_it_is_asked_for_and_costs_nothing_elsewhere(world: World) -> None:
    came = host(world, FAR, at_once)
    for no_delay in (False, True):
        Dial(world, Names(world, FAR), options=TcpOptions(no_delay=no_delay)).close()
    assert [sock.options for sock in came] == [[], [(IPPROTO_TCP, TCP_NODELAY, 1)]]


def test_a_dial_that_failed_leaves_no_reference_cycle(world: World) -> None:
    gc.collect()
    gc.disable()
    try:
        host(world, FAR, lambda _sock: errno.ECONNREFUSED)
        dial = Dial(world, Names(world, FAR))
        assert dial.error is not None
        error = weakref.ref(dial.error)
        dial.error = None
        assert error() is None, "an error that is held by its own traceback waits for the garbage collector"
        dial.close()
    finally:
        gc.enable()
