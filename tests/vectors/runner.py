"""Runs vectors and counts: every vector passes, fails or is unsupported, and none goes missing."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.vectors.checks import CHECKS
from tests.vectors.vector import Mismatch, Unsupported, Vector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HERE: Final = Path(__file__).parent


class Verdict(Enum):
    """What became of one vector."""

    PASSED = "passed"
    FAILED = "failed"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One vector's verdict."""

    vector: Vector
    verdict: Verdict
    text: str = ""
    """Why, unless it passed; for one that was rightly refused, the reason word if it is not the vector's own."""
    exact: bool | None = None
    """Whether a refusal gave the very reason of the vector; None where nothing was to be refused."""


@dataclass(slots=True)
class Report:
    """The outcomes of a directory."""

    outcomes: list[tuple[str, Outcome]] = field(default_factory=list)
    """(file, outcome), in order."""

    def count(self, verdict: Verdict) -> int:
        """How many vectors had that verdict."""
        return sum(outcome.verdict is verdict for _, outcome in self.outcomes)

    def lines(self) -> Iterator[str]:
        """The table, what is unsupported and why, reasons that differ, failures, and the sum as the last line."""
        yield f"{'file':<20} {'kind':<26} {'run':>5} {'passed':>7} {'failed':>7} {'unsupported':>12}"
        cells = Counter((name, outcome.vector.kind, outcome.verdict) for name, outcome in self.outcomes)
        for name, kind in dict.fromkeys((name, outcome.vector.kind) for name, outcome in self.outcomes):
            passed, failed, unsupported = (cells[name, kind, verdict] for verdict in Verdict)
            yield f"{name:<20} {kind:<26} {passed + failed:>5} {passed:>7} {failed:>7} {unsupported:>12}"
        yield from _section("not supported yet", _grouped(self._of(Verdict.UNSUPPORTED)))
        yield from _section("outcomes that are right, but not by the very word of the vector", self._other_words())
        yield from _section(
            "failed", (f"{name} {outcome.vector.id}: {outcome.text}" for name, outcome in self._of(Verdict.FAILED))
        )
        exact = Counter(outcome.exact for _, outcome in self.outcomes)
        yield ""
        yield f"{exact[True]} of {exact[True] + exact[False]} refusals give the very reason of their vector"
        passed, failed, unsupported = (self.count(verdict) for verdict in Verdict)
        yield f"{passed} passed, {failed} failed, {unsupported} skipped"

    def _of(self, verdict: Verdict) -> Iterator[tuple[str, Outcome]]:
        return (pair for pair in self.outcomes if pair[1].verdict is verdict)

    def _other_words(self) -> Iterator[str]:
        words = Counter(
            (name, outcome.vector.text("error"), outcome.text)
            for name, outcome in self._of(Verdict.PASSED)
            if outcome.exact is False
        )
        for (name, wanted, got), count in words.items():
            yield f"{name}: {got} for {wanted} ({count})"


def load(path: Path) -> list[Vector]:
    """Read one file of vectors.

    Raises:
        ValueError: it is no JSON, or holds no list of vectors.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not isinstance(content.get("vectors"), list):
        raise ValueError("no vectors in it")
    suite = str(content.get("suite", path.stem))
    return [Vector(suite, fields) for fields in content["vectors"]]


def run(vector: Vector) -> Outcome:
    """Run one vector."""
    check = CHECKS.get((vector.suite, vector.kind))
    if check is None:
        return Outcome(vector, Verdict.UNSUPPORTED, "this kind")
    try:
        word = check(vector)
    except Unsupported as reason:
        return Outcome(vector, Verdict.UNSUPPORTED, str(reason))
    except Mismatch as mismatch:
        return Outcome(vector, Verdict.FAILED, str(mismatch))
    except Exception as error:  # the top of one vector: whatever escapes is its failure
        return Outcome(vector, Verdict.FAILED, f"{type(error).__name__}: {error}")
    if not word or "error" not in vector:
        return Outcome(vector, Verdict.PASSED)
    return Outcome(vector, Verdict.PASSED, word, word == vector.text("error"))


def run_directory(directory: Path) -> Report:
    """Run all vectors of all files of a directory."""
    report = Report()
    for path in sorted(directory.glob("*.json")):
        try:
            vectors = load(path)
        except ValueError as error:
            whole = Vector(path.stem, {"id": "the file", "kind": "-"})
            report.outcomes.append((path.name, Outcome(whole, Verdict.FAILED, str(error))))
            continue
        report.outcomes += ((path.name, run(vector)) for vector in vectors)
    return report


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    lines = list(lines)
    if lines:
        yield ""
        yield f"{title}:"
        yield from (f"  {line}" for line in lines)


def _grouped(pairs: Iterable[tuple[str, Outcome]]) -> Iterator[str]:
    reasons: dict[tuple[str, str], Counter[str]] = {}
    for name, outcome in pairs:
        reasons.setdefault((name, outcome.vector.kind), Counter())[outcome.text] += 1
    for (name, kind), texts in reasons.items():
        yield f"{name} {kind} ({texts.total()}): {', '.join(texts)}"
