"""Which dialect a file is written in: what speaks for one, and for which.

A table of keys and the programs that have them. Each that is there is one vote, divided between those programs: a key
that one program has says more than one of four. What all have, and what is ours, votes for nobody; the lists of our
own form decide at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ...crypto.methods import find_method
from ..hosts import split_port
from ..reader import Node
from ..setting import GO, LIBEV, LITE, NODE, OUTLINE, PROCURATOR, PYTHON, RUST, SING_BOX

PROGRAMS: Final = {
    "rust": RUST,
    "python": PYTHON,
    "go": GO,
    "libev": LIBEV,
    "node": NODE,
    "lite": LITE,
    "procurator": PROCURATOR,
}
"""Dialects, and whose they are. Of two with as many votes the one above is taken."""

_OURS: Final = (
    *("servers", "shadowsocks", "locals", "balancer", "online_config", "runtime", "security", "manager_port"),
    *("plugin_mode", "plugin_args", "udp_mtu", "outbound_user_cookie", "outbound_udp_allow_fragmentation"),
    *("launchd_tcp_socket_name", "launchd_udp_socket_name"),
)
"""Keys of shadowsocks-rust that nobody else has, and that stand in no other program's file."""

_AT_ONCE: Final = {"accessKeys": "outline", "prefix": "outline", "transport": "outline", "outbounds": "sing-box"}
"""Keys of programs outside the family, which are in no file of it."""
_ELSEWHERE: Final = {"outline": OUTLINE, "sing-box": SING_BOX}

_KEYS: Final[dict[str, str]] = {
    **dict.fromkeys(("pid-file", "log-file", "daemon", "verbose", "one_time_auth"), "python"),
    **dict.fromkeys(("libopenssl", "libmbedtls", "libsodium", "dns_server", "prefer_ipv6"), "python"),
    **dict.fromkeys(("tunnel_remote", "tunnel_remote_port", "tunnel_port"), "python"),
    **dict.fromkeys(("tunnel_address", "tcp_tproxy", "use_syslog", "dscp", "mtu"), "libev"),
    **dict.fromkeys(("workdir", "key", "nameserver"), "libev"),
    "server_password": "go",
    **dict.fromkeys(("remote_host", "remote_port", "remote_udp_port"), "procurator"),
    **dict.fromkeys(("udp_target_host", "udp_target_port"), "procurator"),
    "auth": "go libev",
    "user": "python libev",
    "mode": "rust libev",
    "plugin": "rust libev",
    "port_password": "python go libev node",
}
"""Keys, and the dialects that have them."""


@dataclass(frozen=True, slots=True)
class _Sign:
    """Something of a value that speaks for some dialects."""

    key: str
    holds: Callable[[Node], bool]
    dialects: str
    text: str
    """The reason, where it decides."""


def _is_list(node: Node) -> bool:
    return isinstance(node.value, tuple)


def _has_ports(node: Node) -> bool:
    items = node.value if isinstance(node.value, tuple) else ()
    return any(isinstance(item.value, str) and split_port(item.value)[1] != "" for item in items)


_ALLOWED: Final = "allow_legacy"
"""Who writes this key of ours wrote the file for this program, whatever the method: an old program's defaults, which
open private networks, are not to come in by it."""


def _is_old(node: Node) -> bool:
    name = node.value.lower() if isinstance(node.value, str) else ""
    try:
        return find_method(name).legacy
    except KeyError:
        return False


def _is_table(node: Node) -> bool:
    return isinstance(node.value, str) and node.value.lower() == "table"


def _has_suffix(node: Node) -> bool:
    return isinstance(node.value, str) and node.value.lower().endswith("-auth")


def _has_library(node: Node) -> bool:
    return isinstance(node.value, str) and node.value.lower().startswith(("mbedtls:", "sodium:"))


_SIGNS: Final = (
    _Sign("server", _is_list, "python go libev node lite", "its server is a list, as {program} has it"),
    _Sign("server", _has_ports, "go node", "its servers have their ports with them, as {program} has it"),
    _Sign("server_port", _is_list, "python node", "its server_port is a list, as {program} has it"),
    _Sign("method", _is_old, "python go libev node", "its method is an old one, as {program} had them"),
    _Sign("method", _is_table, "python node", "its method is table, as {program} has it"),  # go refused it
    _Sign("method", _has_suffix, "go", "its method ends in -auth, as {program} has it"),
    _Sign("method", _has_library, "python", "its method names a library, as {program} has it"),
)


def sniff(root: Node) -> tuple[str, str]:
    """Return the name of the dialect of a tree and what speaks for it; the second is empty where nothing does."""
    members = root.value if isinstance(root.value, Mapping) else {}
    given = {key: member.node for key, member in members.items() if member.node.value is not None}
    if _is_document(given):
        return "sip008", "it has a version and servers, as a document of SIP008"
    for key, dialect in _AT_ONCE.items():
        if key in given and not {"servers", "locals"} & given.keys():
            return dialect, f"it has {key}, a key of {_ELSEWHERE[dialect]}"
    for key in _OURS:
        if key in given:
            return "rust", _has("rust", key)
    votes: dict[str, list[tuple[float, str]]] = {name: [] for name in PROGRAMS}
    for dialects, key, text in _signs(given):
        names = dialects.split()
        for name in names:
            votes[name].append((1 / len(names), text.format(program=PROGRAMS[name]) if text else _has(name, key)))
    name = max(votes, key=lambda each: sum(weight for weight, _ in votes[each]))
    weight, why = max(votes[name], key=lambda vote: vote[0], default=(0.0, ""))
    return (name, why) if weight else ("rust", "")


def _is_document(members: Mapping[str, Node]) -> bool:
    """True for what is a document of SIP008 and nothing more."""
    return {"version", "servers"} <= members.keys() and not any(key.startswith("local") for key in members)


def _signs(given: Mapping[str, Node]) -> Iterator[tuple[str, str, str]]:
    """Yield the dialects that something speaks for, its key and its reason."""
    for key, dialects in _KEYS.items():
        if key in given:
            yield dialects, key, ""
    for sign in _SIGNS:
        if sign.holds in (_is_old, _is_table) and _ALLOWED in given:
            continue
        if sign.key in given and sign.holds(given[sign.key]):
            yield sign.dialects, sign.key, sign.text


def _has(dialect: str, key: str) -> str:
    return f"it has {key}, a key of {PROGRAMS[dialect]}"
