"""The files of shadowsocks-go, 1.1.5 to the last commit.

    server             of a client: a host or a list of them, with ports of their own or without
    server_password    of a client: a list of [HOST:PORT, PASSWORD, METHOD], the method where it is another one
    method             may end in -auth: one-time authentication; `auth` says the same
    port_password      of a server: ports and their passwords
    timeout            of idle connections; 0 is none

A server listens on every interface, whatever the file says.
"""

from __future__ import annotations

import os.path
from typing import Final

from ..findings import Findings
from ..hosts import split_port
from ..reader import BROKEN, Member, Node
from ..setting import GO, YEAR, Role
from .doors import Door, as_text, lay_out, port_passwords, put_doors
from .draft import LINK_LOCAL_AND_METADATA, Draft, end_of, said_as

METHOD: Final = "aes-256-cfb"
TIMEOUT: Final = 300
UDP_TIMEOUT: Final = 30
REPLY_PORT: Final = 2115
"""BND.PORT of its SOCKS answers: the bytes 08 43."""
_AUTH: Final = "-auth"
"""What a method ends in to ask for one-time authentication."""


def translate(root: Node, role: Role | None, findings: Findings) -> Node:
    """Return the tree in our own form."""
    draft = Draft(root, GO, findings)
    end = "local" if role is None and draft.has("server_password") else end_of(draft, role)
    draft.flags("auth", "one_time_auth")
    draft.move("auth", "one_time_auth")
    _cut_auth(draft)
    draft.default("udp_timeout", UDP_TIMEOUT)
    draft.time_out(TIMEOUT, none=YEAR)
    if end == "server":
        draft.drop("server", "server_password")
        if not draft.has_own_servers():
            draft.default("server", every_address())
            _lay_out_ports(draft, role)
    else:
        draft.default("local_address", "0.0.0.0")  # noqa: S104 - its users count on it, and are warned
        if not _lay_out_pairs(draft) and not draft.has_own_servers():
            _lay_out_ports(draft, role)
    draft.verbosity()
    draft.forbid(LINK_LOCAL_AND_METADATA)
    return draft.build(_HABITS)


_HABITS: Final[dict[str, str | int]] = {
    "mode": "tcp_only",
    "balancer.policy": "ordered",
    "socks_reply_port": REPLY_PORT,
}
_IPV6_HERE: Final = "/proc/net/if_inet6"
"""Linux has this file where it has IPv6."""


def every_address() -> str:
    """Return the address to listen on for all interfaces: IPv6's, which serves IPv4 too, where the system has IPv6."""
    return "::" if os.path.exists(_IPV6_HERE) else "0.0.0.0"  # noqa: S104 - what the name says


def _lay_out_ports(draft: Draft, role: Role | None) -> None:
    secrets = port_passwords(draft, role)
    draft.default("method", METHOD)
    lay_out(draft, secrets)


def _cut_auth(draft: Draft) -> None:
    """Take -auth off the method, and set one_time_auth for it."""
    member = draft.get("method")
    text = member.node.value if member is not None else None
    if member is not None and isinstance(text, str) and text.lower().endswith(_AUTH):
        draft.set("method", Member(member.mark, Node(text[: -len(_AUTH)], member.node.mark), member.said))
        draft.derive("one_time_auth", True, Member(member.mark, member.node, "method"))


def _lay_out_pairs(draft: Draft) -> bool:
    """Put the servers of `server_password` into our own form; False where there are none."""
    member = draft.pop("server_password")
    if member is None or member.node.value in ((), BROKEN):
        return False
    if not isinstance(member.node.value, tuple):
        draft.problem(member, "server_password", 'expected a list of lists, as in [["host:8388", "password"]]')
        return True
    if draft.has("server", "server_port", "password"):
        text = "this goes before server, server_port and password, which have no effect beside it; remove them"
        draft.warn(member, "server_password", text)
    draft.drop("server", "server_port", "password")
    draft.default("method", METHOD)
    common = draft.get("method")
    assert common is not None
    doors = [_pair(draft, common, node, f"server_password[{at}]") for at, node in enumerate(member.node.value)]
    put_doors(draft, filter(None, doors))
    return True


def _pair(draft: Draft, common: Member, node: Node, key: str) -> Door | None:
    """Return the server of one item, with the method that all have in common unless it names another."""
    items = node.value if isinstance(node.value, tuple) else ()
    parts = [Member(item.mark, item, f"{key}[{index}]") for index, item in enumerate(items)]
    host, port = split_port(str(items[0].value)) if items and isinstance(items[0].value, str) else ("", "")
    if len(parts) not in (2, 3) or not port:
        if node.value is not BROKEN and all(item.value is not BROKEN for item in items):
            text = "expected HOST:PORT and a password, and perhaps a method, each in quotes"
            draft.problem(Member(node.mark, node, key), key, text)
        return None
    place, password, *method = parts
    return Door(
        Member(place.mark, Node(host, place.mark), place.said),
        Member(place.mark, Node(port, place.mark), place.said),
        as_text(password, key),
        method[0] if method else said_as(common, "method"),
    )
