"""The sockets of all workers: who has which, what is bound and dropped, and what cannot be had."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from socket import SOCK_DGRAM, SOCK_STREAM, SocketType

import pytest

from shadesocks.config.model import METRICS_PORT, Config, Mode, ServerConfig
from shadesocks.core.address import Address
from shadesocks.core.errors import ConfigError
from shadesocks.core.secret import Secret
from shadesocks.crypto.methods import METHODS
from shadesocks.process.slots import Slots
from shadesocks.service.given import GivenSockets, duplicate
from tests.peers import free_port

HOST = "127.0.0.1"


def server(port: int, mode: Mode = Mode.TCP_AND_UDP) -> ServerConfig:
    return ServerConfig(Address(HOST, port), METHODS["aes-128-gcm"], Secret("a password"), mode=mode)


def config(*servers: ServerConfig) -> Config:
    return Config(servers=servers, workers=3)


@pytest.fixture
def slots() -> Iterator[Slots]:
    made = Slots(3, GivenSockets())
    yield made
    made.close()


def kinds(sockets: list[SocketType]) -> list[int]:
    return sorted(sock.type for sock in sockets)


def test_each_worker_has_sockets_of_its_own(slots: Slots) -> None:
    port = free_port()
    wanted = config(server(port))
    assert slots.bind(wanted) == (wanted, [])
    each = [slots.of(number) for number in range(3)]
    assert [kinds(sockets) for sockets in each] == [[SOCK_STREAM, SOCK_DGRAM]] * 3
    assert {sock.getsockname() for sockets in each for sock in sockets} == {(HOST, port)}
    assert len({sock.fileno() for sockets in each for sock in sockets}) == 6
    assert all(slots.config_of(number, wanted) == wanted for number in range(3))


def test_what_cannot_be_bound_is_told_and_left_out(slots: Slots) -> None:
    with socket.create_server((HOST, 0)) as taken:
        good, bad = server(free_port()), server(taken.getsockname()[1])
        bound, problems = slots.bind(config(good, bad))
    assert bound.servers == (good,)
    assert ["another instance, has that port" in problem.text for problem in problems] == [True]
    assert {address.port for _, address in slots.keys} == {good.address.port}, "nothing is left of the other"


def test_a_port_that_was_given_for_another_address_is_no_other_programs() -> None:
    given = socket.create_server((HOST, 0))
    port = given.getsockname()[1]
    made = Slots(3, GivenSockets([given]))
    _, problems = made.bind(config(replace(server(port), address=Address("0.0.0.0", port))))
    assert [f"TCP {HOST}:{port}, which this process was given" in problem.text for problem in problems] == [True]
    made.close()


def test_another_s_shared_port_is_not_taken(slots: Slots) -> None:
    """Sockets that share ports would join those of a first instance without a word."""
    wanted = config(server(free_port()))
    slots.bind(wanted)
    other = Slots(3, GivenSockets())
    assert len(other.bind(wanted)[1]) == 1
    both = replace(wanted, reuse_port=True)
    assert not other.bind(both)[1], "unless it is wanted"
    other.close()


def test_a_reload_binds_what_is_new_and_drops_what_is_gone(slots: Slots) -> None:
    first, second = server(free_port()), server(free_port(), Mode.TCP_ONLY)
    slots.bind(config(first))
    kept = slots.of(1)
    before = slots.keys
    slots.bind(config(first, second))
    assert slots.of(1)[:2] == kept
    assert [sock.getsockname()[1] for sock in slots.added(before, 1)] == [second.address.port]
    slots.drop(config(second))
    assert [sock.getsockname()[1] for sock in slots.of(1)] == [second.address.port]
    assert all(sock.fileno() < 0 for sock in kept)


@pytest.mark.parametrize("given", [False, True])
def test_one_socket_for_all_where_they_cannot_have_their_own(given: bool) -> None:
    port = free_port()
    sockets = GivenSockets()
    if given:
        streams, packets = socket.create_server((HOST, port)), socket.socket(type=SOCK_DGRAM)
        packets.bind((HOST, port))
        sockets = GivenSockets([SocketType(fileno=sock.detach()) for sock in (streams, packets)])
    slots = Slots(3, sockets, own=given)
    wanted = config(server(port), server(free_port(), Mode.UDP_ONLY) if not given else server(free_port()))
    assert not slots.bind(wanted)[1]
    first, second = slots.of(0), slots.of(1)
    one = [sock for sock in first if sock.getsockname()[1] == port]
    other = [sock for sock in second if sock.getsockname()[1] == port]
    assert kinds(one) == [SOCK_STREAM, SOCK_DGRAM]
    assert kinds(other) == [SOCK_STREAM], "datagrams would come to any of them"
    assert slots.config_of(0, wanted) == wanted
    left = slots.config_of(1, wanted).servers
    assert left[0].mode is Mode.TCP_ONLY
    assert len(left) == (2 if given else 1), "a port of datagrams alone is the first worker's"
    slots.close()


def test_a_worker_keeps_its_own_and_closes_the_others(slots: Slots) -> None:
    slots.bind(config(server(free_port())))
    others = slots.of(0) + slots.of(2)
    own = slots.keep(1)
    assert kinds(own) == [SOCK_STREAM, SOCK_DGRAM]
    assert all(sock.fileno() >= 0 for sock in own)
    assert all(sock.fileno() < 0 for sock in others)
    for sock in own:
        sock.close()


def test_names_are_looked_up(slots: Slots) -> None:
    port = free_port()
    named = replace(server(port), address=Address("localhost", port))
    assert not slots.bind(config(named))[1]
    assert {sock.getsockname()[1] for sock in slots.of(0)} == {port}


def test_each_worker_has_a_page_of_counters_of_its_own(slots: Slots) -> None:
    config = Config(metrics=Address(HOST, 9000))
    assert [slots.config_of(slot, config).metrics for slot in range(2)] == [Address(HOST, 9000), Address(HOST, 9001)]
    unsaid = Config(metrics=Address(HOST, 0))
    assert slots.config_of(1, unsaid).metrics == Address(HOST, METRICS_PORT + 1)
    assert slots.config_of(1, Config()).metrics is None


def _close(sockets: list[SocketType]) -> None:
    for sock in sockets:
        sock.close()


def test_a_port_that_workers_are_about_to_leave_is_waited_for() -> None:
    """As where one reload drops a port, and the next one wants it again before all of them had their turn."""
    slots = Slots(2, GivenSockets(), own=True)
    wanted = Config(servers=(server(free_port()),))
    try:
        assert slots.bind(wanted)[1] == []
        held = [duplicate(sock) for sock in slots.of(1)]
        slots.drop(Config())
        leaving = threading.Timer(0.2, _close, (held,))
        leaving.start()
        assert slots.bind(wanted)[1] == []
        leaving.join()
        assert all(sock.fileno() < 0 for sock in held)
    finally:
        slots.close()


def test_the_first_worker_has_the_manager_s_socket_and_its_file_goes_with_the_master(
    slots: Slots, tmp_path: Path
) -> None:
    path = tmp_path / "m"
    slots.bind_manager(str(path))
    assert slots.manager is not None
    pid = os.fork()
    if not pid:
        slots.keep(1)
        os._exit(0 if slots.manager.fileno() < 0 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    slots.keep(0)
    assert slots.manager.fileno() >= 0
    assert path.is_socket()
    slots.close()
    assert not path.exists()
    slots.bind_manager(f"{HOST}:0")
    with pytest.raises(ConfigError, match="manager_listen"):
        Slots(2, GivenSockets()).bind_manager(f"{HOST}:{slots.manager.getsockname()[1]}")
