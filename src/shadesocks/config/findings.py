"""What was found in a configuration: the problems, the warnings, and for which end they matter."""

from __future__ import annotations

from dataclasses import replace

from ..core.errors import Problem
from .reader import Mark
from .setting import BOTH, Role


class Findings:
    """Collects problems and warnings while a configuration is read."""

    def __init__(self, role: Role | None) -> None:
        self._role = role
        self._problems: list[tuple[Mark, Problem]] = []
        self._warnings: list[tuple[Mark, Problem]] = []
        self._said: dict[str, set[tuple[Mark, str]]] = {}

    def problem(self, mark: Mark, key: str, text: str) -> None:
        """Note something that keeps the configuration from use."""
        self._problems.append((mark, Problem(mark.where, mark.line, key, text)))

    def warn(self, mark: Mark, key: str, text: str, roles: tuple[Role, ...] = BOTH) -> None:
        """Note something odd, unless it is a matter of the other end only."""
        if self.concerns(roles):
            self._warnings.append((mark, Problem(mark.where, mark.line, key, text)))

    def warn_once(self, mark: Mark, key: str, text: str, roles: tuple[Role, ...] = BOTH) -> None:
        """Warn of the first place, and count the others with the same words: a thousand ports may have one fault."""
        places = self._said.setdefault(text, set())
        if not places:
            self.warn(mark, key, text, roles)
        places.add((mark, key))

    def apart(self) -> Findings:
        """Return another collection for the same end, for what may be left out."""
        return Findings(self._role)

    def adopt(self, other: Findings) -> None:
        """Take over all that was found apart from this."""
        self._problems += other._problems
        told = [text for text in other._said if text in self._said]
        self._warnings += [each for each in other._warnings if each[1].text not in told]
        for text, places in other._said.items():
            self._said.setdefault(text, set()).update(places)

    def concerns(self, roles: tuple[Role, ...]) -> bool:
        """True when one of these ends is the one to be started, or none was named."""
        return self._role is None or self._role in roles

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems, in the order of the file."""
        return _in_order(self._problems)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """All warnings, in the order of the file."""
        return tuple(map(self._with_count, _in_order(self._warnings)))

    def _with_count(self, warning: Problem) -> Problem:
        others = len(self._said.get(warning.text, ())) - 1
        if others < 1:
            return warning
        return replace(warning, text=f"{warning.text} (and {others:,} more like this)")


def left_out(problems: tuple[Problem, ...]) -> str:
    """Say that a server of somebody else's document is not used, and why."""
    keys = [problem.key.rpartition(".")[2] for problem in problems]
    whole = [not key or key.endswith("]") for key in keys]  # no key of the server's, but its place
    reasons = [
        problem.text if of_all else f"{key}: {problem.text}"
        for problem, key, of_all in zip(problems, keys, whole, strict=True)
    ]
    return f"this server is left out: {'; '.join(reasons)}"


def _in_order(found: list[tuple[Mark, Problem]]) -> tuple[Problem, ...]:
    """Each is told once, though a dialect makes many entries of one key."""
    return tuple(problem for _, problem in sorted(dict.fromkeys(found), key=_place))


def _place(found: tuple[Mark, Problem]) -> tuple[int, int]:
    """Flags have no line and come first."""
    mark, _ = found
    return mark.line or 0, mark.column or 0
