"""What holds for every test: asyncio's debug mode, nothing of this machine's or the network's, and nothing left behind.

After each test no task, story, socket, descriptor or thread may be left. What is looked at is the process:
its descriptors in /proc/self/fd (where there is one), its threads, the loops that were run, the reactors made.
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from shadesocks.config.model import Config
from shadesocks.core.address import Address
from shadesocks.core.page import parse_page
from shadesocks.net.reactor import Reactor
from shadesocks.proxy.balance.prober import Prober

# Examples of `fast` keep the fuzzers near two seconds; `deep` takes minutes. No deadline: machines are shared.
settings.register_profile("fast", max_examples=60, deadline=None)
settings.register_profile(
    "deep", max_examples=5_000, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)

_reactors: weakref.WeakSet[Reactor] = weakref.WeakSet()
_left_tasks: list[str] = []
_probes_elsewhere: list[str] = []
_FDS = "/proc/self/fd"
_GRACE = 2.0
"""Seconds that a thread which was told to end may take to do so."""
_ARES = "_run_safe_shutdown_loop"
"""pycares has one thread in the process that takes down its channels."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--whole`: the long tables entire, where `make test` runs a sample of each."""
    parser.addoption("--whole", action="store_true", help="run the long tables entire, not a sample of each")


def pytest_configure(config: pytest.Config) -> None:
    """Take the profile `fast` unless the command line names another."""
    if config.getoption("--hypothesis-profile") is None:
        settings.load_profile("fast")


@pytest.fixture(autouse=True, scope="session")
def _state_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the state of services that name no place for it out of the home of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("STATE_DIRECTORY", raising=False)
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(autouse=True, scope="session")
def _watch_loops_and_reactors() -> Iterator[None]:
    """Run every loop in debug mode, note the tasks a loop still has when it closes, and remember every reactor."""
    patch = pytest.MonkeyPatch()
    make_loop, close_loop = asyncio.BaseEventLoop.__init__, asyncio.BaseEventLoop.close
    close_runner, make_reactor = asyncio.Runner.close, Reactor.__init__

    def look(loop: asyncio.AbstractEventLoop | None) -> None:
        if loop is not None and not loop.is_closed():
            _left_tasks.extend(repr(task) for task in asyncio.all_tasks(loop))

    def loop(self: asyncio.BaseEventLoop) -> None:
        make_loop(self)
        self.set_debug(True)

    def end_loop(self: asyncio.BaseEventLoop) -> None:
        look(self)
        close_loop(self)

    def end_runner(self: asyncio.Runner) -> None:
        look(getattr(self, "_loop", None))  # now: a runner cancels what is left before it closes its loop
        close_runner(self)

    def reactor(self: Reactor, *args: Any, **options: Any) -> None:
        make_reactor(self, *args, **options)
        _reactors.add(self)

    patch.setattr(asyncio.BaseEventLoop, "__init__", loop)
    patch.setattr(asyncio.BaseEventLoop, "close", end_loop)
    patch.setattr(asyncio.Runner, "close", end_runner)
    patch.setattr(Reactor, "__init__", reactor)
    yield
    patch.undo()


@pytest.fixture(autouse=True, scope="session")
def _sessions_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let what runs in this process have its control sockets apart from those of the person who tests."""
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
    yield
    patch.undo()


@pytest.fixture(autouse=True, scope="session")
def _nobody_elsewhere_is_probed() -> Iterator[None]:
    """Note who would probe by asking what is asked by default, which is somewhere on the network, and let nobody."""
    patch, wanted = pytest.MonkeyPatch(), Prober.wanted
    elsewhere = (parse_page(Config().balancer_probe_url), Address("8.8.8.8", 53).pack())

    def guarded(self: Prober) -> None:
        probes = [self._probes[transport] for _, transport in self._looks]
        asked = {getattr(probe, name, None) for probe in probes for name in ("_page", "_to")}
        if asked.isdisjoint(elsewhere):
            wanted(self)
        else:
            _probes_elsewhere.append("a client of several servers")

    patch.setattr(Prober, "wanted", guarded)
    yield
    patch.undo()


@pytest.fixture(autouse=True)
def _nothing_left(_watch_loops_and_reactors: None) -> Iterator[None]:
    """Fail the test that leaves something behind."""
    descriptors, threads = _descriptors(), set(threading.enumerate())
    _left_tasks.clear()
    _probes_elsewhere.clear()
    yield
    assert not _probes_elsewhere, "probes would have left this machine: name a balancer_probe_url and _dns, or a policy"
    assert not _left_tasks, f"tasks were left: {_left_tasks}"
    stories = [story for reactor in _reactors for story in reactor.stories]
    _reactors.clear()
    assert not stories, f"stories were left: {stories}"
    for thread in set(threading.enumerate()) - threads:
        if _ARES not in thread.name:
            thread.join(_GRACE)
    left = [thread for thread in threading.enumerate() if thread not in threads and _ARES not in thread.name]
    assert not left, f"threads were left: {left}"
    if opened := _descriptors().items() - descriptors.items():
        gc.collect()
        until = time.monotonic() + (_GRACE if any(_ARES in thread.name for thread in threading.enumerate()) else 0)
        while (opened := _descriptors().items() - descriptors.items()) and time.monotonic() < until:
            time.sleep(0.01)  # that thread tells nobody when it has closed a channel
        assert not opened, f"descriptors were left: {sorted(opened)}"


def _descriptors() -> dict[int, str]:
    """Return the open descriptors of this process and what they are; nothing where the system does not tell."""
    found = {}
    if os.path.isdir(_FDS):
        for name in os.listdir(_FDS):
            try:
                found[int(name)] = os.readlink(f"{_FDS}/{name}")
            except OSError:
                continue  # the listing's own descriptor
    return found
