"""The last word on a worker whose master is gone: it drains, and it ends, whatever its loop does.

The loop sees the end of its line, too, and drains. One that hangs sees nothing, and no master is left that would kill
it; this is a thread, so it is there as long as another thread of Python could run.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .line import Line


def die_behind(line: Line, limit: float) -> None:
    """Kill this process so many seconds after the end of a line, unless it has ended by then."""
    threading.Thread(target=_wait, args=(line.fileno(), limit), name="behind its master", daemon=True).start()


def _wait(descriptor: int, limit: float) -> None:
    hangs_up = select.poll()
    hangs_up.register(descriptor, 0)  # what comes over the line is the loop's; its end is told unasked
    hangs_up.poll()
    time.sleep(limit)
    os.kill(os.getpid(), signal.SIGKILL)
