"""What a manager says: answers, lists of ports, statistics; and what a server says to a manager of others."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Final

from .command import PortRow
from .dialect import Dialect, compact

PIECE_MAX: Final = 65_000
"""Bytes of one datagram of an answer: UDP over IPv4 carries 65,507. libev sends as much, and then another."""
_WORD_MAX: Final = 64
"""Letters of a word that nobody knows; the longest known method has 29."""
_PORTS_MAX: Final = PIECE_MAX // 29
"""Of one message: `"65535":` and a number of twenty digits and a comma."""


def pack_answer(dialect: Dialect, outcome: str, *, word: str = "", why: str = "") -> bytes | None:
    """Return the answer to a command by what became of it, None where there is none."""
    text = dialect.answers.get(outcome)
    if text is None:
        return None
    shown = json.dumps(word[:_WORD_MAX], ensure_ascii=False)
    return _encode(text.format(word=shown, why=why) + dialect.end)


def pack_list(dialect: Dialect, rows: Iterable[PortRow]) -> list[bytes]:
    """Return the list of open ports; where it is long, in pieces that make it up one after the other."""
    before, after = dialect.between
    done, piece, comma = [], b"[", b""
    for row in rows:
        text = comma + _encode(before + dialect.show(row))
        if len(piece) + len(text) > PIECE_MAX:
            done.append(piece)
            piece = b""
        piece += text
        comma = b","
    return [*done, piece + _encode(after + dialect.end)]


def pack_stat(dialect: Dialect, sizes: Mapping[int, int]) -> list[tuple[bytes, dict[int, int]]]:
    """Return the messages that tell what passed, each with the ports that it tells of; one where there are none."""
    return _stat(sizes, dialect.ports_max, dialect.end)


def pack_report(dialect: Dialect, sizes: Mapping[int, int]) -> list[tuple[bytes, dict[int, int]]]:
    """Return the messages in which a server tells its manager what passed, each with its ports; none without ports."""
    return _stat(sizes, dialect.report_ports, dialect.report_end) if sizes else []


def _stat(sizes: Mapping[int, int], most: int, end: str) -> list[tuple[bytes, dict[int, int]]]:
    most = min(most or _PORTS_MAX, _PORTS_MAX)
    items = list(sizes.items())
    groups = [dict(items[at : at + most]) for at in range(0, len(items), most)] or [{}]
    return [(f"stat: {compact(_named(group))}{end}".encode(), group) for group in groups]


def _named(sizes: Mapping[int, int]) -> dict[str, int]:
    return {str(port): size for port, size in sizes.items()}


def _encode(text: str) -> bytes:
    """Encode a text; half of a pair of surrogates, which JSON can say and UTF-8 cannot, as JSON says it."""
    return text.encode(errors="backslashreplace")
