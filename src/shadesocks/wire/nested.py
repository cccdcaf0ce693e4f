"""A stream within a stream: what is sealed for one server travels sealed for the one before it (a chain of servers).

    payload   --inner-->   sealed for the last server   --outer-->   sealed for the one before it

Both are of the shape of `shadow.Seals` and `shadow.Opens`, so an end of a relay does not know how many there are.
`PlainAhead` is for a proxy that was asked through a sealed stream: the bytes right behind its answer are open already.
"""

from __future__ import annotations

from typing import Final

from .shadow import Opens, Seals, read_max_of

NESTED_MOST: Final = 3
"""Sealed streams in one another. Each may hold an incomplete chunk of 64 KiB, which a single `open` then brings; the
relay's buffers have room for so many beyond the largest read."""


class NestedSealer:
    """Seals for the inner server, then for the outer one."""

    __slots__ = ("_buffer", "_inner", "_outer", "read_max")

    def __init__(self, outer: Seals, inner: Seals, buffer: memoryview) -> None:
        """`buffer` is as large as the relay's own; nothing stays in it between two calls."""
        self._outer = outer
        self._inner = inner
        self._buffer = buffer
        self.read_max = read_max_of(outer, inner)

    @property
    def owes(self) -> bool:
        """True while one of both headers is to be sent."""
        return self._inner.owes or self._outer.owes

    def seal(self, source: memoryview, size: int, out: memoryview) -> int:
        """See `shadow.Seals`."""
        buffer = self._buffer
        return self._outer.seal(buffer, self._inner.seal(source, size, buffer), out)


class NestedOpener:
    """Opens what the outer server sealed, then what the inner one did; keeps the inner's incomplete chunk."""

    __slots__ = ("_buffer", "_held", "_inner", "_outer", "read_max")

    def __init__(self, outer: Opens, inner: Opens, buffer: memoryview) -> None:
        self._outer = outer
        self._inner = inner
        self._buffer = buffer
        self._held = b""
        self.read_max = read_max_of(outer, inner)

    @property
    def started(self) -> bool:
        """False until the inner server's first bytes were found good, and so the outer's."""
        return self._inner.started

    @property
    def clean(self) -> bool:
        """True where an end of file cuts neither stream."""
        return not self._held and self._inner.clean and self._outer.clean

    def open(self, source: memoryview, end: int, out: memoryview) -> tuple[int, int]:
        """See `shadow.Opens`."""
        buffer, held = self._buffer, self._held
        at = len(held)
        used, made = self._outer.open(source, end, buffer[at:] if at else buffer)
        if not made:
            return used, 0
        buffer[:at] = held
        upto = at + made
        taken, made = self._inner.open(buffer, upto, out)
        self._held = bytes(buffer[taken:upto])
        return used, made


class PlainAhead:
    """An opener whose first bytes are open already; then it does what the other does."""

    __slots__ = ("_opener", "_size", "read_max")

    def __init__(self, opener: Opens, size: int) -> None:
        self._opener = opener
        self._size = size
        """So many bytes are given in front of what is sealed, at the next call."""
        self.read_max = read_max_of(opener)

    @property
    def started(self) -> bool:
        """See `shadow.Opens`."""
        return self._opener.started

    @property
    def clean(self) -> bool:
        """See `shadow.Opens`."""
        return self._opener.clean

    def open(self, source: memoryview, end: int, out: memoryview) -> tuple[int, int]:
        """See `shadow.Opens`."""
        size, self._size = self._size, 0
        if not size:
            return self._opener.open(source, end, out)
        out[:size] = source[:size]
        used, made = self._opener.open(source[size:end], end - size, out[size:])
        return size + used, size + made
