"""What is said over a control socket: one JSON object a line, a request one way and its answer the other.

    {"v": 1, "id": 7, "do": "pin", "with": {"name": "tokyo"}}
    {"v": 1, "id": 7, "ok": true, "result": {"pinned": "tokyo"}}
    {"v": 1, "id": 7, "ok": false, "error": {"code": "not_found", "text": "no server is called 'tokyo'"}}

Members that are not known are passed over, so that older and newer programs can talk.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final, NoReturn

from ..core.errors import ShadesocksError

VERSION: Final = 1
LINE_MAX: Final = 64 * 1024
"""Bytes of a request with its end of line: hundreds of users in one, and little for somebody to make us keep."""
PIECE: Final = 500
"""Rows of an answer that are packed at once: some 3 ms."""

SYNTAX: Final = "syntax"
TOO_LONG: Final = "too_long"
ABOUT_VERSION: Final = "version"
UNKNOWN: Final = "unknown"
ARGUMENTS: Final = "arguments"
NOT_FOUND: Final = "not_found"
FORBIDDEN: Final = "forbidden"
BUSY: Final = "busy"
FAILED: Final = "failed"
"""The codes of errors."""

Id = str | int | None
"""Chosen by whoever asks, and given back; None where there was none to be read."""


class ControlError(ShadesocksError):
    """A request that is not done; `code` is for programs, the text for people."""

    def __init__(self, code: str, text: str, of: Id = None) -> None:
        super().__init__(text)
        self.code = code
        self.id = of


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be done."""

    do: str
    args: Mapping[str, Any] = field(default_factory=dict)
    id: Id = None


class Lines:
    """Cuts what comes in pieces into lines, without their ends."""

    def __init__(self, most: int = LINE_MAX) -> None:
        self._most: Final = most
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the lines that are whole now.

        Raises:
            ControlError: one is too long; what follows it cannot be told apart.
        """
        seen = len(self._held)
        self._held += data
        while (end := self._held.find(b"\n", seen)) >= 0:
            line = bytes(self._held[:end])
            del self._held[: end + 1]
            seen = 0
            self._check(end + 1)
            yield line
        self._check(len(self._held))

    def _check(self, size: int) -> None:
        if size > self._most:
            raise ControlError(TOO_LONG, f"a line has at most {self._most} bytes, its end included")


def pack_request(request: Request) -> bytes:
    """Return the line of a request."""
    members: dict[str, Any] = {"v": VERSION, "id": request.id, "do": request.do}
    return _pack({**members, "with": request.args} if request.args else members)


def pack_result(of: Id, result: Any) -> bytes:
    """Return the line that says what came of a request."""
    return _pack({"v": VERSION, "id": of, "ok": True, "result": result})


def result_pieces(of: Id, result: Any) -> Iterator[bytes]:
    """Yield the same line in pieces that take milliseconds each, where a list of many rows is in it."""
    many = [key for key, rows in result.items() if isinstance(rows, list)] if isinstance(result, dict) else []
    key = max(many, key=lambda key: len(result[key]), default=None)
    if key is None or len(result[key]) <= PIECE:
        yield pack_result(of, result)
        return
    rows, rest = result[key], {name: value for name, value in result.items() if name != key}
    yield pack_result(of, {**rest, key: []})[: -len(_END)]
    for at in range(0, len(rows), PIECE):
        yield (b"," if at else b"") + _text(rows[at : at + PIECE])[1:-1]
    yield _END


def pack_error(error: ControlError) -> bytes:
    """Return the line that says why a request was not done."""
    return _pack({"v": VERSION, "id": error.id, "ok": False, "error": {"code": error.code, "text": str(error)}})


def parse_request(line: bytes) -> Request:
    """Return what a line asks for.

    Raises:
        ControlError: it is no request, or one of another version.
    """
    members = _members(line)
    of = members.get("id")
    if of is not None and (isinstance(of, bool) or not isinstance(of, str | int)):
        raise ControlError(SYNTAX, "id is a text or a whole number")
    version = members.get("v")
    if version != VERSION or isinstance(version, bool | float):
        text = f'this process speaks version {VERSION}: "v" is {VERSION}, first of all'
        raise ControlError(ABOUT_VERSION, text, of)
    do, args = members.get("do"), members.get("with", {})
    if not isinstance(do, str):
        raise ControlError(SYNTAX, '"do" is missing: the word for what is to be done, in quotes', of)
    if not isinstance(args, dict):
        raise ControlError(SYNTAX, '"with" is an object', of)
    return Request(do, args, of)


def parse_answer(line: bytes) -> Any:
    """Return the result in a line.

    Raises:
        ControlError: it says why there is none; or it is no answer.
    """
    members = _members(line)
    of = members.get("id")
    of = of if isinstance(of, str | int) else None
    if members.get("ok") is True:
        return members.get("result")
    error = members.get("error")
    if isinstance(error, dict) and isinstance(error.get("code"), str) and isinstance(error.get("text"), str):
        raise ControlError(error["code"], error["text"], of)
    raise ControlError(SYNTAX, "this is no answer of a service", of)


def _members(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line.decode(), parse_float=_finite, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise ControlError(SYNTAX, "a line is one JSON object in UTF-8") from None
    if not isinstance(found, dict):
        raise ControlError(SYNTAX, "a line is one JSON object")
    return found


def _finite(text: str) -> float:
    number = float(text)
    return number if isfinite(number) else _refuse(text)


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


_END: Final = b"]}}\n"
"""Of a result whose last member is a list."""


def _pack(members: Mapping[str, Any]) -> bytes:
    return _text(members) + b"\n"


def _text(tree: Any) -> bytes:
    return json.dumps(tree, separators=(",", ":")).encode()
