"""What a program that we started says, as lines for a log: few enough, short enough, and without secrets.

Whatever it writes, no more than one line and a little are kept of it, and only so many lines a second come out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

LINE_MOST: Final = 1000
"""Bytes of a line that are shown: some programs write their whole configuration in one."""
BURST: Final = 50
"""Lines at once: a program's greeting, or a traceback."""
RATE: Final = 5.0
"""Lines a second after that: 18,000 an hour, which a log survives."""
AGAIN: Final = 10
"""Lines there must be room for after some were left out: a flood is told of every two seconds, and not line by line."""
PART_LEAST: Final = 3
"""Letters of a beginning that is hidden, too."""
_CUT: Final = " …"


class Output:
    """The lines of one program. Pure: `now` is an argument."""

    __slots__ = ("_hidden", "_is_cut", "_left_out", "_part", "_room", "_seen_at", "last")

    def __init__(self, hidden: Iterable[str] = ()) -> None:
        """Hear a program; the hidden texts are shown by an ellipsis wherever they appear."""
        self._hidden = sorted(filter(None, hidden), key=len, reverse=True)
        self._part = b""
        self._is_cut = False
        """True within a line whose beginning was taken already."""
        self._room: float = BURST
        self._seen_at: float | None = None
        self._left_out = 0
        self.last = ""
        """The last line that says something, also of those that were left out."""

    def feed(self, data: bytes, now: float) -> list[str]:
        """Return the lines that are complete with this, as far as there is room for them."""
        if self._seen_at is not None:
            self._room = min(self._room + (now - self._seen_at) * RATE, BURST)
        self._seen_at = now
        lines: list[str] = []
        at = 0
        while self._room >= (AGAIN if self._left_out else 1):
            end = data.find(b"\n", at)
            if end < 0:
                self._grow(data[at:])
                return lines
            self._grow(data[at:end])
            if self._left_out:
                lines.append(self._told())
            self._room -= 1
            self._take(lines)
            at = end + 1
        self._leave_out(data[at:])
        return lines

    def _leave_out(self, data: bytes) -> None:
        """Count lines without a look at each: a flood comes in pieces of thousands."""
        count, end = data.count(b"\n"), data.rfind(b"\n") + 1
        if count:
            if not self._left_out:
                self._grow(data[: data.find(b"\n")])
                self._take([])
            self._left_out += count
            self._part, self._is_cut = b"", False
        self._grow(data[end:])

    def rest(self) -> list[str]:
        """Return what is left once the program has ended: a line without an end, and how many were left out."""
        lines = [self._told()] if self._left_out else []
        self._take(lines)
        return lines

    @property
    def floods(self) -> bool:
        """True while lines are left out."""
        return self._left_out > 0

    def _grow(self, piece: bytes) -> None:
        if not self._is_cut:
            self._part += piece[: LINE_MOST + 1 - len(self._part)]
            self._is_cut = len(self._part) > LINE_MOST

    def _take(self, lines: list[str]) -> None:
        part, is_cut = self._part.strip(), self._is_cut
        self._part, self._is_cut = b"", False
        if part:
            self.last = self._shown(part, is_cut)
            lines.append(self.last)

    def _told(self) -> str:
        count, self._left_out = self._left_out, 0
        return f"({count:,} lines were left out: it writes too many)"

    def _without_beginning(self, text: str) -> str:
        """Return the text of a line that was cut, without the beginning of a hidden one at its end."""
        for hidden in self._hidden:
            for size in range(min(len(hidden), len(text)), PART_LEAST - 1, -1):
                if text.endswith(hidden[:size]):
                    return text[:-size]
        return text

    def _shown(self, part: bytes, is_cut: bool) -> str:
        text = part[:LINE_MOST].decode(errors="replace")
        for hidden in self._hidden:
            text = text.replace(hidden, "…")
        if is_cut:
            text = self._without_beginning(text.rstrip("\ufffd"))
        shown = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)
        return shown + _CUT if is_cut else shown
