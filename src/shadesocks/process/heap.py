"""The objects of a process that serves: those of its start stay for life, and need no collector of cycles.

A service of two thousand ports is 140,000 objects. The collector would look at them again and again while they are
made, a tenth of the start; and later at all of them at once, whenever connections had added a quarter: 80 ms in which
nothing is relayed.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unswept() -> Iterator[None]:
    """Make much inside, be it in another thread: nothing is collected there."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@contextmanager
def lasting() -> Iterator[None]:
    """Make what stays inside: nothing is collected there, and what there is at the end is not looked at any more.

    Until `release`. An error leaves all as it was.
    """
    with unswept():
        yield
        gc.freeze()


def release() -> None:
    """Look at everything again: what was to stay may be gone."""
    gc.unfreeze()
