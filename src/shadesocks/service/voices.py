"""Voices: in whose words a service speaks of its life and of its connections.

A voice is a table. Our own says what our log always said. The others say what the programs said whose places we
take, to the letter where a tool may read it: the bans of fail2ban and autoban, a watch for "listening at", a graph
of connection counts. What a table does not hold is not said.

Whatever a peer chose is made harmless before it is put into a line (`plain`): no name can forge a line, or a word.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ..core.address import MAPPED_TEXT

DEBUG: Final = logging.DEBUG
INFO: Final = logging.INFO
WARNING: Final = logging.WARNING
ERROR: Final = logging.ERROR
VERBOSE: Final = 5
"""The old Python program's level below DEBUG, of `-vv`."""

SUSPECT: Final = "suspect"
"""The stage of a note: a handshake failed a moment ago, and what follows for the peer is silence."""
CONNECTING: Final = "connecting"
"""The stage of a note: a request is known, and its target is about to be dialled."""
DATAGRAM: Final = "datagram"
"""The stage of a note: a client sends datagrams to a target."""

LineStart = Callable[[int, float, bool], str]
"""(level, Unix time, whether the time is shown): what stands before the text of a line."""


@dataclass(frozen=True, slots=True)
class Said:
    """One line: how much it matters, and its text with the parts in braces."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Voice:
    """What one kind of program says."""

    start: LineStart
    life: Mapping[str, Said]
    """What a service does, by event: `Speaker.say`."""
    ends: Mapping[str, tuple[Said, ...]] = field(default_factory=dict)
    """What becomes of connections, by stage or by reason word."""
    pulses: tuple[str, ...] = ()
    """What is said again and again; names of `pulses.PULSES`."""


# -- how a line begins ------------------------------------------------------------------------------


def _start_ours(level: int, at: float, shows_time: bool) -> str:
    name = logging.getLevelName(level)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(at))} {name} " if shows_time else f"{name} "


def _start_python(level: int, at: float, shows_time: bool) -> str:
    name = "VERBOSE" if level == VERBOSE else logging.getLevelName(level)
    when = time.strftime("%Y-%m-%d %H:%M:%S ", time.localtime(at)) if shows_time else ""
    return f"{when}{name:<8} "


def _start_go(level: int, at: float, shows_time: bool) -> str:
    when = time.localtime(at)
    if level <= DEBUG:
        return time.strftime("[DEBUG] %H:%M:%S ", when) if shows_time else "[DEBUG] "
    return time.strftime("%Y/%m/%d %H:%M:%S ", when) if shows_time else ""


def _start_lite(_level: int, _at: float, _shows_time: bool) -> str:
    return ""


_MONTHS: Final = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
"""In English whatever the locale, as Node has them."""


def _start_node(_level: int, at: float, shows_time: bool) -> str:
    if not shows_time:
        return ""
    when = time.localtime(at)
    return f"{when.tm_mday} {_MONTHS[when.tm_mon - 1]} {time.strftime('%H:%M:%S', when)} - {int(at * 1000) % 1000}ms "


def _start_procurator(_level: int, at: float, shows_time: bool) -> str:
    return f"{time.ctime(at)} " if shows_time else ""


# -- our own ----------------------------------------------------------------------------------------

_MODEL: Final = "using event model: {name}"
_BATCHES: Final = Said(INFO, "datagrams go by {name}")
_STREAMS: Final = Said(INFO, "listening on {address}")
_PACKETS: Final = Said(INFO, "listening for datagrams on {address}")

_OURS: Final = Voice(
    _start_ours,
    {
        "model": Said(INFO, _MODEL),
        "batches": _BATCHES,
        "manager": Said(INFO, "commands are taken on {place}"),
        "worker": Said(INFO, "worker {number} serves; its process is {process}"),
        "quit": Said(INFO, "no longer listening; the last connection ends this process"),
        **{f"{role} streams": _STREAMS for role in ("server", "local", "tunnel")},
        **{f"{role} packets": _PACKETS for role in ("server", "local", "tunnel")},
    },
)

# -- Python -----------------------------------------------------------------------------------------


def _error_of(code: int) -> tuple[Said, ...]:
    return (Said(ERROR, f"[Errno {code}] {os.strerror(code)}"),)


_CANNOT_PARSE: Final = Said(ERROR, "can not parse header when handling connection from {client}")
"""What the filters of fail2ban and autoban look for."""
_TIMED_OUT: Final = (Said(WARNING, "timed out: {target}"),)

_PYTHON: Final = Voice(
    _start_python,
    {
        "model": Said(DEBUG, _MODEL),
        **dict.fromkeys(("server streams", "server packets"), Said(INFO, "starting server at {place}")),
        **dict.fromkeys(("local streams", "local packets"), Said(INFO, "starting local at {place}")),
        "tunnel streams": Said(INFO, "starting tcp tunnel at {place} forward to {forward}"),
        "tunnel packets": Said(INFO, "starting udp tunnel at {place} forward to {forward}"),
        "manager": Said(INFO, "entering manager mode"),
        "adding": Said(INFO, "adding server at {place}"),
        "removing": Said(INFO, "removing server at {place}"),
        "worker": Said(INFO, "worker started"),
        "quit": Said(WARNING, "received SIGQUIT, doing graceful shutting down.."),
        "closed streams": Said(INFO, "closed TCP port {port}"),
        "closed packets": Said(INFO, "closed UDP port {port}"),
        "stopping": Said(INFO, "stopping"),
        "look": Said(VERBOSE, "sweeping timeouts"),
    },
    {
        CONNECTING: (Said(INFO, "connecting {target} from {client}"),),
        DATAGRAM: (Said(INFO, "udp data to {target} from {client}"),),
        SUSPECT: (_CANNOT_PARSE,),
        "bad_atyp": (
            Said(WARNING, "unsupported addrtype {detail}, maybe wrong password or encryption method"),
            _CANNOT_PARSE,
        ),
        "ota_required": (Said(WARNING, "client one time auth is required"),),
        "ota_header_hmac": (Said(WARNING, "one time auth fail"),),
        "no_method": (Said(WARNING, "none of SOCKS METHOD's requested by client is supported"),),
        "bad_address": (_CANNOT_PARSE,),
        "short": (Said(WARNING, "timed out"),),
        "idle": _TIMED_OUT,
        "dial_timeout": _TIMED_OUT,
        "denied": (Said(ERROR, "IP {host} is in forbidden list, reject"),),
        "no_name": (Said(ERROR, "unknown hostname {host} when handling connection from {client}"),),
        "refused": _error_of(errno.ECONNREFUSED),
        "unreachable": _error_of(errno.ENETUNREACH),
        "host_unreachable": _error_of(errno.EHOSTUNREACH),
        "limit": _error_of(errno.EMFILE),
        "more": (Said(WARNING, "{count} more lines of this second are not written"),),
    },
    ("looks",),
)

# -- go ---------------------------------------------------------------------------------------------

_DIALS: Final = ("refused", "unreachable", "host_unreachable", "dial_timeout", "no_name", "denied")
_MORE_GO: Final = (Said(INFO, "{count} more lines of this second are not written"),)

_GO: Final = Voice(
    _start_go,
    {
        "server streams": Said(INFO, "server listening port {port} ..."),
        "server packets": Said(INFO, "listening udp port {port}"),
        "manager": Said(INFO, "manager listening udp addr {place} ..."),
        "adding": Said(INFO, "new port {port} added"),
        "removing": Said(INFO, "closing port {port}"),
        "clients": Said(INFO, "Number of client connections reaches {count}"),
    },
    {
        CONNECTING: (Said(DEBUG, "connecting {target}"),),
        SUSPECT: (Said(INFO, "error getting request {client} {why}"),),
        "left_early": (Said(INFO, "error getting request {client} {why}"),),
        "unused": (Said(INFO, "error getting request {client} {why}"),),
        "short": (Said(INFO, "error getting request {client} {why}"),),
        "limit": (Said(INFO, "dial error: dial tcp {target}: too many open files"),),
        **dict.fromkeys(_DIALS, (Said(INFO, "error connecting to: {target} {why}"),)),
        "more": _MORE_GO,
    },
    ("clients",),
)
_GO_LOCAL: Final = Voice(
    _start_go,
    {
        "local streams": Said(INFO, "starting local socks5 server at {anywhere} ..."),
        "next": Said(INFO, "available remote server {place}"),
    },
    {
        "bad_greeting": (Said(INFO, "socks handshake: {why}"),),
        "no_method": (Said(INFO, "socks handshake: {why}"),),
        "bad_command": (Said(INFO, "error getting request: {why}"),),
        "bad_address": (Said(INFO, "error getting request: {why}"),),
        **dict.fromkeys(
            (*_DIALS, "limit"),
            (
                Said(INFO, "error connecting to shadowsocks server: {why}"),
                Said(INFO, "Failed connect to all available shadowsocks server"),
            ),
        ),
        "more": _MORE_GO,
    },
)

# -- Node, and lite which came of it ----------------------------------------------------------------

_AT_SERVER: Final = Said(INFO, "server listening at {place} ")  # the space at its end is theirs
_AT_LOCAL: Final = Said(INFO, "local listening at {place}")
_AT_PACKETS: Final = Said(INFO, "UDP server listening {place}")
_LISTENING: Final = {
    "server streams": _AT_SERVER,
    "server packets": _AT_PACKETS,
    "local streams": _AT_LOCAL,
    "local packets": _AT_PACKETS,
}
_REMOTE: Final = dict.fromkeys((*_DIALS, "limit"), (Said(ERROR, "remote {target} error: Error: {why}"),))
_MORE_NODE: Final = (Said(WARNING, "{count} more lines of this second are not written"),)

_LITE: Final = Voice(
    _start_lite,
    {**_LISTENING, "concurrent": Said(INFO, "concurrent connections: {count}")},
    {**_REMOTE, "more": _MORE_NODE},
    ("concurrent",),
)
_LITE_LOCAL: Final = Voice(
    _start_lite,
    {**_LISTENING, "speed": Said(INFO, "--> {speed:.2f} KB/s")},
    {**_REMOTE, "more": _MORE_NODE},
    ("speed",),
)
_NODE: Final = Voice(
    _start_node,
    {**_LISTENING, "memory": Said(DEBUG, '{{ "rss": {rss} }}')},
    {
        CONNECTING: (Said(INFO, "connecting {target}"),),
        SUSPECT: (Said(ERROR, "local error: Error: {why}"),),
        "bad_atyp": (Said(ERROR, "unsupported addrtype: {detail} maybe wrong password"),),
        **_REMOTE,
        "more": _MORE_NODE,
    },
    ("memory",),
)
_NODE_LOCAL: Final = Voice(_start_node, _NODE.life, {**_REMOTE, "more": _MORE_NODE}, _NODE.pulses)

# -- procurator -------------------------------------------------------------------------------------

_STARTED: Final = dict.fromkeys(("server streams", "local streams"), Said(INFO, "started!"))
"""What its own suite waited for."""
_FAILED: Final = dict.fromkeys((*_DIALS, "limit"), (Said(ERROR, "{target}: {why}"),))

_PROCURATOR: Final = Voice(
    _start_procurator,
    _STARTED,
    {
        CONNECTING: (Said(DEBUG, "Connecting to: {host}"),),
        SUSPECT: (Said(INFO, "Wrong atype: {client} {why}"),),
        **_FAILED,
        "more": _MORE_NODE,
    },
)
_PROCURATOR_LOCAL: Final = Voice(_start_procurator, _STARTED, {**_FAILED, "more": _MORE_NODE})

_VOICES: Final = {
    "shadesocks": (_OURS, _OURS),
    "python": (_PYTHON, _PYTHON),
    "go": (_GO, _GO_LOCAL),
    "lite": (_LITE, _LITE_LOCAL),
    "node": (_NODE, _NODE_LOCAL),
    "procurator": (_PROCURATOR, _PROCURATOR_LOCAL),
}
"""By `log.style`: a server's, a client's."""


def voice_of(style: str, role: str) -> Voice:
    """Return the voice of a style, for "server" or "local"."""
    return _VOICES[style][role != "server"]


def line_start(style: str) -> LineStart:
    """Return how the lines of a style begin."""
    return _VOICES[style][0].start


def plain(text: str) -> str:
    r"""Return a name without anything that could end or recolour a line, or pass for a space: those as \x0a, \u2028.

    Also without the marks that turn the direction of writing, which would let a line be read as another.
    """
    if text.isascii() and text.isprintable() and " " not in text:
        return text
    return "".join(letter if letter.isprintable() and letter != " " else _escape(ord(letter)) for letter in text)


def _escape(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def place(host: str, port: Any) -> str:
    """Return a host and a port as all of these programs wrote them: without brackets."""
    return f"{plain(host)}:{port}"


def client_place(client: Any) -> str:
    """Return the address of a client, an IPv4 one as such, for that is what is banned."""
    return place(client[0].removeprefix(MAPPED_TEXT), client[1]) if isinstance(client, tuple) else "-"
