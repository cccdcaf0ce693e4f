"""What a server tells a manager of others: in its form, to whoever is there."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from shadesocks.config.model import Config
from shadesocks.core.errors import ConfigError
from shadesocks.service.manager.report import make_reporter
from tests.peers import free_port

HOST = "127.0.0.1"


def heard(sock: socket.socket) -> dict[str, int]:
    """Return what is in a socket, all datagrams together."""
    sock.setblocking(False)
    found: dict[str, int] = {}
    while True:
        try:
            data = sock.recv(70_000)
        except BlockingIOError:
            return found
        found |= json.loads(data.decode().removeprefix("stat: ").rstrip("\0\n"))


@pytest.mark.parametrize(
    ("dialect", "seconds", "end"), [("libev", 5.0, b"\0"), ("rust", 10.0, b"\n"), ("python", 10.0, b"\n")]
)
def test_what_passed_is_told_by_port(dialect: str, seconds: float, end: bytes, tmp_path: Path) -> None:
    path = str(tmp_path / "manager")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        reporter = make_reporter(Config(manager_address=path, manager_dialect=dialect))
        assert reporter is not None
        assert reporter.interval == seconds
        reporter.tell({8388: 11370})
        assert manager.recv(100) == b'stat: {"8388":11370}' + end
        reporter.tell({})
        assert heard(manager) == {}
        reporter.close()


def test_a_manager_that_comes_later_is_told_then(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = str(tmp_path / "manager")
    reporter = make_reporter(Config(manager_address=path))
    assert reporter is not None
    for _ in range(3):
        reporter.tell({1: 5})
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        reporter.tell({1: 6})
        assert heard(manager) == {"1": 6}
    reporter.close()


def test_ports_that_did_not_fit_are_the_first_of_the_next_report(tmp_path: Path) -> None:
    """A Unix socket holds some ten or some hundred datagrams."""
    path, passed = str(tmp_path / "manager"), dict.fromkeys(range(1, 1001), 7)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        reporter = make_reporter(Config(manager_address=path, manager_dialect="libev"))
        assert reporter is not None
        found: dict[str, int] = {}
        reports = 0
        while len(found) < len(passed):
            reporter.tell(passed)
            before = len(found)
            found |= heard(manager)
            assert len(found) > before
            reports += 1
        assert reports > 1
        reporter.close()


def test_nobody_at_a_udp_port_harms_nothing() -> None:
    reporter = make_reporter(Config(manager_address=HOST, manager_port=free_port()))
    assert reporter is not None
    for _ in range(3):
        reporter.tell({1: 2, 3: 4})
    reporter.close()


def test_nobody_is_told_where_none_is_named() -> None:
    assert make_reporter(Config()) is None


@pytest.mark.parametrize("place", ["nowhere.invalid:6001", "{file}"])
def test_who_cannot_be_told_is_an_error_at_start(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError) as caught:
        make_reporter(Config(manager_address=place.format(file=tmp_path / "file")))
    assert caught.value.problems[0].key == "manager_address"
