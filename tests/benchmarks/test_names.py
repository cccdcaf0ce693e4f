"""A small run of our own server: every row is there, and means what it says."""

from __future__ import annotations

import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import names
from benchmarks.figures import METRICS, Results, Row
from benchmarks.names import CACHED, DEAD, MANY, METHOD, NAME_WORKS, UNCACHED
from benchmarks.plan import QUICK
from benchmarks.process import BenchError, Cores, Server, TargetProcess
from benchmarks.systems import OURS, Found, find
from benchmarks.wire import METHODS, make_account
from benchmarks.works import Bench

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the bench runs on Linux")


@pytest.fixture
def ours() -> Found:
    systems, missing = find([OURS])
    if not systems:
        pytest.skip(missing[OURS])
    return systems[0]


def run(directory: Path, systems: list[Found], works: list[str], method: str = METHOD, turn: int = 0) -> Results:
    plan = replace(QUICK, connections=80)
    bench = Bench(plan, systems, [METHOD], works, directory, Cores(None, None), lambda _text: None)
    names.NameWorks(bench).measure(turn, method)
    return bench.results


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for what, value in (("AFTERMATH", 0.0), ("WARM_CONNECTIONS", 4), ("HANGING", 5), ("HOLD_SETTLE", 0.1)):
        monkeypatch.setattr(names, what, value)


def test_every_row_of_names_that_are_answered(tmp_path: Path, ours: Found) -> None:
    results = run(tmp_path, [ours], [CACHED, UNCACHED, MANY])
    assert not results.failures
    cases = {(row.work, row.case) for row in results.samples}
    assert cases == {
        (CACHED, "an address, 16 at once"),
        (CACHED, "an address, one at a time"),
        (CACHED, "a name, 16 at once"),
        (CACHED, "a name, one at a time"),
        (UNCACHED, "a name, 16 at once"),
        (UNCACHED, "a name, one at a time"),
        (MANY, "160 names, 256 at once"),
    }
    assert {row.metric for row in results.samples} == {"cpu", "connections", "p50", "p99"} <= METRICS.keys()
    assert all(values[OURS][0] > 0 for values in results.samples.values())
    slow = results.samples[Row(MANY, "160 names, 256 at once", "p50", METHOD)][OURS][0]
    known = results.samples[Row(CACHED, "a name, one at a time", "p50", METHOD)][OURS][0]
    assert slow >= 0.05
    assert known < slow


@pytest.mark.parametrize("turn", [0, 1])
def test_look_ups_that_hang_are_compared_with_none(tmp_path: Path, ours: Found, turn: int) -> None:
    results = run(tmp_path, [ours], [DEAD], turn=turn)
    assert not results.failures

    def value(case: str, metric: str) -> float:
        return results.samples[Row(DEAD, case, metric, METHOD)][OURS][turn]

    assert value("5 look-ups hang", "p99_growth") == value("5 look-ups hang", "p99") / value("no look-ups hang", "p99")
    assert value("5 look-ups hang", "p50") <= value("5 look-ups hang", "p99")
    assert len(results.samples) == 6


def test_look_ups_that_do_not_hang_fail_the_sample(tmp_path: Path, ours: Found) -> None:
    account = make_account(METHODS[METHOD])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        nobody = sock.getsockname()[1]  # asked when the socket is closed: refused at once

    def launch(port: int) -> Any:
        return ours.launch_names(tmp_path, port, account, nobody)

    with (
        Server(ours, account, tmp_path, Cores(None, None), launch) as server,
        TargetProcess(2) as target,
        pytest.raises(BenchError, match="5 of 5 look-ups were over"),
    ):
        names.beside_hanging(server, target, 5, 0.1)


def test_nothing_is_measured_in_other_methods_or_when_nothing_of_it_is_asked_for(tmp_path: Path, ours: Found) -> None:
    assert not run(tmp_path, [ours], list(NAME_WORKS), method="aes-256-gcm").samples
    assert not run(tmp_path, [ours], ["short"]).samples


def test_a_system_without_name_servers_is_left_out(tmp_path: Path, ours: Found) -> None:
    other = replace(ours, system=replace(ours.system, launch_names=None))
    results = run(tmp_path, [other], list(NAME_WORKS))
    assert not results.samples
    assert not results.failures
