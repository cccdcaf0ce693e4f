"""What was found in a configuration: the problems, the warnings, and for which end they matter."""

from __future__ import annotations

from ..core.errors import Problem
from .reader import Mark
from .settings import BOTH, Role


class Findings:
    """Collects problems and warnings while a configuration is read."""

    def __init__(self, role: Role | None) -> None:
        self._role = role
        self._problems: list[Problem] = []
        self._warnings: list[Problem] = []

    def problem(self, mark: Mark, key: str, text: str) -> None:
        """Note something that keeps the configuration from use."""
        self._problems.append(Problem(mark.where, mark.line, key, text))

    def warn(self, mark: Mark, key: str, text: str, roles: tuple[Role, ...] = BOTH) -> None:
        """Note something odd, unless it is a matter of the other end only."""
        if self.concerns(roles):
            self._warnings.append(Problem(mark.where, mark.line, key, text))

    def concerns(self, roles: tuple[Role, ...]) -> bool:
        """True when one of these ends is the one to be started, or none was named."""
        return self._role is None or self._role in roles

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems, in the order of the file."""
        return tuple(sorted(self._problems, key=_line))

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """All warnings, in the order of the file."""
        return tuple(sorted(self._warnings, key=_line))


def _line(problem: Problem) -> int:
    return problem.line or 0
