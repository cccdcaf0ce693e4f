"""What a run of the bench gives to the works that have files of their own; `works.Bench` is one."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Protocol

from .figures import Results
from .plan import Plan
from .process import Cores, Server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .systems import Found


class Bench(Protocol):
    """What these works take over from a run."""

    plan: Plan
    systems: list[Found]
    works: list[str]
    directory: Path
    cores: Cores
    results: Results

    @property
    def say(self) -> Callable[[str], None]: ...
    def attempt(self, server: Server, what: str) -> contextlib.AbstractContextManager[None]: ...
    def given_up(self, server: Server, what: str) -> bool: ...
    def charged(self, server: Server, action: Callable[[], float], after: float) -> tuple[float, float]: ...
