"""The load and the target of UDP, with a small server between that loses, lies or keeps silent."""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

if not sys.platform.startswith("linux"):
    pytest.skip("the bench runs on Linux", allow_module_level=True)

from benchmarks import udp_load
from benchmarks.datagrams import open_socket
from benchmarks.process import BenchError, UdpTargetProcess
from benchmarks.udp_load import Batch, Client, Tally, check, prepare
from benchmarks.udp_target import ORDER
from benchmarks.udp_wire import ADDRESS, Endpoint, Session, make_sessions, pack_address, seal_under
from benchmarks.wire import METHODS, make_account

ACCOUNT = make_account(METHODS["aes-256-gcm"])
TARGET = ("127.0.0.1", 5353)


class Fake:
    """An echo behind a server; each `lose`-th is not answered, all with other bytes if it `lies`, or `twice`."""

    def __init__(self, lose: int = 0, lies: bool = False, twice: bool = False) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self._lose, self._lies, self._times = lose, lies, 2 if twice else 1
        self.sources: set[str] = set()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def address(self) -> Endpoint:
        host, port = self._sock.getsockname()
        return host, port

    def _run(self) -> None:
        opener, seen = Session(ACCOUNT), 0
        while True:
            data, sender = self._sock.recvfrom(65536)
            if not data:
                return
            seen += 1
            self.sources.add(sender[0])
            if self._lose and seen % self._lose == 0:
                continue
            target, payload = opener.open(data)
            plain = pack_address(target) + (payload[:-1] + b"!" if self._lies else payload)
            for _ in range(self._times):
                self._sock.sendto(seal_under(ACCOUNT, os.urandom(32), plain), sender)

    def __enter__(self) -> Fake:
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", self.address)
        self._thread.join(10)
        self._sock.close()


@pytest.fixture
def target() -> Iterator[UdpTargetProcess]:
    with UdpTargetProcess() as process:
        yield process


@pytest.mark.parametrize("window", [1, 16, 64])
def test_every_round_trip_is_counted(window: int) -> None:
    batch = Batch(ACCOUNT, make_sessions(ACCOUNT, 3), TARGET, 100, 300)
    with Fake() as fake, Client(fake.address) as client:
        tally = client.trips(batch, 0, 200, window) + client.trips(batch, 200, 100, window)
        assert fake.sources == {"127.1.0.1", "127.1.0.2", "127.1.0.3"}
    assert (tally.sent, tally.came, tally.lost) == (300, 300, 0)
    assert tally.seconds > 0


def test_a_rehearsal_opens_every_answer() -> None:
    sessions = make_sessions(ACCOUNT, 3)
    with Fake() as fake, Client(fake.address) as client:
        assert client.rehearse(Batch(ACCOUNT, sessions, TARGET, 100, 50), 50, 16) == 50
        batch = Batch(ACCOUNT, sessions, TARGET, 100, 30)
        assert client.rehearse(batch, 20, 16) == 20
        assert client.trips(batch, 20, 10, 5).came == 10  # the addresses are not asked for any more
    with Fake(lose=10) as fake, Client(fake.address) as client:
        assert client.rehearse(Batch(ACCOUNT, sessions, TARGET, 100, 20), 20, 16) == 18
    with Fake(twice=True) as fake, Client(fake.address) as client, pytest.raises(BenchError, match="twice"):
        client.rehearse(Batch(ACCOUNT, sessions, TARGET, 100, 20), 20, 16)
    with Fake(lies=True) as fake, Client(fake.address) as client, pytest.raises(BenchError, match="wrong answer"):
        client.rehearse(Batch(ACCOUNT, sessions, TARGET, 100, 20), 20, 16)


def test_an_answer_to_another_session_or_address_is_wrong() -> None:
    sessions = make_sessions(ACCOUNT, 2)
    batch = Batch(ACCOUNT, sessions, TARGET, 100, 2)
    answer = seal_under(ACCOUNT, bytes(32), pack_address(TARGET) + (1).to_bytes(8, "big") + bytes(92))
    assert batch.judge(answer, sessions[1].source) == 1
    with pytest.raises(BenchError, match="not to who sent it"):
        batch.judge(answer, sessions[0].source)


def test_every_loss_is_counted() -> None:
    batch = Batch(ACCOUNT, make_sessions(ACCOUNT, 1), TARGET, 100, 100)
    with Fake(lose=10) as fake, Client(fake.address) as client:
        tally = client.trips(batch, 0, 100, 16)
    assert (tally.sent, tally.came, tally.lost) == (100, 90, 10)
    assert tally.seconds < udp_load.PATIENCE  # what was waited for the lost ones is not time of trips


def test_a_silent_server_loses_everything() -> None:
    batch = Batch(ACCOUNT, make_sessions(ACCOUNT, 1), TARGET, 100, 20)
    with Fake(lose=1) as fake, Client(fake.address) as client:
        assert client.trips(batch, 0, 20, 16).lost == 20


def test_a_wrong_answer_is_seen() -> None:
    batch = Batch(ACCOUNT, make_sessions(ACCOUNT, 1), TARGET, 100, 20)
    with Fake(lies=True) as fake, Client(fake.address) as client, pytest.raises(BenchError, match="wrong answer"):
        client.trips(batch, 0, 20, 16)


def test_an_answer_from_another_target_is_wrong() -> None:
    batch = Batch(ACCOUNT, make_sessions(ACCOUNT, 1), TARGET, 100, 1)
    answer = seal_under(ACCOUNT, bytes(32), pack_address(("127.0.0.1", 1)) + bytes(100))
    with pytest.raises(BenchError, match="wrong answer"):
        batch.judge(answer)
    batch.judge(seal_under(ACCOUNT, bytes(32), pack_address(TARGET) + bytes(100)))
    assert len(answer) == batch.wanted == 32 + ADDRESS + 100 + 16


def test_the_check_passes_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp_load, "CHECK_TRIES", 2)
    with Fake() as fake:
        check(ACCOUNT, fake.address, TARGET)
    with Fake(lose=2) as fake:  # what is lost is asked for again
        check(ACCOUNT, fake.address, TARGET)
    with Fake(lies=True) as fake, pytest.raises(BenchError, match="a wrong answer"):
        check(ACCOUNT, fake.address, TARGET)
    with Fake(lose=1) as fake, pytest.raises(BenchError, match="no answer to 2 datagrams"):
        check(ACCOUNT, fake.address, TARGET)


def test_own_drops_are_no_loss() -> None:
    assert Tally(10, 7, 1.0, own_drops=2).lost == 1
    assert Tally(10, 12, 1.0).lost == 0


def test_the_echo_answers_each(target: UdpTargetProcess) -> None:
    with open_socket("127.0.0.1", 2.0) as sock:
        for word in (b"one", b"", b"three and more", bytes(1400)):
            sock.sendto(word, target.echo)
            assert sock.recvfrom(2000) == (word, target.echo)


def test_the_sink_counts_once(target: UdpTargetProcess) -> None:
    with open_socket("127.0.0.1", 2.0) as sock:
        for _ in range(150):
            sock.sendto(b"datagram", target.sink)
    assert target.taken() == (150, 0)
    assert target.taken() == (0, 0)


def test_the_source_sends_what_was_asked_for(target: UdpTargetProcess) -> None:
    prepare(target.source, 100, 50)
    with open_socket("127.0.0.1", 2.0) as sock:
        began = time.monotonic()
        sock.sendto(ORDER.pack(50, 100, 500), target.source)
        got = [sock.recv(2000) for _ in range(50)]
        took = time.monotonic() - began
    assert got == [struct.pack(">Q", number) + bytes(92) for number in range(50)]
    assert took > 0.08  # 50 at 500 a second: the last leaves after 98 ms
