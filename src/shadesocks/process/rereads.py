"""Configs that were read again, as the master of several workers has them served: by all, or it says by whom not.

    SIGHUP, a changed file, ASK -> read here -> CONFIG to every worker -> each reads it, serves it: SERVES
    all serve it, or the time is over        -> REREAD to who asked
    it has mistakes                          -> REREAD to all and to who asked, at once

A place counts by the worker that it has: who dies, leaves or cannot follow is replaced, and the next one in its place
begins with what was read.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from ..core.errors import Problem, Problems
from . import line as said
from .line import pack

if TYPE_CHECKING:
    from .line import Line
    from .places import Member, Place

LIMIT: Final = 45.0
"""Seconds until who asked is told which workers do not serve it yet: `shadesocks reload` waits 60, and systemd 90."""


class Rereads:
    """Whoever waits until every worker serves what was read."""

    def __init__(self, places: Sequence[Place], over: Callable[[], object]) -> None:
        """`over` is called when nobody is waited for any more."""
        self._places: Final = places
        self._over: Final = over
        self._asked: Final[list[tuple[Line, int, Problems]]] = []
        """Who asked, by which number, and what is wrong with what is served."""
        self.due_at = math.inf
        """When no worker is waited for any more; infinity: none is."""

    def begin(self, now: float) -> None:
        """All are told to serve a config; who is waited for already has its limit."""
        self.due_at = min(self.due_at, now + LIMIT)

    def asked(self, line: Line, number: int, problems: Problems) -> None:
        """A worker is to know when it is over."""
        self._asked.append((line, number, problems))

    def look(self, now: float) -> None:
        """See whether all serve it, or the time is over."""
        if self.due_at == math.inf:
            return
        late = [place.number + 1 for place in self._places if not place.is_current]
        if not late or now >= self.due_at:
            text = "it does not serve the new config yet; the log may say why"
            self.end([Problem(f"worker {number}", None, "", text) for number in late])

    def end(self, problems: Iterable[Problem]) -> None:
        """Wait for nobody any more, and tell who asked."""
        asked, self._asked[:], due_at, self.due_at = [*self._asked], [], self.due_at, math.inf
        for line, number, known in asked:
            answer(line, number, applied=True, problems=(*known, *problems))
        if due_at != math.inf:
            self._over()


def refuse(workers: Iterable[Member], problems: Problems) -> None:
    """Let all workers know that what was read has mistakes."""
    for worker in workers:
        answer(worker.line, 0, applied=False, problems=problems)


def answer(line: Line, number: int, *, applied: bool, problems: Problems) -> None:
    """Say what came of it to the worker that asked by a number; to any other one by 0."""
    told = pack((applied, problems))
    line.send(said.REREAD, number, (told,))
    os.close(told)
