"""The manager protocol of old programs: commands for ports, their answers, and what passed (protocol §17).

A datagram is one message: a command, perhaps a colon, and JSON behind it; white space, LF and NUL around both count
for nothing.

    add: {"server_port": 8001, "password": "..", "method": ..}      ok
    remove: {"server_port": 8001}                                   ok
    list                                                            the open ports
    ping                                                            pong, or what passed
    stat: {"8001": 11370}                                           nothing: it is what a server says

Four programs spoke it, each a little differently: the differences are the rows of `DIALECTS`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from ..core.address import PORT_MAX
from ..core.errors import RemoteProtocolError

REQUEST_MAX: Final = 65_536
"""Bytes of a request: more than UDP carries. Old programs cut at 300 and 1,506 bytes."""
PIECE_MAX: Final = 65_000
"""Bytes of one datagram of an answer: UDP over IPv4 carries 65,507. libev sends as much, and then another."""

_AROUND: Final = " \t\r\n\0"
_DIGITS: Final = re.compile(r"[0-9]{1,5}")
_DIGITS_MAX: Final = 40
"""Of a number: no setting has more than ten; what has a thousand is no number, but work for us."""


@dataclass(frozen=True, slots=True)
class Request:
    """A command and what it says."""

    command: str
    port: int | None = None
    password: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """Every other key of an `add`, in its order."""
    stat: Mapping[str, int] = field(default_factory=dict)
    """Bytes by port, of a `stat`."""


@dataclass(frozen=True, slots=True)
class PortRow:
    """An open port, as `list` shows it."""

    port: int
    password: str
    method: str


@dataclass(frozen=True, slots=True)
class ManagerDialect:
    """How one program spoke the protocol."""

    name: str
    commands: frozenset[str]
    """What is not among them is no command: no answer."""
    answers: Mapping[str, str]
    """By what became of a command: `ok`, `pong`, `bad` (not to be read), `method` (not known), `refused` (the port
    cannot be as it is asked for), `taken` (it cannot be listened on); with the parts {method} and {why}. No answer
    where there is no row."""
    end: str = ""
    """Behind every message."""
    keys: frozenset[str] | None = None
    """Of an `add`; at the first other one reading stops. None: any."""
    is_bare: bool = False
    """True where `ping:` and `list:` are no commands."""
    replaces: bool = True
    """Whether an `add` of an open port takes its place; else the old one stays, and the answer is ok."""
    cuts: bool = False
    """Whether that ends the connections of the old one."""
    pushes: str = ""
    """What is sent every ten seconds without a question: `deltas` to the last who asked, or `totals` to all who did."""
    ports_max: int = 0
    """Ports of one datagram of statistics; 0: as many as there is room for."""
    is_libev_list: bool = False
    """True where a list has a line for each port, and ports are texts; else it is compact."""
    has_methods: bool = True
    """Whether a list names methods."""


_BASE: Final = frozenset({"add", "remove", "list", "ping", "stat"})

DIALECTS: Final = {
    dialect.name: dialect
    for dialect in (
        # `list` was unknown to the first two, and asked for: it breaks nobody who never asks.
        # `taken` is an answer where Python's sent none, so that whoever waits for an ok learns that there is none.
        ManagerDialect(
            "python",
            _BASE,
            {"ok": "ok", "pong": "pong", "taken": "err"},
            replaces=False,
            pushes="deltas",
            ports_max=50,
        ),
        ManagerDialect(
            "go",
            _BASE | {"ping-stop"},
            {"ok": "ok", "pong": "pong", "bad": "err", "method": "err", "refused": "err", "taken": "err"},
            pushes="totals",
        ),
        ManagerDialect(
            "libev",
            _BASE,
            {"ok": "ok", "bad": "err", "method": "err", "refused": "err", "taken": "port is not available"},
            keys=frozenset(
                ("server_port", "password", "method", "mode", "plugin", "plugin_opts", "fast_open", "no_delay")
            ),
            cuts=True,
            is_libev_list=True,
        ),
        ManagerDialect(
            "rust",
            _BASE,
            {"ok": "ok", "method": "unrecognized method {method}", "refused": "invalid server", "taken": "{why}"},
            end="\n",
            is_bare=True,
            has_methods=False,
        ),
    )
}
"""By the words of `manager_dialect`."""


# -- requests ---------------------------------------------------------------------------------------


def split_request(data: bytes) -> tuple[str, str | None]:
    """Cut a datagram into its command and what stands behind its colon, None where there is no colon.

    Raises:
        RemoteProtocolError: it is no text.
    """
    try:
        command, colon, rest = data.decode().strip(_AROUND).partition(":")
    except UnicodeDecodeError:
        raise RemoteProtocolError("usage", "the request is no UTF-8 text") from None
    return command.strip(_AROUND), rest.strip(_AROUND) if colon else None


def parse_request(data: bytes, dialect: ManagerDialect | None = None) -> Request:
    """Read a datagram; without a dialect, as all of them together do.

    Raises:
        RemoteProtocolError: it is no command, or its JSON does not say what the command needs. The text is for
            people, and holds nothing of the request.
    """
    command, text = split_request(data)
    known = _COMMANDS if dialect is None else dialect.commands
    if command not in known:
        raise RemoteProtocolError("usage", "this command is not known")
    parse = _PARSERS.get(command)
    if parse is not None:
        return parse(_members(text or ""), None if dialect is None else dialect.keys)
    if text is not None and dialect is not None and dialect.is_bare:
        raise RemoteProtocolError("usage", f"{command} has nothing behind it")
    return Request(command)


_COMMANDS: Final = frozenset().union(*(dialect.commands for dialect in DIALECTS.values()))


def _members(text: str) -> dict[str, Any]:
    """Return the members of a JSON object."""
    try:
        value = json.loads(text, parse_int=_whole, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise RemoteProtocolError("bad_json", "expected JSON behind the colon") from None
    if not isinstance(value, dict):
        raise RemoteProtocolError("bad_json", "expected an object in braces")
    return value


def _whole(text: str) -> int:
    if len(text) > _DIGITS_MAX:
        raise ValueError("too many digits")
    return int(text)


def _no_number(_text: str) -> NoReturn:
    raise ValueError("JSON has no such number")


def _parse_add(members: dict[str, Any], keys: frozenset[str] | None) -> Request:
    if keys is not None:
        members = dict(_until_unknown(members, keys))
    port = _port(members.pop("server_port", None))
    password = members.pop("password", None)
    if not isinstance(password, str):
        raise RemoteProtocolError("bad_json", 'expected "password": text in quotes')
    return Request("add", port, password, members)


def _until_unknown(members: dict[str, Any], keys: frozenset[str]) -> Iterator[tuple[str, Any]]:
    for key, value in members.items():
        if key not in keys:
            return
        yield key, value


def _parse_remove(members: dict[str, Any], _keys: frozenset[str] | None) -> Request:
    return Request("remove", _port(members.get("server_port")))


def _parse_stat(members: dict[str, Any], _keys: frozenset[str] | None) -> Request:
    for port, size in members.items():
        _port(port)
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise RemoteProtocolError("bad_json", "expected whole numbers of bytes")
    return Request("stat", stat=members)


_PARSERS: Final = {"add": _parse_add, "remove": _parse_remove, "stat": _parse_stat}
"""Of commands that need JSON."""


def _port(value: object) -> int:
    """Return a port that is given as a number or as digits."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= PORT_MAX:
        raise RemoteProtocolError("bad_port", f'expected "server_port": a number from 1 to {PORT_MAX}')
    return value


# -- answers ----------------------------------------------------------------------------------------


def pack_answer(dialect: ManagerDialect, outcome: str, *, method: str = "", why: str = "") -> bytes | None:
    """Return the answer to a command by what became of it, None where there is none."""
    text = dialect.answers.get(outcome)
    if text is None:
        return None
    shown = json.dumps(method[:_SHOWN_MAX], ensure_ascii=False)
    return _encode(text.format(method=shown, why=why) + dialect.end)


_SHOWN_MAX: Final = 64
"""Letters of a method that nobody knows; the longest known name has 29."""


def pack_list(dialect: ManagerDialect, rows: Iterable[PortRow]) -> list[bytes]:
    """Return the list of open ports; where it is long, in pieces that make it up one after the other."""
    shows = _libev_row if dialect.is_libev_list else _compact_row
    before, after = ("\n\t", "\n]") if dialect.is_libev_list else ("", "]")
    pieces, piece = [], "["
    comma = ""
    for row in rows:
        text = f"{comma}{before}{shows(row, dialect)}"
        if len(_encode(piece + text)) > PIECE_MAX:
            pieces.append(piece)
            piece = ""
        piece += text
        comma = ","
    return [_encode(text) for text in (*pieces, piece + after + dialect.end)]


def _libev_row(row: PortRow, _dialect: ManagerDialect) -> str:
    return _compact({"server_port": str(row.port), "password": row.password, "method": row.method})


def _compact_row(row: PortRow, dialect: ManagerDialect) -> str:
    members = {"server_port": row.port, "password": row.password}
    return _compact(members | {"method": row.method} if dialect.has_methods else members)


def _encode(text: str) -> bytes:
    """Encode a text; half of a pair of surrogates, which JSON can say and UTF-8 cannot, as JSON says it."""
    return text.encode(errors="backslashreplace")


def _compact(members: Mapping[str, object]) -> str:
    return json.dumps(members, ensure_ascii=False, separators=(",", ":"))


def pack_stat(dialect: ManagerDialect, sizes: Mapping[int, int]) -> list[tuple[bytes, dict[int, int]]]:
    """Return the messages that tell what passed, each with the ports that it tells of; one where there are none."""
    most = min(dialect.ports_max or _PORTS_MAX, _PORTS_MAX)
    items = list(sizes.items())
    groups = [dict(items[at : at + most]) for at in range(0, len(items), most)] or [{}]
    return [(f"stat: {_compact(_named(group))}{dialect.end}".encode(), group) for group in groups]


def _named(sizes: Mapping[int, int]) -> dict[str, int]:
    return {str(port): size for port, size in sizes.items()}


_PORTS_MAX: Final = PIECE_MAX // 29
"""Of one message: `"65535":` and a number of twenty digits and a comma."""
