"""The shared scratch buffers, and the four ways bytes go from one end to another.

    source end   sink end   pipe     who
    plain        plain      copy     bypass
    plain        shadow     seal     client up, server down
    shadow       plain      open     client down, server up
    shadow       shadow     reseal   a server that chains onward

Which pipe it is depends only on the two ends, and is decided once (`PIPES`). Nothing else runs
between the receive, the pipe and the send, so one set of buffers serves all connections of a reactor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .end import End

READ_MIN: Final = 64 * 1024
"""Bytes asked for by the first read of an end, and whenever its sink falls behind."""
READ_MAX: Final = 1024 * 1024
"""Bytes asked for when the sink takes everything at once; 256 KiB costs 20-35 % more CPU on bulk (design §4)."""
TAILS_MAX: Final = 64 * 1024 * 1024
"""Bytes all tails of a reactor may hold before every read is READ_MIN."""
_HEADROOM: Final = 128 * 1024
"""Room for what stands before a read (a held chunk of 65,535 bytes) and for what sealing 1 MiB adds (2.2 KiB). What is
opened or sealed has twice that: each stream within a stream (`wire/nested.py`) may hold a chunk more."""


class Scratch:
    """The shared buffers of a reactor, and the count of bytes that wait in tails."""

    __slots__ = ("_middle", "inward", "outward", "tails")

    def __init__(self) -> None:
        self.inward = memoryview(bytearray(READ_MAX + _HEADROOM))
        self.outward = memoryview(bytearray(READ_MAX + 2 * _HEADROOM))
        self._middle: memoryview | None = None
        self.tails = 0

    @property
    def middle(self) -> memoryview:
        """The third buffer, made when the first chain needs it."""
        if self._middle is None:
            self._middle = memoryview(bytearray(READ_MAX + 2 * _HEADROOM))
        return self._middle


Pipe = Callable[["End", "End", Scratch, int], memoryview]
"""(source, sink, scratch, end of the input) -> what to send. The input is `scratch.inward[:end]`."""


def _copy(source: End, _sink: End, scratch: Scratch, end: int) -> memoryview:
    source.moved += end
    return scratch.inward[:end]


def _seal(source: End, sink: End, scratch: Scratch, end: int) -> memoryview:
    source.moved += end
    out = scratch.outward
    return out[: sink.sealer.seal(scratch.inward, end, out)]  # type: ignore[union-attr]  # chosen by PIPES


def _open(source: End, _sink: End, scratch: Scratch, end: int) -> memoryview:
    out = scratch.outward
    used, made = source.opener.open(scratch.inward, end, out)  # type: ignore[union-attr]  # chosen by PIPES
    if used < end:
        source.held = bytes(scratch.inward[used:end])
    source.moved += made
    return out[:made]


def _reseal(source: End, sink: End, scratch: Scratch, end: int) -> memoryview:
    middle = scratch.middle
    used, made = source.opener.open(scratch.inward, end, middle)  # type: ignore[union-attr]  # chosen by PIPES
    if used < end:
        source.held = bytes(scratch.inward[used:end])
    source.moved += made
    out = scratch.outward
    return out[: sink.sealer.seal(middle, made, out)] if made else out[:0]  # type: ignore[union-attr]


PIPES: Final[dict[tuple[bool, bool], Pipe]] = {
    (False, False): _copy,
    (False, True): _seal,
    (True, False): _open,
    (True, True): _reseal,
}
"""By whether the source has an opener and the sink a sealer."""
