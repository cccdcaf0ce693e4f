"""Drives a parser that reads like blocking code over bytes that come in any pieces.

A parser is a generator: it yields the size of what it needs next, is sent a view of exactly
those bytes, and returns its result. Whether the bytes came whole, split anywhere or with
the next message behind them makes no difference to it, by construction.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from .shadow import Parser

Result = TypeVar("Result")


class Reader(Generic[Result]):
    """One parser and the bytes it has not asked for yet."""

    __slots__ = ("_need", "_parser", "rest")

    def __init__(self, parser: Parser[Result]) -> None:
        self._parser = parser
        self._need = next(parser)
        self.rest = b""
        """What came after the bytes that were used."""

    def feed(self, data: bytes | memoryview) -> Result | None:
        """Take the next bytes; return the result once it is complete, and then be fed no more.

        Raises whatever the parser raises; the peer's stream is then of no further use.
        """
        if self.rest:
            data = self.rest + bytes(data)
        view = memoryview(data)
        at = 0
        try:
            while (upto := at + self._need) <= len(view):
                need = self._parser.send(view[at:upto])
                at = upto
                self._need = need
        except StopIteration as stop:
            self.rest = bytes(view[upto:])
            return stop.value  # type: ignore[no-any-return]  # StopIteration.value is untyped
        self.rest = bytes(view[at:])
        return None
