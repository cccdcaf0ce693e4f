"""The status line of a running service: connections, rates, totals, made of two readings a second apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_STEP: Final = 1024
_SIZE_MAX: Final = 1 << 120
"""More than anything has; beyond a float there is no size at all."""
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a service had done at one instant; `at` in seconds of a monotonic clock, payload in bytes."""

    at: float
    open: int
    total: int
    up: int
    down: int


def status_line(before: Reading, now: Reading) -> str:
    """Say what is going on now, and what was since the start."""
    seconds = max(now.at - before.at, 1e-9)
    up, down = ((late - early) / seconds for late, early in ((now.up, before.up), (now.down, before.down)))
    return (
        f"{now.open} open, {now.total} in all"
        f" | up {size_text(up)}/s, down {size_text(down)}/s"
        f" | {size_text(now.up)} up, {size_text(now.down)} down"
    )


def size_text(size: float) -> str:
    """Write a size in bytes with at most three digits, and a unit that fits."""
    number, size = 0, min(size, _SIZE_MAX)
    while size >= 1000 and number < len(_UNITS) - 1:
        size /= _STEP
        number += 1
    return f"{size:.0f} {_UNITS[number]}" if number == 0 or size >= 100 else f"{size:.3g} {_UNITS[number]}"
