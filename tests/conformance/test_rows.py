"""The list is whole, each line of it is run by a test, and the table says what came of each."""

from __future__ import annotations

import pytest

from tests.ancestors import ANCESTORS

from . import test_conformance, test_daemon, test_graceful, test_modules, test_scripts, test_suites
from .__main__ import Table, belongs
from .crossed import NAMES
from .rows import ROWS
from .suites import SUITES

FUNCTIONS = {
    name
    for module in (test_conformance, test_daemon, test_graceful, test_modules, test_scripts)
    for name in vars(module)
}


def report(name: str, outcome: str, text: str = "", **properties: object) -> pytest.TestReport:
    """What pytest tells of a test."""
    longrepr = ("file.py", 1, f"Skipped: {text}") if outcome == "skipped" else text or None
    return pytest.TestReport(
        f"tests/conformance/test_it.py::{name}",
        ("file.py", 1, name),
        {},
        outcome,  # type: ignore[arg-type]  # one of three words
        longrepr,
        "call",
        user_properties=list(properties.items()),
    )


def test_every_line_has_a_test() -> None:
    assert len({row.id for row in ROWS}) == len(ROWS) > 50
    for row in ROWS:
        if row.test == "test_conformance":
            assert row.server is not None or row.server_flags, row.id
        else:
            assert any(belongs(name, row.test) for name in FUNCTIONS), row.id


def test_no_test_belongs_to_two_lines() -> None:
    words = [row.test for row in ROWS if row.test != "test_conformance"]
    assert not [(one, other) for one in words for other in words if one is not other and belongs(other, one)]


def test_every_suite_has_a_test_and_every_such_test_a_suite() -> None:
    assert len({suite.id for suite in SUITES}) == len(SUITES)
    tests = {name for name in vars(test_suites) if name.startswith("test_suite_")}
    assert tests == {suite.test for suite in SUITES}


def test_every_old_program_has_a_stand_in() -> None:
    assert NAMES.keys() == ANCESTORS.keys()


def test_a_line_is_what_the_worst_of_its_tests_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.conformance.__main__.missing", lambda _name: None)
    table = Table()
    table.pytest_runtest_logreport(report("test_conformance[aes]", "passed"))
    table.pytest_runtest_logreport(report("test_udp_src[127.0.0.1]", "passed"))
    table.pytest_runtest_logreport(report("test_udp_src[::1]", "skipped", "not here: no IPv6"))
    table.pytest_runtest_logreport(report("test_module_common_networks", "failed", "E  assert 1\nbecause"))
    cell = {"crossed": ("libev", "local", "rc4-md5"), "streams": True}
    table.pytest_runtest_logreport(report("test_crossed[x]", "failed", "no datagram", **cell))
    for ends, outcome, text in (
        ("ours", "passed", ""),
        ("lite-server", "skipped", "it is not here"),
        ("lite-local", "failed", "no page"),
    ):
        suite = {"suite": ("lite-proxy", ends)}
        table.pytest_runtest_logreport(report(f"test_suite_lite_proxy[{ends}]", outcome, text, **suite))
    lines = table.lines()

    def line(id: str) -> str:
        return next(text for text in lines if text.startswith(f"  {id} "))

    assert line("aes").endswith("passed")
    assert line("test_udp_src.sh").endswith("not here: no IPv6")
    assert line("common").endswith("failed: because")
    assert line("workers").endswith("not run")
    assert line("table").endswith("not run")
    assert "      rc4-md5 failed: no datagram" in lines
    assert line("lite-proxy").endswith("1 of 3 passed")
    at = lines.index(line("lite-proxy"))
    assert lines[at + 1 : at + 3] == ["      lite-server not here: it is not here", "      lite-local failed: no page"]
    assert lines[-1].startswith("2 passed, 3 failed, 2 not here, ")
