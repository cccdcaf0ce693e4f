"""The document of SIP008: servers that somebody hands out under one HTTPS address (protocol §16).

    {"version": 1, "servers": [{"id", "remarks", "server", "server_port", "password", "method",
                                "plugin", "plugin_opts"}], "bytes_used": N, "bytes_remaining": N}

Strict JSON, and version 1 only. What is wrong with the document is one error; what is wrong with one of its servers
leaves that server out, and the others stay. Called by `service/subscriptions/documents.py`. A document is a secret and
comes from elsewhere: no error made here repeats a text of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..core.address import Address
from ..core.errors import KeyTextError, LocalProtocolError, ProtocolError
from ..crypto.keys import parse_keys
from ..crypto.methods import find_method

VERSION: Final = 1
SIZE_MAX: Final = 1 << 20
"""Characters, as of a configuration: a server takes 300 with all its fields, so this is 3,000 of them."""
SERVERS_MAX: Final = 1000
"""More is no list that a client could use: their health alone is a hundred questions a second, at one in ten seconds
for each."""
TEXT_MAX: Final = 4096
"""Characters of one field. The longest that means something are a plugin's options; a key has 44."""
_PORT_MAX: Final = 0xFFFF
_BYTES_MAX: Final = (1 << 63) - 1
"""Of traffic: more is no count of anything."""

_HINTS: Final = {
    "bad_json": "this is no JSON object; a document of SIP008 is one, in braces and without comments",
    "bad_version": "its version is not 1, the only one there is",
    "missing_servers": "it holds no list of servers",
    "usage": "bytes_used and bytes_remaining are whole numbers, and the second stands only beside the first",
    "bad_server": "this server cannot be used",
}


class Sip008Error(ProtocolError):
    """A text that is no document, or an entry that is no server. `code` is a key of the table above."""

    def __init__(self, code: str, text: str = "") -> None:
        super().__init__(code, text or _HINTS[code])


@dataclass(frozen=True, slots=True)
class OnlineServer:
    """One server of a document. Its repr shows neither the password nor the plugin's options."""

    server: str
    """Its host: a name or an IP text."""
    server_port: int
    password: str = field(repr=False)
    method: str
    """Of the Shadowsocks family; as the document spells it."""
    id: str = ""
    """A UUID by the specification: what makes it the same server across updates."""
    remarks: str = ""
    """A name for people."""
    plugin: str | None = None
    """None for no plugin."""
    plugin_opts: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An entry that is no server."""

    index: int
    """Its place in the list, counted from 0."""
    error: Sip008Error


@dataclass(frozen=True, slots=True)
class Document:
    """What one document says."""

    servers: tuple[OnlineServer, ...]
    left_out: tuple[LeftOut, ...] = ()
    bytes_used: int | None = None
    bytes_remaining: int | None = None
    """None: without limit, or not told."""


def parse_document(text: str) -> Document:
    """Read a document; servers that cannot be used are in `left_out`.

    Raises:
        Sip008Error: `bad_json`, `bad_version`, `missing_servers` or `usage`.
    """
    keys = parse_object(text)
    version = keys.get("version")
    if version != VERSION or isinstance(version, bool | float):
        raise Sip008Error("bad_version")
    entries = keys.get("servers")
    if not isinstance(entries, list):
        raise Sip008Error("missing_servers")
    if len(entries) > SERVERS_MAX:
        raise Sip008Error("missing_servers", f"it holds more than {SERVERS_MAX} servers, which no client needs")
    used, remaining = _count(keys, "bytes_used"), _count(keys, "bytes_remaining")
    if remaining is not None and used is None:
        raise Sip008Error("usage")
    servers: list[OnlineServer] = []
    left_out: list[LeftOut] = []
    for index, entry in enumerate(entries):
        try:
            servers.append(_parse_server(entry))
        except Sip008Error as error:
            left_out.append(LeftOut(index, error))
    return Document(tuple(servers), tuple(left_out), used, remaining)


def parse_object(text: str) -> dict[str, Any]:
    """Read strict JSON whose outermost value is an object.

    Raises:
        Sip008Error: `bad_json`.
    """
    if len(text) > SIZE_MAX:
        raise Sip008Error("bad_json", f"the document is longer than {SIZE_MAX} characters, more than servers need")
    value: object = None
    # The decoder's error carries the document, so ours is raised where there is none to be chained.
    try:
        value = json.loads(text, parse_constant=_refuse, object_pairs_hook=_without_twins)
    except (ValueError, RecursionError):  # the second: brackets in brackets without end
        value = None
    if not isinstance(value, dict):
        raise Sip008Error("bad_json")
    return value


def _refuse(_word: str) -> object:
    """NaN and Infinity, which Python reads, and JSON has not got."""
    raise ValueError


def _without_twins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse a key that stands twice: programs differ on which of them counts."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError
    return members


def _parse_server(entry: object) -> OnlineServer:
    if not isinstance(entry, Mapping):
        raise Sip008Error("bad_server", "this is no object")
    port = entry.get("server_port")
    if not isinstance(port, int) or isinstance(port, bool) or not 0 < port <= _PORT_MAX:
        raise Sip008Error("bad_server", f"its server_port is no number from 1 to {_PORT_MAX}")
    server = OnlineServer(
        _text(entry, "server"),
        port,
        _text(entry, "password"),
        _text(entry, "method"),
        _optional(entry, "id") or "",  # mandatory by the letter, but nobody needs them to reach the server
        _optional(entry, "remarks") or "",
        _optional(entry, "plugin"),
        _optional(entry, "plugin_opts"),
    )
    why = _fault(server)
    if why:
        raise Sip008Error("bad_server", why)
    return server


def _fault(server: OnlineServer) -> str:
    """Return what keeps a server from being reached; empty for nothing. Whether it is wise to, `config/` judges."""
    try:
        parse_keys(find_method(server.method), server.password)
    except KeyError:
        return "its method is none of the Shadowsocks family"
    except KeyTextError as wrong:
        return f"its password is no key of its method: {wrong}"
    try:
        Address(server.server, server.server_port).pack()
    except LocalProtocolError:
        return "its server is no name of a host and no address"
    return ""


def _text(entry: Mapping[str, object], key: str) -> str:
    text = entry.get(key)
    if not isinstance(text, str):
        raise Sip008Error("bad_server", f"its {key} is missing, or no text")
    if len(text) > TEXT_MAX:
        raise Sip008Error("bad_server", f"its {key} is longer than {TEXT_MAX} characters")
    if not _is_unicode(text):
        raise Sip008Error("bad_server", f"its {key} holds half of a pair of \\u escapes")
    return text


def _optional(entry: Mapping[str, object], key: str) -> str | None:
    """Return a text that may be missing or empty; both mean the same."""
    return None if entry.get(key) is None else _text(entry, key) or None


def _count(keys: Mapping[str, object], key: str) -> int | None:
    value = keys.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _BYTES_MAX:
        raise Sip008Error("usage")
    return value


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
