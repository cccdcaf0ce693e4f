"""`python -m tests.conformance`: the whole list, each line with what came of it, and our ends against old programs.

Called by `make conformance`. The tests run as pytest runs them, entire; what follows is the table. Words after the
command go to pytest. Ends with 0 where nothing failed.
"""

from __future__ import annotations

import collections
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, cast

import pytest

from tests.ancestors import ANCESTORS, missing

from .rows import ROWS
from .suites import SUITES

_RANKS: Final = ("failed", "not here", "passed")
"""Worst first: a line with several tests is what the worst of them is."""
_ROLES: Final = {"server": "their server, our client", "local": "their client, our server"}
_PARTS: Final = re.compile(r"::(?P<function>\w+)(?:\[(?P<id>.*)\])?$", re.DOTALL)


@dataclass
class Cells:
    """What came of one old program in one role."""

    streams: int = 0
    datagrams: int = 0
    of: int = 0
    others: list[str] = field(default_factory=list)


class Table:
    """A plugin of pytest that keeps what came of each test."""

    def __init__(self) -> None:
        self.results: dict[str, list[tuple[str, str]]] = collections.defaultdict(list)
        """By the id of a line: (what came of it, why)."""
        self.crossed: dict[tuple[str, str], Cells] = collections.defaultdict(Cells)
        self.suites: dict[str, dict[str, tuple[str, str]]] = collections.defaultdict(dict)
        """By the id of a line, then by who stands at the ends: (what came of it, why)."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep one result."""
        if report.when != "call" and report.passed:
            return
        outcome, why = _told(report)
        properties = dict(report.user_properties)
        if "crossed" in properties:
            name, theirs, method = cast("tuple[str, str, str]", properties["crossed"])
            cells = self.crossed[name, theirs]
            cells.of += 1
            cells.streams += "streams" in properties
            cells.datagrams += "datagrams" in properties
            if outcome != "passed":
                cells.others.append(f"{method} {outcome}: {why}")
            return
        if "suite" in properties:
            suite, ends = cast("tuple[str, str]", properties["suite"])
            if self.suites[suite].get(ends, ("passed", ""))[0] == "passed":
                self.suites[suite][ends] = outcome, why
            return
        parts = _PARTS.search(report.nodeid)
        if parts is None:
            return
        for row in ROWS:
            if parts["function"] == "test_conformance":
                mine = row.id == parts["id"]
            else:
                mine = row.test != "test_conformance" and belongs(parts["function"], row.test)
            if mine:
                self.results[row.id].append((outcome, why))

    def lines(self) -> list[str]:
        """Return the table."""
        width, counts = max(len(row.id) for row in ROWS), collections.Counter[str]()
        what = max(len(row.covers) for row in ROWS)
        lines = ["", "The Python original's list, our program at both ends:", ""]
        for row in ROWS:
            results = self.results.get(row.id) or [("not run", "")]
            outcome, why = min(results, key=lambda one: _RANKS.index(one[0]) if one[0] in _RANKS else len(_RANKS))
            counts[outcome] += 1
            lines.append(f"  {row.id:<{width}}  {row.covers:<{what}}  {outcome}{f': {why}' if why else ''}")
        lines += ["", "The other old programs' suites, ours at both ends, and with an old program at one:", ""]
        lines += self._suite_lines(counts)
        lines += ["", "Old programs at the other end, each method and each habit of theirs:", ""]
        for name, ancestor in ANCESTORS.items():
            for theirs, which in _ROLES.items():
                cells = self.crossed.get((name, theirs))
                title = f"  {ancestor.title + ' ' + ancestor.version:<26} {which}  "
                if missing(name):
                    lines.append(f"{title}not here: {missing(name)}")
                    counts["not here"] += 1
                elif cells is not None:
                    packets = f", {cells.datagrams} with datagrams" if cells.datagrams else ""
                    lines.append(f"{title}{cells.streams:>3} of {cells.of}{packets}")
                    lines += [f"      {other}" for other in cells.others]
                    counts["passed"] += cells.of - len(cells.others)
                    counts["failed"] += len(cells.others)
        rest = ", ".join(f"{counts[word]} {word}" for word in ("failed", "not here", "not run") if counts[word])
        return [*lines, "", f"{counts['passed']} passed{f', {rest}' if rest else ''}"]

    def _suite_lines(self, counts: collections.Counter[str]) -> list[str]:
        """Return the section of `suites.py`: how many of each line passed, and which did not."""
        width, what = max(len(suite.id) for suite in SUITES), max(len(suite.covers) for suite in SUITES)
        lines = []
        for suite in SUITES:
            results = {ends.id: self.suites[suite.id].get(ends.id, ("not run", "")) for ends in suite.ends}
            counts.update(outcome for outcome, _ in results.values())
            passed = sum(outcome == "passed" for outcome, _ in results.values())
            said = "passed" if passed == len(results) == 1 else f"{passed} of {len(results)} passed"
            lines.append(f"  {suite.id:<{width}}  {suite.covers:<{what}}  {said}")
            for ends, (outcome, why) in results.items():
                if outcome != "passed":
                    lines.append(f"      {ends} {outcome}{f': {why}' if why else ''}")
        return lines


def belongs(function: str, test: str) -> bool:
    """True where a function is the test of a line, or one of several."""
    return function == test or function.startswith(f"{test}_")


def _told(report: pytest.TestReport) -> tuple[str, str]:
    """Return what came of a test, and why."""
    if report.passed:
        return "passed", ""
    if report.skipped:
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        text = text.removeprefix("Skipped: ")
        kind, colon, why = text.partition(": ")
        return (kind, why) if colon and kind in _RANKS else ("not here", text)
    return "failed", report.longreprtext.strip().splitlines()[-1][:200]


def main(words: Sequence[str]) -> int:
    """Run everything and print the table."""
    table = Table()
    status = pytest.main(["tests/conformance", "--whole", "-q", "-r", "N", "--no-header", *words], plugins=[table])
    print("\n".join(table.lines()))  # noqa: T201 - a command of its own
    return int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
