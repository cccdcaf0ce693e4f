"""What all workers say, and what their master tells of it."""

from __future__ import annotations

import math
import socket
from collections.abc import Iterator

import pytest

from shadesocks.config.model import Config
from shadesocks.core.errors import ConfigError
from shadesocks.process.passed import Sums
from shadesocks.service.manager.tally import Share, Tally

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


def test_the_sums_of_all_workers_are_told_every_few_seconds(manager: socket.socket) -> None:
    tally = Tally(2)
    sums = Sums(config_of(manager), tally)
    first, second = Share(tally, 0), Share(tally, 1)
    for share in (first, second):
        share.tell({8388: 100})
    sums.tell(Config(), 1000.0)
    assert manager.recv(100) == b'stat: {"8388":200}\0'
    assert sums.due_at == 1005.0
    first.tell({8388: 101})
    sums.tell(Config(), 1004.9)
    sums.tell(Config(), math.inf)
    assert manager.recv(100) == b'stat: {"8388":201}\0'
    sums.close()
    tally.close()


def test_nobody_is_told_where_nobody_is_named() -> None:
    sums = Sums(Config(), None)
    assert sums.due_at == math.inf
    sums.tell(Config(), 1e9)
    sums.close()


def test_who_cannot_be_found_is_an_error_at_start() -> None:
    with pytest.raises(ConfigError) as caught:
        Sums(Config(manager_address="nowhere.invalid:1"), None)
    assert caught.value.problems[0].key == "manager_address"
