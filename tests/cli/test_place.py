"""Where this machine is, and which port is free."""

from __future__ import annotations

import socket

import pytest

from shadesocks.cli import place


def test_the_default_address_is_one_of_this_machine() -> None:
    host = place.default_address()
    if host is None:
        pytest.skip("this machine has no default route")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))


def test_without_a_route_there_is_no_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nowhere(socket.socket):
        def connect(self, address: object) -> None:
            raise OSError(101, "Network is unreachable")

    monkeypatch.setattr("shadesocks.cli.place.socket.socket", Nowhere)
    assert place.default_address() is None


def test_a_free_port_is_free_for_both_and_in_the_range() -> None:
    port = place.free_port()
    assert 10000 <= port <= 32767
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            probe.bind(("0.0.0.0", port))


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_port_taken_for_one_is_not_free(kind: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("0.0.0.0", 0))
        port = taken.getsockname()[1]
        monkeypatch.setattr("shadesocks.cli.place.random.sample", lambda _ports, _count: [port])
        with pytest.raises(OSError, match="is free"):
            place.free_port()


@pytest.mark.parametrize(("host", "every"), [("::", True), ("0.0.0.0", True), ("192.0.2.1", False), ("::1", False)])
def test_what_means_every_address(host: str, every: bool) -> None:
    assert place.is_wildcard(host) == every
    assert place.is_wildcard(place.wildcard())


def test_a_system_without_ipv6_listens_on_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    class Old(socket.socket):
        def __init__(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM, *more: int) -> None:
            if family == socket.AF_INET6:
                raise OSError(97, "Address family not supported by protocol")
            super().__init__(family, kind, *more)

    monkeypatch.setattr("shadesocks.cli.place.socket.socket", Old)
    assert place.wildcard() == "0.0.0.0"
    assert place.free_port() in place.PORTS
