"""The commands of the manager protocol: a datagram to a value (protocol §17).

A datagram is one message: a command, perhaps a colon, and JSON behind it; white space, LF and NUL around both count
for nothing.

    add: {"server_port": 8001, "password": "..", "method": ..}      ok
    remove: {"server_port": 8001}                                   ok
    list                                                            the open ports
    ping                                                            pong, or what passed
    stat: {"8001": 11370}                                           nothing: it is what a server says

Whatever comes, `parse_command` returns a `Command` or raises the one error that it names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NoReturn

from ...core.address import PORT_MAX
from ...core.errors import RemoteProtocolError

if TYPE_CHECKING:
    from .dialect import Dialect

COMMAND_MAX: Final = 65_536
"""Bytes of a command: more than UDP carries. Old programs cut at 300 and 1,506 bytes."""
COMMANDS: Final = frozenset({"add", "remove", "list", "ping", "stat"})
"""Of every dialect. Python's program and go's had no `list`, which people asked for; whoever never does is not hurt."""
EVERY_COMMAND: Final = COMMANDS | {"ping-stop"}
"""And of some."""

_AROUND: Final = " \t\r\n\0"
_DIGITS: Final = re.compile(r"[0-9]{1,5}")
_DIGITS_MAX: Final = 40
"""Of a number: no setting has more than ten; what has a thousand is no number, but work for us."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command and what it says."""

    name: str
    port: int | None = None
    password: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """Every other key of an `add`, in its order."""
    stat: Mapping[str, int] = field(default_factory=dict)
    """Bytes by port, of a `stat`."""

    @property
    def members(self) -> dict[str, Any]:
        """The JSON of an `add`."""
        return {"server_port": self.port, "password": self.password, **self.options}


@dataclass(frozen=True, slots=True)
class PortRow:
    """An open port, as `list` shows it."""

    port: int
    password: str
    method: str
    users: tuple[tuple[str, str], ...] = ()
    """Names and passwords of those who share it."""


def split_command(data: bytes) -> tuple[str, str | None]:
    """Cut a datagram into its command and what stands behind its colon, None where there is no colon.

    Raises:
        RemoteProtocolError: it is no text.
    """
    try:
        command, colon, rest = data.decode().strip(_AROUND).partition(":")
    except UnicodeDecodeError:
        raise RemoteProtocolError("usage", "the command is no UTF-8 text") from None
    return command.strip(_AROUND), rest.strip(_AROUND) if colon else None


def parse_command(data: bytes, dialect: Dialect | None = None) -> Command:
    """Read a datagram; without a dialect, as all of them together do.

    Raises:
        RemoteProtocolError: it is no command, or its JSON does not say what the command needs. The text is for
            people, and holds nothing of the datagram.
    """
    name, text = split_command(data)
    if name not in (EVERY_COMMAND if dialect is None else dialect.commands):
        raise RemoteProtocolError("usage", "this command is not known")
    parse = _PARSERS.get(name)
    if parse is not None:
        return parse(_members(text or ""), dialect)
    if text is not None and dialect is not None and dialect.is_bare:
        raise RemoteProtocolError("usage", f"{name} has nothing behind it")
    return Command(name)


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


def _parse_add(members: dict[str, Any], dialect: Dialect | None) -> Command:
    if dialect is not None and dialect.keys is not None:
        members = dict(_until_unknown(members, dialect.keys))
    port = _port(members.pop("server_port", None), dialect)
    password = members.pop("password", None)
    if not isinstance(password, str):
        raise RemoteProtocolError("bad_json", 'expected "password": text in quotes')
    return Command("add", port, password, _without_auth(members, "" if dialect is None else dialect.auth))


def _until_unknown(members: dict[str, Any], keys: frozenset[str]) -> Iterator[tuple[str, Any]]:
    for key, value in members.items():
        if key not in keys:
            return
        yield key, value


def _without_auth(members: dict[str, Any], auth: str) -> dict[str, Any]:
    """Take what asks for one-time authentication off the method, and say it in a key of its own."""
    method = members.get("method")
    if not auth or not isinstance(method, str) or not method.lower().endswith(auth):
        return members
    return {**members, "method": method[: -len(auth)], "one_time_auth": True}


def _parse_remove(members: dict[str, Any], dialect: Dialect | None) -> Command:
    return Command("remove", _port(members.get("server_port"), dialect))


def _parse_stat(members: dict[str, Any], _dialect: Dialect | None) -> Command:
    for port, size in members.items():
        _port(port)
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise RemoteProtocolError("bad_json", "expected whole numbers of bytes")
    return Command("stat", stat=members)


_PARSERS: Final = {"add": _parse_add, "remove": _parse_remove, "stat": _parse_stat}
"""Of commands that need JSON."""


def _port(value: object, dialect: Dialect | None = None) -> int:
    """Return a port that is given as a number or as digits."""
    may_be_text = dialect is None or not dialect.has_number_ports
    if may_be_text and isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= PORT_MAX:
        raise RemoteProtocolError("bad_port", f'expected "server_port": a number from 1 to {PORT_MAX}')
    return value
