"""Signals as bytes; what a fork has of them. They are raised in this thread, for another one would take them else."""

from __future__ import annotations

import selectors
import signal
import subprocess
import sys

from shadesocks.process.signals import REREADS, STOPS, Signals


def test_they_come_as_bytes_and_go_back_to_whose_they_were() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: heard.append(number))
    try:
        signals = Signals()
        with selectors.DefaultSelector() as selector, signals.taken():
            selector.register(signals, selectors.EVENT_READ)
            assert selector.select(0) == []
            signal.raise_signal(signal.SIGUSR1)
            signal.raise_signal(signal.SIGHUP)
            assert len(selector.select(10)) == 1
            assert sorted(signals.read()) == sorted(REREADS)
        assert heard == []
        signal.raise_signal(signal.SIGUSR1)
        assert heard == [signal.SIGUSR1]
        assert signals.fileno() < 0
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_none_comes_while_they_are_held() -> None:
    signals = Signals()
    with selectors.DefaultSelector() as selector, signals.taken():
        selector.register(signals, selectors.EVENT_READ)
        signals.hold()
        try:
            signal.raise_signal(STOPS[0])
            assert selector.select(0) == []
        finally:
            signals.release()
        assert len(selector.select(10)) == 1
        assert [*signals.read()] == [STOPS[0]]


FORK = """
import os, signal
from shadesocks.process.signals import Signals

signals = Signals()
reading, writing = os.pipe()
with signals.taken():
    signals.hold()
    pid = os.fork()
    if not pid:
        signals.leave()
        signals.release()
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGHUP)
        os.write(writing, b"on")
        signal.pause()
    signals.release()
    assert os.read(reading, 2) == b"on"
    os.kill(pid, signal.SIGTERM)
    _, status = os.waitpid(pid, 0)
    print(-os.waitstatus_to_exitcode(status), *signals.read())
"""


def test_a_fork_leaves_to_its_master_what_all_get_and_ends_by_what_it_gets() -> None:
    told = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=60, check=False)
    assert told.stdout.split() == [str(int(signal.SIGTERM)), str(int(signal.SIGCHLD))], told.stderr
