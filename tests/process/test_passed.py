"""Deltas of workers, and what their master makes of them."""

from __future__ import annotations

import math
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadesocks.config.model import Config
from shadesocks.core.errors import ConfigError
from shadesocks.process.passed import Deltas, Sums

HOST = "127.0.0.1"


@pytest.fixture
def manager() -> Iterator[socket.socket]:
    """Somebody who wants to be told."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((HOST, 0))
        sock.settimeout(10)
        yield sock


def config_of(manager: socket.socket, dialect: str = "libev") -> Config:
    return Config(manager_address=f"{HOST}:{manager.getsockname()[1]}", manager_dialect=dialect)


@given(st.lists(st.tuples(st.dictionaries(st.integers(1, 4), st.integers(0, 1 << 50)), st.integers(0, 5)), max_size=20))
def test_whatever_does_not_fit_into_the_line_is_told_later(steps: list[tuple[dict[int, int], int]]) -> None:
    passed: dict[int, int] = {}
    sums = Sums(Config())
    room = 0

    def send(number: int) -> bool:
        nonlocal room
        room -= 1
        if room >= 0:
            sums.add(number)
        return room >= 0

    deltas = Deltas(send)
    for more, room in steps:  # noqa: B007 - `send` counts it down
        for port, size in more.items():
            passed[port] = passed.get(port, 0) + size
        deltas.tell(passed)
        assert all(sums._sizes[port] <= size for port, size in passed.items())
    for _ in range(20 * len(steps)):  # a message has 48 bits
        room = 10
        deltas.tell(passed)
    assert {port: size for port, size in sums._sizes.items() if size} == {
        port: size for port, size in passed.items() if size
    }


def test_no_port_waits_for_ever_behind_others() -> None:
    heard: list[int] = []
    room = 1

    def send(number: int) -> bool:
        nonlocal room
        room -= 1
        if room >= 0:
            heard.append(number >> 48)
        return room >= 0

    deltas = Deltas(send)
    for second in range(1, 7):
        room = 1
        deltas.tell({1: second, 2: second, 3: second})
    assert heard == [1, 2, 3, 1, 2, 3]


def test_the_sums_of_all_workers_are_told_every_few_seconds(manager: socket.socket) -> None:
    sums = Sums(config_of(manager))

    def send(number: int) -> bool:
        sums.add(number)
        return True

    for deltas in (Deltas(send), Deltas(send)):
        deltas.tell({8388: 100})
    sums.tell(Config(), 1000.0)
    assert manager.recv(100) == b'stat: {"8388":200}\0'
    assert sums.due_at == 1005.0
    sums.add(8388 << 48 | 1)
    sums.tell(Config(), 1004.9)
    sums.tell(Config(), math.inf)
    assert manager.recv(100) == b'stat: {"8388":201}\0'
    sums.close()


def test_nobody_is_told_where_nobody_is_named() -> None:
    sums = Sums(Config())
    assert sums.due_at == math.inf
    sums.tell(Config(), 1e9)
    sums.close()


def test_who_cannot_be_found_is_an_error_at_start() -> None:
    with pytest.raises(ConfigError) as caught:
        Sums(Config(manager_address="nowhere.invalid:1"))
    assert caught.value.problems[0].key == "manager_address"
