"""The places that workers have, and the processes in them, as their master knows both."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..core.backoff import Backoff

if TYPE_CHECKING:
    from .line import Line


@dataclass(slots=True)
class Member:
    """A process."""

    slot: int
    pid: int
    line: Line
    since: float
    heard_at: float
    row: int
    """Of the tally: what it says that passed."""
    serves: bool = False
    leaves: bool = False
    """It was told to end."""
    left: bool = False
    """It accepts no more."""
    behind: int = 0
    """Configs that it was told to serve, and does not yet."""


@dataclass(slots=True)
class Place:
    """A place that a worker has."""

    number: int
    backoff: Backoff = field(default_factory=Backoff)
    worker: Member | None = None
    due_at: float | None = 0.0
    """When a worker is to begin; None while there is one."""
    served: bool = False
    """Whether one of its workers has served, be it that it was told to end at once."""

    @property
    def is_current(self) -> bool:
        """True where its worker serves all that it was told, or what it began with."""
        return self.worker is not None and self.worker.serves and not self.worker.behind


def how_ended(code: int) -> str:
    """Say how a process ended."""
    if code >= 0:
        return f"with exit code {code}"
    return f"by {signal.Signals(-code).name}" if -code in set(signal.Signals) else f"by signal {-code}"
